"""Sessions of the staff view: a cookie with a secret, a row with its hash."""

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session, contains_eager, joinedload, selectinload

from models import AdminSession, Staff
from services import audit
from services.identity.people import WITH_ACCOUNTS, PersonClaims, as_actor, meet, recognise_staff
from services.permissions import Actor
from services.tokens import hashed, new_secret
from services.vault import Vault

IDLE = dt.timedelta(minutes=30)
ABSOLUTE = dt.timedelta(hours=10)
# The time of the last visit is written at most this often, so that reading pages stays reading.
TOUCH = dt.timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class AdminVisit:
    """A signed-in member of staff; the session's hash keys the tokens of its forms."""

    actor: Actor
    session_hash: bytes
    acr: str | None
    auth_time: dt.datetime | None


def enter_admin(session: Session, claims: PersonClaims, *, vault: Vault, at: dt.datetime) -> str:
    """Start a session and return the secret for its cookie.

    Raises:
        NotStaff
    """
    citizen = meet(session, claims, vault=vault, at=at)
    staff = recognise_staff(session, citizen, claims, vault=vault)
    secret = new_secret()
    session.add(
        AdminSession(
            token_hash=hashed(secret),
            staff_id=staff.id,
            acr=claims.acr,
            auth_time=claims.auth_time,
            created_at=at,
            last_seen_at=at,
        )
    )
    audit.record(
        session,
        audit.Deed.ADMIN_SESSION_START,
        actor=as_actor(staff),
        subject=("staff", staff.id),
        at=at,
    )
    return secret


def visit_admin(session: Session, secret: str, *, at: dt.datetime) -> AdminVisit | None:
    """Who holds this cookie, with the roles of this moment; None when it is good for nothing."""
    row = session.scalar(
        select(AdminSession)
        .join(AdminSession.staff)
        .where(
            AdminSession.token_hash == hashed(secret),
            AdminSession.ended_at.is_(None),
            AdminSession.created_at > at - ABSOLUTE,
            AdminSession.last_seen_at > at - IDLE,
            Staff.disabled_at.is_(None),
        )
        .options(
            contains_eager(AdminSession.staff).options(selectinload(Staff.grants), WITH_ACCOUNTS)
        )
    )
    if row is None:
        return None
    if at - row.last_seen_at > TOUCH:
        row.last_seen_at = at
    actor = as_actor(row.staff, session_id=row.id)
    return AdminVisit(actor, row.token_hash, row.acr, row.auth_time)


def leave_admin(session: Session, secret: str, *, at: dt.datetime) -> None:
    row = session.scalar(
        select(AdminSession)
        .where(AdminSession.token_hash == hashed(secret), AdminSession.ended_at.is_(None))
        .options(joinedload(AdminSession.staff).selectinload(Staff.grants))
        .with_for_update(of=AdminSession)
    )
    if row is None:
        return
    row.ended_at = at
    audit.record(
        session,
        audit.Deed.ADMIN_SESSION_END,
        actor=as_actor(row.staff),
        subject=("staff", row.staff_id),
        at=at,
    )
