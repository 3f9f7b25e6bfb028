"""The programs that are measured, and their database: started here, ended here."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from dev import credentials
from dev.config import PROJECT
from dev.postgres import OWNER, Cluster, free_port

START_SECONDS = 60
PEERS = PROJECT / ".venv-bench" / "bin"


@dataclass(frozen=True)
class Program:
    """A server under measurement; `command` takes its port where it says PORT."""

    name: str
    what: str
    command: tuple[str, ...]
    accel: bool = False


GRANIAN = (
    sys.executable, "-m", "granian", "--interface", "wsgi", "--no-ws", "--host", "127.0.0.1",
    "--port", "PORT", "--workers", "2", "--blocking-threads", "2",
)  # fmt: skip
OURS = Program(
    "ours", "this system on granian, 2 x 2 threads, access log on", (*GRANIAN, "wsgi:app")
)
BARE = Program("bare", 'a Flask view that answers {"ok": true}, on the same server',
               (*GRANIAN, "bench.peers.bare:app"))  # fmt: skip
FASTAPI = Program(
    "fastapi",
    "FastAPI, SQLAlchemy asyncio, asyncpg, uvicorn with 2 workers, no access log",
    (str(PEERS / "uvicorn"), "bench.peers.fastapi_peer:app",
     "--host", "127.0.0.1", "--port", "PORT", "--workers", "2",
     "--no-access-log", "--log-level", "warning"),
)  # fmt: skip
FLASK = Program(
    "flask",
    "Flask-SQLAlchemy, marshmallow, gunicorn gthread 2 x 8, no access log",
    (str(PEERS / "gunicorn"), "bench.peers.flask_peer:app", "--bind", "127.0.0.1:PORT",
     "--workers", "2", "--worker-class", "gthread", "--threads", "8", "--no-control-socket"),
)  # fmt: skip


@dataclass
class Running:
    """A program that answers; `start_s` is how long its first answer took."""

    program: Program
    url: str
    process: subprocess.Popen[bytes]
    start_s: float

    def rss_mb(self) -> list[float]:
        """The resident memory of the process and each of its children, the largest first."""
        return sorted(map(_rss_mb, [self.process.pid, *_children(self.process.pid)]), reverse=True)


@contextlib.contextmanager
def started(program: Program, environment: Mapping[str, str], log: Path) -> Iterator[Running]:
    """Run a program on a free port until its /healthz answers, and end it afterwards.

    Raises:
        RuntimeError: it did not answer; its log says why.
    """
    port = str(free_port())
    command = [
        port if word == "PORT" else word.replace(":PORT", f":{port}") for word in program.command
    ]
    began = time.monotonic()
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=PROJECT,
            env={**environment, "PYTHONPATH": str(PROJECT)},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_it_answers(url, process, log)
        yield Running(program, url, process, time.monotonic() - began)
    finally:
        _end(process)


@contextlib.contextmanager
def a_database(directory: Path) -> Iterator[dict[str, str]]:
    """A migrated, durable PostgreSQL and the environment of programs that use it."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    with Cluster(directory / "postgres", free_port(), durable=True) as cluster:
        secrets = credentials.provide(directory / "secrets", token_uri="http://127.0.0.1:1/token")
        environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
            "DATABASE_URL": cluster.url(),
            "PUBLIC_URL": "http://127.0.0.1",
            # Nobody signs in while it is measured: the tokens are made here.
            "OIDC_ISSUER": "http://127.0.0.1:1",
            "OIDC_CLIENT_ID": "app",
            "OIDC_ADMIN_CLIENT_ID": "admin",
            "OIDC_REDIRECT_URIS": "http://127.0.0.1/callback",
            "STORAGE_URL": (directory / "files").as_uri(),
            **secrets,
        }
        owner = {**environment, "MIGRATION_DATABASE_URL": cluster.url(OWNER)}
        _run("alembic", "upgrade", "head", environment=owner)
        _run("flask", "--app", "wsgi", "load-reference", environment=environment)
        yield environment


def _run(*module: str, environment: Mapping[str, str]) -> None:
    subprocess.run([sys.executable, "-m", *module], cwd=PROJECT, env=dict(environment), check=True)


def _wait_until_it_answers(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{url}/healthz", trust_env=False, timeout=2).is_success:
                return
        time.sleep(0.02)
    raise RuntimeError(f"{process.args} does not answer:\n{log.read_text()[-3000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            found += [child, *_children(child)]
    return found


def _rss_mb(pid: int) -> float:
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    return int(status["VmRSS"].split()[0]) / 1024
