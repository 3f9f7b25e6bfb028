"""A dispatcher has somebody who misuses reports pause, without learning who it is."""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select

from models import AuditEvent, InboxMessage, Report, ReporterPause
from services import feedback, permissions
from services.feedback.pauses import (
    PausedAlready,
    PausesNotYours,
    PauseUnlikely,
    PausingNotYours,
    ReporterUnknown,
)
from services.feedback.reports import ReporterBlocked
from services.permissions import Action
from tests import factories
from tests.factories import NOON

REPORT = {"category": "giao-thong", "description": "Ổ gà sâu.", **factories.CITY}


@pytest.fixture
def report(session, citizen):
    return factories.a_report(session, citizen)


@pytest.fixture
def dispatcher(session):
    return factories.a_staff(session).actor


def have_pause(session, actor, report, days=7, reason="Lời lẽ xúc phạm.", at=NOON):
    made = feedback.pause_reporter(session, actor, report.id, days=days, reason=reason, at=at)
    session.commit()
    return made


def lift(session, actor, pause, at=NOON):
    feedback.lift_pause(session, actor, pause.id, reason="Đã xem lại.", at=at)
    session.commit()


def send(client, headers, key="a key"):
    return client.post("/api/v1/reports", json=REPORT, headers=headers | {"Idempotency-Key": key})


def test_who_has_to_pause_is_told_until_when_why_and_how_to_appeal(
    client, session, headers, report, dispatcher
):
    have_pause(session, dispatcher, report, days=3)

    answer = send(client, headers)

    assert (answer.status_code, answer.json["code"]) == (403, "reporter_blocked")
    assert answer.json["until"] == "2026-11-26T03:00:00Z"
    (made,) = session.scalars(select(ReporterPause))
    assert answer.json["pause_id"] == str(made.id)
    assert answer.json["appeal"] == {
        "method": "POST",
        "path": f"/api/v1/me/pauses/{made.id}/appeal",
    }
    assert "26/11/2026 10:00" in answer.json["detail"]
    letter = client.get("/api/v1/me/inbox", headers=headers).json["items"][0]
    assert letter["kind"] == "reporter_blocked"
    assert letter["subject"] == {"type": "report", "id": str(report.id)}
    for told in ("Lời lẽ xúc phạm.", "26/11/2026 10:00", report.code, "phản đối"):
        assert told in letter["text"]
    assert session.scalar(select(func.count()).select_from(Report)) == 1


def test_who_has_appealed_is_told_what_became_of_it_and_offered_no_other(
    client, session, citizen, headers, report, dispatcher
):
    made = have_pause(session, dispatcher, report)
    actor = factories.citizen_actor(citizen)
    feedback.appeal(session, actor, made.id, text="Tôi phản đối.", at=NOON)
    session.commit()

    waiting = send(client, headers)
    colleague = factories.a_staff(session).actor
    feedback.answer_appeal(session, colleague, made.id, granted=False, reason="x", at=NOON)
    session.commit()
    answered = send(client, headers | {"Accept-Language": "en"})

    assert waiting.json["code"] == "blocked_appeal_waits"
    assert answered.json["code"] == "blocked_appeal_answered"
    for answer in (waiting, answered):
        assert answer.status_code == 403
        assert answer.json["pause_id"] == str(made.id)
        assert "appeal" not in answer.json
    assert "đang chờ trả lời" in waiting.json["detail"]
    assert "your appeal was answered" in answered.json["detail"]


def test_the_pause_ends_by_itself(client, session, headers, report, dispatcher, clock):
    have_pause(session, dispatcher, report, days=1)
    clock.forward(hours=23, minutes=59)
    before = send(client, headers)
    clock.forward(minutes=1)

    assert (before.status_code, send(client, headers).status_code) == (403, 201)


def test_the_pause_is_lifted_and_told(client, session, citizen, headers, report, dispatcher):
    pause = have_pause(session, dispatcher, report)

    lift(session, dispatcher, pause)

    assert send(client, headers).status_code == 201
    assert factories.inbox_kinds(session, citizen)[:3] == [
        "report_received",
        "reporter_blocked",
        "pause_lifted",
    ]
    row = session.scalars(select(ReporterPause)).one()
    assert (row.lifted_at, row.lifted_by_id) == (NOON, dispatcher.id)


def test_a_refused_report_uses_up_nothing(client, session, headers, report, dispatcher):
    pause = have_pause(session, dispatcher, report)
    for number in range(25):
        assert send(client, headers, f"key {number}").status_code == 403

    lift(session, dispatcher, pause)

    assert send(client, headers, "key 1").status_code == 201


def test_a_report_that_was_taken_before_is_found_again(client, session, headers, dispatcher):
    first = send(client, headers)
    sent = session.get_one(Report, uuid.UUID(first.json["id"]))
    have_pause(session, dispatcher, sent)

    again = send(client, headers)

    assert (again.status_code, again.json["id"]) == (201, first.json["id"])


def test_others_are_not_held_up(app, client, session, report, dispatcher):
    have_pause(session, dispatcher, report)
    stranger = factories.bearer(app, session, factories.a_citizen(session))

    assert send(client, stranger).status_code == 201


def test_one_may_go_on_with_ones_other_reports(client, session, headers, report, dispatcher):
    factories.resolved(session, report)
    have_pause(session, dispatcher, report)

    rated = client.post(f"/api/v1/reports/{report.id}/rating", json={"score": 1}, headers=headers)

    assert rated.status_code == 200


def test_each_deed_is_recorded_by_ids_and_codes(session, report, dispatcher):
    lift(session, dispatcher, have_pause(session, dispatcher, report))

    query = select(AuditEvent).where(AuditEvent.action.like("%block_reporter"))
    paused, lifted = session.scalars(query.order_by(AuditEvent.id))
    assert (paused.actor_id, paused.subject_id) == (dispatcher.id, report.id)
    (row,) = session.scalars(select(ReporterPause))
    assert paused.detail == {"days": 7, "block_id": str(row.id)}
    assert paused.role == "dispatcher"
    assert lifted.action == "report:unblock_reporter"
    assert "xúc phạm" not in str([paused.detail, lifted.detail])


@pytest.mark.parametrize(
    ("days", "reason"),
    [
        (0, "x"),
        (91, "x"),
        (-1, "x"),
        (10**9, "x"),
        (7, ""),
        (7, None),
        (7, " \u200b"),
        (7, "x" * 1001),
    ],
)
def test_a_pause_has_an_end_and_a_reason(session, report, dispatcher, days, reason):
    with pytest.raises(PauseUnlikely):
        have_pause(session, dispatcher, report, days, reason)


@pytest.mark.parametrize("days", [1, 90])
def test_a_pause_may_last_so_long(session, report, dispatcher, days):
    assert (have_pause(session, dispatcher, report, days).until - NOON).days == days


def test_nobody_pauses_twice_for_one_report_at_a_time(session, report, dispatcher):
    have_pause(session, dispatcher, report)

    with pytest.raises(PausedAlready):
        have_pause(session, dispatcher, report)


def test_a_pause_for_another_report_tells_nobody_that_one_person_sent_both(
    client, session, citizen, headers, report, dispatcher
):
    other = factories.a_report(session, citizen, hide_reporter=True)
    short = have_pause(session, dispatcher, report, days=1)

    assert feedback.pause_of(session, dispatcher, other, at=NOON) is None
    long = have_pause(session, dispatcher, other, days=5)

    assert feedback.pause_of(session, dispatcher, other, at=NOON) == long
    assert send(client, headers).json["pause_id"] == str(long.id)
    lift(session, dispatcher, long)
    assert send(client, headers, "again").json["pause_id"] == str(short.id)
    lift(session, dispatcher, short)
    assert send(client, headers, "once more").status_code == 201


def test_once_the_contact_was_removed_nobody_is_made_to_pause(session, report, dispatcher):
    report.contact_removed_at = NOON
    session.commit()

    with pytest.raises(ReporterUnknown):
        have_pause(session, dispatcher, report)
    assert not permissions.can(dispatcher, Action.PAUSE_REPORTER, report)


def test_who_hid_the_name_can_be_made_to_pause(session, citizen, dispatcher):
    hidden = factories.a_report(session, citizen, hide_reporter=True)

    assert have_pause(session, dispatcher, hidden).report_id == hidden.id


def test_an_author_whom_nobody_knows_cannot_pause(session, report, dispatcher):
    report.reporter_id = None
    session.commit()

    with pytest.raises(ReporterUnknown):
        have_pause(session, dispatcher, report)
    assert feedback.pause_of(session, dispatcher, report, at=NOON) is None


@pytest.mark.parametrize("role", ["handler", "leader", "communicator"])
def test_only_dispatchers_decide_it(session, report, dispatcher, role):
    report.department_code = "so-xay-dung"
    session.commit()
    department = None if role == "communicator" else "so-xay-dung"
    somebody = factories.a_staff(session, ((role, department),)).actor
    pause = have_pause(session, dispatcher, report)

    with pytest.raises(PausingNotYours):
        have_pause(session, somebody, report)
    with pytest.raises(PausesNotYours):
        lift(session, somebody, pause)
    assert feedback.pause_of(session, somebody, report, at=NOON) is None


def test_a_dispatcher_of_other_places_finds_no_such_report(session, report):
    elsewhere = factories.a_staff(session, places=["02014"]).actor

    with pytest.raises(feedback.ReportNotFound):
        have_pause(session, elsewhere, report)


def test_ten_dispatchers_at_once_decide_it_once(committed):
    with committed.sessions() as own:
        report = factories.a_report(own, factories.a_citizen(own))
        dispatchers = [factories.a_staff(own).actor for _ in range(10)]
    together = threading.Barrier(10)

    def decide(actor):
        with committed.transaction() as own:
            own.connection()
            together.wait()
            try:
                feedback.pause_reporter(own, actor, report.id, days=7, reason="x", at=NOON)
            except PausedAlready:
                return False
            return True

    with ThreadPoolExecutor(10) as threads:
        assert list(threads.map(decide, dispatchers)).count(True) == 1
    with committed.sessions() as own:
        kinds = own.scalars(select(InboxMessage.kind)).all()
        assert kinds.count("reporter_blocked") == 1


def test_the_rule_holds_by_whichever_door_a_report_comes(session, citizen, report, dispatcher):
    have_pause(session, dispatcher, report)

    with pytest.raises(ReporterBlocked):
        factories.a_report(session, citizen)
