"""A deployment in small: nginx in front of two web instances, and workers, as real processes."""

import contextlib
import datetime as dt
import signal
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from api.alive import answers
from dev import credentials, nginx
from dev.config import Config
from models import Audience, Citizen, Database
from services.permissions import LEVEL_2
from services.tokens import AccessClaims, Keys
from tests import factories
from tests.processes import free_port, running, wait_for

NGINX = Config.from_env().nginx
INSTANCES = ("a", "b")


@dataclass
class Stack:
    """The parts that run; each instance listens on its own socket."""

    directory: Path
    database: Database
    environment: dict[str, str]
    url: str
    keys: Keys
    programs: dict[str, ExitStack] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen] = field(default_factory=dict)

    def start_web(self, name: str) -> None:
        """Start one instance and wait until it answers."""
        socket = self.socket(name)
        log = self._run(name, "api.server", LISTEN=f"unix:{socket}")
        wait_for(f"web {name}", lambda: answers(socket) or fail_if_ended(self.processes[name], log))

    def start_worker(self, name: str, *queues: str) -> None:
        log = self._run(name, "jobs.worker", *queues)
        wait_for(
            f"worker {name}",
            lambda: "worker_started" in log.read_text() or fail_if_ended(self.processes[name], log),
        )

    def stop(self, name: str) -> int:
        """End a program with SIGTERM and return its exit code."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGTERM)
        code = process.wait(40)
        self.programs.pop(name).close()
        return code

    def socket(self, name: str) -> Path:
        return self.directory / "nginx" / f"{name}.sock"

    def log(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    def bearer(self, citizen: Citizen | uuid.UUID, audience: Audience = Audience.CITIZEN) -> str:
        """The Authorization header of a citizen who signed in just now."""
        now = dt.datetime.now(dt.UTC)
        person = citizen if isinstance(citizen, uuid.UUID) else citizen.id
        claims = AccessClaims(person, uuid.uuid4(), audience, LEVEL_2, now, now)
        return f"Bearer {self.keys.mint(claims)}"

    def _run(self, name: str, *command: str, **environment: str) -> Path:
        log = self.log(name)
        log.unlink(missing_ok=True)
        stack = ExitStack()
        self.processes[name] = stack.enter_context(
            running(*command, log=log, **self.environment, **environment)
        )
        self.programs[name] = stack
        return log


def fail_if_ended(process: subprocess.Popen, log: Path) -> bool:
    if process.poll() is not None:
        raise RuntimeError(f"ended with {process.returncode}:\n{log.read_text()[-2000:]}")
    return False


@contextlib.contextmanager
def a_stack(
    directory: Path,
    database_url: str,
    *,
    connections: int = 1000,
    store: str = "",
    **settings: str,
) -> Iterator[Stack]:
    """Nginx with no instance behind it yet; `settings` are variables of the programs."""
    files = directory / "files"
    prefix = directory / "nginx"
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    secrets = credentials.provide(directory / "secrets", token_uri="http://127.0.0.1:1/token")
    environment = {
        "DATABASE_URL": database_url,
        "PUBLIC_URL": url,
        "OIDC_ISSUER": "http://127.0.0.1:1",
        "OIDC_CLIENT_ID": "app",
        "OIDC_ADMIN_CLIENT_ID": "admin",
        "OIDC_REDIRECT_URIS": "http://127.0.0.1/callback",
        "STORAGE_URL": files.as_uri(),
        "TRUSTED_PROXIES": "1",
        "ACCEL_REDIRECT": "/_files/",
        **secrets,
        # The people of the tests are sealed with these.
        **factories.KEYS,
        **settings,
    }
    keys = Keys(
        secret=secrets["SECRET_KEY"],
        access_key=Path(secrets["ACCESS_TOKEN_KEY_FILE"]),
        issuer=url,
    )
    database = Database.at(database_url, pool_size=10)
    stack = Stack(directory, database, environment, url, keys)
    nginx.prepare(
        prefix,
        listen=f"127.0.0.1:{port}",
        sockets=[stack.socket(name) for name in INSTANCES],
        files=files,
        store=store,
        connections=connections,
    )
    command = [NGINX, "-p", f"{prefix}/", "-c", "nginx.conf", "-e", "stderr", "-g", "daemon off;"]
    with ExitStack() as cleanup:
        cleanup.callback(database.close)
        errors = cleanup.enter_context((directory / "nginx.err").open("wb"))
        process = cleanup.enter_context(subprocess.Popen(command, stderr=errors))
        cleanup.callback(process.terminate)
        wait_for("nginx", lambda: _front_answers(url))
        cleanup.callback(lambda: [each.close() for each in stack.programs.values()])
        yield stack


def _front_answers(url: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{url}/healthz", trust_env=False).status_code > 0
    return False
