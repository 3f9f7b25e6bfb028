"""Creating a thing once, however often the request arrives.

After draft-ietf-httpapi-idempotency-key-header-07. The key's row is written in the transaction
of the creation, so there is no key without its thing and no thing without its key. The answer is
not stored: a repetition renders the thing again, under the caller's present rights.
"""

import datetime as dt
import uuid
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models import IdempotencyKey
from services.errors import Conflict, Invalid

# Drafts of reports are sent days late.
FOR_GOOD = ("create_report",)
KEPT = dt.timedelta(hours=24)


class RequestInFlight(Conflict):
    """The same request is being carried out at this moment; try again in a second."""

    vi = "Yêu cầu này đang được xử lý; vui lòng thử lại sau một giây."


class IdempotencyKeyReused(Invalid):
    """This Idempotency-Key was used for a request with another body."""

    vi = "Idempotency-Key này đã dùng cho một yêu cầu có nội dung khác."


@dataclass(frozen=True, slots=True)
class Attempt:
    """One arrival of a request: whose, what, its key, and a keyed hash of its body (32 bytes)."""

    actor_id: uuid.UUID
    operation: str
    key: str
    body_mac: bytes


def earlier(session: Session, attempt: Attempt) -> uuid.UUID | None:
    """What an earlier attempt made, or None; then nobody else can make it in this transaction.

    Raises:
        RequestInFlight: another attempt holds the key's lock; waiting would hold a thread.
        IdempotencyKeyReused: the key belongs to another body.
    """
    name = f"{attempt.actor_id}|{attempt.operation}|{attempt.key}"
    lock = func.pg_try_advisory_xact_lock(func.hashtextextended(name, 0))
    if not session.scalar(select(lock)):
        raise RequestInFlight(retry_after=1)
    identity = (attempt.actor_id, attempt.operation, attempt.key)
    known = session.get(IdempotencyKey, identity)
    if known is None:
        return None
    if known.body_mac != attempt.body_mac:
        raise IdempotencyKeyReused
    return known.resource_id


def remember(
    session: Session, attempt: Attempt, resource_id: uuid.UUID, *, at: dt.datetime
) -> None:
    """Tie the key to what was made, in the transaction that made it."""
    session.add(
        IdempotencyKey(
            actor_id=attempt.actor_id,
            operation=attempt.operation,
            key=attempt.key,
            body_mac=attempt.body_mac,
            resource_id=resource_id,
            created_at=at,
        )
    )
