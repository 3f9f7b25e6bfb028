"""As much of what a container engine does as can be done without one.

`Image` makes what the Dockerfile's COPY and RUN lines make; `Machine` runs services of compose.yaml
on it under bubblewrap: as their account, without any capability, on a read-only root that holds
Debian's /usr and the image, and with the mounts, secrets and variables that compose.yaml gives.
"""

import contextlib
import fnmatch
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.deploy.files import (
    copied,
    dockerignore,
    image_command,
    image_environment,
    rendered,
)
from tests.processes import ROOT, wait_for

STRACE = shutil.which("strace")
UV = ROOT / ".venv" / "bin" / "uv"
# What could be written to by a program: opened, made, renamed, removed or changed.
WRITES = (
    "openat,open,creat,mkdir,mkdirat,rmdir,unlink,unlinkat,rename,renameat,renameat2,link,linkat,"
    "symlink,symlinkat,truncate,chmod,fchmodat,chown,fchownat,utimensat,mknod,mknodat,bind"
)


class Image:
    """The folders that the Dockerfile makes, below `directory`, which everybody may enter."""

    def __init__(self, directory: Path) -> None:
        self.venv, self.app, self.python = (directory / each for each in ("venv", "app", "python"))
        self._copy_product()
        self._install_packages()
        self._provide_python()

    @property
    def mounts(self) -> list[str]:
        folders = {"/srv/venv": self.venv, "/srv/app": self.app}
        if self.python.exists():
            folders["/usr/local"] = self.python
        return [part for to, each in folders.items() for part in ("--ro-bind", str(each), to)]

    def _copy_product(self) -> None:
        ignored = [line.removeprefix("**/") for line in dockerignore() if line[0] not in "!*"]
        for stage, sources, target in copied():
            for source in sources:
                found = ROOT / source
                to = self.app / target
                if stage == "browser":
                    found = ROOT / source.removeprefix("/srv/browser/")
                if target.startswith("/") or (stage and not found.exists()):
                    continue  # Not of the product; or npm is not there, and the view does without.
                if found.is_dir():
                    shutil.copytree(found, to, ignore=_ignoring(ignored))
                else:
                    to = to / found.name if target.endswith("/") else to
                    to.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(found, to)
        for path in (self.app, *self.app.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)

    def _install_packages(self) -> None:
        """The runtime lock and nothing else, from the cache where it is there."""
        index = ["--system-certs"]
        options = ["--quiet", "--require-hashes", "--only-binary", ":all:", "--compile-bytecode"]
        command = [UV, "pip", "sync", *options, *index, "requirements.lock"]
        environment = os.environ | {"VIRTUAL_ENV": str(self.venv)}
        subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, self.venv], check=True)
        try:
            subprocess.run([*command, "--offline"], check=True, cwd=ROOT, env=environment)
        except subprocess.CalledProcessError:
            subprocess.run(command, check=True, cwd=ROOT, env=environment)
        compiling = ["compileall", "-q", "--invalidation-mode", "unchecked-hash", str(self.app)]
        subprocess.run([sys.executable, "-m", *compiling], check=True)

    def _provide_python(self) -> None:
        """An interpreter in a home directory is copied to where the image's own one lies."""
        prefix = Path(sys.base_prefix)
        home = prefix / "bin"
        if not prefix.is_relative_to("/usr"):
            home = Path("/usr/local/bin")
            unused = shutil.ignore_patterns("test", "site-packages", "config-*", "*.a", "idlelib")
            shutil.copytree(prefix, self.python, symlinks=True, ignore=unused)
            self.python.chmod(0o755)
        program = self.venv / "bin" / "python"
        name = program.readlink().name
        program.unlink()
        program.symlink_to(home / name)
        config = self.venv / "pyvenv.cfg"
        config.write_text(re.sub(r"(?m)^home = .*$", f"home = {home}", config.read_text()))


def _ignoring(patterns: list[str]):
    def ignore(folder: str, names: list[str]) -> set[str]:
        paths = {name: str((Path(folder) / name).relative_to(ROOT)) for name in names}
        return {
            name
            for name, path in paths.items()
            for pattern in patterns
            if fnmatch.fnmatch(path, pattern) or fnmatch.fnmatch(name, pattern)
        }

    return ignore


@dataclass
class Running:
    """One service: bubblewrap, and below it the program as the first process of its own."""

    outer: subprocess.Popen[bytes]
    pid: int
    log: Path
    environment: dict[str, str]

    def status(self) -> dict[str, str]:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        parts = (line.partition(":") for line in lines)
        return {name: " ".join(rest.split()) for name, _, rest in parts}

    @property
    def alive(self) -> bool:
        return self.outer.poll() is None

    def stop(self) -> int:
        """Ask it to end as an engine does, and return its exit code."""
        self.ask_to_stop()
        return self.outer.wait(40)

    def ask_to_stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)


@dataclass
class Machine:
    """A machine with the folders of compose.yaml's volumes and secrets."""

    directory: Path
    image: Image
    content: dict[str, Any]
    started: list[Running] = field(default_factory=list)

    def volume(self, name: str) -> Path:
        """The folder that stands for a volume, owned as its options say."""
        path = self.directory / "volumes" / name
        if not path.exists():
            path.mkdir(parents=True)
            options = _options(self.content["volumes"][name]["driver_opts"]["o"])
            os.chown(path, int(options["uid"]), int(options["gid"]))
            path.chmod(int(options["mode"], 8))
        return path

    def start(self, name: str, *command: str) -> Running:
        """Start a service, or another command in its place."""
        service = self.content["services"][name]
        log = self.directory / "logs" / name
        trace = self.directory / "traces" / f"{name}-{len(self.started)}"
        uid, gid = map(int, service["user"].split(":"))
        # An engine gives a program's output to its account too.
        for path in (log, trace):
            path.parent.mkdir(exist_ok=True)
            path.touch()
            os.chown(path, uid, gid)
        environment = self._environment(name)
        read, write = os.pipe()
        with log.open("ab") as output:
            outer = subprocess.Popen(
                [
                    *["bwrap", "--unshare-all", "--share-net", "--die-with-parent", "--as-pid-1"],
                    *["--info-fd", str(write), "--bind", str(trace), "/trace"],
                    *self._root(name),
                    *[part for each in environment.items() for part in ("--setenv", *each)],
                    *_traced(list(command) or service.get("command") or image_command()),
                ],
                user=uid,
                group=gid,
                extra_groups=[],
                pass_fds=(write,),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        os.close(write)
        with os.fdopen(read) as info:
            told = info.read()
        running = Running(outer, json.loads(told)["child-pid"] if told else 0, log, environment)
        self.started.append(running)
        return running

    def run(self, name: str, *command: str) -> tuple[int, str]:
        """Run a command in a service's place until it ends; its code, and what it said."""
        log = self.directory / "logs" / name
        before = log.stat().st_size if log.exists() else 0
        code = self.start(name, *command).outer.wait(60)
        return code, log.read_bytes()[before:].decode()

    def start_healthy(self, *names: str) -> list[Running]:
        """Start services and wait until their own health checks are content."""
        started = {name: self.start(name) for name in names}
        for name, running in started.items():
            wait_for(name, self._health(name, running))
        return list(started.values())

    def _health(self, name: str, running: Running) -> Callable[[], bool]:
        kind, *command = self.content["services"][name]["healthcheck"]["test"]
        if kind == "CMD-SHELL":
            command = ["/bin/sh", "-c", *command]
        uid, gid = self.content["services"][name]["user"].split(":")
        entering = ["nsenter", "--target", str(running.pid), "--mount", "--pid", "--root", "--wd"]
        account = ["--setuid", uid, "--setgid", gid]
        variables = [f"{each}={value}" for each, value in running.environment.items()]
        check = [*entering, *account, "env", "-i", *variables, *command]

        def look() -> bool:
            if running.outer.poll() is not None:
                raise RuntimeError(f"{name} ended:\n{running.log.read_text()[-3000:]}")
            return subprocess.run(check, check=False, capture_output=True).returncode == 0

        return look

    @property
    def is_traced(self) -> bool:
        return STRACE is not None

    def traces(self) -> Iterator[str]:
        for path in (self.directory / "traces").iterdir():
            yield from path.read_text(errors="replace").splitlines()

    def stop(self) -> dict[str, int]:
        """End whatever still runs, all at once; the exit codes by service."""
        living = [each for each in self.started if each.alive]
        for each in living:
            each.ask_to_stop()
        return {each.log.name: each.outer.wait(40) for each in living}

    def _environment(self, name: str) -> dict[str, str]:
        given = self.content["services"][name].get("environment", {})
        if name == "nginx":
            return {"PATH": "/usr/sbin:/usr/bin", **given}
        own = {"LD_LIBRARY_PATH": "/usr/local/lib"} if self.image.python.exists() else {}
        return {**image_environment(), **own, **given}

    def _within_reach(self, source: str) -> Path:
        """A copy of a file of the project, which may lie in somebody's home directory."""
        copy = self.directory / "files" / Path(source).name
        copy.parent.mkdir(exist_ok=True)
        shutil.copyfile(ROOT / source, copy)
        copy.chmod(0o644)
        return copy

    def _root(self, name: str) -> list[str]:
        service = self.content["services"][name]
        parts = ["--cap-drop", "ALL", "--ro-bind", "/usr", "/usr"]
        for link in ("bin", "lib", "lib64", "sbin"):
            parts += ["--symlink", f"usr/{link}", f"/{link}"]
        parts += ["--ro-bind", "/etc/ssl", "/etc/ssl", "--proc", "/proc", "--dev", "/dev"]
        for mount in service["tmpfs"]:
            target, _, options = mount.partition(":")
            parts += ["--perms", _options(options)["mode"], "--tmpfs", target]
        for mount in service.get("volumes", []):
            source, target, *_ = mount.split(":")
            if source.startswith("./"):
                parts += ["--ro-bind", str(self._within_reach(source)), target]
            else:
                parts += ["--bind", str(self.volume(source)), target]
        for secret in service.get("secrets", []):
            file = self.content["secrets"][secret]["file"]
            parts += ["--ro-bind", file, f"/run/secrets/{secret}"]
        if name == "nginx":
            config = self.directory / "nginx.conf"
            config.write_text(rendered(service["environment"]))
            config.chmod(0o644)
            parts += ["--ro-bind", str(config), "/run/nginx/nginx.conf", "--chdir", "/"]
        else:
            parts += [*self.image.mounts, "--chdir", "/srv/app"]
        return [*parts, "--remount-ro", "/", "--clearenv"]


def _options(text: str) -> dict[str, str]:
    return dict(each.split("=", 1) for each in text.split(","))


def _traced(program: list[str]) -> list[str]:
    """The program, with what it opens, makes and removes written down where strace is there."""
    if STRACE is None:
        return program
    # -D: the program itself stays the first process, which an engine sends its signals to.
    tracing = ["strace", "-D", "-f", "--seccomp-bpf", "-qq", "-e", f"trace={WRITES}"]
    return [*tracing, "-e", "signal=none", "-o", "/trace", *program]


def can_confine() -> bool:
    """Whether an ordinary account may make namespaces here."""
    if os.geteuid() != 0 or shutil.which("bwrap") is None:
        return False
    command = ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"]
    tried = subprocess.run(
        command, check=False, capture_output=True, user=10001, group=10001, extra_groups=[]
    )
    return tried.returncode == 0
