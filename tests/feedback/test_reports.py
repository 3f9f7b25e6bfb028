"""Sending a report and reading it again."""

from tests import factories

REPORT = {"category": "giao-thong", "description": "Ổ gà sâu.", **factories.CITY}


def test_a_report_is_received_with_code_place_and_deadlines(app, client, session):
    headers = factories.bearer(app, session, factories.a_citizen(session))

    answer = client.post("/api/v1/reports", json=REPORT, headers=headers | {"Idempotency-Key": "1"})

    assert answer.status_code == 201, answer.json
    assert answer.json["state"] == "received"
    assert answer.json["code"].startswith("TN-26-")
    assert answer.json["place"]["code"]
    assert answer.json["resolve_due_at"] == "2026-12-03T03:00:00Z"
