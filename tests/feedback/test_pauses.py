"""Whoever has to pause appeals, somebody else answers, and a pause may end early."""

import datetime as dt
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from models import AuditEvent, ReporterPause
from services import feedback
from services.feedback.pauses import NoAppealOpen, OwnPause, PauseNotFound, PauseOver
from tests import factories
from tests.factories import NOON

MINE = "/api/v1/me/pauses"
THEIRS = "/api/v1/staff/pauses"
APPEAL = {"text": "Tôi chỉ gửi một lần."}


@pytest.fixture
def report(session, citizen):
    return factories.a_report(session, citizen)


@pytest.fixture
def maker(session):
    return factories.a_staff(session, name="Lê Thị Khóa")


@pytest.fixture
def pause(session, report, maker):
    made = feedback.pause_reporter(
        session, maker.actor, report.id, days=7, reason="Lời lẽ xúc phạm.", at=NOON
    )
    session.commit()
    return made


@pytest.fixture
def appealed(session, citizen, pause):
    actor = factories.citizen_actor(citizen)
    feedback.appeal(session, actor, pause.id, at=NOON, **APPEAL)
    session.commit()
    return pause


def refuse(session, actor, pause, at=NOON):
    feedback.answer_appeal(session, actor, pause.id, granted=False, reason="x", at=at)


def deeds(session) -> list[tuple[str, str | None]]:
    query = select(AuditEvent).where(AuditEvent.action.like("%pause%"))
    return [(each.action, each.role) for each in session.scalars(query.order_by(AuditEvent.id))]


def test_an_appeal_is_kept_with_the_pause_and_recorded_without_its_words(
    client, session, headers, report, pause
):
    answer = client.post(f"{MINE}/{pause.id}/appeal", json=APPEAL, headers=headers)

    assert (answer.status_code, answer.json["appeal"]) == (201, APPEAL["text"])
    assert answer.json["report_id"] == str(report.id)
    assert client.get(MINE, headers=headers).json["items"] == [answer.json]
    assert deeds(session) == [("report:appeal_pause", None)]
    event = session.scalars(select(AuditEvent).order_by(AuditEvent.id.desc())).first()
    assert event.detail == {"block_id": str(pause.id)}


@pytest.mark.parametrize(
    ("text", "status", "code"),
    [
        ("", 422, "invalid"),
        (" \u200b", 422, "pause_words_needed"),
        ("x" * 1001, 422, "invalid"),
        (7, 422, "invalid"),
        (None, 422, "invalid"),
    ],
)
def test_an_appeal_has_words(client, headers, pause, text, status, code):
    answer = client.post(f"{MINE}/{pause.id}/appeal", json={"text": text}, headers=headers)

    assert (answer.status_code, answer.json["code"]) == (status, code)


def test_one_appeals_once(client, headers, appealed):
    answer = client.post(f"{MINE}/{appealed.id}/appeal", json=APPEAL, headers=headers)

    assert (answer.status_code, answer.json["code"]) == (409, "appealed_already")


def test_one_does_not_appeal_against_what_is_over(client, headers, pause, clock):
    clock.forward(days=7)

    answer = client.post(f"{MINE}/{pause.id}/appeal", json=APPEAL, headers=headers)

    assert (answer.status_code, answer.json["code"]) == (409, "pause_over")


def test_somebody_elses_pause_does_not_exist(app, client, session, pause):
    stranger = factories.bearer(app, session, factories.a_citizen(session))

    answer = client.post(f"{MINE}/{pause.id}/appeal", json=APPEAL, headers=stranger)

    assert (answer.status_code, answer.json["code"]) == (404, "pause_not_found")
    assert client.get(MINE, headers=stranger).json["items"] == []


def test_dispatchers_see_those_of_their_places_and_administrators_all(
    app, client, session, appealed
):
    def seen(*roles, places=None):
        staff = factories.a_staff(session, roles, places=places)
        answer = client.get(THEIRS, headers=factories.bearer(app, session, staff))
        return [item["id"] for item in answer.json["items"]] if "items" in answer.json else None

    assert seen(("dispatcher", None)) == [str(appealed.id)]
    assert seen(("dispatcher", None), places=["02014"]) == []
    assert seen(("administrator", None)) == [str(appealed.id)]
    for role in ("handler", "leader"):
        assert seen((role, "so-xay-dung")) is None
    assert seen(("auditor", None)) is None


def test_the_list_names_a_report_and_nobody_who_sent_it(
    app, client, session, citizen, report, appealed
):
    headers = factories.bearer(app, session, factories.a_staff(session))

    answer = client.get(THEIRS, headers=headers)

    (item,) = answer.json["items"]
    assert (item["id"], item["report_code"]) == (str(appealed.id), report.code)
    assert item["blocked_by"] == "Lê Thị Khóa"
    assert (item["reason"], item["appeal"]) == ("Lời lẽ xúc phạm.", APPEAL["text"])
    assert str(citizen.id) not in answer.text
    assert citizen.name not in answer.text


def test_the_list_takes_the_same_number_of_statements_however_long_it_is(
    app, client, session, maker, statements
):
    headers = factories.bearer(app, session, factories.a_staff(session))
    # Who was signed out is asked once in a while.
    client.get(THEIRS, headers=headers)
    counts = []
    for _ in range(2):
        for _ in range(3):
            sent = factories.a_report(session, factories.a_citizen(session))
            feedback.pause_reporter(session, maker.actor, sent.id, days=1, reason="x", at=NOON)
            session.commit()
        with statements() as seen:
            client.get(THEIRS, headers=headers)
        counts.append(len(seen))

    assert counts[0] == counts[1]


def test_open_appeals_come_first_and_those_that_wait_longest_before_the_others(
    app, client, session, maker, clock
):
    made = []
    for _ in range(6):
        author = factories.a_citizen(session)
        sent = factories.a_report(session, author)
        pause = feedback.pause_reporter(session, maker.actor, sent.id, days=7, reason="x", at=NOON)
        made.append((factories.citizen_actor(author), pause))
    for minute, number in enumerate([4, 1, 3]):
        actor, pause = made[number]
        at = NOON + dt.timedelta(minutes=minute, microseconds=1)
        feedback.appeal(session, actor, pause.id, at=at, **APPEAL)
    session.commit()
    clock.forward(hours=1)
    headers = factories.bearer(app, session, factories.a_staff(session))

    seen, address = [], f"{THEIRS}?limit=1"
    while address:
        answer = client.get(address, headers=headers)
        seen += [item["id"] for item in answer.json["items"]]
        cursor = answer.json["next_cursor"]
        address = cursor and f"{THEIRS}?limit=1&cursor={cursor}"
        if len(seen) == 1:
            # That it was answered meanwhile loses nothing of what comes after it.
            refuse(session, factories.a_staff(session).actor, made[4][1], at=clock.now)
            session.commit()

    order = [str(made[number][1].id) for number in (4, 1, 3, 5, 4, 2, 0)]
    assert seen == order


def test_a_cursor_of_another_list_is_none_of_pauses(app, client, session, maker):
    headers = factories.bearer(app, session, maker)

    answer = client.get(f"{THEIRS}?cursor=nonsense", headers=headers)

    assert (answer.status_code, answer.json["code"]) == (400, "cursor_invalid")


def test_open_appeals_are_counted_for_those_who_may_answer_them(session, maker, appealed):
    assert feedback.open_appeals(session, maker.actor) == 0
    for roles, places, count in (
        ((("dispatcher", None),), None, 1),
        ((("administrator", None),), None, 1),
        ((("dispatcher", None),), ["02014"], 0),
        ((("handler", "so-xay-dung"),), None, 0),
        ((("auditor", None),), None, 0),
    ):
        actor = factories.a_staff(session, roles, places=places).actor
        assert feedback.open_appeals(session, actor) == count
    colleague = factories.a_staff(session).actor
    refuse(session, colleague, appealed)
    assert feedback.open_appeals(session, colleague) == 0


def test_a_pause_that_is_over_is_listed_while_its_appeal_waits(session, appealed):
    colleague = factories.a_staff(session).actor

    assert feedback.pauses(session, colleague, limit=10, at=appealed.until) == [appealed]
    refuse(session, colleague, appealed, at=appealed.until)
    session.commit()
    assert feedback.pauses(session, colleague, limit=10, at=appealed.until) == []


@pytest.mark.parametrize("role", ["dispatcher", "administrator"])
def test_somebody_else_keeps_the_pause_and_says_why(
    app, client, session, citizen, headers, appealed, role
):
    colleague = factories.bearer(app, session, factories.a_staff(session, ((role, None),)))

    answer = client.post(
        f"{THEIRS}/{appealed.id}/answer", json={"reason": "Lời lẽ vẫn vậy."}, headers=colleague
    )

    assert (answer.status_code, answer.json["answer"]) == (200, "Lời lẽ vẫn vậy.")
    assert answer.json["appeal_granted"] is False
    assert deeds(session)[-1] == ("report:keep_pause", role)
    assert factories.inbox_kinds(session, citizen)[-1] == "pause_kept"
    letter = client.get("/api/v1/me/inbox", headers=headers).json["items"][0]
    assert "Lời lẽ vẫn vậy." in letter["text"]
    sent = {"category": "giao-thong", "description": "Ổ gà.", **factories.CITY}
    refused = client.post("/api/v1/reports", json=sent, headers=headers | {"Idempotency-Key": "k"})
    assert refused.status_code == 403


def test_an_administrator_ends_the_pause_by_which_the_appeal_is_answered(
    app, client, session, citizen, appealed
):
    administrator = factories.a_staff(session, (("administrator", None),))
    headers = factories.bearer(app, session, administrator)

    answer = client.post(
        f"{THEIRS}/{appealed.id}/lifting", json={"reason": "Phản đối đúng."}, headers=headers
    )

    assert answer.status_code == 200
    assert (answer.json["answer"], answer.json["lift_reason"]) == ("Phản đối đúng.",) * 2
    session.refresh(appealed)
    assert (appealed.answered_by_id, appealed.lifted_by_id) == (administrator.id,) * 2
    assert factories.inbox_kinds(session, citizen)[-1] == "appeal_granted"
    event = session.scalars(select(AuditEvent).order_by(AuditEvent.id.desc())).first()
    assert (event.action, event.role) == ("report:unblock_reporter", "administrator")


@pytest.mark.parametrize("late", [False, True])
def test_an_appeal_is_granted_whether_or_not_its_pause_still_runs(
    app, client, session, clock, citizen, appealed, late
):
    clock.forward(days=7 if late else 6)
    headers = factories.bearer(app, session, citizen)
    colleague = factories.bearer(app, session, factories.a_staff(session))
    answer = {"granted": True, "reason": "Bạn nói đúng."}

    granted = client.post(f"{THEIRS}/{appealed.id}/answer", json=answer, headers=colleague)
    again = client.post(f"{THEIRS}/{appealed.id}/answer", json=answer, headers=colleague)

    assert granted.status_code == 200, granted.json
    assert granted.json["appeal_granted"] is True
    assert (again.status_code, again.json["code"]) == (409, "no_appeal_open")
    (mine,) = client.get(MINE, headers=headers).json["items"]
    assert (mine["appeal_granted"], mine["answer"]) == (True, "Bạn nói đúng.")
    letter = client.get("/api/v1/me/inbox", headers=headers).json["items"][0]
    assert letter["kind"] == ("appeal_granted_late" if late else "appeal_granted")
    assert letter["text"].endswith("\nBạn nói đúng.")
    assert ("đã hết hạn" in letter["text"]) == late
    event = session.scalars(select(AuditEvent).order_by(AuditEvent.id.desc())).first()
    assert event.action == ("report:grant_appeal" if late else "report:unblock_reporter")
    assert feedback.pauses(session, factories.a_staff(session).actor, limit=10, at=clock.now) == []


def test_a_pause_that_ends_after_its_appeal_was_refused_grants_it_not(session, clock, appealed):
    colleague = factories.a_staff(session).actor
    refuse(session, colleague, appealed)
    clock.forward(minutes=1)
    feedback.lift_pause(session, colleague, appealed.id, reason="x", at=clock.now)

    assert appealed.appeal_granted is False
    assert appealed.lifted_at == clock.now


def test_whoever_made_the_pause_does_not_decide_on_the_appeal(app, client, session, maker, pause):
    headers = factories.bearer(app, session, maker)
    actor = factories.citizen_actor(session.get_one(factories.Citizen, pause.citizen_id))
    feedback.appeal(session, actor, pause.id, at=NOON, **APPEAL)
    session.commit()

    for deed in ("answer", "lifting"):
        answer = client.post(f"{THEIRS}/{pause.id}/{deed}", json={"reason": "x"}, headers=headers)
        assert (answer.status_code, answer.json["code"]) == (403, "own_pause")


def test_whoever_made_the_pause_may_end_it_while_nobody_appeals(session, maker, pause):
    feedback.lift_pause(session, maker.actor, pause.id, reason="Nhầm.", at=NOON)

    assert pause.lifted_at == NOON


def test_what_is_over_or_answered_is_not_decided_again(session, appealed):
    colleague = factories.a_staff(session).actor
    feedback.lift_pause(session, colleague, appealed.id, reason="x", at=NOON)

    with pytest.raises(PauseOver):
        feedback.lift_pause(session, colleague, appealed.id, reason="x", at=NOON)
    with pytest.raises(NoAppealOpen):
        refuse(session, colleague, appealed)


def test_nobody_keeps_a_pause_against_which_nobody_appealed(session, pause):
    colleague = factories.a_staff(session).actor

    with pytest.raises(NoAppealOpen):
        refuse(session, colleague, pause)


@pytest.mark.parametrize("deed", ["answer", "lifting"])
def test_a_dispatcher_of_other_places_finds_no_such_pause(app, client, session, appealed, deed):
    elsewhere = factories.a_staff(session, places=["02014"])

    answer = client.post(
        f"{THEIRS}/{appealed.id}/{deed}",
        json={"reason": "x"},
        headers=factories.bearer(app, session, elsewhere),
    )

    assert (answer.status_code, answer.json["code"]) == (404, "pause_not_found")


def test_once_the_contact_was_removed_an_administrator_alone_decides(session, report, appealed):
    report.contact_removed_at = NOON
    session.commit()
    dispatcher = factories.a_staff(session).actor
    administrator = factories.a_staff(session, (("administrator", None),)).actor

    assert feedback.pause_of(session, dispatcher, report, at=NOON) is None
    assert feedback.pauses(session, dispatcher, limit=10, at=NOON) == []
    with pytest.raises(PauseNotFound):
        feedback.lift_pause(session, dispatcher, appealed.id, reason="x", at=NOON)
    feedback.lift_pause(session, administrator, appealed.id, reason="x", at=NOON)
    assert appealed.lifted_at == NOON


def test_two_who_decide_at_once_decide_it_once(committed):
    with committed.sessions() as own:
        citizen = factories.a_citizen(own)
        report = factories.a_report(own, citizen)
        maker = factories.a_staff(own).actor
        pause = feedback.pause_reporter(own, maker, report.id, days=7, reason="x", at=NOON)
        own.commit()
        feedback.appeal(own, factories.citizen_actor(citizen), pause.id, at=NOON, **APPEAL)
        own.commit()
        colleagues = [factories.a_staff(own).actor for _ in range(6)]
    together = threading.Barrier(6)

    def decide(numbered):
        number, actor = numbered
        with committed.transaction() as own:
            own.connection()
            together.wait()
            try:
                if number % 2:
                    feedback.lift_pause(own, actor, pause.id, reason="x", at=NOON)
                else:
                    refuse(own, actor, pause)
            except (NoAppealOpen, PauseOver):
                return None
            return "lifted" if number % 2 else "kept"

    with ThreadPoolExecutor(6) as threads:
        done = [name for name in threads.map(decide, enumerate(colleagues)) if name]
    # Who keeps it comes first or not at all; it may be ended afterwards, once.
    assert done.count("kept") <= 1
    assert done.count("lifted") == 1
    with committed.sessions() as own:
        kinds = factories.inbox_kinds(own, citizen)
        assert len({"pause_lifted", "appeal_granted"} & set(kinds)) == 1
        assert own.scalars(select(ReporterPause)).one().answered_at == NOON


def test_who_made_it_is_refused_by_name(session, appealed, maker):
    with pytest.raises(OwnPause):
        refuse(session, maker.actor, appealed)
