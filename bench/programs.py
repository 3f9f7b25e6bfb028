"""The programs that are measured, and their database: started here, ended here."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from dev import credentials, nginx
from dev.config import PROJECT, Config
from dev.postgres import OWNER, Cluster, free_port

START_SECONDS = 60
PEERS = PROJECT / ".venv-bench" / "bin"


@dataclass(frozen=True)
class Program:
    """A server under measurement; its address goes where the command says HOST, PORT or SOCKET."""

    name: str
    what: str
    command: tuple[str, ...]
    on_socket: tuple[str, ...] = ()


OURS = Program(
    "ours",
    "this system as it is deployed: granian, 2 processes of 2 threads, one log line a request",
    (sys.executable, "-m", "api.server"),
    (sys.executable, "-m", "api.server"),
)
GRANIAN = (sys.executable, "-m", "granian", "--interface", "wsgi", "--no-ws",
           "--workers", "2", "--blocking-threads", "2", "bench.peers.bare:app")  # fmt: skip
BARE = Program(
    "bare",
    'a Flask view that answers {"ok": true}, on the same server',
    (*GRANIAN, "--host", "HOST", "--port", "PORT"),
    (*GRANIAN, "--uds", "SOCKET", "--uds-permissions", "438"),
)
FASTAPI = Program(
    "fastapi",
    "FastAPI, SQLAlchemy asyncio, asyncpg, uvicorn with 2 processes, no access log",
    (str(PEERS / "uvicorn"), "bench.peers.fastapi_peer:app",
     "--host", "HOST", "--port", "PORT", "--workers", "2",
     "--no-access-log", "--log-level", "warning"),
)  # fmt: skip
FLASK = Program(
    "flask",
    "Flask-SQLAlchemy, marshmallow, gunicorn gthread 2 x 8, no access log",
    (str(PEERS / "gunicorn"), "bench.peers.flask_peer:app", "--bind", "HOST:PORT",
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
    where = f"127.0.0.1:{free_port()}"
    began = time.monotonic()
    with _served(program, environment, log, where) as process:
        _wait_until_it_answers(f"http://{where}", process, log)
        yield Running(program, f"http://{where}", process, time.monotonic() - began)


@contextlib.contextmanager
def _served(
    program: Program, environment: Mapping[str, str], log: Path, where: str
) -> Iterator[subprocess.Popen[bytes]]:
    """The program listening at `where`, a Unix socket or an address of TCP."""
    host, _, port = where.rpartition(":")
    listen = {"HOST:PORT": where, "HOST": host, "PORT": port, "SOCKET": port}
    command = program.on_socket if host == "unix" else program.command
    if host == "unix":
        Path(port).unlink(missing_ok=True)  # What nginx.prepare() put there.
    with log.open("ab") as output:
        process = subprocess.Popen(
            [listen.get(word, word) for word in command],
            cwd=PROJECT,
            env={
                **environment,
                "LISTEN": where,
                "WEB_PROCESSES": "2",
                "PYTHONPATH": str(PROJECT),
            },
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        _end(process)


@contextlib.contextmanager
def behind_nginx(
    program: Program, environment: Mapping[str, str], directory: Path
) -> Iterator[Running]:
    """The same on a Unix socket with nginx in front, as in a deployment.

    Raises:
        RuntimeError: one of them did not answer.
    """
    front = Config.from_env().nginx
    if front is None:
        raise RuntimeError("nginx is not installed")
    prefix, port = directory / f"nginx-{program.name}", free_port()
    socket = prefix / "web.sock"
    nginx.prepare(
        prefix, listen=f"127.0.0.1:{port}", sockets=[socket], files=directory, connections=4000
    )
    command = [front, "-p", f"{prefix}/", "-c", "nginx.conf", "-e", "stderr", "-g", "daemon off;"]
    log = directory / f"front-{program.name}.log"
    with _served(program, environment, log, f"unix:{socket}"), log.open("ab") as output:
        began = time.monotonic()
        process = subprocess.Popen(command, stderr=output, start_new_session=True)
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_it_answers(url, process, log)
            yield Running(program, url, process, time.monotonic() - began)
        finally:
            _end(process)


@contextlib.contextmanager
def a_database(directory: Path) -> Iterator[dict[str, str]]:
    """A migrated, durable PostgreSQL and the environment of programs that use it.

    PGBENCH names the program beside that server, OWNERS_URL the address to fill the database at.
    """
    directory.mkdir(mode=0o711)
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
        programs = {
            "PGBENCH": str(cluster.programs / "pgbench"), "OWNERS_URL": cluster.url(OWNER),
        }  # fmt: skip
        yield environment | programs


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
