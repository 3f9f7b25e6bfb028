"""Erasing a person who asked for it: after a week, in one transaction, and never half.

models.personal says what becomes of each table's rows. The citizen's own row stays, empty, so that
what refers to it holds. Reports stay without their author, and audit events as they are, since they
hold opaque ids only.
"""

import datetime as dt
import uuid
from typing import Any

from sqlalchemy import (
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    cast,
    delete,
    func,
    literal,
    null,
    select,
    update,
)
from sqlalchemy.orm import Session

from models import Base, Citizen, Export, Upload
from models.personal import TABLES
from services import audit, calendar, identity, notifications, uploads
from services.audit import Deed
from services.permissions import Actor, Grant
from services.privacy.whose import rows_of
from services.tokens import TokenInvalid

GRACE = dt.timedelta(days=7)
# An access token is refused everywhere within seconds of its session's end, not at once: what a
# request that was let in before has written since goes by a second run, after any of them ended.
AGAIN_AFTER = dt.timedelta(minutes=15)
# The job comes every five minutes.
OVERDUE_AFTER = dt.timedelta(hours=1)


def ask(session: Session, actor: Actor, *, at: dt.datetime) -> dt.datetime:
    """Have the citizen erased after the grace, and return when; asking again changes nothing.

    Raises:
        TokenInvalid: the citizen is erased already.
    """
    return ask_for(session, actor.id, actor=actor, at=at)


def ask_for(
    session: Session,
    citizen_id: uuid.UUID,
    *,
    actor: Actor,
    at: dt.datetime,
    by: Grant | None = None,
) -> dt.datetime:
    """Do as `ask` does, for a citizen who asked an administrator, who has the role `by`.

    Raises:
        TokenInvalid: the citizen is erased already.
    """
    citizen = _living(session, citizen_id)
    if citizen.deletion_due_at is None:
        due_at = citizen.deletion_due_at = at + GRACE
        deed = Deed.CITIZEN_ASK_DELETION
        audit.record(session, deed, actor=actor, by=by, subject=("citizen", citizen.id), at=at)
        _tell(session, citizen, "account_deletion_asked", due_at, at=at)
    return citizen.deletion_due_at


def undo(session: Session, actor: Actor, *, at: dt.datetime) -> None:
    """Take back what was asked, if anything was.

    Raises:
        TokenInvalid: it is too late, the citizen is erased.
    """
    citizen = _living(session, actor.id)
    due_at = citizen.deletion_due_at
    if due_at is not None:
        citizen.deletion_due_at = None
        deed = Deed.CITIZEN_UNDO_DELETION
        audit.record(session, deed, actor=actor, subject=("citizen", citizen.id), at=at)
        _tell(session, citizen, "account_deletion_undone", due_at, at=at)


def due(session: Session, *, at: dt.datetime) -> list[uuid.UUID]:
    """Everybody whom `erase` has work with, in the order in which they are to have their turn.

    Who is overdue failed before, so they come after the others.
    """
    query = select(Citizen.id).where(Citizen.deletion_due_at <= at)
    is_overdue = Citizen.deletion_due_at < at - OVERDUE_AFTER
    return list(session.scalars(query.order_by(is_overdue, Citizen.deletion_due_at, Citizen.id)))


def overdue(session: Session, *, at: dt.datetime) -> int:
    """How many people should have been erased by now; for monitoring."""
    query = select(func.count()).where(Citizen.deletion_due_at < at - OVERDUE_AFTER)
    return session.scalar(query) or 0


def erase(session: Session, citizen_id: uuid.UUID, *, at: dt.datetime) -> bool:
    """Erase a citizen whose time has come, and say whether there was anything to do.

    Files go after the commit, by jobs that this transaction asks for.
    """
    citizen = session.scalar(
        select(Citizen)
        .where(Citizen.id == citizen_id, Citizen.deletion_due_at <= at)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    if citizen is None:
        return False
    is_first_run = citizen.erased_at is None
    # First, and in the order in which signing in and refreshing take their locks.
    identity.shut_out(session, citizen_id, "erased", by=None, at=at)
    _discard_files(session, citizen_id)
    # What refers to others comes before them, so that each row is still found by its way.
    for table in reversed(Base.metadata.sorted_tables):
        _treat(session, table, citizen_id)
    session.expire(citizen)
    if is_first_run:
        citizen.erased_at, citizen.deletion_due_at = at, at + AGAIN_AFTER
        audit.record(
            session,
            Deed.CITIZEN_ERASE,
            actor=None,
            subject=("citizen", citizen_id),
            at=at,
        )
    else:
        citizen.deletion_due_at = None
    session.flush()
    session.expire_all()
    return True


def _living(session: Session, citizen_id: uuid.UUID) -> Citizen:
    """The citizen's row, locked, so that asking, undoing and erasing take turns."""
    citizen = session.scalars(
        select(Citizen).where(Citizen.id == citizen_id).with_for_update(key_share=True)
    ).one()
    if citizen.erased_at is not None:
        raise TokenInvalid
    return citizen


def _tell(
    session: Session, citizen: Citizen, kind: str, due_at: dt.datetime, *, at: dt.datetime
) -> None:
    notifications.tell(
        session,
        citizen.id,
        kind,
        subject=("citizen", citizen.id),
        at=at,
        due=calendar.local_time(due_at),
    )


def _discard_files(session: Session, citizen_id: uuid.UUID) -> None:
    unused = session.scalars(
        delete(Upload)
        .where(Upload.owner_id == citizen_id, Upload.report_id.is_(None))
        .returning(Upload.id)
    ).all()
    exports = session.scalars(select(Export.id).where(Export.citizen_id == citizen_id)).all()
    uploads.discard(session, [*unused, *exports])


def _treat(session: Session, table: Table, citizen_id: uuid.UUID) -> None:
    entry = TABLES[table.name]
    if entry.erased == "kept":
        return
    theirs = rows_of(table, citizen_id)
    if entry.erased == "deleted":
        session.execute(delete(table).where(theirs))
    elif entry.erased == "stripped":
        values = {name: _nothing(table, name) for name in entry.personal}
        session.execute(update(table).where(theirs).values(values))
    else:
        column = table.c[entry.erased.split()[1]]
        values = {column.name: null()}
        session.execute(update(table).where(theirs, column == citizen_id).values(values))


def _nothing(table: Table, name: str) -> Any:
    """What a column holds of somebody who is nobody any more."""
    column = table.c[name]
    if column.nullable:
        return null()
    if isinstance(column.type, LargeBinary):
        return literal(b"")
    is_unique = any(
        column.name in constraint.columns
        for constraint in table.constraints
        if isinstance(constraint, UniqueConstraint)
    )
    return cast(table.c.id, Text) if is_unique else literal("")
