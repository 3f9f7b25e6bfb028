"""The chain: every event gets a position and a hash that covers it and all before it.

    hash(n) = SHA-256(hash(n - 1) || canonical(event n)),   hash(0) = 32 zero bytes

Events stand in it in the order of (xid, id). Transactions commit out of the order in which they
began, so the chain takes in only what lies below the oldest transaction that still runs
(pg_snapshot_xmin): whatever commits later has a greater number and comes later.
"""

import datetime as dt
import hashlib
import uuid
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Row, Uuid, func, insert, literal, select, tuple_
from sqlalchemy.orm import Session

from models import AuditEvent, AuditLink
from models.audit import TransactionId

# One transaction takes in so many, well within the time that a statement has.
BATCH = 1000
GENESIS = bytes(32)
# Whoever holds this advisory lock is the one writer of the chain.
_LOCK = 6_411_903
EVENTS = AuditEvent.__table__
# A column that a later release adds is null in older events, and so changes none of their hashes.
_COVERED = (
    "about_id",
    "action",
    "actor_id",
    "actor_kind",
    "detail",
    "id",
    "organisation",
    "purpose",
    "request_id",
    "role",
    "subject_id",
    "subject_type",
)


def canonical(event: Row[Any]) -> bytes:
    """An event as the bytes that are hashed: JSON in UTF-8 without blanks, names sorted (RFC 8785).

    Null members are left out; times are in UTC with six digits after the point; `xid` is a string.
    """
    members = {name: getattr(event, name) for name in _COVERED}
    members["at"] = f"{event.at.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    members["xid"] = str(event.xid)
    told = {name: value for name, value in members.items() if value is not None}
    return orjson.dumps(told, option=orjson.OPT_SORT_KEYS)


def next_hash(before: bytes, event: Row[Any]) -> bytes:
    return hashlib.sha256(before + canonical(event)).digest()


def head(session: Session) -> AuditLink | None:
    """The newest link of the chain."""
    return session.scalar(select(AuditLink).order_by(AuditLink.position.desc()).limit(1))


def after(xid: int, event_id: uuid.UUID) -> ColumnElement[bool]:
    """The events that come after this place in the order of the chain; along an index."""
    place = tuple_(literal(xid, TransactionId()), literal(event_id, Uuid()))
    return tuple_(EVENTS.c.xid, EVENTS.c.id) > place


def extend(session: Session, *, limit: int = BATCH) -> int:
    """Chain up to `limit` events that are due; says how many. Another writer's turn is none."""
    if not session.scalar(select(func.pg_try_advisory_xact_lock(_LOCK))):
        return 0
    # Read only now, so that the former writer's last link is seen.
    last = head(session)
    position, before = (last.position, last.hash) if last else (0, GENESIS)
    xid, event_id = (last.xid, last.event_id) if last else (0, uuid.UUID(int=0))
    due = session.execute(
        select(EVENTS)
        .where(
            after(xid, event_id),
            EVENTS.c.xid < func.pg_snapshot_xmin(func.pg_current_snapshot()),
        )
        .order_by(EVENTS.c.xid, EVENTS.c.id)
        .limit(limit)
    )
    links = []
    for event in due:
        position, before = position + 1, next_hash(before, event)
        links.append({"position": position, "event_id": event.id, "xid": event.xid, "hash": before})
    if links:
        session.execute(insert(AuditLink), links)
    return len(links)
