"""Who looked at me: each look once, to the one it concerns, and no look without its entry."""

import itertools
import uuid

import psycopg
import pytest
from sqlalchemy import select

import admin
from api.app import create_app
from models import AuditEvent, Citizen, Database, ReportState
from models.base import new_id
from services import audit, feedback
from services.audit import Deed, Purpose
from services.permissions import Actor, ActorKind
from tests import factories
from tests.admin.conftest import enter
from tests.conftest import TEMPLATE

PATH = "/api/v1/me/access-log"


@pytest.fixture
def report(session, citizen):
    return factories.a_report(session, citizen)


@pytest.fixture
def my_log(app, client, session, citizen):
    headers = factories.bearer(app, session, citizen)

    def ask(query="", **more):
        return client.get(f"{PATH}{query}", headers=headers | more).json

    return ask


def look(session, staff, report):
    person = feedback.read_reporter(
        session, factories.staff_actor(staff), report.id, at=factories.NOON
    )
    session.commit()
    return person


def looks(session, about, count=1):
    """Looks of somebody at somebody, without a report."""
    for _ in range(count):
        audit.record(
            session,
            Deed.REPORT_READ_REPORTER,
            actor=Actor(ActorKind.STAFF, new_id()),
            subject=("report", new_id()),
            about=about.id,
            purpose=Purpose.REPORT_HANDLING,
            at=factories.NOON,
            fields=["name"],
        )
    session.commit()


def test_a_look_is_told_to_the_one_it_was_at(session, report, my_log):
    dispatcher = factories.a_staff(session, name="Tên Cán Bộ")
    look(session, dispatcher, report)

    found = my_log()

    (entry,) = found["items"]
    (event,) = session.scalars(select(AuditEvent).where(AuditEvent.about_id.is_not(None)))
    assert entry == {
        "id": str(event.id),
        "at": "2026-11-23T03:00:00Z",
        "action": "report:read_reporter",
        "title": "Xem ai đã gửi phản ánh",
        "role": "dispatcher",
        "organisation": None,
        "purpose": "report_handling",
        "what": ["name"],
        "request_id": event.request_id,
    }


def test_the_name_and_the_id_of_the_member_of_staff_are_not_told(session, report, my_log):
    dispatcher = factories.a_staff(session, name="Tên Cán Bộ")
    look(session, dispatcher, report)

    assert not {"Tên Cán Bộ", str(dispatcher.id)} & set(str(my_log()).split("'"))


def test_the_title_is_in_the_readers_language(session, citizen, my_log):
    looks(session, citizen)

    english = my_log(**{"Accept-Language": "en"})

    assert english["items"][0]["title"] == "Looked at who sent a report"


def test_the_organisation_is_named(session, citizen, my_log):
    report = factories.a_report(session, citizen)
    dispatcher = factories.a_staff(session)
    move = {"to": ReportState.ASSIGNED, "department": "so-xay-dung"}
    factories.moved(session, report, (dispatcher, move))
    look(session, factories.a_staff(session, (("leader", "so-xay-dung"),)), report)

    (entry,) = my_log()["items"]

    assert (entry["role"], entry["organisation"]) == (
        "leader",
        {"code": "so-xay-dung", "name": "Sở Xây dựng"},
    )


def test_the_role_is_the_one_by_which_the_look_was_allowed(session, citizen, my_log):
    """A handler who also is an auditor looked as the handler of this report."""
    report = factories.a_report(session, citizen)
    dispatcher = factories.a_staff(session)
    handler = factories.a_staff(session, (("auditor", None), ("handler", "so-xay-dung")))
    factories.moved(
        session,
        report,
        (dispatcher, {"to": ReportState.ASSIGNED, "department": "so-xay-dung"}),
        (handler, {"to": ReportState.IN_PROGRESS}),
    )
    look(session, handler, report)

    assert [entry["role"] for entry in my_log()["items"]] == ["handler"]


def test_what_i_did_myself_and_what_was_done_with_my_report_is_not_among_it(
    session, report, my_log
):
    factories.resolved(session, report)

    assert my_log() == {"items": [], "next_cursor": None}


def test_looks_at_others_are_not_mine_to_see(session, my_log):
    looks(session, factories.a_citizen(session))

    assert my_log()["items"] == []


def test_a_facility_is_told_like_an_office(session, citizen, my_log):
    session.add(
        AuditEvent(
            at=factories.NOON,
            actor_kind="facility",
            actor_id=new_id(),
            action="insurance:lookup",
            subject_type="lookup",
            subject_id=new_id(),
            detail={"fields": ["insurance_number"]},
            organisation="benh-vien-a",
            about_id=citizen.id,
        )
    )
    session.commit()

    (entry,) = my_log()["items"]

    assert (entry["action"], entry["title"]) == ("insurance:lookup", "insurance:lookup")
    assert entry["organisation"] == {"code": "benh-vien-a", "name": "benh-vien-a"}
    assert entry["what"] == ["insurance_number"]


def test_pages_follow_one_another_without_loss(session, citizen, my_log):
    looks(session, citizen, 5)
    expected = session.scalars(
        select(AuditEvent.id)
        .where(AuditEvent.about_id == citizen.id)
        .order_by(AuditEvent.id.desc())
    ).all()

    pages = [my_log("?limit=2")]
    while cursor := pages[-1]["next_cursor"]:
        pages.append(my_log(f"?limit=2&cursor={cursor}"))

    assert [len(page["items"]) for page in pages] == [2, 2, 1]
    assert [uuid.UUID(entry["id"]) for page in pages for entry in page["items"]] == expected


def test_a_page_takes_one_statement_however_long_it_is(session, citizen, my_log, statements):
    looks(session, citizen, 3)
    my_log()  # Ended sessions are asked for every few seconds only.
    with statements() as short:
        my_log()
    looks(session, citizen, 30)
    with statements() as long:
        my_log("?limit=100")

    assert len(short) == len(long) == 1


def test_a_cursor_of_another_list_is_refused(client, headers, session, citizen):
    for _ in range(2):
        factories.a_report(session, citizen)
    other = client.get("/api/v1/reports?limit=1", headers=headers).json["next_cursor"]

    answer = client.get(f"{PATH}?cursor={other}", headers=headers)

    assert (answer.status_code, answer.json["code"]) == (400, "cursor_invalid")


def test_nobody_keeps_a_copy(client, headers):
    answer = client.get(PATH, headers=headers)

    assert answer.headers["Cache-Control"] == "private, no-store"


def test_a_staff_token_is_none_for_it(app, client, session):
    headers = factories.bearer(app, session, factories.a_staff(session))

    assert client.get(PATH, headers=headers).status_code == 401


NAME = "Nông Thị Độc Nhất"
# All that staff can read. None of it says who sent a report, so none of it is a look that would
# have to be recorded; the one form that does say it is tried below.
READABLE = {
    "/api/v1/staff/reports",
    "/api/v1/staff/reports/<uuid:report_id>",
    "/api/v1/staff/departments",
    "/admin/",
    "/admin/new",
    "/admin/reports/<uuid:report_id>",
    "/api/v1/staff/pauses",
    "/admin/pauses/",
    "/admin/pauses/<uuid:pause_id>",
}
# They are made of ids, which say who only to those who may ask the other tables; the forms of the
# pages for rights over personal data are tried in tests/admin/test_privacy.py.
OPAQUE = {
    "/api/v1/staff/audit",
    "/admin/audit/",
    "/admin/data-requests/",
    "/admin/data-requests/<uuid:request_id>",
    "/admin/guardians/",
    "/admin/guardians/<uuid:child_id>",
    "/admin/breaches/",
    "/admin/breaches/<uuid:breach_id>",
    "/admin/breaches/<uuid:breach_id>/notice",
}
# They tell of colleagues only.
COLLEAGUES = {
    "/api/v1/staff/people",
    "/api/v1/staff/people/<uuid:person_id>",
    "/admin/people",
    "/admin/people/new",
    "/admin/people/<uuid:person_id>",
}
DOOR = {
    "/admin",
    "/admin/login",
    "/admin/callback",
    "/admin/signed-out",
    "/admin/static/<path:filename>",
}


def test_what_staff_can_read_is_known_here(app):
    served = {
        rule.rule
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith(("/api/v1/staff", "/admin")) and "GET" in rule.methods
    }

    assert served == READABLE | OPAQUE | COLLEAGUES | DOOR


@pytest.fixture
def sent(session):
    """A report of somebody whose name stands nowhere else."""
    return factories.resolved(
        session, factories.a_report(session, factories.a_citizen(session, NAME))
    )


def told(session, sent, answers):
    """Which of the answers hold anything by which the reporter is known."""
    citizen = session.get_one(Citizen, sent.reporter_id)
    personal = (NAME, citizen.subject, str(citizen.id))
    return [
        answer.request.path for answer in answers if any(text in answer.text for text in personal)
    ]


@pytest.mark.parametrize("path", sorted(READABLE))
def test_nothing_that_staff_read_says_who_sent_a_report(app, client, session, clock, sent, path):
    dispatcher = factories.a_staff(session)
    headers = factories.bearer(app, session, dispatcher)
    reader = enter(app, session, clock, dispatcher) if path.startswith("/admin") else client
    pause = feedback.pause_reporter(
        session, dispatcher.actor, sent.id, days=7, reason="Tin giả.", at=factories.NOON
    )
    session.commit()
    address = path.replace("<uuid:report_id>", str(sent.id))
    address = address.replace("<uuid:pause_id>", str(pause.id))

    answers = [
        reader.get(f"{address}{query}", headers=headers) for query in ("", "?state=resolved")
    ]

    assert answers[0].status_code == 200
    assert told(session, sent, answers) == []
    assert looked_at(session) == []


def test_nothing_that_staff_do_says_who_sent_a_report(app, client, session, sent):
    headers = factories.bearer(app, session, factories.a_staff(session))
    headers["If-Match"] = f'"{sent.version}"'
    path = f"/api/v1/staff/reports/{sent.id}"

    answers = [
        client.patch(path, json={"public_text": "Ổ gà."}, headers=headers),
        client.post(f"{path}/transitions", json={"to": "received"}, headers=headers),
    ]

    assert [answer.status_code for answer in answers] == [200, 412]
    assert told(session, sent, answers) == []
    assert looked_at(session) == []


def test_the_one_form_that_says_it_is_recorded_once(app, session, clock, sent):
    desk = enter(app, session, clock, factories.a_staff(session))

    shown = desk.post(f"/admin/reports/{sent.id}/reporter")

    assert NAME in shown.text
    assert looked_at(session) == [sent.reporter_id]


def looked_at(session):
    """Whose data was looked at, once for each look."""
    query = select(AuditEvent.about_id).where(AuditEvent.about_id.is_not(None))
    return session.scalars(query).all()


_names = (f"ctn_without_log_{number}" for number in itertools.count())


@pytest.fixture
def without_log(postgres, settings, clock):
    """An application that may not write to the audit log any more."""
    name = next(_names)
    postgres.create_database(name, template=TEMPLATE)
    db = Database.at(postgres.url("app", name), pool_size=5)
    app = create_app(settings, db=db, now=clock)
    admin.init_app(app)
    with (
        db.sessions() as session,
        psycopg.connect(postgres.url("owner", name), autocommit=True) as owner,
    ):
        role = postgres.url("app", "x").split("//")[1].split(":")[0]

        def forbid():
            owner.execute(f"REVOKE INSERT ON audit_events FROM {role}")

        yield app, session, forbid
    db.close()


def test_without_an_entry_nobody_is_shown(without_log, clock):
    app, session, forbid = without_log
    report = factories.a_report(session, factories.a_citizen(session, NAME))
    desk = enter(app, session, clock, factories.a_staff(session))
    token = desk.token()
    forbid()

    answer = desk.client.post(f"/admin/reports/{report.id}/reporter", data={"csrf": token})

    assert answer.status_code == 503
    assert NAME not in answer.text
    assert "Tạm thời không phục vụ được" in answer.text
    assert answer.headers["Retry-After"]


def test_without_an_entry_nothing_is_done_or_found(without_log):
    app, session, forbid = without_log
    citizen = factories.bearer(app, session, factories.a_citizen(session))
    auditor = factories.bearer(app, session, factories.a_staff(session, (("auditor", None),)))
    forbid()
    client = app.test_client()
    draft = {"category": "giao-thong", "description": "Ổ gà.", **factories.CITY}

    answers = [
        client.post("/api/v1/reports", json=draft, headers=citizen | {"Idempotency-Key": "1"}),
        client.get("/api/v1/staff/audit", headers=auditor),
    ]

    for answer in answers:
        assert (answer.status_code, answer.json["code"]) == (503, "unavailable")
        assert "items" not in answer.json
    assert client.get("/api/v1/reports", headers=citizen).json["items"] == []
