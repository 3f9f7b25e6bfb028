"""Sending a report, and who may read it."""

import threading
import uuid
from dataclasses import replace

import pytest
from sqlalchemy import func, select, text

from api.app import create_app
from models import InboxMessage, Report
from tests import factories

REPORT = {"category": "giao-thong", "description": "Ổ gà sâu.", **factories.CITY}


def send(client, headers, key="a key", **changes):
    body = {name: value for name, value in (REPORT | changes).items() if value is not ...}
    return client.post(
        "/api/v1/reports", json=body, headers=headers | {"Idempotency-Key": str(key)}
    )


def test_a_report_is_received_with_code_place_and_deadlines(client, headers):
    answer = send(client, headers)

    assert answer.status_code == 201
    assert answer.json["state"] == "received"
    assert answer.json["code"].startswith("TN-26-")
    assert answer.json["place"]["name"].startswith("Phường")
    # Seven working days, with the holiday of 24 November between.
    assert answer.json["resolve_due_at"] == "2026-12-03T03:00:00Z"
    assert answer.json["clock"] == {"level": "on_time", "paused": False}
    assert [step["kind"] for step in answer.json["timeline"]] == ["created"]


def test_what_nobody_sees_is_not_stored(client, headers):
    answer = send(client, headers, description=" Ổ\u202e gà\x1b[31m\u200b\nở ngõ 5 👨\u200d👩 ")

    assert answer.json["description"] == "Ổ gà[31m\nở ngõ 5 👨\u200d👩"


def test_the_reporter_is_told_with_the_report(client, session, citizen, headers):
    send(client, headers)

    assert factories.inbox_kinds(session, citizen) == ["report_received"]
    assert session.scalar(text("SELECT count(*) FROM procrastinate_jobs")) == 1


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"category": "no-such"}, "unknown_category"),
        ({"lat": 10.77, "lng": 106.69}, "outside_province"),
        ({"place_code": "99999"}, "unknown_place"),
        ({"occurred_at": "2026-11-24T00:00:00Z"}, "occurrence_unlikely"),
        ({"occurred_at": "0001-01-01T00:00:00+14:00"}, "occurrence_unlikely"),
        ({"occurred_at": "2025-11-01T00:00:00Z"}, "occurrence_unlikely"),
        ({"description": ...}, "invalid"),
        ({"description": ""}, "invalid"),
        ({"description": "   "}, "invalid"),
        ({"description": "\u200b\u202e"}, "description_blank"),
        ({"description": "x" * 4001}, "invalid"),
        ({"lat": "21.59"}, "invalid"),
        ({"lat": 91}, "invalid"),
        ({"hide_reporter": "yes"}, "invalid"),
        ({"state": "closed"}, "invalid"),
        ({"reporter_id": str(uuid.uuid4())}, "invalid"),
        ({"occurred_at": "2026-11-22T10:00:00"}, "invalid"),
        ({"upload_ids": "x"}, "invalid"),
    ],
)
def test_a_report_that_cannot_be_right_is_refused_and_not_written(
    client, session, headers, changes, code
):
    answer = send(client, headers, **changes)

    assert answer.json["code"] == code
    assert answer.status_code == 422
    assert session.scalar(select(func.count()).select_from(Report)) == 0
    assert session.scalar(text("SELECT count(*) FROM procrastinate_jobs")) == 0


def test_a_report_outside_the_province_says_how_far(client, headers):
    answer = send(client, headers, lat=21.03, lng=105.85)

    assert 20 < answer.json["distance_km"] < 60


def test_a_report_without_a_key_is_refused(client, headers):
    answer = client.post("/api/v1/reports", json=REPORT, headers=headers)

    assert (answer.status_code, answer.json["code"]) == (400, "idempotency_key_required")


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
def test_a_malformed_key_is_refused(client, headers, key):
    answer = send(client, headers, key)

    assert answer.status_code == 400


def test_sending_again_finds_the_same_report(client, session, headers):
    first, again = send(client, headers), send(client, headers)

    assert again.status_code == 201
    assert again.json["id"] == first.json["id"]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert session.scalar(select(func.count()).select_from(Report)) == 1


def test_a_key_with_another_body_is_refused(client, headers):
    send(client, headers)

    answer = send(client, headers, description="Việc khác.")

    assert (answer.status_code, answer.json["code"]) == (422, "idempotency_key_reused")


def test_a_refused_report_leaves_its_key_free(client, headers):
    send(client, headers, category="no-such")

    assert send(client, headers).status_code == 201


def test_keys_of_two_people_do_not_meet(app, client, session, headers):
    stranger = factories.bearer(app, session, factories.a_citizen(session))

    ids = {send(client, whose).json["id"] for whose in (headers, stranger)}

    assert len(ids) == 2


def test_twenty_at_once_with_one_key_make_one_report_one_job_and_one_message(committed, settings):
    app = create_app(replace(settings), db=committed)
    with committed.sessions() as session:
        headers = factories.bearer(app, session, factories.a_citizen(session))
    start, answers = threading.Barrier(20), []

    def one():
        start.wait()
        answers.append(send(app.test_client(), headers))

    threads = [threading.Thread(target=one) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.json["id"] for answer in answers if answer.status_code == 201}) == 1
    refused = [answer for answer in answers if answer.status_code == 409]
    assert all(answer.headers["Retry-After"] == "1" for answer in refused)
    with committed.sessions() as session:
        assert session.scalar(select(func.count()).select_from(Report)) == 1
        assert session.scalar(select(func.count()).select_from(InboxMessage)) == 1
        assert session.scalar(text("SELECT count(*) FROM procrastinate_jobs")) == 1


def test_too_many_reports_in_an_hour_wait(client, headers):
    answers = [send(client, headers, key) for key in range(21)]

    assert [answer.status_code for answer in answers].count(201) == 20
    assert answers[-1].json["code"] == "rate_limited"


@pytest.mark.parametrize("path", ["", "/rating", "/reopening"])
def test_somebody_elses_report_is_not_found(app, client, session, citizen, path):
    report = factories.a_report(session, citizen)
    stranger = factories.bearer(app, session, factories.a_citizen(session))
    body = {"": None, "/rating": {"score": 5}, "/reopening": {"reason": "Chưa xong."}}[path]

    method = client.post if path else client.get
    answer = method(f"/api/v1/reports/{report.id}{path}", json=body, headers=stranger)

    assert (answer.status_code, answer.json["code"]) == (404, "report_not_found")


def test_my_reports_are_mine_alone(client, session, citizen, headers):
    mine = factories.a_report(session, citizen)
    factories.a_report(session, factories.a_citizen(session))

    items = client.get("/api/v1/reports", headers=headers).json["items"]

    assert [item["id"] for item in items] == [str(mine.id)]


def test_pages_follow_one_another_without_gap_or_repeat(client, session, citizen, headers):
    made = [str(factories.a_report(session, citizen).id) for _ in range(5)]

    seen, path = [], "/api/v1/reports?limit=2"
    while path:
        answer = client.get(path, headers=headers)
        seen += [item["id"] for item in answer.json["items"]]
        link = answer.headers.get("Link", "")
        path = link.partition("<")[2].partition(">")[0]

    assert seen == made[::-1]
    assert answer.json["next_cursor"] is None


@pytest.mark.parametrize("cursor", ["x", "AAAA", "é", "A" * 43, "%00"])
def test_a_cursor_that_is_not_ours_is_refused(client, headers, cursor):
    answer = client.get(f"/api/v1/reports?cursor={cursor}", headers=headers)

    assert answer.status_code == 400


def test_a_cursor_of_another_list_is_refused(client, session, citizen, headers):
    for _ in range(2):
        factories.a_report(session, citizen)
    cursor = client.get("/api/v1/me/inbox?limit=1", headers=headers).json["next_cursor"]

    answer = client.get(f"/api/v1/reports?cursor={cursor}", headers=headers)

    assert (answer.status_code, answer.json["code"]) == (400, "cursor_invalid")


def test_a_list_takes_the_same_statements_however_long(
    client, session, citizen, headers, statements
):
    counts = []
    for _ in range(2):
        for _ in range(3):
            factories.a_report(session, citizen)
        with statements() as seen:
            client.get("/api/v1/reports", headers=headers)
        counts.append(len([one for one in seen if "FROM reports" in one or "FROM uploads" in one]))

    assert counts == [1, 1]


def test_one_report_has_a_strong_etag_of_its_version(client, session, citizen, headers):
    report = factories.a_report(session, citizen)

    answer = client.get(f"/api/v1/reports/{report.id}", headers=headers)

    assert answer.headers["ETag"] == '"1"'
