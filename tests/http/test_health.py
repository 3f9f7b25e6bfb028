"""What monitoring is told: that the process lives, and whether it is of use."""

import datetime as dt
from dataclasses import replace

import pytest
from sqlalchemy import text

from api.app import create_app
from api.current import EXTENSION

DEFERRED = text(
    """
    WITH job AS (
        INSERT INTO procrastinate_jobs (queue_name, task_name, args, scheduled_at)
        VALUES ('push', 'push', '{}', :at) RETURNING id)
    SELECT id FROM job
    """
)


def test_a_process_is_alive_even_without_its_database(settings):
    answer = create_app(settings).test_client().get("/healthz")

    assert (answer.status_code, answer.json) == (200, {"status": "ok"})


def test_without_its_database_it_is_not_ready(settings):
    answer = create_app(settings).test_client().get("/readyz")

    assert answer.status_code == 503
    assert answer.mimetype == "application/problem+json"
    assert int(answer.headers["Retry-After"]) >= 1


def test_with_its_database_it_is_ready(client):
    answer = client.get("/readyz")

    assert answer.status_code == 200
    assert answer.json == {"status": "ready", "workers": 0, "waiting_jobs": 0, "oldest_job_s": 0}


@pytest.mark.parametrize("revision", ["0001", "9999"])
def test_with_another_schema_it_is_not_ready(app, client, revision):
    state = app.extensions[EXTENSION]
    app.extensions[EXTENSION] = replace(state, schema_head=revision)

    answer = client.get("/readyz")

    assert (answer.status_code, answer.json["code"]) == (503, "schema_behind")


def test_the_age_of_the_longest_waiting_job_is_told(client, session, clock):
    for age in (dt.timedelta(minutes=2), dt.timedelta(seconds=5), -dt.timedelta(hours=1)):
        session.execute(DEFERRED, {"at": clock() - age})
    session.commit()

    answer = client.get("/readyz")

    assert (answer.json["waiting_jobs"], answer.json["oldest_job_s"]) == (2, 120)
