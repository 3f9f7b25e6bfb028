"""How long everything is kept, and the deleting of what has had its time.

models.personal names one of these policies for each column. Personal data are kept for no longer
than their purpose needs (Law 91/2025/QH15, article 3.3), and records of who looked at them for no
shorter than is asked for. A policy below its floor does not start.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Table,
    cast,
    delete,
    exists,
    func,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.orm import InstrumentedAttribute, Session

from models import (
    AdminSession,
    Child,
    ChildState,
    DataRequest,
    DataRequestState,
    Delivery,
    Device,
    DeviceSession,
    Export,
    IdempotencyKey,
    InboxMessage,
    RateLimit,
    RefreshToken,
    Report,
    ReporterPause,
    ReportEvent,
    ResumableUpload,
    Upload,
)
from models.base import Base
from models.feedback import OPEN_STATES
from services import audit, idempotency, notifications, uploads
from services.calendar import ZONE
from services.identity import admin
from services.privacy import export, guardians

# So many rows go in one transaction, so that nobody waits for long.
BATCH = 500
# No statement may run for long, so a first look after years does not count to the end.
LOOK_AT = 50_000
DAY = dt.timedelta(days=1)
HOUR = dt.timedelta(hours=1)
# So many days a relation to a child may wait for a check; the law has no number.
UNCHECKED = 90

Keys = Sequence[Any]
Conditions = Sequence[ColumnElement[bool]]


class TooShort(Exception):
    """A policy deletes earlier than may be; the message names it."""


def _delete(session: Session, table: Table, keys: Keys, _at: dt.datetime) -> None:
    primary = tuple_(*table.primary_key.columns)
    session.execute(delete(table).where(primary.in_([tuple(key) for key in keys])))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Rows of one table that go when they are `kept` longer than since `since`.

    `where` narrows them further; it is told the moment before which time is over, so that it can
    say the same of a column that has an index.
    """

    model: type[Base]
    kept: dt.timedelta
    since: ColumnElement[dt.datetime] | InstrumentedAttribute[dt.datetime]
    where: Callable[[dt.datetime], Conditions] = lambda _over: ()
    remove: Callable[[Session, Table, Keys, dt.datetime], None] = _delete

    @property
    def table(self) -> Table:
        return Base.metadata.tables[self.model.__tablename__]

    def due(self, at: dt.datetime) -> Conditions:
        over = at - self.kept
        return [self.since < over, *self.where(over)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How long one kind of thing is kept, in words and, where it has an end, as sweeps.

    `floor` is the shortest that may be; `hourly` is for what comes and goes by the thousands.
    """

    name: str
    what: str
    ends: str
    source: str
    floor: dt.timedelta | None = None
    sweeps: tuple[Sweep, ...] = ()
    hourly: bool = False

    def __post_init__(self) -> None:
        """Refuse what is too short."""
        if self.floor is not None and any(sweep.kept < self.floor for sweep in self.sweeps):
            raise TooShort(f"{self.name} must be kept for {self.floor.days} days at least")


@dataclass(frozen=True, slots=True)
class Finding:
    """How many rows of a sweep are due, and since when the oldest of them that were counted."""

    rows: int
    oldest: dt.datetime | None

    @property
    def is_whole(self) -> bool:
        return self.rows <= LOOK_AT


def look(session: Session, sweep: Sweep, *, at: dt.datetime) -> Finding:
    """What `carry_out` would find; changes nothing, and counts to LOOK_AT and one."""
    due = select(sweep.since.label("since")).select_from(sweep.table).where(*sweep.due(at))
    some = due.limit(LOOK_AT + 1).subquery()
    rows, oldest = session.execute(select(func.count(), func.min(some.c.since))).one()
    return Finding(rows, oldest)


def carry_out(session: Session, sweep: Sweep, *, at: dt.datetime) -> int:
    """End up to a batch of what is due, and return how many rows; less than BATCH is the end.

    What somebody else holds at this moment is left for the next time.
    """
    keys = session.execute(
        select(*sweep.table.primary_key.columns)
        .where(*sweep.due(at))
        .limit(BATCH)
        .with_for_update(skip_locked=True, of=sweep.table)
    ).all()
    if keys:
        sweep.remove(session, sweep.table, keys, at)
        session.expire_all()
    return len(keys)


def _ids(keys: Keys) -> list[Any]:
    return [key[0] for key in keys]


def _delete_tokens(session: Session, table: Table, keys: Keys, at: dt.datetime) -> None:
    """Links at the beginning of a chain; the one that comes after them begins it now."""
    session.execute(
        update(RefreshToken)
        .where(RefreshToken.predecessor_id.in_(_ids(keys)))
        .values(predecessor_id=None)
        .execution_options(synchronize_session=False)
    )
    _delete(session, table, keys, at)


def _delete_sessions(session: Session, table: Table, keys: Keys, at: dt.datetime) -> None:
    """Their tokens and devices went long ago, unless these sweeps failed."""
    for model in (RefreshToken, Device):
        which = Base.metadata.tables[model.__tablename__]
        session.execute(delete(which).where(which.c.session_id.in_(_ids(keys))))
    _delete(session, table, keys, at)


def _delete_messages(session: Session, table: Table, keys: Keys, at: dt.datetime) -> None:
    session.execute(
        delete(Delivery)
        .where(Delivery.message_id.in_(_ids(keys)))
        .execution_options(synchronize_session=False)
    )
    _delete(session, table, keys, at)


def _delete_with_files(session: Session, table: Table, keys: Keys, at: dt.datetime) -> None:
    uploads.discard(session, _ids(keys))
    _delete(session, table, keys, at)


def _remove_contact(session: Session, table: Table, keys: Keys, at: dt.datetime) -> None:
    """From the offices' sight, not from the citizen's own list."""
    query = update(table).where(table.c.id.in_(_ids(keys)))
    session.execute(query.values(contact_removed_at=at))


def _end_relations(why: str, **facts: str) -> Callable[[Session, Table, Keys, dt.datetime], None]:
    """End relations to children, destroy what was told, and tell the guardians why."""

    def end(session: Session, _table: Table, keys: Keys, at: dt.datetime) -> None:
        for child in session.scalars(select(Child).where(Child.id.in_(_ids(keys)))):
            guardians.end(session, child, audit.Deed.CHILD_END, actor=None, at=at, why=why)
            notifications.tell(
                session, child.guardian_id, why, subject=("child", child.id), at=at, **facts
            )

    return end


_SESSION_END = func.least(DeviceSession.revoked_at, DeviceSession.expires_at)
# Only a move has a state to go to; notes, ratings and corrections leave a report where it is.
_LAST_MOVE = (
    select(func.max(ReportEvent.at))
    .where(ReportEvent.report_id == Report.id, ReportEvent.to_state.is_not(None))
    .correlate(Report)
    .scalar_subquery()
)


def _ended_before(over: dt.datetime) -> ColumnElement[bool]:
    return or_(DeviceSession.revoked_at < over, DeviceSession.expires_at < over)


NEEDED = "Law 91/2025/QH15, article 3.3: no longer than the purpose needs"

# In this order: what refers to others goes before them.
POLICIES = (
    Policy(
        name="refresh_token",
        what="hashes of refresh tokens",
        ends="7 days after the token's end",
        # Until its end a token is what a thief is found out by (docs/adr/0001).
        source=NEEDED,
        sweeps=(
            Sweep(
                model=RefreshToken,
                kept=7 * DAY,
                since=RefreshToken.expires_at,
                remove=_delete_tokens,
            ),
        ),
    ),
    Policy(
        name="device",
        what="addresses of phones for pushes",
        ends="with the session, an hour later where it has to be told why it ended",
        source=NEEDED,
        hourly=True,
        sweeps=(
            Sweep(
                model=Device,
                kept=HOUR,
                since=select(_SESSION_END)
                .where(DeviceSession.id == Device.session_id)
                .correlate(Device)
                .scalar_subquery(),
                where=lambda over: [
                    Device.session_id.in_(select(DeviceSession.id).where(_ended_before(over)))
                ],
            ),
        ),
    ),
    Policy(
        name="session",
        what="sign-ins on devices, with model and version of the app",
        ends="90 days after the session's end",
        source=NEEDED,
        sweeps=(
            Sweep(
                model=DeviceSession,
                kept=90 * DAY,
                since=_SESSION_END,
                where=lambda over: [_ended_before(over)],
                remove=_delete_sessions,
            ),
        ),
    ),
    Policy(
        name="admin_session",
        what="sign-ins to the staff view",
        ends="90 days after the session's end",
        source=NEEDED,
        sweeps=(
            Sweep(
                model=AdminSession,
                kept=90 * DAY,
                since=func.least(
                    AdminSession.ended_at,
                    AdminSession.created_at + admin.ABSOLUTE,
                    AdminSession.last_seen_at + admin.IDLE,
                ),
            ),
        ),
    ),
    Policy(
        name="message",
        what="messages in the inbox, and what became of their pushes",
        ends="365 days after it came, 730 where nobody read it",
        source=NEEDED,
        sweeps=(
            Sweep(
                model=InboxMessage,
                kept=365 * DAY,
                since=InboxMessage.created_at,
                where=lambda _over: [InboxMessage.read_at.is_not(None)],
                remove=_delete_messages,
            ),
            Sweep(
                model=InboxMessage,
                kept=730 * DAY,
                since=InboxMessage.created_at,
                where=lambda _over: [InboxMessage.read_at.is_(None)],
                remove=_delete_messages,
            ),
        ),
    ),
    Policy(
        name="export",
        what="copies of all that is held about somebody",
        ends="7 days after it was ready",
        source=NEEDED,
        sweeps=(
            Sweep(
                model=Export,
                kept=export.KEPT,
                since=func.coalesce(Export.ready_at, Export.asked_at),
                remove=_delete_with_files,
            ),
        ),
    ),
    Policy(
        name="unused_photo",
        what="photos that no report took, and pieces of photos",
        ends="1 day after it, or its last piece, came",
        source=NEEDED,
        hourly=True,
        sweeps=(
            Sweep(
                model=Upload,
                kept=DAY,
                since=Upload.created_at,
                where=lambda _over: [Upload.report_id.is_(None)],
                remove=_delete_with_files,
            ),
            Sweep(
                model=ResumableUpload,
                kept=0 * DAY,
                since=ResumableUpload.expires_at,
            ),
        ),
    ),
    Policy(
        name="idempotency_key",
        what="keys of repeated requests",
        ends="1 day after the request; of reports never, since drafts are sent late",
        source=NEEDED,
        hourly=True,
        sweeps=(
            Sweep(
                model=IdempotencyKey,
                kept=idempotency.KEPT,
                since=IdempotencyKey.created_at,
                where=lambda _over: [IdempotencyKey.operation.not_in(idempotency.FOR_GOOD)],
            ),
        ),
    ),
    Policy(
        name="rate_limit",
        what="counts of what somebody did lately, some by network address",
        ends="with the window that is counted",
        source=NEEDED,
        hourly=True,
        sweeps=(Sweep(model=RateLimit, kept=0 * DAY, since=RateLimit.window_ends_at),),
    ),
    Policy(
        name="report_contact",
        what="who sent a report, as the offices see it",
        ends="365 days after the report came to its end",
        source=NEEDED,
        sweeps=(
            Sweep(
                model=Report,
                kept=365 * DAY,
                since=_LAST_MOVE,
                where=lambda over: [
                    Report.created_at < over,
                    Report.contact_removed_at.is_(None),
                    Report.reporter_id.is_not(None),
                    Report.state.not_in(OPEN_STATES),
                ],
                remove=_remove_contact,
            ),
        ),
    ),
    Policy(
        name="reporter_block",
        what="pauses of people who misused reports, and why",
        ends="365 days after the pause ended",
        source=NEEDED,
        sweeps=(
            Sweep(
                model=ReporterPause,
                kept=365 * DAY,
                since=func.least(ReporterPause.until, ReporterPause.lifted_at),
            ),
        ),
    ),
    Policy(
        name="data_request",
        what="what somebody asked for under the law, and the answers",
        ends="730 days after it was refused or done",
        source=NEEDED,
        sweeps=(
            Sweep(
                model=DataRequest,
                kept=730 * DAY,
                since=DataRequest.updated_at,
                where=lambda _over: [
                    DataRequest.state.in_([DataRequestState.REFUSED, DataRequestState.DONE])
                ],
            ),
        ),
    ),
    Policy(
        name="child",
        what="children whom somebody named, and the relations to them",
        ends="what was told with the month of the sixteenth birthday, or after 90 days without a "
        "check; the rest 730 days after the refusal or the end",
        source=NEEDED,
        sweeps=(
            Sweep(
                model=Child,
                kept=0 * DAY,
                since=func.timezone(ZONE.key, cast(Child.ends_on, DateTime)),
                where=lambda _over: [Child.state.in_(guardians.OPEN_STATES)],
                remove=_end_relations("child_grew_up"),
            ),
            Sweep(
                model=Child,
                kept=UNCHECKED * DAY,
                since=Child.created_at,
                where=lambda _over: [Child.state == ChildState.PENDING],
                remove=_end_relations("child_lapsed", days=str(UNCHECKED)),
            ),
            Sweep(
                model=Child,
                kept=730 * DAY,
                since=func.coalesce(Child.ended_at, Child.decided_at),
                where=lambda _over: [
                    Child.state.in_([ChildState.REFUSED, ChildState.ENDED]),
                    ~exists().where(DataRequest.child_id == Child.id),
                ],
            ),
        ),
    ),
    Policy(
        name="consent",
        what="what somebody agreed to, and when they took it back",
        ends="never; it names an opaque id only",
        source="Law 91/2025/QH15, article 9: consent has to be provable",
    ),
    Policy(
        name="breach",
        what="the register of breaches",
        ends="never",
        source="Law 91/2025/QH15, article 23.2: a written record is kept",
    ),
    Policy(
        name="report",
        what="reports with their history and photos",
        ends="never; without their author once that is erased",
        source="the record of what the offices did",
    ),
    Policy(
        name="account",
        what="citizens",
        ends="7 days after they ask for it; an empty row stays",
        source="Law 91/2025/QH15, article 4.1",
    ),
    Policy(
        name="staff",
        what="members of staff and their roles",
        ends="when the office removes them",
        source="the office's own records",
    ),
    Policy(
        name="audit",
        what="who did what, and who looked at whom; opaque ids only",
        ends="never",
        source="logs of state systems are to be kept for 12 months at least",
        floor=365 * DAY,
    ),
    Policy(
        name="reference",
        what="places, categories, departments",
        ends="never; nothing about anybody",
        source="",
    ),
)
HOURLY = tuple(policy for policy in POLICIES if policy.hourly)
