"""Nobody acts as staff in what is their own as a citizen, whatever their roles are."""

from dataclasses import replace

import pytest
from sqlalchemy import select

from api.current import EXTENSION
from models import (
    Audience,
    AuditEvent,
    Citizen,
    DataRequestKind,
    Report,
    ReporterPause,
    ReportState,
)
from services import feedback, identity, permissions, staff
from services.feedback.pauses import PauseNotFound
from services.identity import DeviceFacts
from services.permissions import Action, OwnCase
from services.privacy import checks, desk, requests
from services.privacy.desk import Given
from services.privacy.requests import Wish
from tests import factories
from tests.factories import NOON, VAULT

S = ReportState
STAND = "so-xay-dung"
ALL_ROLES = (
    ("dispatcher", None),
    ("handler", STAND),
    ("leader", STAND),
    ("communicator", None),
    ("administrator", None),
)


@pytest.fixture
def clerk(session):
    """Somebody who may do everything, with other people's things."""
    return factories.a_staff(session, ALL_ROLES)


@pytest.fixture
def report(session, clerk):
    """One that the clerk sent as a citizen, and that their own department works on."""
    sent = factories.a_report(session, factories.person_of(session, clerk))
    assign = {"to": S.ASSIGNED, "department": STAND}
    return factories.moved(session, sent, (factories.a_staff(session), assign))


@pytest.mark.parametrize("state", list(ReportState))
def test_no_step_with_ones_own_report_is_offered(session, clerk, report, state):
    report.state = state
    session.commit()

    assert feedback.next_steps(clerk.actor, report) == []
    allowed = {action for action in Action if permissions.can(clerk.actor, action, report)}
    assert allowed == {Action.READ}


def test_ones_own_report_is_read_without_what_is_internal(app, client, session, clerk, report):
    colleague = factories.a_staff(session, (("handler", STAND),))
    give_back = {"to": S.RECEIVED, "reason": "Không phải việc của Sở."}
    factories.moved(session, report, (colleague, give_back))
    headers = factories.bearer(app, session, clerk)

    answer = client.get(f"/api/v1/staff/reports/{report.id}", headers=headers)

    assert answer.status_code == 200
    assert [step["kind"] for step in answer.json["timeline"]] == ["created", "assign"]
    listed = client.get("/api/v1/staff/reports", headers=headers).json["items"]
    assert [item["id"] for item in listed] == [str(report.id)]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("post", "/transitions", {"to": "in_progress"}),
        ("post", "/transitions", {"to": "rejected", "reason": "not_ours", "text": "x"}),
        ("post", "/transitions", {"to": "assigned", "department": "dien-luc", "reason": "x"}),
        ("post", "/transitions", {"to": "closed"}),
        ("patch", "", {"category": "cay-xanh"}),
        ("patch", "", {"visibility": "public", "public_text": "Ổ gà."}),
    ],
)
def test_ones_own_report_is_refused_in_both_languages(
    app, client, session, clerk, report, method, path, body
):
    headers = factories.bearer(app, session, clerk) | {"If-Match": f'"{report.version}"'}
    address = f"/api/v1/staff/reports/{report.id}{path}"

    answers = [
        getattr(client, method)(address, json=body, headers=headers | {"Accept-Language": locale})
        for locale in ("vi", "en")
    ]

    assert [(each.status_code, each.json["code"]) for each in answers] == [(403, "own_case")] * 2
    assert "việc của chính mình" in answers[0].json["detail"]
    assert "their own case" in answers[1].json["detail"]
    session.expire_all()
    kept = session.get_one(Report, report.id)
    assert (kept.state, kept.version, kept.category_code) == (S.ASSIGNED, 2, "giao-thong")


def test_nobody_looks_behind_or_pauses_their_own_report(session, clerk, report):
    with pytest.raises(OwnCase):
        feedback.read_reporter(session, clerk.actor, report.id, at=NOON)
    with pytest.raises(OwnCase):
        feedback.pause_reporter(session, clerk.actor, report.id, days=1, reason="x", at=NOON)

    assert session.scalars(select(ReporterPause)).all() == []
    looks = select(AuditEvent).where(AuditEvent.action == "report:read_reporter")
    assert session.scalars(looks).all() == []


def test_nobody_ends_their_own_pause(session, clerk, report):
    dispatcher = factories.a_staff(session)
    pause = feedback.pause_reporter(
        session, dispatcher.actor, report.id, days=1, reason="x", at=NOON
    )
    session.commit()

    assert feedback.pause_of(session, clerk.actor, report, at=NOON) is None
    assert feedback.pauses(session, clerk.actor, limit=10, at=NOON) == []
    with pytest.raises(PauseNotFound):
        feedback.lift_pause(session, clerk.actor, pause.id, reason="x", at=NOON)


def test_a_colleague_decides_it(session, report):
    colleague = factories.a_staff(session, ALL_ROLES)

    moved = factories.moved(session, report, (colleague, {"to": S.IN_PROGRESS}))

    assert moved.assignee_id == colleague.id


def test_nobody_answers_their_own_request_or_checks_their_own_relation(session, clerk):
    person = factories.person_of(session, clerk)
    actor = factories.citizen_actor(person)
    asked = requests.submit(session, actor, Wish(DataRequestKind.DELETE), vault=VAULT, at=NOON)
    child_id = factories.a_child(session, person)
    session.commit()

    assert desk.next_steps(session, clerk.actor, asked, at=NOON) == []
    deeds = (
        lambda: desk.carry_out(
            session, clerk.actor, asked.id, Given("accept", text="x"), version=1, at=NOON
        ),
        lambda: checks.confirm(session, clerk.actor, child_id, version=1, vault=VAULT, at=NOON),
    )
    for deed in deeds:
        with pytest.raises(OwnCase):
            deed()


def test_as_a_citizen_one_goes_on_with_ones_report(app, client, session, clerk):
    person = session.get_one(Citizen, clerk.citizen_id)
    report = factories.resolved(session, factories.a_report(session, person))
    headers = factories.bearer(app, session, person)

    rated = client.post(f"/api/v1/reports/{report.id}/rating", json={"score": 1}, headers=headers)

    assert rated.status_code == 200


def test_what_another_account_of_the_same_number_sent_is_ones_own_too(
    app, client, session, clerk, report
):
    administrator = factories.a_staff(session, (("administrator", None),), "Hoàng Thị Quản")
    former = factories.person_of(session, clerk)
    told = replace(factories.claims_of(former), subject="given anew")
    staff.release(session, administrator.actor, clerk.id, version=clerk.version, at=NOON)
    session.commit()

    keys = app.extensions[EXTENSION].keys
    pair = identity.sign_in(
        session,
        told,
        keys=keys,
        vault=VAULT,
        audience=Audience.STAFF,
        device=DeviceFacts("a-phone-of-theirs", "android"),
        at=factories.now(),
    )
    secret = identity.enter_admin(session, told, vault=VAULT, at=NOON)
    session.commit()

    headers = {"Authorization": f"Bearer {pair.access_token}"}
    assert pair.citizen.id != former.id == report.reporter_id
    answer = client.post(
        f"/api/v1/staff/reports/{report.id}/transitions",
        json={"to": "in_progress"},
        headers=headers | {"If-Match": f'"{report.version}"'},
    )
    assert (answer.status_code, answer.json["code"]) == (403, "own_case")
    session.expire_all()
    visit = identity.visit_admin(session, secret, at=NOON)
    assert visit.actor.citizen_ids == {former.id, pair.citizen.id}
    assert feedback.next_steps(visit.actor, session.get_one(Report, report.id)) == []
