"""The children whom I act for."""

import uuid
from typing import Any

from api import auth, idempotency
from api.blueprint import Blueprint
from api.current import current
from api.idempotency import IdempotencyKeyMalformed
from api.openapi import fails
from api.schemas.privacy import ChildIn, ChildOut, ChildrenOut
from services import idempotency as repeats
from services.idempotency import IdempotencyKeyReused, RequestInFlight
from services.limits import RateLimited
from services.privacy import guardians
from services.privacy.guardians import (
    AlreadyNamed,
    ChildNameBlank,
    ChildNotFound,
    LevelTooLow,
    NotAChild,
    OwnNumber,
    TooManyChildren,
)

blp = Blueprint("children", __name__, url_prefix="/api/v1", description="Guardians")


@blp.post("/me/children")
@blp.arguments(ChildIn)
@blp.response(201, ChildOut, headers=idempotency.ANSWER)
@fails(
    IdempotencyKeyMalformed,
    IdempotencyKeyReused,
    RequestInFlight,
    LevelTooLow,
    ChildNameBlank,
    NotAChild,
    OwnNumber,
    AlreadyNamed,
    TooManyChildren,
    RateLimited,
)
@blp.doc(parameters=[idempotency.OPTIONAL_HEADER])
def name_child(told: dict[str, Any]) -> Any:
    """Name a child under 16 whom I represent

    The relation is checked by an administrator first; the inbox tells the outcome.
    """
    attempt = idempotency.attempt_if_keyed("name_child")
    with current.db.transaction() as session:
        if attempt and (known := repeats.earlier(session, attempt)):
            idempotency.mark_replayed()
            return guardians.own(
                session, auth.actor(), known, vault=current.vault, at=current.now()
            )
        child = guardians.claim(
            session,
            auth.actor(),
            guardians.Claim(**told),
            vault=current.vault,
            at=current.now(),
        )
        if attempt:
            repeats.remember(session, attempt, child.id, at=current.now())
    return child


@blp.get("/me/children")
@blp.response(200, ChildrenOut)
def my_children() -> Any:
    """The children I named, newest first"""
    with current.db.reading() as session:
        return {
            "items": guardians.mine(session, auth.actor(), vault=current.vault, at=current.now())
        }


@blp.delete("/me/children/<uuid:child_id>")
@blp.response(204)
@fails(ChildNotFound)
def release_child(child_id: uuid.UUID) -> None:
    """Stop acting for a child; what I told of it is destroyed"""
    with current.db.transaction() as session:
        guardians.release(session, auth.actor(), child_id, at=current.now())
