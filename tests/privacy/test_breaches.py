"""The register of breaches: 72 hours from the detection, and a record that is kept."""

import datetime as dt
import uuid

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from api.metrics import Queues
from models import AuditEvent, Breach
from services.errors import Forbidden, Stale
from services.privacy import breaches
from services.privacy.breaches import (
    BreachClosed,
    BreachNotFound,
    DetectionUnlikely,
    Facts,
    NoticeGiven,
    NoticeOutstanding,
    NoticeUnlikely,
    WhatHappenedNeeded,
)
from tests import factories
from tests.factories import NOON

HOUR = dt.timedelta(hours=1)


@pytest.fixture
def actor(administrator):
    return factories.staff_actor(administrator)


@pytest.fixture
def recorded(session, actor):
    """`recorded()`: a breach that was detected two hours ago and is written down now."""

    def make(at=NOON, **changes):
        facts = {"detected_at": NOON - 2 * HOUR, "what": "Gửi nhầm danh sách."} | changes
        breach = breaches.record(session, actor, Facts(**facts), at=at)
        session.commit()
        return breach

    return make


def facts_of(breach, **changes) -> Facts:
    names = Facts.__dataclass_fields__
    return Facts(**{name: getattr(breach, name) for name in names} | changes)


def actions(session) -> list[str]:
    query = select(AuditEvent.action).where(AuditEvent.subject_type == "breach")
    return list(session.scalars(query.order_by(AuditEvent.id)))


def test_the_72_hours_run_from_the_detection(session, recorded, administrator):
    breach = recorded(detected_at=NOON - 30 * HOUR)

    assert breach.notify_due_at == NOON + 42 * HOUR
    assert (breach.recorded_at, breach.recorded_by) == (NOON, administrator.id)
    assert actions(session) == ["breach:record"]


@pytest.mark.parametrize(
    ("hours", "level"),
    [(0, "on_time"), (57, "on_time"), (58, "due_soon"), (72, "due_soon"), (73, "late")],
)
def test_the_countdown_is_that_of_every_deadline(recorded, hours, level):
    breach = recorded(detected_at=NOON)

    assert breaches.urgency(breach, at=NOON + hours * HOUR) == level


def test_what_nobody_has_judged_yet_runs_against_the_hours(session, recorded):
    recorded()
    recorded(notifiable=True)
    recorded(notifiable=False)

    assert breaches.overdue(session, at=NOON + 69 * HOUR) == 0
    assert breaches.overdue(session, at=NOON + 71 * HOUR) == 2


def test_who_was_told_stops_the_clock(session, actor, recorded):
    breach = recorded()

    breaches.notify(session, actor, breach.id, notified_at=None, version=1, at=NOON + HOUR)
    session.commit()

    assert (breach.notifiable, breach.notified_at) == (True, NOON + HOUR)
    assert breaches.urgency(breach, at=NOON + 99 * HOUR) == "stopped"
    assert breaches.overdue(session, at=NOON + 99 * HOUR) == 0
    assert actions(session) == ["breach:record", "breach:notify"]


@pytest.mark.parametrize("hours", [-3, 1])
def test_a_notice_comes_after_the_detection_and_not_in_the_future(session, actor, recorded, hours):
    breach = recorded()

    with pytest.raises(NoticeUnlikely):
        breaches.notify(
            session, actor, breach.id, notified_at=NOON + hours * HOUR, version=1, at=NOON
        )


@pytest.mark.parametrize(
    "changes",
    [
        {"detected_at": NOON + HOUR},
        {"detected_at": NOON - HOUR, "occurred_at": NOON},
    ],
)
def test_a_detection_that_cannot_be_is_refused(session, recorded, changes):
    with pytest.raises(DetectionUnlikely):
        recorded(**changes)

    assert session.scalars(select(Breach)).all() == []


def test_a_record_says_what_happened(recorded):
    with pytest.raises(WhatHappenedNeeded):
        recorded(what="")


def test_a_record_is_brought_up_to_date_and_the_record_names_the_fields(session, actor, recorded):
    breach = recorded()
    changed = facts_of(
        breach, people_count=12, detected_at=NOON - 3 * HOUR, contact="Bà Ma Thị Báo, 0208…"
    )

    breaches.edit(session, actor, breach.id, changed, version=1, at=NOON)
    session.commit()

    assert (breach.people_count, breach.version) == (12, 2)
    assert breach.notify_due_at == NOON + 69 * HOUR
    event = session.scalar(select(AuditEvent).where(AuditEvent.action == "breach:edit"))
    assert event.detail == {"fields": ["contact", "detected_at", "people_count"]}


def test_an_edit_of_what_somebody_changed_is_stale(session, actor, recorded):
    breach = recorded()
    breaches.edit(session, actor, breach.id, facts_of(breach, place="Sở"), version=1, at=NOON)
    session.commit()

    with pytest.raises(Stale):
        breaches.edit(session, actor, breach.id, facts_of(breach), version=1, at=NOON)


def test_what_was_told_cannot_be_made_untold(session, actor, recorded):
    breach = recorded()
    breaches.notify(session, actor, breach.id, notified_at=None, version=1, at=NOON)
    session.commit()

    with pytest.raises(NoticeGiven):
        breaches.edit(
            session, actor, breach.id, facts_of(breach, notifiable=False), version=2, at=NOON
        )
    later = facts_of(breach, notifiable=True, detected_at=NOON + 2 * HOUR)
    with pytest.raises(NoticeUnlikely):
        breaches.edit(session, actor, breach.id, later, version=2, at=NOON + 3 * HOUR)


@pytest.mark.parametrize("notifiable", [None, True])
def test_a_breach_is_not_closed_before_the_authority_was_told(session, actor, recorded, notifiable):
    breach = recorded(notifiable=notifiable)

    with pytest.raises(NoticeOutstanding):
        breaches.close(session, actor, breach.id, version=1, at=NOON)


def test_a_breach_that_need_not_be_told_is_closed(session, actor, recorded):
    breach = recorded(notifiable=False)

    breaches.close(session, actor, breach.id, version=1, at=NOON)
    session.commit()

    assert breach.closed_at == NOON
    assert breaches.running(session, actor) == []
    assert [each.id for each in breaches.closed(session, actor, before=None, limit=9)] == [
        breach.id
    ]
    assert actions(session) == ["breach:record", "breach:close"]


def test_a_closed_record_does_not_change(session, actor, recorded):
    breach = recorded(notifiable=False)
    breaches.close(session, actor, breach.id, version=1, at=NOON)
    session.commit()

    for work in (
        lambda: breaches.edit(session, actor, breach.id, facts_of(breach), version=2, at=NOON),
        lambda: breaches.notify(session, actor, breach.id, notified_at=None, version=2, at=NOON),
        lambda: breaches.close(session, actor, breach.id, version=2, at=NOON),
    ):
        with pytest.raises(BreachClosed):
            work()


def test_the_register_begins_with_the_next_deadline(session, actor, recorded):
    later = recorded(detected_at=NOON - HOUR)
    told = recorded(detected_at=NOON - 9 * HOUR)
    first = recorded(detected_at=NOON - 5 * HOUR)
    breaches.notify(session, actor, told.id, notified_at=None, version=1, at=NOON)
    session.commit()

    found = breaches.running(session, actor)

    assert [each.id for each in found] == [first.id, later.id, told.id]


def test_two_administrators_at_once_do_not_write_over_each_other(committed, at_once):
    with committed.sessions() as session:
        staff = [factories.a_staff(session, (("administrator", None),)) for _ in range(6)]
        facts = Facts(detected_at=NOON, what="Mất máy tính.")
        breach = breaches.record(session, factories.staff_actor(staff[0]), facts, at=NOON)
        session.commit()
    outcomes = []

    def write(number):
        actor = factories.staff_actor(staff[number])
        changed = Facts(detected_at=NOON, what=f"Mất máy tính số {number}.")
        try:
            with committed.transaction() as session:
                breaches.edit(session, actor, breach.id, changed, version=1, at=NOON)
            outcomes.append("won")
        except Stale:
            outcomes.append("stale")

    at_once(write, 6)

    assert sorted(outcomes) == ["stale"] * 5 + ["won"]


@pytest.mark.parametrize("role", ["dispatcher", "auditor", "leader", "alert_approver"])
def test_only_administrators_keep_the_register(session, recorded, role):
    breach = recorded()
    department = "so-y-te" if role == "leader" else None
    other = factories.staff_actor(factories.a_staff(session, ((role, department),)))
    facts = facts_of(breach)

    for ask in (
        lambda: breaches.running(session, other),
        lambda: breaches.closed(session, other, before=None, limit=1),
        lambda: breaches.read(session, other, breach.id),
        lambda: breaches.record(session, other, facts, at=NOON),
        lambda: breaches.edit(session, other, breach.id, facts, version=1, at=NOON),
        lambda: breaches.notify(session, other, breach.id, notified_at=None, version=1, at=NOON),
        lambda: breaches.close(session, other, breach.id, version=1, at=NOON),
    ):
        with pytest.raises(Forbidden):
            ask()
    assert actions(session) == ["breach:record"]


def test_a_breach_that_is_not_there_is_not_found(session, actor):
    with pytest.raises(BreachNotFound):
        breaches.read(session, actor, uuid.uuid4())
    with pytest.raises(BreachNotFound):
        breaches.close(session, actor, uuid.uuid4(), version=1, at=NOON)


def test_the_database_itself_holds_to_the_72_hours(session, recorded):
    breach = recorded()
    breach.notify_due_at += HOUR

    with pytest.raises(IntegrityError, match="ck_breaches_told_within_72_hours"):
        session.flush()


def test_monitoring_is_told_what_is_overdue(database, session, administrator):
    def figure():
        (family,) = (
            family
            for family in Queues(database).collect()
            if family.name == "breaches_unnotified_overdue"
        )
        return family.samples[0].value

    assert figure() == 0
    ago = dt.datetime.now(dt.UTC) - 73 * HOUR
    facts = Facts(detected_at=ago, what="Mất một ổ đĩa.")
    breaches.record(session, factories.staff_actor(administrator), facts, at=ago)
    session.commit()

    assert figure() == 1
