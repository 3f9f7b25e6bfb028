"""Who somebody is, as the identity provider tells it, and who of them is staff."""

import datetime as dt
import uuid
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, selectinload, with_expression

from models import Citizen, Place, RoleGrant, Staff
from models.base import new_id
from services import audit, keyring
from services.errors import Conflict, Forbidden, Invalid
from services.permissions import LEVEL_2, Actor, ActorKind, Grant
from services.text import phone
from services.tokens import TokenInvalid
from services.vault import Vault

# Loads with a member of staff the accounts that are theirs by the citizen number. While the keys of
# the index change one may not be found; the one that they entered by is known in any case.
WITH_ACCOUNTS = with_expression(
    Staff.accounts,
    select(func.array_agg(Citizen.id))
    .where(Citizen.number_index == Staff.number_index)
    .correlate(Staff)
    .scalar_subquery(),
)


class NotStaff(Forbidden):
    """Only invited members of staff, signed in at level 2, may enter here."""

    vi = "Chỉ cán bộ đã được mời và đăng nhập ở mức 2 mới được vào đây."


class UnknownHomePlace(Invalid):
    """home_place is no commune or ward of the province."""

    vi = "home_place không phải là xã, phường của tỉnh."


class PhoneUnlikely(Invalid):
    """This is no Vietnamese phone number."""

    vi = "Đây không phải là số điện thoại Việt Nam."


class AlreadyStaff(Conflict):
    """This person is a member of staff already."""

    vi = "Người này đã là cán bộ."


@dataclass(frozen=True, slots=True)
class PersonClaims:
    """What the provider says of a person, checked (OpenID Connect Core sections 2 and 5.1)."""

    issuer: str
    subject: str
    name: str
    acr: str
    auth_time: dt.datetime
    citizen_number: str | None = field(default=None, repr=False)
    phone: str | None = field(default=None, repr=False)
    birth_date: str | None = field(default=None, repr=False)


def meet(session: Session, claims: PersonClaims, *, vault: Vault, at: dt.datetime) -> Citizen:
    """The citizen of these claims, made at the first meeting.

    Only issuer and subject decide who somebody is; a name or a phone proves nothing. What the
    provider does not tell this time stays as it was.

    Raises:
        KeysUnfit, Unreadable
    """
    told = {"name": claims.name}
    citizen = session.scalars(
        insert(Citizen)
        .values(
            issuer=claims.issuer,
            subject=claims.subject,
            locale="vi",
            created_at=at,
            **told,
        )
        .on_conflict_do_update(index_elements=[Citizen.issuer, Citizen.subject], set_=told)
        .returning(Citizen)
        .execution_options(populate_existing=True)
    ).one()
    keyring.provide(session, citizen, vault=vault)
    if claims.citizen_number is not None:
        vault.write_number(citizen, claims.citizen_number)
    if claims.birth_date is not None:
        vault.write(citizen, "birth_date", claims.birth_date)
    # Who gave us another number than the provider's wants to be reached there.
    if citizen.phone_sealed is None and claims.phone is not None:
        vault.write(citizen, "phone", phone(claims.phone))
    return citizen


def get_citizen(session: Session, actor: Actor) -> Citizen:
    """Whoever is signed in.

    Raises:
        TokenInvalid: they were erased within the seconds that an access token outlives it.
    """
    citizen = session.get_one(Citizen, actor.id)
    if citizen.erased_at is not None:
        raise TokenInvalid
    return citizen


def update_me(
    session: Session, actor: Actor, *, vault: Vault, at: dt.datetime, **changes: Any
) -> Citizen:
    """Change the language, the home place or the phone number.

    Raises:
        UnknownHomePlace, PhoneUnlikely, KeysUnfit, Unreadable
    """
    citizen = get_citizen(session, actor)
    if "phone" in changes:
        number = changes["phone"] and phone(changes["phone"])
        if changes["phone"] and number is None:
            raise PhoneUnlikely
        keyring.provide(session, citizen, vault=vault)
        vault.write(citizen, "phone", number)
    if "locale" in changes:
        citizen.locale = changes["locale"]
    if "home_place" in changes:
        code = changes["home_place"]
        place = session.get(Place, code) if code else None
        if code and (place is None or place.level == 1):
            raise UnknownHomePlace
        citizen.home_place_code = code
    if changes:
        audit.record(
            session,
            audit.Deed.CITIZEN_EDIT,
            actor=actor,
            subject=("citizen", actor.id),
            at=at,
            changed=sorted(changes),
        )
    return citizen


def recognise_staff(
    session: Session, citizen: Citizen, claims: PersonClaims, *, vault: Vault
) -> Staff:
    """The staff row of this citizen, bound to them at their first entry.

    Raises:
        NotStaff: below level 2, not invited, or disabled.
        KeysUnfit, Unreadable
    """
    if claims.acr != LEVEL_2 or claims.citizen_number is None:
        raise NotStaff
    staff = session.scalar(
        select(Staff)
        .where(
            Staff.number_index.in_(vault.indexes(claims.citizen_number)),
            Staff.disabled_at.is_(None),
        )
        .options(selectinload(Staff.grants))
    )
    if staff is None or staff.citizen_id not in {None, citizen.id}:
        raise NotStaff
    staff.citizen_id = citizen.id
    # Whoever was invited under a former key is known by the current one from now on.
    keyring.provide(session, staff, vault=vault)
    vault.write_number(staff, claims.citizen_number)
    return staff


def note_refusal(session: Session, claims: PersonClaims, door: str, *, at: dt.datetime) -> None:
    """Record that somebody was refused where only staff may enter; `door` is "view" or "api".

    Who is no citizen here yet does not become one by it, and stays unnamed.
    """
    known = session.scalar(
        select(Citizen.id).where(Citizen.issuer == claims.issuer, Citizen.subject == claims.subject)
    )
    audit.record(
        session,
        audit.Deed.STAFF_REFUSE_ENTRY,
        actor=Actor(ActorKind.CITIZEN, known) if known else None,
        subject=("staff", None),
        at=at,
        door=door,
    )


def hold_roles(session: Session, actor: Actor) -> None:
    """See that a member of staff still has the roles that `actor` was made with, and keep it so.

    Whoever takes a role away waits for this transaction, and then finds what was done in it.

    Raises:
        NotStaff
    """
    staff = session.scalar(
        select(Staff)
        .where(Staff.id == actor.id, Staff.disabled_at.is_(None))
        .options(selectinload(Staff.grants))
        .with_for_update(read=True, of=Staff)
        .execution_options(populate_existing=True)
    )
    if staff is None or set(as_actor(staff).grants) != set(actor.grants):
        raise NotStaff


def own_accounts(staff: Staff) -> frozenset[uuid.UUID]:
    """Who a member of staff is as a citizen."""
    bound = () if staff.citizen_id is None else (staff.citizen_id,)
    return frozenset([*bound, *(staff.accounts or ())])


def as_actor(staff: Staff, *, session_id: uuid.UUID | None = None) -> Actor:
    return Actor(
        kind=ActorKind.STAFF,
        id=staff.id,
        session_id=session_id,
        acr=LEVEL_2,
        name=staff.name,
        citizen_ids=own_accounts(staff),
        grants=tuple(as_grant(grant) for grant in staff.grants),
    )


def as_grant(row: RoleGrant) -> Grant:
    places = None if row.place_codes is None else frozenset(row.place_codes)
    return Grant(row.role, row.department_code, places)


def find_staff(session: Session, citizen_number: str, *, vault: Vault) -> Staff | None:
    """The staff row of this number, locked; without one nobody else can make it meanwhile."""
    # The row may still have the index of a former key, which no constraint can compare with ours.
    indexes = vault.indexes(citizen_number)
    lock = func.pg_advisory_xact_lock(func.hashtextextended(indexes[-1].hex(), 0))
    session.execute(select(lock))
    return session.scalar(
        select(Staff)
        .where(Staff.number_index.in_(indexes))
        .options(selectinload(Staff.grants))
        .with_for_update(of=Staff)
    )


def add_staff(
    session: Session, citizen_number: str, *, vault: Vault, name: str, at: dt.datetime
) -> Staff:
    """A staff row without roles, for a number that `find_staff` did not find.

    Raises:
        KeysUnfit
    """
    staff = Staff(id=new_id(), name=name, version=1, created_at=at, grants=[])
    keyring.provide(session, staff, vault=vault)
    vault.write_number(staff, citizen_number)
    session.add(staff)
    return staff
