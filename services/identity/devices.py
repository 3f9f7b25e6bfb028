"""Where a citizen is signed in: each session is one device, with a name that its owner chose."""

import datetime as dt
import uuid
from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from models import DeviceSession
from services import audit
from services.errors import NotFound
from services.identity.ending import end
from services.identity.sessions import SLIDING
from services.permissions import Actor
from services.text import tidy
from services.tokens import TokenInvalid

# Nobody has so many phones; what is older is ended by ending all others.
SHOWN = 100


class SessionNotFound(NotFound):
    """You have no such session."""

    vi = "Bạn không có phiên đăng nhập này."


def live_sessions(session: Session, actor: Actor, *, at: dt.datetime) -> Sequence[DeviceSession]:
    """The citizen's sessions that may still be used, the one used last first."""
    return session.scalars(
        select(DeviceSession)
        .where(DeviceSession.citizen_id == actor.id, _is_live(at))
        .order_by(DeviceSession.last_used_at.desc(), DeviceSession.id.desc())
        .limit(SHOWN)
    ).all()


def rename_session(
    session: Session, actor: Actor, session_id: uuid.UUID, *, name: str | None, at: dt.datetime
) -> DeviceSession:
    """Give a device a name of one's own, or take it away.

    Raises:
        SessionNotFound, TokenInvalid
    """
    found = _held(session, actor, at=at).get(session_id)
    if found is None:
        raise SessionNotFound
    found.name = tidy(name) or None if name else None
    audit.record(
        session,
        audit.Deed.SESSION_RENAME,
        actor=actor,
        subject=("session", session_id),
        at=at,
    )
    return found


def end_session(session: Session, actor: Actor, session_id: uuid.UUID, *, at: dt.datetime) -> None:
    """Sign out on one device, also on this one.

    Raises:
        SessionNotFound, TokenInvalid
    """
    if session_id not in _held(session, actor, at=at):
        raise SessionNotFound
    end(session, [session_id], "owner", by=actor, at=at)


def end_other_sessions(session: Session, actor: Actor, *, at: dt.datetime) -> None:
    """Sign out on every device but this one.

    Raises:
        TokenInvalid
    """
    others = _held(session, actor, at=at).keys() - {actor.session_id}
    end(session, others, "owner", by=actor, at=at)


def _held(session: Session, actor: Actor, *, at: dt.datetime) -> dict[uuid.UUID, DeviceSession]:
    """The citizen's live sessions by their ids, locked in one order.

    Raises:
        TokenInvalid: the caller's own has ended. For some seconds its access token still looks
            valid, and whoever was shut out must not use them to shut out the owner.
    """
    held = {
        row.id: row
        for row in session.scalars(
            select(DeviceSession)
            .where(DeviceSession.citizen_id == actor.id, _is_live(at))
            .order_by(DeviceSession.id)
            .with_for_update(key_share=True)
        )
    }
    if actor.session_id not in held:
        raise TokenInvalid
    return held


def _is_live(at: dt.datetime) -> ColumnElement[bool]:
    used = (
        and_(DeviceSession.audience == audience, DeviceSession.last_used_at > at - idle)
        for audience, idle in SLIDING.items()
    )
    return and_(DeviceSession.revoked_at.is_(None), DeviceSession.expires_at > at, or_(*used))
