"""Sessions of the app: one per device, kept alive by rotating refresh tokens.

Rotation after RFC 9700 section 4.14.2, with a grace: on mobile networks an answer gets lost now
and then, and a strict rotation would sign those people out. See docs/adr/0001.
"""

import base64
import datetime as dt
import secrets
import uuid
from dataclasses import dataclass

from sqlalchemy import delete, exists, or_, select
from sqlalchemy.orm import Session, joinedload, selectinload

from models import Audience, Citizen, Device, DeviceSession, RefreshToken, Staff
from services import audit, limits, notifications
from services.errors import Unauthenticated
from services.identity import admin
from services.identity.ending import end
from services.identity.people import (
    WITH_ACCOUNTS,
    PersonClaims,
    as_actor,
    meet,
    recognise_staff,
)
from services.permissions import Actor, ActorKind
from services.tokens import ACCESS_LIFE, AccessClaims, Keys, hashed, new_secret
from services.vault import Vault

# How long a session lives untouched, and at most.
SLIDING = {Audience.CITIZEN: dt.timedelta(days=60), Audience.STAFF: admin.IDLE}
ABSOLUTE = {Audience.CITIZEN: dt.timedelta(days=180), Audience.STAFF: admin.ABSOLUTE}
PLATFORMS = {"android": "Android", "ios": "iPhone, iPad", "web": "web"}
SAME_ANSWER = dt.timedelta(seconds=10)
# An app needs one in ten minutes, and a few at once when its network is bad.
REFRESHES_A_MINUTE = 60
# Thousands of phones share one carrier's address.
REFRESHES_A_MINUTE_FROM_ONE_ADDRESS = 3000
MINUTE = dt.timedelta(minutes=1)


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
    limits.take(session, f"login:{address}", limit=300, window=MINUTE, at=at)


def count_refresh(session: Session, token: str, address: str, *, at: dt.datetime) -> None:
    """Guard the exchange of tokens, by session and loosely by address; no token is used by it.

    Raises:
        limits.RateLimited
    """
    of = session.scalar(
        select(RefreshToken.session_id).where(RefreshToken.token_hash == hashed(token))
    )
    if of is not None:
        limits.take(session, f"refresh:{of}", limit=REFRESHES_A_MINUTE, window=MINUTE, at=at)
    # Last, since all who share an address wait for one another from here to the commit.
    limits.take(
        session,
        f"refresh from:{address}",
        limit=REFRESHES_A_MINUTE_FROM_ONE_ADDRESS,
        window=MINUTE,
        at=at,
    )


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

    A former session of the same installation ends, and whatever somebody else has there: the
    installation is this person's now. Whose second device it is, is told.

    Raises:
        NotStaff: audience staff without an invitation, or below level 2.
    """
    citizen = meet(session, claims, vault=vault, at=at)
    roles: list[str] = []
    if audience is Audience.STAFF:
        roles = as_actor(recognise_staff(session, citizen, claims, vault=vault)).roles
    installation = hashed(device.installation_id)
    # Two sign-ins at once on one phone wait for each other, so that one session is left.
    notifications.hold_installation(session, installation)
    _take_over(session, citizen, installation, audience, at=at)
    is_first, is_known = session.execute(
        select(
            ~exists().where(DeviceSession.citizen_id == citizen.id),
            exists().where(
                DeviceSession.citizen_id == citizen.id,
                DeviceSession.installation_hash == installation,
            ),
        )
    ).one()
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
    if not is_first and not is_known:
        notifications.tell(
            session,
            citizen.id,
            "security_new_sign_in",
            subject=("session", started.id),
            at=at,
            # Not the model: a stranger's device names itself, and this is read as our words.
            device=PLATFORMS.get(device.platform, device.platform),
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
        if successor is not None and successor.rotated_at is None:
            # Whoever asks a moment after the ten seconds must not void what was just given.
            row.rotated_at = max(row.rotated_at or at, at)
    else:
        next_token = _successor(session, current, row, successor, token, at=at)
    current.last_used_at = at
    return _pair(current, next_token, keys=keys, roles=roles, at=at)


def staff_actor(
    session: Session, citizen_id: uuid.UUID, *, session_id: uuid.UUID | None = None
) -> Actor | None:
    """The member of staff behind a citizen with the roles of this moment; None when not staff."""
    staff = session.scalar(
        select(Staff)
        .where(Staff.citizen_id == citizen_id, Staff.disabled_at.is_(None))
        .options(selectinload(Staff.grants), WITH_ACCOUNTS)
    )
    return None if staff is None else as_actor(staff, session_id=session_id)


def _is_over(current: DeviceSession, row: RefreshToken, *, at: dt.datetime) -> bool:
    not_before = current.citizen.not_before
    is_shut_out = not_before is not None and current.created_at < not_before
    has_ended = current.revoked_at is not None or at >= min(row.expires_at, current.expires_at)
    return has_ended or is_shut_out


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
    # Who has one phone would hear nothing of it otherwise.
    end(session, [current.id], "alarm", by=None, at=at, keeps_devices=True)
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
        notifications.SESSION_REVOKED,
        subject=("session", current.id),
        at=at,
    )


def _take_over(
    session: Session, citizen: Citizen, installation: bytes, audience: Audience, *, at: dt.datetime
) -> None:
    """End what was on this installation, but for this person's session of the other audience."""
    query = select(DeviceSession.id).where(
        DeviceSession.installation_hash == installation,
        or_(DeviceSession.audience == audience, DeviceSession.citizen_id != citizen.id),
        DeviceSession.revoked_at.is_(None),
    )
    by = Actor(ActorKind.CITIZEN, citizen.id)
    end(session, session.scalars(query).all(), "replaced", by=by, at=at)
    session.execute(
        delete(Device).where(
            Device.installation_hash == installation, Device.citizen_id != citizen.id
        )
    )


def _pair(
    current: DeviceSession, refresh_token: str, *, keys: Keys, roles: list[str], at: dt.datetime
) -> TokenPair:
    claims = AccessClaims(
        citizen_id=current.citizen_id,
        session_id=current.id,
        audience=current.audience,
        acr=current.acr,
        auth_time=current.auth_time,
        issued_at=at,
    )
    left = current.expires_at - at
    return TokenPair(
        access_token=keys.mint(claims, until=current.expires_at),
        refresh_token=refresh_token,
        expires_in=int(min(ACCESS_LIFE, left).total_seconds()),
        refresh_expires_in=int(min(SLIDING[current.audience], left).total_seconds()),
        citizen=current.citizen,
        acr=current.acr,
        roles=roles,
    )
