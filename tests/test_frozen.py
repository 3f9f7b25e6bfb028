"""A database whose processes are stopped: nobody waits for it long, and all is well afterwards.

The server's own limits end nothing then, and the kernel keeps its connections open.
"""

import contextlib
import os
import re
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from api.app import POOL, create_app
from dev import linux, postgres
from models import Database
from models.patience import Silent
from tests import factories
from tests.conftest import migrate
from tests.processes import free_port, running, wait_for
from tests.test_transaction import a_row

pytestmark = pytest.mark.alone

PLACES, INBOX = "/api/v1/places", "/api/v1/me/inbox"


@pytest.fixture(scope="module")
def cluster() -> Iterator[postgres.Cluster]:
    with postgres.temporary() as cluster:
        migrate(cluster, postgres.DATABASE)
        yield cluster


@pytest.fixture
def own(cluster) -> Iterator[Database]:
    """As a web process reaches its database."""
    database = Database.at(cluster.url(), **POOL)
    yield database
    database.close()


@pytest.fixture
def web(settings, own, clock):
    return create_app(settings, db=own, now=clock)


@contextlib.contextmanager
def frozen(cluster) -> Iterator[None]:
    """Nothing of the server runs meanwhile; each of its processes has its data as its directory."""
    stopped: list[int] = []
    try:
        # The postmaster first, so that there are no new ones among those that are looked for.
        for pid in [cluster.process.pid, *linux.processes()]:
            if linux.link(pid, "cwd") == str(cluster.data):
                os.kill(pid, signal.SIGSTOP)
                stopped.append(pid)
        yield
    finally:
        for pid in set(stopped):
            os.kill(pid, signal.SIGCONT)


def connections(cluster) -> int:
    with psycopg.connect(cluster.url(postgres.SUPERUSER)) as connection:
        asked = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'"
        return connection.execute(asked).fetchone()[0]


def timed(call):
    """What it returns, and how many seconds it took."""
    began = time.monotonic()
    return call(), time.monotonic() - began


def test_requests_are_refused_within_seconds_and_served_again_afterwards(cluster, own, web):
    with own.sessions() as session:
        headers = factories.bearer(web, session, factories.a_citizen(session))

    def ask(path):
        return timed(lambda: web.test_client().get(path, headers=headers))

    with ThreadPoolExecutor(2) as threads:  # As many as a web process has.
        assert [answer.status_code for answer, _ in threads.map(ask, [PLACES, INBOX])] == [200, 200]
        with frozen(cluster):
            began = time.monotonic()
            refused = list(threads.map(ask, [PLACES, INBOX] * 5))
            all_s = time.monotonic() - began
        wait_for("an answer", lambda: ask(PLACES)[0].status_code == 200, seconds=5)
        served = list(threads.map(ask, [PLACES, INBOX] * 5))

    assert {answer.status_code for answer, _ in refused} == {503}
    assert all(int(answer.headers["Retry-After"]) > 0 for answer, _ in refused)
    assert all_s < 6
    assert {answer.status_code for answer, _ in served} == {200}
    assert connections(cluster) <= 2 * POOL["pool_size"]


def test_an_idle_connection_is_not_waited_for_as_long_as_a_statement(cluster, web, monkeypatch):
    client = web.test_client()
    assert client.get(PLACES).status_code == 200
    monkeypatch.setattr("models.base.TRUSTED_S", 0)

    with frozen(cluster):
        first, first_s = timed(lambda: client.get(PLACES))
        second, second_s = timed(lambda: client.get(PLACES))

    assert (first.status_code, second.status_code) == (503, 503)
    assert first_s < 5
    assert second_s < 1


def test_a_commit_that_is_cut_off_raises_and_no_rollback_waits_again(cluster, own):
    with contextlib.ExitStack() as until_told:

        def commit_to_nobody() -> None:
            with own.transaction() as session:
                session.add(a_row())
                session.flush()
                until_told.enter_context(frozen(cluster))

        began = time.monotonic()
        with pytest.raises(OperationalError) as refusal:
            commit_to_nobody()
        took_s = time.monotonic() - began

    assert isinstance(refusal.value.orig, Silent)
    assert took_s < 5
    wait_for("the end of the connection", lambda: connections(cluster) == 0, seconds=5)


def test_the_figures_say_that_the_database_is_down(cluster, tmp_path):
    port = free_port()
    environment = {
        "DATABASE_URL": cluster.url(),
        "METRICS_PORT": str(port),
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path),
    }

    def database_up(timeout: float = 10) -> str:
        with contextlib.suppress(httpx.ConnectError):
            url = f"http://127.0.0.1:{port}/metrics"
            page = httpx.get(url, trust_env=False, timeout=timeout).text
            return re.search(r"^database_up (.+)$", page, re.MULTILINE)[1]
        return ""

    with running("api.metrics", log=tmp_path / "log", **environment):
        wait_for("the figures", database_up)
        with frozen(cluster):
            meanwhile = [database_up(timeout=4) for _ in range(3)]
        wait_for("the database", lambda: database_up() == "1.0", seconds=5)

    assert meanwhile == ["0.0"] * 3
