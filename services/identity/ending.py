"""Ending sessions, so that nothing that was given out for them opens anything any more."""

import datetime as dt
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from models import (
    AdminSession,
    Audience,
    Citizen,
    Device,
    DeviceSession,
    RefreshToken,
    Staff,
)
from services import audit
from services.permissions import Actor, ActorKind
from services.tokens import ACCESS_LIFE

# Clocks of two machines may differ by so much.
CLOCKS_DIFFER = dt.timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Revoked:
    """What ended while access tokens of it may still look valid.

    `people` says before which moment a token of theirs must have been made to be refused.
    """

    sessions: frozenset[uuid.UUID] = frozenset()
    people: Mapping[uuid.UUID, dt.datetime] = field(default_factory=dict)


def sign_out(session: Session, actor_session: uuid.UUID, *, at: dt.datetime) -> None:
    """End one session; its access token is refused within seconds, its pushes stop at once."""
    owner = session.scalar(
        select(DeviceSession.citizen_id).where(DeviceSession.id == actor_session)
    )
    if owner is not None:
        end(session, [actor_session], "sign_out", by=Actor(ActorKind.CITIZEN, owner), at=at)


def shut_out(
    session: Session,
    citizen_id: uuid.UUID,
    reason: str,
    *,
    by: Actor | None,
    at: dt.datetime,
) -> None:
    """Refuse a person whatever they were given until now, on every device and in the staff view.

    Access tokens are refused within seconds, even those whose session's row is gone. The same
    person may sign in again; who must not is to be kept from that otherwise.
    """
    session.execute(update(Citizen).where(Citizen.id == citizen_id).values(not_before=at))
    query = select(DeviceSession.id).where(
        DeviceSession.citizen_id == citizen_id, DeviceSession.revoked_at.is_(None)
    )
    end(session, session.scalars(query).all(), reason, by=by, at=at)
    session.execute(
        update(AdminSession)
        .where(
            AdminSession.staff_id.in_(select(Staff.id).where(Staff.citizen_id == citizen_id)),
            AdminSession.ended_at.is_(None),
        )
        .values(ended_at=at)
    )
    # One that was registered for a session which is not known any more.
    session.execute(delete(Device).where(Device.citizen_id == citizen_id))


def recently_revoked(session: Session, *, at: dt.datetime) -> Revoked:
    """Sessions and people whose access tokens are refused although they may look valid."""
    since = at - ACCESS_LIFE - CLOCKS_DIFFER
    ended = session.scalars(select(DeviceSession.id).where(DeviceSession.revoked_at >= since))
    shut = session.execute(
        select(Citizen.id, Citizen.not_before).where(Citizen.not_before >= since)
    )
    return Revoked(frozenset(ended), {row.id: row.not_before for row in shut})


def end(
    session: Session,
    session_ids: Collection[uuid.UUID],
    reason: str,
    *,
    by: Actor | None,
    at: dt.datetime,
    keeps_devices: bool = False,
) -> None:
    """End sessions, record it, and stop the pushes to their devices; `reason` is a code.

    `by` is None for what the system does by itself. With `keeps_devices` their addresses stay
    for the push that tells of this end, until services.privacy.retention removes them; nothing
    else is pushed there (services.notifications.undelivered).
    """
    if not session_ids:
        return
    # The sessions first, as registering a device locks them: this waits for one in progress.
    ended = session.scalars(
        update(DeviceSession)
        .where(DeviceSession.id.in_(session_ids), DeviceSession.revoked_at.is_(None))
        .values(revoked_at=at)
        .returning(DeviceSession.id)
    ).all()
    # They open nothing any more; said of each, so that one column tells when it may go.
    session.execute(
        update(RefreshToken)
        .where(RefreshToken.session_id.in_(session_ids), RefreshToken.expires_at > at)
        .values(expires_at=at)
        .execution_options(synchronize_session=False)
    )
    if not keeps_devices:
        session.execute(delete(Device).where(Device.session_id.in_(session_ids)))
    for session_id in ended:
        audit.record(
            session,
            audit.Deed.SESSION_END,
            actor=by,
            subject=("session", session_id),
            at=at,
            reason=reason,
        )


def end_staff_sessions(
    session: Session, staff: Staff, reason: str, *, by: Actor, at: dt.datetime
) -> None:
    """Sign a member of staff out of the staff view and of every program with a staff token.

    What they have as a citizen stays.
    """
    session.execute(
        update(AdminSession)
        .where(AdminSession.staff_id == staff.id, AdminSession.ended_at.is_(None))
        .values(ended_at=at)
    )
    if staff.citizen_id is None:
        return
    query = select(DeviceSession.id).where(
        DeviceSession.citizen_id == staff.citizen_id,
        DeviceSession.audience == Audience.STAFF,
        DeviceSession.revoked_at.is_(None),
    )
    end(session, session.scalars(query).all(), reason, by=by, at=at)
