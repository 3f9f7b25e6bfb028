"""What everybody may see of a report."""

import pytest

from tests import factories


def published(app, client, session, words="Đã tiếp nhận."):
    report = factories.a_report(session, factories.a_citizen(session), description="Gọi 0912345678")
    dispatcher = factories.bearer(app, session, factories.a_staff(session))
    answer = client.patch(
        f"/api/v1/staff/reports/{report.id}",
        json={"visibility": "public", "public_text": words},
        headers=dispatcher | {"If-Match": '"1"'},
    )
    assert answer.status_code == 200
    return report


def test_only_published_reports_are_public(app, client, session):
    factories.a_report(session, factories.a_citizen(session))
    report = published(app, client, session)

    items = client.get("/api/v1/public/reports").json["items"]

    assert [item["code"] for item in items] == [report.code]


def test_a_public_report_holds_cleared_words_and_a_rounded_place_alone(app, client, session):
    report = published(app, client, session)

    item = client.get(f"/api/v1/public/reports/{report.code}").json

    assert set(item) == {
        "code", "state", "category", "place", "lat", "lng", "text", "created_at", "resolved_at"
    }  # fmt: skip
    assert item["text"] == "Đã tiếp nhận."
    assert (item["lat"], item["lng"]) == (21.594, 105.848)
    assert item["category"]["name"] == "Giao thông và hạ tầng"


def test_an_unpublished_report_is_not_found_by_its_code(client, session):
    report = factories.a_report(session, factories.a_citizen(session))

    answer = client.get(f"/api/v1/public/reports/{report.code}")

    assert (answer.status_code, answer.json["code"]) == (404, "report_not_found")


def test_a_public_list_is_answered_by_its_etag(app, client, session):
    published(app, client, session)
    first = client.get("/api/v1/public/reports")

    again = client.get("/api/v1/public/reports", headers={"If-None-Match": first.headers["ETag"]})

    assert first.headers["Cache-Control"].startswith("public, max-age=")
    assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize("words", [None, "  ", "\u200b"])
def test_a_report_cannot_be_published_without_a_cleared_text(app, client, session, words):
    report = factories.a_report(session, factories.a_citizen(session))
    dispatcher = factories.bearer(app, session, factories.a_staff(session))

    answer = client.patch(
        f"/api/v1/staff/reports/{report.id}",
        json={"visibility": "public", "public_text": words},
        headers=dispatcher | {"If-Match": '"1"'},
    )

    assert (answer.status_code, answer.json["code"]) == (422, "public_text_needed")
