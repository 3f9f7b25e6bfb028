"""The auditor finds every deed, and each search is one itself."""

import datetime as dt

import pytest
from sqlalchemy import select

from models import AuditEvent, Role
from models.base import new_id
from services import audit, feedback
from services.audit import Deed, Purpose
from services.permissions import Actor, ActorKind, Grant
from tests import factories

PATH = "/api/v1/staff/audit"


@pytest.fixture
def auditor(session):
    return factories.a_staff(session, (("auditor", None),), name="Ma Văn Kiểm")


@pytest.fixture
def ask(app, client, session, auditor):
    headers = factories.bearer(app, session, auditor)

    def get(**query):
        return client.get(PATH, query_string=query, headers=headers)

    return get


@pytest.fixture
def look(session, citizen):
    """A dispatcher looked at who sent a report."""
    report = factories.a_report(session, citizen)
    dispatcher = factories.a_staff(session, name="Trần Văn Xem")
    feedback.read_reporter(session, factories.staff_actor(dispatcher), report.id, at=factories.NOON)
    session.commit()
    return session.scalars(select(AuditEvent).where(AuditEvent.about_id.is_not(None))).one()


def searches(session):
    query = select(AuditEvent).where(AuditEvent.action == Deed.AUDIT_SEARCH)
    return session.scalars(query.order_by(AuditEvent.id)).all()


def test_an_event_is_told_with_the_names_of_staff_and_the_ids_of_citizens(ask, look, citizen):
    (found,) = ask(action="report:read_reporter").json["items"]

    assert found == {
        "id": str(look.id),
        "at": "2026-11-23T03:00:00Z",
        "action": "report:read_reporter",
        "actor": {"kind": "staff", "id": str(look.actor_id), "name": "Trần Văn Xem"},
        "role": "dispatcher",
        "organisation": None,
        "purpose": "report_handling",
        "about": str(citizen.id),
        "subject": {"type": "report", "id": str(look.subject_id), "name": None},
        "detail": {"fields": ["name"]},
        "request_id": look.request_id,
        "position": None,
    }


def test_citizens_are_ids_only(ask, session):
    citizen = factories.a_citizen(session, "Lý Thị Tên")
    factories.a_report(session, citizen)

    answer = ask(actor=str(citizen.id))

    (found,) = answer.json["items"]
    assert found["actor"] == {"kind": "citizen", "id": str(citizen.id), "name": None}
    assert "Lý Thị Tên" not in answer.text


def test_invited_staff_are_named_as_what_was_acted_upon(ask, auditor):
    (found,) = ask(subject=str(auditor.id), action="staff:invite").json["items"]

    assert found["subject"] == {"type": "staff", "id": str(auditor.id), "name": "Ma Văn Kiểm"}


COLUMNS = {
    "action": "action",
    "actor": "actor_id",
    "about": "about_id",
    "subject": "subject_id",
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_filter_leaves_what_it_names(ask, session, look, name):
    column = getattr(AuditEvent, COLUMNS[name])
    value = getattr(look, COLUMNS[name])
    expected = session.scalars(select(AuditEvent.id).where(column == value)).all()

    found = ask(**{name: str(value)}).json["items"]

    assert {event["id"] for event in found} == {str(each) for each in expected}
    assert len(found) < len(session.scalars(select(AuditEvent.id)).all())


@pytest.mark.usefixtures("look")
@pytest.mark.parametrize("name", ["actor", "about", "subject"])
def test_what_nobody_did_is_an_empty_page(ask, name):
    assert ask(**{name: str(new_id())}).json == {"items": [], "next_cursor": None}


def test_a_span_of_time_includes_its_beginning_and_not_its_end(ask, session):
    moments = [factories.NOON + dt.timedelta(hours=hours) for hours in range(3)]
    for at in moments:
        audit.record(session, Deed.SESSION_ALARM, actor=None, subject=("session", None), at=at)
    session.commit()

    found = ask(**{"action": "session:alarm", "from": moments[0], "to": moments[2]}).json["items"]

    assert [event["at"] for event in found] == ["2026-11-23T04:00:00Z", "2026-11-23T03:00:00Z"]


@pytest.mark.parametrize(
    "query",
    [
        {"action": "report:read"},
        {"actor": "somebody"},
        {"from": "yesterday"},
        {"from": "2026-11-23T03:00:00"},
        {"limit": "0"},
    ],
)
def test_a_filter_that_is_none_is_refused(ask, session, query):
    assert ask(**query).status_code == 422
    assert searches(session) == []


def test_a_search_is_recorded_once_with_what_was_looked_for(ask, session, auditor, look):
    ask(action="report:read_reporter", about=str(look.about_id))

    (event,) = searches(session)
    assert (event.actor_id, event.role, event.purpose) == (auditor.id, "auditor", "oversight")
    assert event.detail == {
        "fields": ["access_log"],
        "filters": {"action": "report:read_reporter", "about": str(look.about_id)},
    }


@pytest.mark.parametrize("way", ["about", "actor", "subject", "their report", "their session"])
def test_whoever_is_searched_for_is_told(ask, look, app, client, session, citizen, way):
    device = factories.citizen_on_a_device(session, citizen).session_id
    named = {
        "their report": {"subject": str(look.subject_id)},
        "their session": {"subject": str(device)},
    }
    ask(**named.get(way, {way: str(citizen.id)}))

    mine = client.get("/api/v1/me/access-log", headers=factories.bearer(app, session, citizen)).json

    assert [(entry["action"], entry["role"]) for entry in mine["items"]] == [
        ("audit:search", "auditor"),
        ("report:read_reporter", "dispatcher"),
    ]
    assert mine["items"][0]["what"] == ["access_log"]


def test_further_pages_are_the_same_search(ask, session):
    for _ in range(5):
        audit.record(
            session, Deed.SESSION_ALARM, actor=None, subject=("session", None), at=factories.NOON
        )
    session.commit()

    pages = [ask(action="session:alarm", limit=2).json]
    while cursor := pages[-1]["next_cursor"]:
        pages.append(ask(action="session:alarm", limit=2, cursor=cursor).json)

    assert [len(page["items"]) for page in pages] == [2, 2, 1]
    assert len({event["id"] for page in pages for event in page["items"]}) == 5
    assert len(searches(session)) == 1


def test_a_cursor_opens_no_other_search(ask, session, look):
    """Or one recorded search would be the way to all that is not recorded."""
    audit.record(
        session,
        Deed.REPORT_READ_REPORTER,
        actor=Actor(ActorKind.STAFF, new_id()),
        subject=("report", new_id()),
        about=look.about_id,
        purpose=Purpose.REPORT_HANDLING,
        at=factories.NOON,
    )
    session.commit()
    cursor = ask(action="report:read_reporter", limit=1).json["next_cursor"]

    answers = [
        ask(cursor=cursor),
        ask(cursor=cursor, action="report:create"),
        ask(cursor=cursor, action="report:read_reporter", about=str(look.about_id)),
    ]

    assert [answer.json.get("code") for answer in answers] == ["cursor_invalid"] * 3
    assert ask(cursor=cursor, action="report:read_reporter").status_code == 200


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.AUDITOR])
def test_other_roles_do_not_read_it(app, client, session, role):
    department = "so-xay-dung" if role in {Role.HANDLER, Role.LEADER} else None
    headers = factories.bearer(app, session, factories.a_staff(session, ((role, department),)))

    answer = client.get(PATH, headers=headers)

    assert (answer.status_code, answer.json["code"]) == (403, "not_an_auditor")
    assert searches(session) == []


def test_a_citizens_token_is_none_for_it(client, headers):
    assert client.get(PATH, headers=headers).status_code == 401


def test_a_page_takes_the_same_statements_however_long_it_is(ask, session, statements):
    def more(count):
        for _ in range(count):
            audit.record(
                session,
                Deed.SESSION_ALARM,
                actor=None,
                subject=("session", None),
                at=factories.NOON,
            )
        session.commit()

    more(2)
    ask()
    counts = []
    for count in (2, 40):
        more(count)
        with statements() as seen:
            ask(limit=100)
        counts.append(len(seen))

    assert counts[0] == counts[1]


def test_the_place_in_the_chain_is_told(ledger):
    ledger.write()
    ledger.chain()
    ledger.write()
    actor = Actor(ActorKind.STAFF, new_id(), grants=(Grant(Role.AUDITOR),))

    with ledger.db.transaction() as session:
        found = audit.search(
            session, actor, audit.Search(), before=None, limit=9, at=factories.NOON
        )

    assert [event.position for event in found] == [None, 1]


def test_a_standing_tells_how_far_the_chain_is(ledger):
    def times():
        with ledger.db.reading() as session:
            found = audit.standing(session)
        checkpoint = found.checkpoint.position if found.checkpoint else 0
        return found.chained, checkpoint, found.unchained_since, found.unsigned_since

    hours = [factories.NOON + dt.timedelta(hours=hours) for hours in range(3)]
    assert times() == (0, 0, None, None)
    ledger.write(at=hours[0])
    assert times() == (0, 0, hours[0], hours[0])
    ledger.chain()
    assert times() == (1, 0, None, hours[0])
    ledger.sign()
    assert times() == (1, 1, None, None)
    ledger.write(at=hours[1])
    ledger.write(at=hours[2])
    assert times() == (1, 1, hours[1], hours[1])
    ledger.chain()
    assert times() == (3, 1, None, hours[1])
