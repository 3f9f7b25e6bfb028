"""`make run`: the whole system on this machine, with one command and one Ctrl-C.

The database starts first and stops last, so it is this process's own child; everything else runs
under honcho, from dev/Procfile.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import FrameType
from typing import Any, NoReturn
from urllib.parse import urlsplit

import httpx
import psycopg

from dev import credentials, linux, nginx
from dev.claim import claimed
from dev.config import PROJECT, Config, Problem
from dev.guard import GRACE_SECONDS
from dev.ports import require_free
from dev.postgres import OWNER, Cluster, PostgresFailed
from services.permissions import IN_USE

OLDEST_POSTGRES = 150000
SIMULATORS = ("id", "insurance", "fcm", "bank")
WORKERS = ("urgent", "normal", "bulk", "media", "upkeep")
READY_SECONDS = 90
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# honcho knows its own process id only after it is started, and the guards watch it.
HONCHO = ("/bin/sh", "-c", 'SUPERVISOR=$$ exec "$@"', "sh", sys.executable, "-m", "honcho")


class Stopped(BaseException):
    """Somebody wants the system to stop; raised wherever the main thread is."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


def main() -> int:
    """Run the system until a signal comes or a part of it ends."""
    for signum in STOPPING:
        signal.signal(signum, _raise_stopped)
    try:
        config = Config.from_env()
        with ExitStack() as stack:
            System(config, stack).run()
    except (Problem, PostgresFailed) as problem:
        print(f"\n{problem}", file=sys.stderr)
        return 1
    except Stopped as stopped:
        print("Stopped.")
        return 128 + stopped.signum


def _raise_stopped(signum: int, _frame: FrameType | None) -> NoReturn:
    # A second Ctrl-C must not interrupt the orderly stop that the first has begun.
    for each in STOPPING:
        signal.signal(each, signal.SIG_IGN)
    raise Stopped(signum)


class System:
    """The parts that run; `stack` stops them in the opposite order of their start."""

    def __init__(self, config: Config, stack: ExitStack) -> None:
        self.config = config
        self.stack = stack
        self.cluster: Cluster | None = None
        self.honcho: subprocess.Popen[bytes] | None = None

    def run(self) -> NoReturn:
        self._prepare_machine()
        self._start_database()
        env = self._environment()
        self._migrate(env)
        self._start_programs(env)
        self._wait_for("the simulators", self._simulators_answer)
        self._step("loading the demo people", ["-m", "dev.demo"], env)
        self._wait_for("the system", self._is_ready)
        self._announce()
        while True:
            self._watch()
            time.sleep(0.2)

    def _prepare_machine(self) -> None:
        ended_well = self.stack.enter_context(claimed(self.config.data_dir))
        # After SIGKILL the programs may still be on their way out.
        require_free(self.config.ports, patience=0 if ended_well else GRACE_SECONDS + 1)
        data_dir = self.config.data_dir
        (data_dir / "died").unlink(missing_ok=True)
        (data_dir / "files").mkdir(mode=0o700, exist_ok=True)
        # The figures of processes that are gone must not be added to the new ones.
        shutil.rmtree(data_dir / "metrics", ignore_errors=True)
        (data_dir / "metrics").mkdir()

    def _start_database(self) -> None:
        if self.config.embedded:
            print("Starting PostgreSQL …", flush=True)
            cluster = Cluster(self.config.data_dir / "postgres", self.config.database_port)
            self.cluster = self.stack.enter_context(cluster)
            self.urls = cluster.url(), cluster.url(OWNER)
        else:
            given = self.config.given
            self.urls = (
                given["DATABASE_URL"],
                given.get("MIGRATION_DATABASE_URL") or given["DATABASE_URL"],
            )
            _require_postgres(self.urls[0])

    def _environment(self) -> dict[str, str]:
        config = self.config
        prefix = config.data_dir / "nginx"
        socket = nginx.socket_path(prefix)
        if config.nginx:
            files = config.data_dir / "files"
            listen = f"127.0.0.1:{config.port}"
            store = config.given.get("AWS_ENDPOINT_URL_S3", "")
            nginx.prepare(prefix, listen=listen, sockets=[socket], files=files, store=store)
        if socket.parent != prefix:
            self.stack.callback(shutil.rmtree, socket.parent, ignore_errors=True)
        secrets = credentials.provide(
            config.data_dir / "secrets", token_uri=f"{config.url(3)}/token"
        )
        return config.environment(database_url=self.urls[0], credentials=secrets, socket=socket)

    def _migrate(self, env: Mapping[str, str]) -> None:
        owner = {**env, "MIGRATION_DATABASE_URL": self.urls[1]}
        self._step("migrating the database", ["-m", "alembic", "upgrade", "head"], owner)
        load = ["-m", "flask", "--app", "wsgi", "load-reference"]
        self._step("loading the reference data", load, env)

    def _start_programs(self, env: Mapping[str, str]) -> None:
        front = ("nginx",) if self.config.nginx else ()
        if not front:
            print("Without nginx (apt-get install nginx): slow uploads can hold up everyone.")
        names = (*SIMULATORS, "web", *front, *WORKERS, "metrics")
        procfile = str(PROJECT / "dev" / "Procfile")
        # An .env file of the user's is read by nothing else, so not by honcho either.
        self.honcho = subprocess.Popen(
            [*HONCHO, "-e", os.devnull, "-f", procfile, "start", *names],
            cwd=PROJECT,
            env=dict(env),
            start_new_session=True,
            preexec_fn=linux.dying_with_parent(signal.SIGTERM),  # noqa: PLW1509 - one thread
        )
        self.stack.callback(_stop, self.honcho)

    def _step(self, title: str, arguments: list[str], env: Mapping[str, str]) -> None:
        command = [sys.executable, *arguments]
        done = subprocess.run(
            command,
            check=False,
            cwd=PROJECT,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=linux.dying_with_parent(signal.SIGKILL),
        )
        if done.returncode != 0:
            raise Problem(f"Failed at {title} (exit code {done.returncode}).")

    def _wait_for(self, what: str, answers: Callable[[], str]) -> None:
        """Wait until `answers` has nothing more to complain of."""
        deadline = time.monotonic() + READY_SECONDS
        while complaint := answers():
            self._watch()
            if time.monotonic() > deadline:
                raise Problem(f"{what} did not answer in {READY_SECONDS} s: {complaint}")
            time.sleep(0.2)

    def _simulators_answer(self) -> str:
        steps = range(1, 1 + len(SIMULATORS))
        return next(filter(None, (_ask(f"{self.config.url(step)}/healthz") for step in steps)), "")

    def _is_ready(self) -> str:
        complaint = _ask(f"{self.config.url()}/readyz", _lacks_workers)
        return complaint or _ask(f"{self.config.url(5)}/metrics")

    def _watch(self) -> None:
        """See that everything still runs.

        Raises:
            Problem: naming the part that has ended.
        """
        if self.cluster is not None and not self.cluster.running:
            raise Problem(f"The database ended by itself; its log: {self.cluster.log}")
        if self.honcho is not None and (code := self.honcho.poll()) is not None:
            died = self.config.data_dir / "died"
            told = died.read_text() if died.exists() else f"honcho ended with exit code {code}"
            raise Problem(f"Everything stopped, because one part did: {told}.")

    def _announce(self) -> None:
        url = self.config.url
        print(
            f"""
  Mobile API       {url()}/api/v1   (document: {url()}/api/openapi.json, page: {url()}/api/docs)
  Staff view       {url()}/admin/
  Thái Nguyên ID   {url(1)}
  BHXH gateway     {url(2)}
  FCM              {url(3)}
  Bank             {url(4)}
  Metrics          {url(5)}/metrics
  Database         {_without_password(self.urls[0])}

Demo accounts of Thái Nguyên ID (all of them: {url(1)}/demo/people):
{_accounts(f"{url(1)}/demo/people")}

READY {url()}""",
            flush=True,
        )


def _stop(honcho: subprocess.Popen[bytes]) -> None:
    if honcho.poll() is None:
        honcho.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            honcho.wait(GRACE_SECONDS + 4)
        honcho.kill()
        honcho.wait()
    if honcho.returncode < 0:
        # Killed, it has left the stopping to the guards, and the database has to outlast them.
        time.sleep(GRACE_SECONDS + 0.5)


def _require_postgres(url: str) -> None:
    try:
        with psycopg.connect(url.replace("+psycopg", "", 1), connect_timeout=5) as connection:
            version = connection.info.server_version
    except psycopg.OperationalError as error:
        raise Problem(f"DATABASE_URL: {error}") from None
    if version < OLDEST_POSTGRES:
        raise Problem(f"DATABASE_URL: PostgreSQL 15 or later is needed, not {version // 10000}.")


def _ask(url: str, complaint: Callable[[httpx.Response], str] = lambda _: "") -> str:
    """Return what is wrong with the answer, and nothing when it is as it should be."""
    try:
        # Loopback is never reached through a proxy of the environment.
        answer = httpx.get(url, timeout=5, trust_env=False)
    except httpx.HTTPError as error:
        return f"{url}: {type(error).__name__}"
    if answer.status_code != httpx.codes.OK:
        return f"{url}: {answer.status_code} {answer.text[:300]}"
    return complaint(answer)


def _lacks_workers(answer: httpx.Response) -> str:
    workers = answer.json().get("workers", 0)
    return "" if workers >= len(WORKERS) else f"{workers} of {len(WORKERS)} workers are up"


def _accounts(url: str) -> str:
    people: list[dict[str, Any]] = httpx.get(url, timeout=5, trust_env=False).json()
    citizens = [person for person in people if not person["roles"]][:2]
    kinds = {
        role.split(":")[0]: person
        for person in people
        for role in person["roles"][:1]
        if role.split(":")[0] in IN_USE
    }
    return "\n".join(
        f"  {person['username']:<14} {person['password']:<22} {person['name']:<20}"
        f" {', '.join(person['roles']) or 'citizen'}"
        for person in (*citizens, *kinds.values())
    )


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{parts.username}@{parts.hostname}:{parts.port}").geturl()


if __name__ == "__main__":
    sys.exit(main())
