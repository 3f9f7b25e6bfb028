"""The Idempotency-Key header of a request."""

from flask import Response, after_this_request, request

from api.auth import actor
from api.current import current
from api.json import Malformed, check_text
from services.errors import BadRequest
from services.idempotency import Attempt

MAX_KEY = 255
ANSWER = {
    "Idempotency-Replayed": {
        "schema": {"type": "string", "enum": ["true"]},
        "description": "The thing was there already.",
    }
}
HEADER = {
    "in": "header",
    "name": "Idempotency-Key",
    "required": True,
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY},
    "description": "The same for every attempt to send the same thing.",
}

OPTIONAL_HEADER = HEADER | {"required": False}


class IdempotencyKeyRequired(BadRequest):
    """Send an Idempotency-Key, a random text that stays the same when you send this again."""

    vi = "Cần gửi Idempotency-Key: một chuỗi ngẫu nhiên, giữ nguyên khi gửi lại yêu cầu này."


class IdempotencyKeyMalformed(BadRequest):
    """An Idempotency-Key has 1 to 255 visible characters."""

    vi = "Idempotency-Key gồm 1 đến 255 ký tự in được."


def attempt(operation: str) -> Attempt:
    """This arrival of a request that must carry a key.

    Raises:
        IdempotencyKeyRequired, IdempotencyKeyMalformed
    """
    key = request.headers.get("Idempotency-Key")
    if key is None:
        raise IdempotencyKeyRequired
    try:
        check_text(key)
    except Malformed as error:
        raise IdempotencyKeyMalformed from error
    if not 1 <= len(key) <= MAX_KEY or not key.isprintable():
        raise IdempotencyKeyMalformed
    body = request.get_data(cache=True)
    return Attempt(actor().id, operation, key, current.keys.mac("idempotency", body))


def attempt_if_keyed(operation: str) -> Attempt | None:
    """This arrival of a request that may carry a key; None when it does not.

    Raises:
        IdempotencyKeyMalformed
    """
    return attempt(operation) if "Idempotency-Key" in request.headers else None


def mark_replayed() -> None:
    """Tell the client that its thing was there already."""

    @after_this_request
    def add(response: Response) -> Response:
        response.headers["Idempotency-Replayed"] = "true"
        return response
