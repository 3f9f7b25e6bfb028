"""What monitoring is told: that the process lives, and whether it is of use."""

import datetime as dt
import socket
import time
from dataclasses import replace

import pytest
from sqlalchemy import text

from api.app import create_app, schema_head
from api.current import EXTENSION
from api.readiness import KEPT_S, WORKERS_AWAY_S, Readiness
from models import Database
from services.storage import LocalStorage

DEFERRED = text(
    """
    WITH job AS (
        INSERT INTO procrastinate_jobs (queue_name, task_name, args, scheduled_at)
        VALUES (:queue, 'push', '{}', :at) RETURNING id)
    SELECT id FROM job
    """
)
HEARTBEAT = text(
    "INSERT INTO procrastinate_workers (last_heartbeat)"
    " VALUES (now() - make_interval(secs => :age))"
)


class Stopwatch:
    """A monotonic clock that a test moves."""

    def __init__(self):
        self.seconds = 1000.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def stopwatch():
    return Stopwatch()


@pytest.fixture
def ask(app, client, stopwatch):
    """Ask whether an application with some part of it changed is ready."""
    state = app.extensions[EXTENSION]
    parts = {
        "db": state.db,
        "storage": state.storage,
        "vault": state.vault,
        "schema_head": schema_head(),
        "allow_unsafe": True,
        "now": state.now,
        "monotonic": stopwatch,
    }

    def make(**changes):
        changed = parts | changes
        asked = [changed.pop(name) for name in ("db", "storage", "vault")]
        readiness = Readiness(*asked, **changed)
        app.extensions[EXTENSION] = replace(state, readiness=readiness)
        return lambda: client.get("/readyz")

    return make


def test_a_process_is_alive_even_without_its_database(settings):
    answer = create_app(settings).test_client().get("/healthz")

    assert (answer.status_code, answer.json) == (200, {"status": "ok"})


def test_with_its_database_it_is_ready(client):
    answer = client.get("/readyz")

    assert answer.status_code == 200
    assert answer.json == {"status": "ready", "workers": 0, "waiting_jobs": 0, "oldest_job_s": 0}


def test_without_its_database_it_is_not_ready(settings):
    answer = create_app(settings).test_client().get("/readyz")

    assert (answer.status_code, answer.json["code"]) == (503, "not_ready")
    assert answer.json["reasons"] == ["database_unreachable"]
    assert answer.mimetype == "application/problem+json"
    assert int(answer.headers["Retry-After"]) >= 1


def test_a_database_that_says_nothing_is_not_waited_for(settings):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"postgresql://nobody@127.0.0.1:{mute.getsockname()[1]}/none"
        client = create_app(replace(settings, database_url=url)).test_client()
        began = time.monotonic()

        first, second = client.get("/readyz"), client.get("/readyz")

        assert time.monotonic() - began < 4
    assert first.json["reasons"] == second.json["reasons"] == ["database_silent"]


def test_with_an_older_schema_it_is_not_ready(ask):
    answer = ask(schema_head="9999")()

    assert (answer.status_code, answer.json["reasons"]) == (503, ["schema_behind"])


def test_with_a_database_that_was_never_migrated_it_is_not_ready(ask, postgres):
    postgres.create_database("ctn_never_migrated")
    empty = Database.at(postgres.url("app", "ctn_never_migrated"))

    answer = ask(db=empty)()

    empty.close()
    assert answer.json["reasons"] == ["schema_behind"]


def test_with_the_schema_of_the_next_release_it_stays_ready(ask):
    assert ask(schema_head="0001")().status_code == 200


def test_with_an_unsafe_database_it_is_not_ready(ask, session):
    session.execute(text("SET LOCAL synchronous_commit = off"))  # Whatever server it is.

    answer = ask(allow_unsafe=False)()

    assert answer.json["reasons"] == ["database_unsafe"]


def test_with_a_full_disk_it_is_not_ready(ask, tmp_path):
    answer = ask(storage=LocalStorage(tmp_path, reserve=2**60))()

    assert answer.json["reasons"] == ["disk_nearly_full"]


def test_without_a_worker_it_stays_ready_for_as_long_as_a_restart_takes(ask, stopwatch):
    ready = ask()

    stopwatch.seconds += WORKERS_AWAY_S - 1
    assert ready().status_code == 200

    stopwatch.seconds += 2
    assert ready().json["reasons"] == ["workers_silent"]


def test_a_worker_that_was_heard_of_begins_the_wait_anew(ask, stopwatch, session):
    ready = ask()
    stopwatch.seconds += WORKERS_AWAY_S + 1
    session.execute(HEARTBEAT, {"age": 20})
    session.commit()

    answers = [ready()]
    session.execute(text("DELETE FROM procrastinate_workers"))
    session.commit()
    for _ in range(2):
        stopwatch.seconds += WORKERS_AWAY_S - 30
        answers.append(ready())

    assert [answer.status_code for answer in answers] == [200, 200, 503]
    assert answers[0].json["workers"] == 1


def test_old_heartbeats_are_no_workers(ask, stopwatch, session):
    ready = ask()
    stopwatch.seconds += WORKERS_AWAY_S + 1
    session.execute(HEARTBEAT, {"age": WORKERS_AWAY_S + 5})
    session.commit()

    answer = ready()

    assert (answer.json["reasons"], answer.json["workers"]) == (["workers_silent"], 0)


def test_those_outside_are_not_asked(settings, database):
    away = "http://127.0.0.1:1"
    alone = replace(settings, fcm_url=away, oidc_issuer=away)

    assert create_app(alone, db=database).test_client().get("/readyz").status_code == 200


def test_the_database_is_asked_once_a_second_however_many_ask(ask, stopwatch, statements):
    ready = ask()

    with statements() as counted:
        for _ in range(20):
            ready()
    once = len(counted)
    stopwatch.seconds += KEPT_S
    with statements() as counted:
        ready()

    assert len(counted) == once > 0


def test_the_age_of_the_longest_waiting_job_is_told(client, session, clock):
    for age in (dt.timedelta(minutes=2), dt.timedelta(seconds=5), -dt.timedelta(hours=1)):
        session.execute(DEFERRED, {"at": clock() - age, "queue": "normal"})
    session.commit()

    answer = client.get("/readyz")

    assert (answer.json["waiting_jobs"], answer.json["oldest_job_s"]) == (2, 120)
