"""Sessions of the app: one per device, kept alive by rotating refresh tokens.

Rotation after RFC 9700 section 4.14.2, with a grace: on mobile networks an answer gets lost now
and then, and a strict rotation would sign those people out. See docs/adr/0001.
"""

import base64
import datetime as dt
import secrets
import uuid
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session, joinedload, selectinload

from models import AdminSession, Audience, Citizen, Device, DeviceSession, RefreshToken, Staff
from services import audit, limits, notifications
from services.errors import Unauthenticated
from services.identity.people import PersonClaims, as_actor, meet, recognise_staff
from services.permissions import Actor, ActorKind
from services.tokens import ACCESS_LIFE, AccessClaims, Keys, hashed, new_secret
from services.vault import Vault

# How long a session lives untouched, and at most; the staff's are those of the staff view.
SLIDING = {Audience.CITIZEN: dt.timedelta(days=60), Audience.STAFF: dt.timedelta(minutes=30)}
ABSOLUTE = {Audience.CITIZEN: dt.timedelta(days=180), Audience.STAFF: dt.timedelta(hours=10)}
SAME_ANSWER = dt.timedelta(seconds=10)


class InvalidGrant(Unauthenticated):
    """This refresh token is not valid any more; please sign in again."""

    vi = "Phiên đăng nhập đã hết; vui lòng đăng nhập lại."


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What the app says of the device it runs on."""

    installation_id: str
    platform: str
    model: str | None = None
    app_version: str | None = None


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What the app gets, with whose it is; lives are in whole seconds from now."""

    access_token: str
    refresh_token: str
    expires_in: int
    refresh_expires_in: int
    citizen: Citizen
    acr: str
    roles: list[str]


def count_attempt(session: Session, address: str, *, at: dt.datetime) -> None:
    """The loose outer guard of sign-in: thousands of people share one carrier's address.

    Raises:
        limits.RateLimited
    """
    limits.take(session, f"login:{address}", limit=300, window=dt.timedelta(minutes=1), at=at)


def sign_in(
    session: Session,
    claims: PersonClaims,
    *,
    keys: Keys,
    vault: Vault,
    audience: Audience,
    device: DeviceFacts,
    at: dt.datetime,
) -> TokenPair:
    """Start a session for the person of `claims` on this device.

    A former session of the same installation ends, whoever's it was.

    Raises:
        NotStaff: audience staff without an invitation, or below level 2.
    """
    citizen = meet(session, claims, vault=vault, at=at)
    roles: list[str] = []
    if audience is Audience.STAFF:
        roles = as_actor(recognise_staff(session, citizen, claims, vault=vault)).roles
    installation = hashed(device.installation_id)
    # Two sign-ins at once on one phone wait for each other, so that one session is left.
    lock = func.pg_advisory_xact_lock(func.hashtextextended(installation.hex(), 0))
    session.execute(select(lock))
    _end(
        session,
        session.scalars(
            select(DeviceSession.id).where(
                DeviceSession.installation_hash == installation,
                DeviceSession.audience == audience,
                DeviceSession.revoked_at.is_(None),
            )
        ).all(),
        at=at,
    )
    started = DeviceSession(
        citizen_id=citizen.id,
        audience=audience,
        acr=claims.acr,
        auth_time=claims.auth_time,
        installation_hash=installation,
        platform=device.platform,
        model=device.model,
        app_version=device.app_version,
        created_at=at,
        last_used_at=at,
        expires_at=at + ABSOLUTE[audience],
        citizen=citizen,
    )
    session.add(started)
    session.flush()
    token = _issue(session, started, new_secret(), predecessor=None, at=at)
    audit.record(
        session,
        audit.Deed.SESSION_START,
        actor=Actor(ActorKind.CITIZEN, citizen.id),
        subject=("session", started.id),
        at=at,
        audience=audience.value,
    )
    return _pair(started, token, keys=keys, roles=roles, at=at)


def refresh(session: Session, token: str, *, keys: Keys, at: dt.datetime) -> TokenPair | None:
    """The next tokens of a session, or None when the token is good for nothing.

    None is returned, not raised, because an alarm must be committed with the refusal.
    """
    row = session.scalar(select(RefreshToken).where(RefreshToken.token_hash == hashed(token)))
    if row is None:
        return None
    # The session's row is the lock of its whole family of tokens.
    current = session.scalars(
        select(DeviceSession)
        .where(DeviceSession.id == row.session_id)
        .options(joinedload(DeviceSession.citizen))
        .with_for_update(of=DeviceSession)
        .execution_options(populate_existing=True)
    ).one_or_none()
    # Read again under the lock; erasing its person or its age may have taken it away meanwhile.
    row = session.scalar(
        select(RefreshToken)
        .where(RefreshToken.id == row.id)
        .execution_options(populate_existing=True)
    )
    if current is None or row is None or _is_over(current, row, at=at):
        return None
    if row.voided_at is not None:
        _alarm(session, current, at=at)
        return None
    successor = session.scalar(
        select(RefreshToken).where(
            RefreshToken.predecessor_id == row.id, RefreshToken.voided_at.is_(None)
        )
    )
    repeated = row.rotated_at is not None and at - row.rotated_at <= SAME_ANSWER
    if not repeated and successor is not None and successor.rotated_at is not None:
        _alarm(session, current, at=at)
        return None
    roles: list[str] = []
    if current.audience is Audience.STAFF:
        actor = staff_actor(session, current.citizen_id)
        if actor is None:
            return None
        roles = actor.roles
    if repeated:
        # The same token again, although it is stored nowhere: it follows from the old one.
        next_token = _derived(token, row.salt)
    else:
        next_token = _successor(session, current, row, successor, token, at=at)
    current.last_used_at = at
    return _pair(current, next_token, keys=keys, roles=roles, at=at)


def sign_out(session: Session, actor_session: uuid.UUID, *, at: dt.datetime) -> None:
    """End one session; its access token is refused within seconds, its pushes stop at once."""
    _end(session, [actor_session], at=at)


def end_all(session: Session, citizen_id: uuid.UUID, *, at: dt.datetime) -> None:
    """End every session of a person, in the app and in the staff view."""
    alive = select(DeviceSession.id).where(
        DeviceSession.citizen_id == citizen_id, DeviceSession.revoked_at.is_(None)
    )
    _end(session, session.scalars(alive).all(), at=at)
    theirs = select(Staff.id).where(Staff.citizen_id == citizen_id)
    session.execute(
        update(AdminSession)
        .where(AdminSession.staff_id.in_(theirs), AdminSession.ended_at.is_(None))
        .values(ended_at=at)
        .execution_options(synchronize_session=False)
    )


def recently_revoked(session: Session, *, at: dt.datetime) -> frozenset[uuid.UUID]:
    """Sessions that ended while an access token of theirs may still look valid."""
    since = at - ACCESS_LIFE - dt.timedelta(minutes=1)
    query = select(DeviceSession.id).where(DeviceSession.revoked_at >= since)
    return frozenset(session.scalars(query))


def staff_actor(
    session: Session, citizen_id: uuid.UUID, *, session_id: uuid.UUID | None = None
) -> Actor | None:
    """The member of staff behind a citizen with the roles of this moment; None when not staff."""
    staff = session.scalar(
        select(Staff)
        .where(Staff.citizen_id == citizen_id, Staff.disabled_at.is_(None))
        .options(selectinload(Staff.grants))
    )
    return None if staff is None else as_actor(staff, session_id=session_id)


def _is_over(current: DeviceSession, row: RefreshToken, *, at: dt.datetime) -> bool:
    return current.revoked_at is not None or at >= min(row.expires_at, current.expires_at)


def _successor(
    session: Session,
    current: DeviceSession,
    row: RefreshToken,
    successor: RefreshToken | None,
    token: str,
    *,
    at: dt.datetime,
) -> str:
    """Make the token after `token`; a successor that nobody used was lost, and is voided."""
    if successor is not None:
        successor.voided_at = at
        row.salt = secrets.token_bytes(16)
    row.rotated_at = at
    return _issue(session, current, _derived(token, row.salt), predecessor=row.id, at=at)


def _derived(token: str, salt: bytes) -> str:
    return base64.urlsafe_b64encode(hashed(salt.hex() + token)).rstrip(b"=").decode()


def _issue(
    session: Session,
    current: DeviceSession,
    token: str,
    *,
    predecessor: uuid.UUID | None,
    at: dt.datetime,
) -> str:
    session.add(
        RefreshToken(
            session_id=current.id,
            token_hash=hashed(token),
            salt=secrets.token_bytes(16),
            predecessor_id=predecessor,
            created_at=at,
            expires_at=min(at + SLIDING[current.audience], current.expires_at),
        )
    )
    return token


def _alarm(session: Session, current: DeviceSession, *, at: dt.datetime) -> None:
    """Two parties hold tokens of one session, so one of them stole: end it and tell the owner."""
    _end(session, [current.id], at=at)
    audit.record(
        session,
        audit.Deed.SESSION_ALARM,
        actor=None,
        subject=("session", current.id),
        at=at,
    )
    notifications.tell(
        session,
        current.citizen_id,
        "security_session_revoked",
        subject=("session", current.id),
        at=at,
    )


def _end(session: Session, session_ids: Collection[uuid.UUID], *, at: dt.datetime) -> None:
    if not session_ids:
        return
    # The sessions first, as registering a device locks them: this waits for one in progress.
    session.execute(
        update(DeviceSession)
        .where(DeviceSession.id.in_(session_ids), DeviceSession.revoked_at.is_(None))
        .values(revoked_at=at)
    )
    # They open nothing any more; said of each, so that one column tells when it may go.
    session.execute(
        update(RefreshToken)
        .where(RefreshToken.session_id.in_(session_ids), RefreshToken.expires_at > at)
        .values(expires_at=at)
        .execution_options(synchronize_session=False)
    )
    session.execute(delete(Device).where(Device.session_id.in_(session_ids)))


def _pair(
    current: DeviceSession, refresh_token: str, *, keys: Keys, roles: list[str], at: dt.datetime
) -> TokenPair:
    claims = AccessClaims(current.citizen_id, current.id, current.audience, current.acr)
    sliding = min(at + SLIDING[current.audience], current.expires_at) - at
    return TokenPair(
        access_token=keys.mint(claims, auth_time=current.auth_time, at=at),
        refresh_token=refresh_token,
        expires_in=int(ACCESS_LIFE.total_seconds()),
        refresh_expires_in=int(sliding.total_seconds()),
        citizen=current.citizen,
        acr=current.acr,
        roles=roles,
    )
