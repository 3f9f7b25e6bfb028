"""Guardians: who may act for a child under 16, once an administrator has checked the relation.

A child is somebody under 16 (Children Law 102/2016/QH13, article 1), and the legal representative
acts for them (Law 91/2025/QH15, article 24). The relation ends by itself on the sixteenth birthday,
which is computed at each use; when its month is over, services.privacy.retention destroys what was
told. Nobody is told whether a number is known here: it is compared with the guardian's own and with
those that they named themselves, with no others.
"""

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from models import Child, ChildState, Citizen, Relation
from models.base import new_id
from services import audit, keyring, limits
from services.calendar import ZONE
from services.errors import Conflict, Forbidden, Invalid, NotFound
from services.permissions import LEVEL_2, Actor, Grant
from services.text import masked_number, tidy
from services.vault import Vault

OF_AGE = 16
AT_MOST = 10
A_DAY = 20
SHOWN = 100
OPEN_STATES = (ChildState.PENDING, ChildState.CONFIRMED)
SEALED = ("name", "number", "birth_date")


class ChildNotFound(NotFound):
    """There is no such child among those you named."""

    vi = "Không có trẻ này trong danh sách bạn đã khai."


class LevelTooLow(Forbidden):
    """Only who signed in with a chip-verified identity (level 2) may name a child."""

    vi = "Chỉ người đăng nhập ở mức 2 (đã xác thực bằng thẻ căn cước) mới được khai trẻ."


class NotAChild(Invalid):
    """birth_date must be that of somebody under 16, and not in the future."""

    vi = "birth_date phải là ngày sinh của người dưới 16 tuổi và không ở tương lai."


class ChildNameBlank(Invalid):
    """The name says nothing."""

    vi = "Họ tên đang để trống."


class OwnNumber(Invalid):
    """This is your own citizen number."""

    vi = "Đây là số định danh của chính bạn."


class AlreadyNamed(Conflict):
    """You have named this child already."""

    vi = "Bạn đã khai trẻ này."


class TooManyChildren(Conflict):
    """At most {limit} children can be named at a time."""

    vi = "Chỉ khai được tối đa {limit} trẻ cùng lúc."


@dataclass(frozen=True, slots=True)
class Claim:
    """A child as the guardian names them."""

    full_name: str
    citizen_number: str
    birth_date: dt.date
    relation: Relation


@dataclass(frozen=True, slots=True)
class Named:
    """A child as the guardian sees them; what a relation does not keep any more is None.

    Below level 2 the dates are None too.

    `ends_on` is the sixteenth birthday, from which on nobody acts for the child.
    """

    id: uuid.UUID
    full_name: str | None
    citizen_number: str | None
    birth_date: dt.date | None
    relation: Relation
    state: ChildState
    acts: bool
    ends_on: dt.date | None
    refusal: str | None
    created_at: dt.datetime
    decided_at: dt.datetime | None


def claim(session: Session, actor: Actor, told: Claim, *, vault: Vault, at: dt.datetime) -> Named:
    """Name a child; nobody acts for them until an administrator has confirmed the relation.

    Raises:
        LevelTooLow, ChildNameBlank, NotAChild, OwnNumber, AlreadyNamed, TooManyChildren,
        limits.RateLimited, KeysUnfit
    """
    if actor.acr != LEVEL_2:
        raise LevelTooLow
    limits.take(session, f"child:{actor.id}", limit=A_DAY, window=dt.timedelta(days=1), at=at)
    name = tidy(told.full_name)
    if not name:
        raise ChildNameBlank
    if told.birth_date > _today(at) or not is_child(told.birth_date, at=at):
        raise NotAChild
    indexes = vault.indexes(told.citizen_number)
    guardian = session.scalars(
        select(Citizen).where(Citizen.id == actor.id).with_for_update(key_share=True)
    ).one()
    if guardian.number_index in indexes:
        raise OwnNumber
    named = session.scalars(
        select(Child).where(Child.guardian_id == actor.id, Child.state.in_(OPEN_STATES))
    ).all()
    if any(child.number_index in indexes for child in named):
        raise AlreadyNamed
    if sum(is_still_child(child, vault, at) for child in named) >= AT_MOST:
        raise TooManyChildren(limit=AT_MOST)
    child = Child(
        id=new_id(),
        guardian_id=actor.id,
        relation=told.relation,
        state=ChildState.PENDING,
        version=1,
        created_at=at,
        ends_on=_month_after(_sixteenth_birthday(told.birth_date)),
    )
    keyring.provide(session, child, vault=vault)
    vault.write(child, "name", name)
    vault.write_number(child, told.citizen_number)
    vault.write(child, "birth_date", told.birth_date.isoformat())
    session.add(child)
    session.flush()
    audit.record(
        session,
        audit.Deed.CHILD_NAME,
        actor=actor,
        subject=("child", child.id),
        at=at,
        relation=told.relation.value,
    )
    return _named(child, actor, vault, at)


def mine(session: Session, actor: Actor, *, vault: Vault, at: dt.datetime) -> list[Named]:
    """The children that a citizen named and did not take back, newest first."""
    query = (
        select(Child)
        .where(Child.guardian_id == actor.id, Child.state != ChildState.ENDED)
        .order_by(Child.id.desc())
        .limit(SHOWN)
    )
    return [_named(child, actor, vault, at) for child in session.scalars(query)]


def own(
    session: Session, actor: Actor, child_id: uuid.UUID, *, vault: Vault, at: dt.datetime
) -> Named:
    """Raises ChildNotFound."""
    child = session.get(Child, child_id)
    if child is None or child.guardian_id != actor.id:
        raise ChildNotFound
    return _named(child, actor, vault, at)


def release(session: Session, actor: Actor, child_id: uuid.UUID, *, at: dt.datetime) -> None:
    """End a relation from the guardian's side and destroy what was told; repeatable.

    Raises:
        ChildNotFound: also for somebody else's.
    """
    child = session.scalar(
        select(Child).where(Child.id == child_id, Child.guardian_id == actor.id).with_for_update()
    )
    if child is None:
        raise ChildNotFound
    if child.state is ChildState.ENDED:
        return
    end(session, child, audit.Deed.CHILD_RELEASE, actor=actor, at=at)


def end(
    session: Session,
    child: Child,
    deed: audit.Deed,
    *,
    actor: Actor | None,
    at: dt.datetime,
    by: Grant | None = None,
    **detail: Any,
) -> None:
    """End a relation and destroy what was told; who calls this holds the row's lock.

    `actor` is None for what the system ends by itself, `by` the role of a member of staff;
    `detail` goes into the record.
    """
    child.state, child.ended_at = ChildState.ENDED, at
    child.version += 1
    child.number_index = child.data_key = child.ends_on = None
    for name in SEALED:
        setattr(child, f"{name}_sealed", None)
    audit.record(session, deed, actor=actor, by=by, subject=("child", child.id), at=at, **detail)


def undated(session: Session) -> list[uuid.UUID]:
    """Open relations that a former release stored without the day of their end."""
    query = select(Child.id).where(Child.state.in_(OPEN_STATES), Child.ends_on.is_(None))
    return list(session.scalars(query.order_by(Child.id)))


def give_end(session: Session, child_id: uuid.UUID, *, vault: Vault) -> None:
    """Store by when a relation ends, from the date of birth that was told.

    Raises:
        Unreadable
    """
    child = session.scalar(select(Child).where(Child.id == child_id).with_for_update())
    born = birth_date(child, vault) if child else None
    if child and born:
        child.ends_on = _month_after(_sixteenth_birthday(born))


def acts_for(
    session: Session, guardian_id: uuid.UUID, child_id: uuid.UUID, *, vault: Vault, at: dt.datetime
) -> Child | None:
    """The child, if this citizen may act for them at this moment; otherwise None."""
    child = session.get(Child, child_id)
    if child is None or child.guardian_id != guardian_id:
        return None
    return child if _acts(child, vault, at) else None


def is_child(birth_date: dt.date, *, at: dt.datetime) -> bool:
    """Whether somebody born on this day is under 16 at this moment, here."""
    return _today(at) < _sixteenth_birthday(birth_date)


def is_still_child(child: Child, vault: Vault, at: dt.datetime) -> bool:
    """Whether what was told of the child says that they are under 16."""
    born = birth_date(child, vault)
    return born is not None and is_child(born, at=at)


def birth_date(child: Child, vault: Vault) -> dt.date | None:
    text = vault.read(child, "birth_date")
    return dt.date.fromisoformat(text) if text else None


def _acts(child: Child, vault: Vault, at: dt.datetime) -> bool:
    return child.state is ChildState.CONFIRMED and is_still_child(child, vault, at)


def _sixteenth_birthday(born: dt.date) -> dt.date:
    """Who was born on 29 February has it on 1 March where the year has no such day."""
    try:
        return born.replace(year=born.year + OF_AGE)
    except ValueError:
        return dt.date(born.year + OF_AGE, 3, 1)


def _month_after(day: dt.date) -> dt.date:
    return dt.date(day.year + day.month // 12, day.month % 12 + 1, 1)


def _today(at: dt.datetime) -> dt.date:
    return at.astimezone(ZONE).date()


def _named(child: Child, actor: Actor, vault: Vault, at: dt.datetime) -> Named:
    born = birth_date(child, vault)
    # Told at level 2, and so not shown below it, as in a copy of everything.
    is_whole = actor.acr == LEVEL_2
    number = vault.read(child, "number")
    return Named(
        id=child.id,
        full_name=vault.read(child, "name"),
        citizen_number=masked_number(number) if number else None,
        birth_date=born if is_whole else None,
        relation=child.relation,
        state=child.state,
        acts=_acts(child, vault, at),
        ends_on=_sixteenth_birthday(born) if born and is_whole else None,
        refusal=child.refusal,
        created_at=child.created_at,
        decided_at=child.decided_at,
    )
