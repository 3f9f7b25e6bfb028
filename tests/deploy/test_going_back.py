"""The commands for compose.yaml of docs/backup.md, with bubblewrap in place of an engine."""

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from dev import unprivileged
from tests.deploy.containers import can_confine
from tests.deploy.files import compose
from tests.processes import ROOT, wait_for

pytestmark = pytest.mark.skipif(
    not can_confine(), reason="only root with bubblewrap can confine programs"
)
PAGE = (ROOT / "docs" / "backup.md").read_text("utf-8")
BLOCKS = dict(re.findall(r"^```sh (\S+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))
FUNCTIONS = BLOCKS["compose"] + BLOCKS["compose-photos"]
# What the image of PostgreSQL sets.
PGDATA = "/var/lib/postgresql/18/docker"
INITDB = 'exec initdb --no-sync --username=postgres --pwfile="$POSTGRES_PASSWORD_FILE" '


class Machine:
    """The database of compose.yaml, and an operator in front of it."""

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o711)
        self.folder = folder
        self.data, self.backup, self.secrets = (
            folder / name for name in ("data", "backup", "secrets")
        )
        self.prepare()
        known = {"DATA_DIR": str(self.data), "BACKUP_DIR": str(self.backup)}
        known["SECRETS_DIR"] = str(self.secrets)
        content = compose(dict.fromkeys(names_of_variables(), "x") | known)
        self.service = content["services"]["database"]
        self.engine = folder / "bin" / "docker"
        self.socket = folder / "socket"
        self.socket.mkdir()
        os.chown(self.socket, *self.user)
        self.programs = unprivileged.programs_for(folder)
        self.write_stand_ins()
        self.environment = known | {"PATH": f"{folder / 'bin'}:{os.defpath}"}

    @property
    def user(self) -> tuple[int, ...]:
        return tuple(map(int, self.service["user"].split(":")))

    def prepare(self) -> None:
        """The folders as an operator makes them, with a way in for the confined account."""
        preparing = [ROOT / "deploy" / "prepare.sh", self.data, self.secrets, self.backup]
        subprocess.run(preparing, check=True, stdout=subprocess.DEVNULL)
        for folder in (self.data, self.secrets, self.backup):
            folder.chmod(0o711)

    def lose(self, name: str) -> None:
        """Move a folder aside and make an empty one."""
        (self.data / name).rename(Path(tempfile.mkdtemp(dir=self.folder)) / name)
        self.prepare()

    def write_stand_ins(self) -> None:
        """`docker` and `sudo`, and what compose.yaml says for the first."""
        accounts = self.folder / "passwd"
        accounts.write_text("postgres:x:999:999::/var/lib/postgresql:/bin/bash\n")
        accounts.chmod(0o644)
        told = self.folder / "service.json"
        told.write_text(
            json.dumps(
                {
                    "user": self.user,
                    "groups": [int(each) for each in self.service["group_add"]],
                    "mounts": self.mounts(accounts),
                    "variables": self.service["environment"]
                    | {"PGDATA": PGDATA, "PATH": f"{self.programs}:/usr/bin:/bin"},
                }
            )
        )
        (self.folder / "bin").mkdir()
        engine = shlex.join([sys.executable, str(ROOT / "tests/deploy/bubble.py"), str(told)])
        for name, line in (("docker", f'exec {engine} "$@"'), ("sudo", 'exec "$@"')):
            program = self.folder / "bin" / name
            program.write_text(f"#!/bin/sh\n{line}\n")
            program.chmod(0o755)

    def mounts(self, accounts: Path) -> list[str]:
        parts = ["--ro-bind", "/usr", "/usr", "--proc", "/proc", "--dev", "/dev"]
        for link in ("bin", "lib", "lib64", "sbin"):
            parts += ["--symlink", f"usr/{link}", f"/{link}"]
        # Debian's awk is a link by way of /etc.
        for source, target in ((str(accounts), "/etc/passwd"), ["/etc/alternatives"] * 2):
            parts += ["--ro-bind", source, target]
        for mount in self.service["tmpfs"]:
            parts += ["--perms", "0700", "--tmpfs", mount.partition(":")[0]]
        # The libraries of the programs lie beside their folder.
        parts += ["--ro-bind", str(self.programs.parents[2]), str(self.programs.parents[2])]
        for mount in self.service["volumes"]:
            if isinstance(mount, dict):
                parts += ["--bind", mount["source"], mount["target"]]
        parts += ["--bind", str(self.socket), "/run/postgresql"]
        for name in self.service["secrets"]:
            parts += ["--ro-bind", str(self.secrets / name), f"/run/secrets/{name}"]
        return parts

    def compose(self, *arguments: str, check: bool) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.engine, "compose", *arguments],
            check=check,
            env=self.environment,
            capture_output=True,
            text=True,
        )

    def page(self, commands: str, **variables: str) -> str:
        """What commands print when they are typed after the functions of the page."""
        done = subprocess.run(
            ["/bin/sh", "-euc", f"{FUNCTIONS}{commands}"],
            check=False,
            cwd=ROOT,
            env=self.environment | variables,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{commands}: {done.stdout}{done.stderr}"
        return done.stdout

    def sql(self, statement: str) -> str:
        """What a statement returns, by the page's own way inside."""
        command = f'psql -XAtq -v ON_ERROR_STOP=1 "$SUPERUSER_URL" -c {shlex.quote(statement)}'
        return self.page(f"echo {shlex.quote(command)} | inside").strip()

    def make(self) -> None:
        """What the image does when the folder is empty."""
        arguments = self.service["environment"]["POSTGRES_INITDB_ARGS"]
        script = f"mkdir -p {PGDATA}; {INITDB}{arguments}"
        self.compose("run", "--rm", "--no-deps", "-T", "database", "sh", "-euc", script, check=True)
        with self.running():
            roles = (ROOT / "deploy" / "roles.sh").read_text()
            prelude = 'export PGPASSWORD="$(cat /run/secrets/postgres_password)"\n'
            prelude += "export PGHOST=/run/postgresql\n"
            self.page(f"printf %s {shlex.quote(prelude + roles)} | inside")

    def state(self) -> str:
        """How the server that ran last left its folder."""
        asking = ["run", "--rm", "--no-deps", "-T", "database", "pg_controldata", PGDATA]
        said = self.compose(*asking, check=True).stdout
        return re.search(r"(?m)^Database cluster state: +(.*)$", said)[1]

    @contextlib.contextmanager
    def running(self):
        """The server by the command of compose.yaml; ended as an engine ends it."""
        command = [self.engine, "compose", "run", "--rm", "--no-deps", "-T", "database"]
        with (self.folder / "server.log").open("ab") as log:
            server = subprocess.Popen(
                [*command, *self.service["command"]],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        asking = ["exec", "-T", "database", "pg_isready", "--quiet", "--host=/run/postgresql"]
        try:
            wait_for("PostgreSQL", lambda: self.compose(*asking, check=False).returncode == 0)
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(first_process(server), signal.SIGINT)
            server.wait(30)


def first_process(outer: subprocess.Popen) -> int:
    """What bubblewrap, which was started, runs as the first process of its container."""
    children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
    return int(children[0]) if children else outer.pid


def names_of_variables():
    text = (ROOT / "deploy" / ".env.example").read_text()
    return re.findall(r"(?m)^(\w+)=", text)


@pytest.fixture
def machine():
    with tempfile.TemporaryDirectory(prefix="going-back-") as folder:
        yield Machine(Path(folder))


def test_the_database_comes_back_by_the_commands_for_compose(machine):
    machine.make()
    with machine.running():
        machine.page("block archive | inside")
    with machine.running():
        machine.page("block archive-check | inside")
        machine.sql("CREATE TABLE kept (at text)")
        machine.sql("INSERT INTO kept VALUES ('before the base backup')")
        machine.page("block base | inside")
        machine.sql("INSERT INTO kept VALUES ('before the moment')")
        moment = machine.sql("SELECT clock_timestamp()")
        machine.sql("INSERT INTO kept VALUES ('after it')")
        machine.page("block archive-check | inside")
    machine.lose("postgres")

    machine.page(BLOCKS["restore-compose"], TARGET=moment)

    assert machine.state() == "shut down"
    with machine.running():
        kept = machine.sql("SELECT string_agg(at, ', ' ORDER BY at) FROM kept")
        assert kept == "before the base backup, before the moment"
        assert machine.sql("SHOW archive_mode") == "off"
        assert machine.sql("SHOW max_connections") == "200"

    machine.lose("postgres")
    latest = "block restore | grep -v recovery_target_time;"
    machine.page(BLOCKS["restore-compose"].replace("block restore;", latest), TARGET="now")

    with machine.running():
        assert machine.sql("SELECT count(*) FROM kept WHERE at = 'after it'") == "1"


def test_the_photos_come_back_by_the_commands_for_compose(machine):
    folder = machine.data / "photos" / "photos"
    for name in ("a/full", "a/thumb", "b/full"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / name).write_text("a photo")
    for path in (folder, *folder.rglob("*")):
        os.chown(path, 10003, 10001)
    machine.page("on_photos photos")
    machine.lose("photos")

    machine.page("on_photos restore-photos")

    missing = machine.page("printf 'a\\nb\\n' | on_photos check-photos")
    assert missing == "b\n"
    owners = {(path.stat().st_uid, path.stat().st_gid) for path in (folder, *folder.rglob("*"))}
    assert owners == {(10003, 10001)}


def test_a_block_that_the_page_has_not_is_an_error_everywhere(machine):
    for commands in ("block restroe | inside", "on_photos restroe"):
        with pytest.raises(AssertionError):
            machine.page(commands)
