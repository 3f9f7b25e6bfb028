"""The worker as its own process: killed, restarted, and cut off from its database."""

import signal
import time

import httpx
import pytest
from sqlalchemy import select, text

from api.cli import rows
from dev import postgres
from models import Database, Delivery
from services import reference
from tests import factories
from tests.conftest import migrate
from tests.processes import an_fcm, running, wait_for

TOKEN = "a-token-of-the-phone"


@pytest.fixture
def fcm(tmp_path):
    with an_fcm(tmp_path) as variables:
        yield variables


def environment(settings, database_url, fcm):
    return {
        "DATABASE_URL": database_url,
        "PUBLIC_URL": settings.public_url,
        "SECRET_KEY": settings.secret_key,
        **factories.KEYS,
        "ACCESS_TOKEN_KEY_FILE": str(settings.access_token_key_file),
        "OIDC_ISSUER": settings.oidc_issuer,
        "OIDC_CLIENT_ID": "x",
        "OIDC_CLIENT_SECRET": "x",
        "OIDC_ADMIN_CLIENT_ID": "x",
        "OIDC_ADMIN_CLIENT_SECRET": "x",
        "OIDC_REDIRECT_URIS": "x:/y",
        "STORAGE_URL": settings.storage_url,
        **fcm,
    }


def tell_somebody(database):
    """A report whose reporter has a phone; its first push is queued."""
    with database.sessions() as session:
        citizen = factories.a_citizen(session)
        factories.a_phone(session, citizen, TOKEN)
        factories.a_report(session, citizen)


def has_started(log):
    return "worker_started" in log.read_text()


def received(fcm):
    return httpx.get(f"{fcm['FCM_URL']}/demo/phones/{TOKEN}").json()


def statuses(database):
    with database.sessions() as session:
        return list(session.scalars(text("SELECT status::text FROM procrastinate_jobs")))


def test_a_worker_killed_before_it_could_send_does_not_lose_the_push(
    committed, settings, fcm, tmp_path
):
    url = committed.sessions.kw["bind"].url.render_as_string(hide_password=False)
    env = environment(settings, url.replace("+psycopg", ""), fcm)
    tell_somebody(committed)
    # FCM takes the connection and says nothing, so the worker holds the job and has sent nothing.
    httpx.post(
        f"{fcm['FCM_URL']}/demo/faults", json={"pattern": TOKEN, "status": "hang", "seconds": 60}
    )
    with running("jobs.worker", "normal", log=tmp_path / "first.log", **env) as worker:
        wait_for("the attempt", lambda: attempts(committed) == [1])
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    assert received(fcm) == []

    httpx.delete(f"{fcm['FCM_URL']}/demo/faults")
    with running("jobs.worker", "normal", "upkeep", log=tmp_path / "second.log", **env):
        wait_for("the push", lambda: received(fcm), seconds=60)
        wait_for("the end of the job", lambda: "doing" not in statuses(committed))

    assert len({push["notification_id"] for push in received(fcm)}) == 1
    assert attempts(committed) == [2]


def attempts(database):
    with database.sessions() as session:
        return list(session.scalars(select(Delivery.attempts)))


def test_a_worker_comes_back_after_its_database_did(settings, fcm, tmp_path):
    with postgres.temporary() as cluster:
        migrate(cluster, postgres.DATABASE)
        database = Database.at(cluster.url("app"))
        with database.transaction() as session:
            reference.load(session, rows)
        env = environment(settings, cluster.url("app"), fcm)
        with running("jobs.worker", "normal", log=tmp_path / "worker.log", **env) as worker:
            wait_for("the worker", lambda: has_started(tmp_path / "worker.log"))
            cluster.stop()
            time.sleep(2)
            cluster.start()
            tell_somebody(database)
            wait_for("the push", lambda: received(fcm), seconds=40)
            assert worker.poll() is None
        database.close()


def test_a_worker_stops_when_asked_and_leaves_nothing_running(committed, settings, fcm, tmp_path):
    url = committed.sessions.kw["bind"].url.render_as_string(hide_password=False)
    env = environment(settings, url.replace("+psycopg", ""), fcm)
    with running("jobs.worker", "normal", log=tmp_path / "log", **env) as worker:
        wait_for("the worker", lambda: has_started(tmp_path / "log"))

        worker.send_signal(signal.SIGTERM)

        assert worker.wait(10) == 0
    with committed.sessions() as session:
        assert session.scalar(text("SELECT count(*) FROM procrastinate_workers")) == 0
