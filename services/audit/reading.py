"""Reading the record: the citizen their own, the auditor all of it."""

import datetime as dt
import functools
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    func,
    literal_column,
    select,
    true,
)
from sqlalchemy.orm import Session, aliased

from models import (
    AuditCheckpoint,
    AuditEvent,
    AuditLink,
    Citizen,
    Department,
    DeviceSession,
    Report,
    Staff,
)
from models.base import fetch
from services import permissions
from services.audit import chain, checkpoints
from services.audit.deeds import SUBJECTS, Deed, Purpose, title
from services.audit.recording import record
from services.errors import Forbidden
from services.permissions import Actor, ActorKind, Duty

# Who is somebody else to a citizen; what they do themselves is no look at their data.
OTHERS = ("staff", "facility")
_ORGANISATION = func.coalesce(Department.name, AuditEvent.organisation).label("organisation_name")


class NotAnAuditor(Forbidden):
    """Only auditors may read the audit log."""

    vi = "Chỉ người kiểm tra nhật ký được đọc nhật ký."


class Entry(NamedTuple):
    """One deed with a citizen's personal data, as that citizen reads it.

    There is no name of a member of staff in it: the authority answers to the citizen, by the role
    and the organisation; the person answers to the authority, whose auditor finds them by `id`.
    """

    id: uuid.UUID
    at: dt.datetime
    action: str
    title: str
    role: str | None
    organisation_code: str | None
    organisation_name: str | None
    purpose: str | None
    what: list[str]
    request_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What an auditor looks for; what is empty does not narrow. `until` is not included.

    `looks` leaves only what was done with a citizen's personal data: who saw whom.
    """

    action: Deed | None = None
    actor: uuid.UUID | None = None
    about: uuid.UUID | None = None
    subject: uuid.UUID | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    looks: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """How far the chain has come.

    `unchained_since` and `unsigned_since` are the times of the oldest event that is not chained,
    or not under a checkpoint; None when there is none.
    """

    chained: int
    chained_at: dt.datetime | None
    checkpoint: AuditCheckpoint | None
    unchained_since: dt.datetime | None
    unsigned_since: dt.datetime | None


def access_log(
    connection: Connection, actor: Actor, *, locale: str, before: uuid.UUID | None, limit: int
) -> list[Entry]:
    """What others did with the citizen's personal data, newest first, older than `before`."""
    given = {"before": before} if before else {}
    rows = fetch(connection, _page(tuple(given), limit), {"citizen": actor.id, **given})
    return [_entry(row, locale) for row in rows]


@functools.cache
def _page(narrowed_by: tuple[str, ...], limit: int) -> Select[*tuple[Any, ...]]:
    """The statement of an access log, kept for the reasons that services.feedback.lists gives."""
    query = (
        select(
            AuditEvent.id,
            AuditEvent.at,
            AuditEvent.action,
            AuditEvent.role,
            AuditEvent.organisation,
            _ORGANISATION,
            AuditEvent.purpose,
            AuditEvent.detail,
            AuditEvent.request_id,
        )
        .outerjoin(Department, Department.code == AuditEvent.organisation)
        .where(AuditEvent.about_id == bindparam("citizen"), AuditEvent.actor_kind.in_(OTHERS))
    )
    if narrowed_by:
        query = query.where(AuditEvent.id < bindparam("before"))
    return query.order_by(AuditEvent.id.desc()).limit(literal_column(str(limit)))


def _entry(row: Any, locale: str) -> Entry:
    return Entry(
        id=row.id,
        at=row.at,
        action=row.action,
        title=title(row.action, locale),
        role=row.role,
        organisation_code=row.organisation,
        organisation_name=row.organisation_name,
        purpose=row.purpose,
        what=row.detail.get("fields", []),
        request_id=row.request_id,
    )


def search(
    session: Session,
    actor: Actor,
    wanted: Search,
    *,
    before: uuid.UUID | None,
    limit: int,
    at: dt.datetime,
) -> Sequence[Row[Any]]:
    """Events, newest first, with the names of staff and the places in the chain.

    The search itself is recorded, once: its further pages are the same search. Where it is about
    one citizen, they find it in their own log.

    Raises:
        NotAnAuditor
    """
    role = permissions.may(actor, Duty.READ_AUDIT)
    if role is None:
        raise NotAnAuditor
    query = _found().where(*_matching(wanted))
    if before is not None:
        query = query.where(AuditEvent.id < before)
    found = session.execute(query.order_by(AuditEvent.id.desc()).limit(limit)).all()
    if before is None:
        about = _whose(session, wanted)
        record(
            session,
            Deed.AUDIT_SEARCH,
            actor=actor,
            by=role,
            subject=("audit", None),
            about=about,
            purpose=Purpose.OVERSIGHT,
            at=at,
            fields=["access_log"] if about else [],
            filters={name: value for name, value in asdict(wanted).items() if value},
        )
    return found


def _whose(session: Session, wanted: Search) -> uuid.UUID | None:
    """The one citizen whose trail this search shows, by whatever it names them."""
    if wanted.about is not None:
        return wanted.about
    ways: tuple[tuple[uuid.UUID | None, Select[Any]], ...] = (
        (wanted.actor, select(Citizen.id).where(Citizen.id == wanted.actor)),
        (wanted.subject, select(Citizen.id).where(Citizen.id == wanted.subject)),
        (
            wanted.subject,
            select(DeviceSession.citizen_id).where(DeviceSession.id == wanted.subject),
        ),
        (wanted.subject, select(Report.reporter_id).where(Report.id == wanted.subject)),
    )
    found = (session.scalar(query) for named, query in ways if named is not None)
    return next((citizen for citizen in found if citizen is not None), None)


def standing(session: Session) -> Standing:
    """How far the chain and its checkpoints have come."""
    head = chain.head(session)
    checkpoint = next(iter(checkpoints.latest_checkpoints(session, 1)), None)
    unchained_since = session.scalar(
        select(AuditEvent.at)
        .where(chain.after(head.xid, head.event_id) if head else true())
        .order_by(AuditEvent.xid, AuditEvent.id)
        .limit(1)
    )
    unsigned = (checkpoint.position if checkpoint else 0) + 1
    return Standing(
        chained=head.position if head else 0,
        chained_at=_time_of(session, head.position) if head else None,
        checkpoint=checkpoint,
        unchained_since=unchained_since,
        unsigned_since=_time_of(session, unsigned) or unchained_since,
    )


def last_verification(session: Session) -> AuditEvent | None:
    """The record of the last run of verify-audit."""
    return session.scalar(
        select(AuditEvent)
        .where(AuditEvent.action == Deed.AUDIT_VERIFY)
        .order_by(AuditEvent.id.desc())
        .limit(1)
    )


def _time_of(session: Session, position: int) -> dt.datetime | None:
    return session.scalar(
        select(AuditEvent.at)
        .join(AuditLink, AuditLink.event_id == AuditEvent.id)
        .where(AuditLink.position == position)
    )


def _found() -> Select[*tuple[Any, ...]]:
    subject = aliased(Staff)
    return (
        select(
            chain.EVENTS,
            AuditEvent.organisation.label("organisation_code"),
            _ORGANISATION,
            Staff.name.label("actor_name"),
            subject.name.label("subject_name"),
            AuditLink.position,
        )
        .outerjoin(Department, Department.code == AuditEvent.organisation)
        .outerjoin(
            Staff,
            and_(AuditEvent.actor_kind == ActorKind.STAFF.value, Staff.id == AuditEvent.actor_id),
        )
        .outerjoin(
            subject, and_(AuditEvent.subject_type == "staff", subject.id == AuditEvent.subject_id)
        )
        .outerjoin(AuditLink, AuditLink.event_id == AuditEvent.id)
    )


def _matching(wanted: Search) -> list[ColumnElement[bool]]:
    exact = {
        AuditEvent.action: wanted.action,
        AuditEvent.actor_id: wanted.actor,
        AuditEvent.about_id: wanted.about,
        AuditEvent.subject_id: wanted.subject,
    }
    conditions = [column == value for column, value in exact.items() if value]
    if wanted.subject:
        # The index begins with the type, and there are few of them.
        conditions.append(AuditEvent.subject_type.in_(SUBJECTS))
    if wanted.since:
        conditions.append(AuditEvent.at >= wanted.since)
    if wanted.until:
        conditions.append(AuditEvent.at < wanted.until)
    if wanted.looks:
        conditions.append(AuditEvent.about_id.is_not(None))
    return conditions
