"""The register of breaches: what happened, and whether the authority was told in time.

Law 91/2025/QH15, article 23: whoever detects a breach tells the authority within 72 hours where it
may harm life, health, honour, dignity, property or public order, and keeps a written record in any
case. What is told stands in Decree 356/2025/NĐ-CP, article 28 and form 08; the columns follow it.
"""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session

from models import Breach
from services import audit, calendar, permissions
from services.errors import Conflict, Invalid, NotFound, Stale
from services.permissions import Actor, Duty

NOTIFY_WITHIN = dt.timedelta(hours=72)
# Somebody's watch may be a little ahead of ours.
CLOCKS_DIFFER = dt.timedelta(minutes=5)
OPEN_AT_MOST = 200


class BreachNotFound(NotFound):
    """There is no such breach in the register."""

    vi = "Không có vụ việc này trong sổ."


class BreachClosed(Conflict):
    """This breach is closed; its record does not change any more."""

    vi = "Vụ việc đã đóng nên hồ sơ không thay đổi được nữa."


class DetectionUnlikely(Invalid):
    """A breach is detected after it happened and not in the future."""

    vi = "Thời điểm phát hiện phải sau khi sự việc xảy ra và không ở tương lai."


class WhatHappenedNeeded(Invalid):
    """Say what happened."""

    vi = "Vui lòng ghi sự việc xảy ra."


class NoticeUnlikely(Invalid):
    """The authority is told after the detection and not in the future."""

    vi = "Thời điểm thông báo phải sau khi phát hiện và không ở tương lai."


class NoticeGiven(Conflict):
    """The authority was told of this breach, so it stays one to be told."""

    vi = "Đã thông báo cho cơ quan chuyên trách nên không đổi thành “không phải thông báo” được."


class NoticeOutstanding(Conflict):
    """A breach is closed once the authority was told, or need not be."""

    vi = "Chỉ đóng được khi đã thông báo cho cơ quan chuyên trách hoặc đã ghi là không phải báo."


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the register holds of a breach; what is not known yet is None."""

    detected_at: dt.datetime
    what: str
    occurred_at: dt.datetime | None = None
    place: str | None = None
    data_kinds: str | None = None
    people_count: int | None = None
    consequences: str | None = None
    measures: str | None = None
    contact: str | None = None
    notifiable: bool | None = None


def record(session: Session, actor: Actor, facts: Facts, *, at: dt.datetime) -> Breach:
    """Enter a breach; the 72 hours run from its detection, not from here.

    Raises:
        Forbidden, DetectionUnlikely, WhatHappenedNeeded
    """
    role = permissions.require(actor, Duty.KEEP_BREACHES)
    _check(facts, at)
    breach = Breach(
        **asdict(facts),
        recorded_at=at,
        recorded_by=actor.id,
        notify_due_at=facts.detected_at + NOTIFY_WITHIN,
        version=1,
        updated_at=at,
    )
    session.add(breach)
    session.flush()
    audit.record(
        session,
        audit.Deed.BREACH_RECORD,
        actor=actor,
        by=role,
        subject=("breach", breach.id),
        at=at,
    )
    return breach


def edit(
    session: Session,
    actor: Actor,
    breach_id: uuid.UUID,
    facts: Facts,
    *,
    version: int,
    at: dt.datetime,
) -> Breach:
    """Bring the record up to date, all of it.

    Raises:
        Forbidden, BreachNotFound, Stale, BreachClosed, DetectionUnlikely, WhatHappenedNeeded,
        NoticeUnlikely, NoticeGiven
    """
    breach = _locked(session, actor, breach_id, version)
    _check(facts, at)
    if breach.notified_at is not None:
        if not facts.notifiable:
            raise NoticeGiven
        if breach.notified_at < facts.detected_at:
            raise NoticeUnlikely
    told = asdict(facts)
    changed = sorted(name for name, value in told.items() if getattr(breach, name) != value)
    for name, value in told.items():
        setattr(breach, name, value)
    breach.notify_due_at = facts.detected_at + NOTIFY_WITHIN
    _touch(session, actor, breach, audit.Deed.BREACH_EDIT, at=at, fields=changed)
    return breach


def notify(
    session: Session,
    actor: Actor,
    breach_id: uuid.UUID,
    *,
    notified_at: dt.datetime | None,
    version: int,
    at: dt.datetime,
) -> Breach:
    """Write down that the authority was told, now unless another moment is given.

    Raises:
        Forbidden, BreachNotFound, Stale, BreachClosed, NoticeUnlikely
    """
    breach = _locked(session, actor, breach_id, version)
    moment = notified_at or at
    if not breach.detected_at <= moment <= at + CLOCKS_DIFFER:
        raise NoticeUnlikely
    breach.notifiable, breach.notified_at = True, moment
    _touch(session, actor, breach, audit.Deed.BREACH_NOTIFY, at=at)
    return breach


def close(
    session: Session, actor: Actor, breach_id: uuid.UUID, *, version: int, at: dt.datetime
) -> Breach:
    """Raises Forbidden, BreachNotFound, Stale, BreachClosed, NoticeOutstanding."""
    breach = _locked(session, actor, breach_id, version)
    if breach.notified_at is None and breach.notifiable is not False:
        raise NoticeOutstanding
    breach.closed_at = at
    _touch(session, actor, breach, audit.Deed.BREACH_CLOSE, at=at)
    return breach


def running(session: Session, actor: Actor) -> Sequence[Breach]:
    """Breaches that are not closed, the next deadline first.

    Raises:
        Forbidden
    """
    permissions.require(actor, Duty.KEEP_BREACHES)
    query = select(Breach).where(Breach.closed_at.is_(None))
    return session.scalars(
        query.order_by(~_unnotified(), Breach.notify_due_at, Breach.id).limit(OPEN_AT_MOST)
    ).all()


def closed(
    session: Session, actor: Actor, *, before: uuid.UUID | None, limit: int
) -> Sequence[Breach]:
    """Breaches that are closed, newest first.

    Raises:
        Forbidden
    """
    permissions.require(actor, Duty.KEEP_BREACHES)
    query = select(Breach).where(Breach.closed_at.is_not(None))
    if before is not None:
        query = query.where(Breach.id < before)
    return session.scalars(query.order_by(Breach.id.desc()).limit(limit)).all()


def read(session: Session, actor: Actor, breach_id: uuid.UUID) -> Breach:
    """Raises Forbidden, BreachNotFound."""
    permissions.require(actor, Duty.KEEP_BREACHES)
    breach = session.get(Breach, breach_id)
    if breach is None:
        raise BreachNotFound
    return breach


def urgency(breach: Breach, *, at: dt.datetime) -> str:
    """How the 72 hours stand: as services.calendar.urgency has it, or stopped."""
    if breach.closed_at or breach.notified_at or breach.notifiable is False:
        return "stopped"
    return calendar.urgency(breach.detected_at, breach.notify_due_at, at=at)


def overdue(session: Session, *, at: dt.datetime) -> int:
    """How many breaches the authority should have been told of by now; for monitoring."""
    query = select(func.count()).where(_unnotified(), Breach.notify_due_at < at)
    return session.scalar(query) or 0


def _unnotified() -> ColumnElement[bool]:
    """What runs against the 72 hours; what nobody has judged yet does."""
    return and_(
        Breach.closed_at.is_(None),
        Breach.notified_at.is_(None),
        Breach.notifiable.is_not(False),
    )


def _check(facts: Facts, at: dt.datetime) -> None:
    if not facts.what:
        raise WhatHappenedNeeded
    began = facts.occurred_at or facts.detected_at
    if not began <= facts.detected_at <= at + CLOCKS_DIFFER:
        raise DetectionUnlikely


def _locked(session: Session, actor: Actor, breach_id: uuid.UUID, version: int) -> Breach:
    permissions.require(actor, Duty.KEEP_BREACHES)
    breach = session.scalar(
        select(Breach)
        .where(Breach.id == breach_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if breach is None:
        raise BreachNotFound
    if breach.version != version:
        raise Stale
    if breach.closed_at is not None:
        raise BreachClosed
    return breach


def _touch(
    session: Session,
    actor: Actor,
    breach: Breach,
    deed: audit.Deed,
    *,
    at: dt.datetime,
    **detail: Any,
) -> None:
    breach.version += 1
    breach.updated_at = at
    audit.record(
        session,
        deed,
        actor=actor,
        by=permissions.require(actor, Duty.KEEP_BREACHES),
        subject=("breach", breach.id),
        at=at,
        **detail,
    )
