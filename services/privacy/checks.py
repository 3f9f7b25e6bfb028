"""Checking guardians: what an administrator looks at, and how they decide."""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from models import Child, ChildState, Citizen
from services import audit, notifications, permissions
from services.errors import Conflict, Invalid, NotFound, Stale
from services.permissions import Actor, Duty
from services.privacy.guardians import birth_date, is_still_child
from services.text import tidy
from services.vault import Vault

AT_ONCE = 100


class RelationNotFound(NotFound):
    """There is no such relation."""

    vi = "Không có quan hệ giám hộ này."


class RelationDecided(Conflict):
    """This relation is not pending any more."""

    vi = "Quan hệ này không còn chờ kiểm tra."


class ChildGrewUp(Conflict):
    """The child has turned 16 meanwhile."""

    vi = "Trẻ đã đủ 16 tuổi nên không xác nhận được nữa."


class RefusalNeedsReason(Invalid):
    """A refusal needs a reason, which the guardian reads."""

    vi = "Từ chối phải kèm lý do; người khai sẽ đọc được."


@dataclass(frozen=True, slots=True)
class Look:
    """What an administrator needs to check a relation; None where it is not known any more."""

    child_name: str | None
    child_number: str | None
    child_birth_date: dt.date | None
    guardian_name: str
    guardian_number: str | None


def pending(session: Session, actor: Actor, *, limit: int = AT_ONCE) -> Sequence[Child]:
    """Relations to be checked, those that wait longest first; without what was told.

    Raises:
        Forbidden
    """
    permissions.require(actor, Duty.CHECK_GUARDIANS)
    query = select(Child).where(Child.state == ChildState.PENDING).order_by(Child.id).limit(limit)
    return session.scalars(query).all()


def read(session: Session, actor: Actor, child_id: uuid.UUID) -> Child:
    """Raises Forbidden, RelationNotFound."""
    permissions.require(actor, Duty.CHECK_GUARDIANS)
    child = session.get(Child, child_id)
    if child is None:
        raise RelationNotFound
    return child


def look(
    session: Session, actor: Actor, child_id: uuid.UUID, *, vault: Vault, at: dt.datetime
) -> Look:
    """What was told of the child, and by whom; each look is recorded in the same transaction.

    Raises:
        Forbidden, RelationNotFound
    """
    child = read(session, actor, child_id)
    guardian = session.get_one(Citizen, child.guardian_id)
    audit.record(
        session,
        audit.Deed.CHILD_READ,
        actor=actor,
        by=permissions.require(actor, Duty.CHECK_GUARDIANS),
        subject=("child", child.id),
        about=guardian.id,
        purpose=audit.Purpose.GUARDIAN_CHECK,
        at=at,
        fields=["name", "citizen_number", "child"],
    )
    return Look(
        child_name=vault.read(child, "name"),
        child_number=vault.read(child, "number"),
        child_birth_date=birth_date(child, vault),
        guardian_name=guardian.name,
        guardian_number=vault.read(guardian, "number"),
    )


def confirm(
    session: Session,
    actor: Actor,
    child_id: uuid.UUID,
    *,
    version: int,
    vault: Vault,
    at: dt.datetime,
) -> Child:
    """Let the guardian act for the child, and tell them.

    Raises:
        Forbidden, RelationNotFound, OwnCase, Stale, RelationDecided, ChildGrewUp
    """
    child = _pending(session, actor, child_id, version)
    if not is_still_child(child, vault, at):
        raise ChildGrewUp
    _decide(session, actor, child, ChildState.CONFIRMED, at=at)
    _tell(session, child, "child_confirmed", at=at)
    return child


def refuse(
    session: Session,
    actor: Actor,
    child_id: uuid.UUID,
    *,
    reason: str | None,
    version: int,
    at: dt.datetime,
) -> Child:
    """Refuse a relation, tell the guardian why, and keep of the child the name alone.

    Raises:
        Forbidden, RelationNotFound, OwnCase, Stale, RelationDecided, RefusalNeedsReason
    """
    child = _pending(session, actor, child_id, version)
    words = tidy(reason or "")
    if not words:
        raise RefusalNeedsReason
    child.refusal = words
    child.number_index = child.number_sealed = child.birth_date_sealed = child.ends_on = None
    _decide(session, actor, child, ChildState.REFUSED, at=at)
    _tell(session, child, "child_refused", at=at, text=words)
    return child


def _pending(session: Session, actor: Actor, child_id: uuid.UUID, version: int) -> Child:
    """The relation, locked, if this administrator may decide on it as they saw it."""
    permissions.require(actor, Duty.CHECK_GUARDIANS)
    child = session.scalar(
        select(Child)
        .where(Child.id == child_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if child is None:
        raise RelationNotFound
    permissions.refuse_own(actor, child.guardian_id)
    if child.version != version:
        raise Stale
    if child.state is not ChildState.PENDING:
        raise RelationDecided
    return child


def _decide(
    session: Session, actor: Actor, child: Child, state: ChildState, *, at: dt.datetime
) -> None:
    child.state, child.decided_at, child.decided_by = state, at, actor.id
    child.version += 1
    confirmed = state is ChildState.CONFIRMED
    audit.record(
        session,
        audit.Deed.CHILD_CONFIRM if confirmed else audit.Deed.CHILD_REFUSE,
        actor=actor,
        by=permissions.require(actor, Duty.CHECK_GUARDIANS),
        subject=("child", child.id),
        about=child.guardian_id,
        purpose=audit.Purpose.GUARDIAN_CHECK,
        at=at,
    )


def _tell(session: Session, child: Child, kind: str, *, at: dt.datetime, **facts: str) -> None:
    notifications.tell(
        session, child.guardian_id, kind, subject=("child", child.id), at=at, **facts
    )
