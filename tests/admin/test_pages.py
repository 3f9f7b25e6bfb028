"""What every page of the staff view has in common, and the pages of what goes wrong."""

import re

import pytest

from admin import labels
from models import ChildState, DataRequestKind, DataRequestState, Relation, ReportState, Role
from services import feedback
from services.audit import Purpose
from services.audit.deeds import SUBJECTS
from services.feedback import REJECTION_REASONS, TRANSITIONS
from services.privacy import breaches, requests
from services.privacy import desk as requests_desk
from tests import factories
from tests.admin.conftest import enter
from tests.rows import changed, contents


def policy(answer):
    parts = answer.headers["Content-Security-Policy"].split("; ")
    return {part.split()[0]: part.split()[1:] for part in parts}


def test_pages_allow_no_scripts_but_our_own_and_no_copies(desk):
    answer = desk().get("/admin/")

    rules = policy(answer)
    assert rules["default-src"] == rules["base-uri"] == rules["frame-ancestors"] == ["'none'"]
    assert rules["script-src"] == rules["style-src"] == rules["img-src"] == ["'self'"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert 'lang="vi"' in answer.text
    assert "<style" not in answer.text
    assert " style=" not in answer.text
    assert " onclick=" not in answer.text


def test_the_filter_form_may_lead_to_the_provider_when_the_session_is_over(desk, provider_url):
    assert policy(desk().get("/admin/"))["form-action"] == ["'self'", provider_url]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/admin/no-such-page", 404),
        ("GET", "/admin/reports/1", 404),
        ("POST", "/admin/", 405),
        ("DELETE", "/admin/", 405),
        ("GET", "/admin/logout", 405),
        ("GET", "/admin/static/none.css", 404),
    ],
)
def test_what_is_not_there_is_told_in_vietnamese(desk, method, path, status):
    answer = desk().client.open(path, method=method, headers={"Accept-Language": "en"})

    assert answer.status_code == status
    assert answer.mimetype == "text/html"
    assert labels.PROBLEMS[status][0] in answer.text
    assert answer.headers["X-Request-Id"] in answer.text
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]


def test_a_failure_shows_no_trace(app, desk, monkeypatch):
    dispatcher = desk()
    app.testing = False

    def fail(**_options):
        raise RuntimeError("citizen 019200990001")

    monkeypatch.setitem(app.view_functions, "admin.queue.index", fail)
    answer = dispatcher.get("/admin/")

    assert answer.status_code == 500
    assert "Hệ thống gặp lỗi" in answer.text
    assert "019200990001" not in answer.text
    assert "Traceback" not in answer.text


def test_the_api_keeps_its_own_errors(client):
    assert client.get("/api/v1/no-such").mimetype == "application/problem+json"
    assert client.get("/administrator").mimetype == "application/problem+json"


def test_every_code_has_a_word():
    assert set(labels.STATES) == set(ReportState)
    assert set(labels.ROLES) == set(Role)
    assert set(labels.REASONS) == set(REJECTION_REASONS)
    assert set(labels.PURPOSES) == set(Purpose)
    assert set(labels.SUBJECTS) == set(SUBJECTS)
    assert {step.name for step in TRANSITIONS} <= set(labels.STEPS)
    assert {step.name for step in TRANSITIONS} <= set(labels.EVENTS)
    assert {field for step in TRANSITIONS for field in step.needs} <= set(labels.FIELDS)
    assert set(labels.DATA_REQUESTS) == set(DataRequestKind)
    assert set(labels.DATA_REQUEST_STATES) == set(DataRequestState)
    assert set(labels.REFUSALS) == set(requests_desk.REFUSALS)
    assert {f"data_request:{step.name}" for step in requests_desk.STEPS} <= set(labels.STEPS)
    assert set(labels.RELATIONS) == set(Relation)
    assert set(labels.CHILD_STATES) == set(ChildState)


PARTS = {
    "administrator": [
        "/admin/",
        "/admin/pauses",
        "/admin/people",
        "/admin/data-requests",
        "/admin/guardians",
        "/admin/breaches",
    ],
    "dispatcher": ["/admin/", "/admin/pauses"],
    "communicator": [],
    "auditor": ["/admin/", "/admin/audit"],
}


@pytest.mark.parametrize("role", PARTS)
def test_the_way_to_a_part_is_shown_to_those_whose_duty_it_is(desk, role):
    page = desk(role).page("/admin/")

    found = re.search(r'<nav aria-label="Trang">(.*?)</nav>', page, re.DOTALL)
    assert re.findall(r'href="([^"]+)"', found[1] if found else "") == PARTS[role]


@pytest.mark.parametrize("path", PARTS["administrator"])
def test_the_part_where_one_is_is_marked(desk, path):
    page = desk("administrator").page(path)

    nav = re.search(r'<nav aria-label="Trang">(.*?)</nav>', page, re.DOTALL)[1]
    assert re.findall(r'href="([^"]+)" aria-current="page"', nav) == [path]


# The record of a search, and when somebody was last here.
WRITTEN = {"/admin/audit/": {"audit_events"}}
TOUCHED = {"admin_sessions"}


def test_opening_a_page_changes_nothing(app, session, clock, citizen, report):
    staff = factories.a_staff(
        session, [(role, None) for role in ("dispatcher", "administrator", "auditor")]
    )
    desk = enter(app, session, clock, staff)
    actor = factories.staff_actor(staff)
    breach = breaches.record(
        session, actor, breaches.Facts(detected_at=clock.now, what="Gửi nhầm."), at=clock.now
    )
    wish = requests.Wish(DataRequestKind.VIEW)
    asked = requests.submit(
        session, factories.citizen_actor(citizen), wish, vault=factories.VAULT, at=clock.now
    )
    pause = feedback.pause_reporter(
        session, actor, report.id, days=3, reason="Gửi nhiều lần.", at=clock.now
    )
    things = {
        "report_id": report.id,
        "pause_id": pause.id,
        "child_id": factories.a_child(session, citizen),
        "request_id": asked.id,
        "breach_id": breach.id,
        "person_id": staff.id,
    }
    session.commit()
    pages = {
        rule.rule: re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule).format_map(things)
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/admin") and "GET" in rule.methods and "static" not in rule.rule
    }
    clock.forward(minutes=2)

    for rule, address in pages.items():
        before = contents(session)
        answer = desk.get(address)
        touched = changed(before, contents(session))
        assert touched <= WRITTEN.get(rule, set()) | TOUCHED, rule
        assert answer.status_code < 400 or rule == "/admin/callback", rule

    assert len(pages) > 15
