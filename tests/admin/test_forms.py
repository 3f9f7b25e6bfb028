"""Forms are taken from our own pages of the same session only."""

import pytest

from models import Report, ReportState


def state_of(session, report):
    session.expire_all()
    return session.get_one(Report, report.id).state


def send(desk, report, headers=None, **fields):
    form = {
        "step": "assign",
        "version": str(report.version),
        "department": "so-xay-dung",
        "csrf": desk.token(),
    }
    wanted = {name: value for name, value in (form | fields).items() if value is not None}
    return desk.client.post(f"/admin/reports/{report.id}/move", data=wanted, headers=headers)


def test_a_form_of_the_page_is_taken(desk, session, report):
    same = {"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1"}

    assert send(desk(), report, same).status_code == 303
    assert state_of(session, report) is ReportState.ASSIGNED


@pytest.mark.parametrize("token", [None, "", "x", "0" * 64, "é"])
def test_without_the_token_nothing_changes(desk, session, report, token):
    answer = send(desk(), report, csrf=token)

    assert answer.status_code == 403
    assert "không có gì thay đổi" in answer.text
    assert state_of(session, report) is ReportState.RECEIVED


def test_a_token_of_another_session_is_refused(desk, session, report):
    answer = send(desk(), report, csrf=desk().token())

    assert answer.status_code == 403
    assert state_of(session, report) is ReportState.RECEIVED


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.test"},
        {"Origin": "http://127.0.0.1.evil.test"},
        {"Origin": "http://127.0.0.1:81"},
        {"Origin": "null"},
    ],
)
def test_a_form_from_elsewhere_is_refused_even_with_the_token(desk, session, report, headers):
    answer = send(desk(), report, headers)

    assert answer.status_code == 403
    assert state_of(session, report) is ReportState.RECEIVED


def test_signing_out_needs_the_token_too(desk):
    dispatcher = desk()

    assert dispatcher.client.post("/admin/logout").status_code == 403
    assert dispatcher.get("/admin/").status_code == 200


@pytest.mark.parametrize(
    "fields",
    [
        {"step": "no-such-step"},
        {"step": None},
        {"version": None},
        {"version": "x"},
        {"version": "99999999999999999999"},
        {"version": "²"},
        {"department": "so\x00xay"},
    ],
)
def test_a_form_that_is_none_of_ours_changes_nothing(desk, session, report, fields):
    answer = send(desk(), report, **fields)

    assert answer.status_code == 400
    assert state_of(session, report) is ReportState.RECEIVED


def test_a_form_larger_than_any_of_ours_is_refused(desk, report):
    answer = desk().edit(report, "publish", public_text="x" * 300_000)

    assert answer.status_code == 413
    assert answer.mimetype == "text/html"
