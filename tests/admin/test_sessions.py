"""The session of the staff view: how long it lasts, and what it opens."""

import re

import pytest
from sqlalchemy import select

from models import AdminSession, AuditEvent, Staff

LEFT = "admin_session:end"


def test_a_session_ends_after_half_an_hour_without_a_visit(desk, clock):
    dispatcher = desk()
    clock.forward(minutes=29)
    assert dispatcher.get("/admin/").status_code == 200

    clock.forward(minutes=31)

    assert dispatcher.get("/admin/").status_code == 303


def test_a_session_ends_after_ten_hours_of_work(desk, clock):
    dispatcher = desk()
    for _ in range(30):
        clock.forward(minutes=19)
        assert dispatcher.get("/admin/").status_code == 200

    clock.forward(minutes=31)

    assert dispatcher.get("/admin/").status_code == 303


def test_what_the_page_asks_by_itself_keeps_no_session_alive(desk, clock):
    dispatcher = desk()
    for _ in range(2):
        clock.forward(minutes=14)
        assert dispatcher.get("/admin/new").status_code == 200

    clock.forward(minutes=3)

    assert dispatcher.get("/admin/").status_code == 303


def test_disabled_staff_are_out_at_once(desk, session, clock):
    dispatcher = desk()
    session.get_one(Staff, dispatcher.staff.id).disabled_at = clock.now
    session.commit()

    assert dispatcher.get("/admin/").status_code == 303


def test_signing_out_ends_the_session_not_only_the_cookie(desk, session):
    dispatcher = desk()
    kept = dispatcher.client.get_cookie("admin", path="/admin").value

    answer = dispatcher.post("/admin/logout")

    assert answer.headers["Location"] == "/admin/signed-out"
    assert dispatcher.client.get_cookie("admin", path="/admin") is None
    dispatcher.client.set_cookie("admin", kept, path="/admin")
    assert dispatcher.get("/admin/").status_code == 303
    assert session.scalar(select(AdminSession.ended_at)) is not None
    recorded = session.scalars(select(AuditEvent.actor_id).where(AuditEvent.action == LEFT)).all()
    assert recorded == [dispatcher.staff.id]


OPEN = {
    "admin.static",
    "admin.sign_in.login",
    "admin.sign_in.callback",
    "admin.sign_in.signed_out",
}


def test_every_page_but_the_door_needs_a_session(app, client, report):
    rules = [rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/admin")]
    closed = [rule for rule in rules if rule.endpoint not in OPEN]
    assert len(closed) >= 6

    for rule in closed:
        path = re.sub(r"<uuid:\w+>", str(report.id), rule.rule)
        for method in rule.methods - {"OPTIONS"}:
            answer = client.open(path, method=method)
            expected = 401 if method == "POST" else 303
            assert (method, path, answer.status_code) == (method, path, expected)


@pytest.mark.parametrize("secret", ["", "x", "\\x00", "é", "a" * 3000])
def test_a_made_up_cookie_is_no_session(client, secret):
    client.set_cookie("admin", secret, path="/admin")

    assert client.get("/admin/").status_code == 303


def test_the_cookie_opens_nothing_of_the_api(desk):
    dispatcher = desk()
    secret = dispatcher.client.get_cookie("admin", path="/admin").value
    dispatcher.client.set_cookie("admin", secret, path="/")

    for path in ("/api/v1/me", "/api/v1/staff/reports", "/api/v1/reports"):
        assert dispatcher.get(path).status_code == 401


def test_a_form_after_the_session_ended_is_told_so(desk, clock, report):
    dispatcher = desk()
    token = dispatcher.token()
    clock.forward(hours=1)

    answer = dispatcher.client.post(
        f"/admin/reports/{report.id}/move", data={"csrf": token, "step": "assign"}
    )

    assert answer.status_code == 401
    assert "chưa được lưu" in answer.text
