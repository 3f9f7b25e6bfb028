"""What I ask about my personal data under the law."""

from typing import Any

from api import auth, idempotency, paging
from api.blueprint import Blueprint
from api.current import current
from api.idempotency import IdempotencyKeyMalformed
from api.openapi import fails
from api.paging import CursorInvalid
from api.schemas.base import PageQuery, page_of
from api.schemas.privacy import DataRequestIn, DataRequestOut
from services import idempotency as repeats
from services.idempotency import IdempotencyKeyReused, RequestInFlight
from services.limits import RateLimited
from services.privacy import requests
from services.privacy.requests import NotYourChild, TextNeeded

blp = Blueprint("data_requests", __name__, url_prefix="/api/v1", description="Legal requests")


@blp.post("/me/data-requests")
@blp.arguments(DataRequestIn)
@blp.response(201, DataRequestOut, headers=idempotency.ANSWER)
@fails(
    IdempotencyKeyMalformed,
    IdempotencyKeyReused,
    RequestInFlight,
    TextNeeded,
    NotYourChild,
    RateLimited,
)
@blp.doc(parameters=[idempotency.OPTIONAL_HEADER])
def create_request(wish: dict[str, Any]) -> Any:
    """Ask about my personal data, or a child's

    To see them, correct them, get a copy, have them deleted, restrict or object to their use,
    withdraw a consent, or have them protected. The answer says by when I am answered and by when it
    is done (Decree 356/2025/NĐ-CP, article 5).
    """
    attempt = idempotency.attempt_if_keyed("create_data_request")
    with current.db.transaction() as session:
        if attempt and (known := repeats.earlier(session, attempt)):
            idempotency.mark_replayed()
            return requests.own(session, auth.actor(), known)
        request = requests.submit(
            session, auth.actor(), requests.Wish(**wish), vault=current.vault, at=current.now()
        )
        if attempt:
            repeats.remember(session, attempt, request.id, at=current.now())
    return request


@blp.get("/me/data-requests")
@blp.arguments(PageQuery, location="query")
@blp.response(200, page_of(DataRequestOut), headers=paging.ANSWER)
@fails(CursorInvalid)
def my_requests(asked: dict[str, Any]) -> Any:
    """My requests about personal data with what was answered, newest first"""
    with current.db.reading() as session:
        found = requests.mine(
            session,
            auth.actor(),
            before=paging.before(asked["cursor"]),
            limit=asked["limit"] + 1,
        )
    return paging.page(found, asked["limit"])
