"""Pages by key, never by offset: a cursor says after which row to go on."""

import hashlib
import uuid
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from flask import Response, after_this_request, request

from api.signing import sign, unsign
from services.errors import BadRequest


class CursorInvalid(BadRequest):
    """This cursor is not one of ours; start again without it."""

    vi = "Cursor không hợp lệ; hãy bắt đầu lại không kèm cursor."


_ID = 16
ANSWER = {"Link": {"schema": {"type": "string"}, "description": 'The next page, rel="next".'}}


def before(cursor: str | None, *, scope: bytes = b"") -> uuid.UUID | None:
    """The id that a cursor of this route, made for the same `scope`, names.

    Raises:
        CursorInvalid: it was changed, or comes from another route or another scope.
    """
    if cursor is None:
        return None
    key = unsign(_purpose(), cursor)
    if key is None or key[_ID:] != scope:
        raise CursorInvalid
    return uuid.UUID(bytes=key[:_ID])


def page(rows: Sequence[Any], limit: int, *, scope: bytes = b"") -> dict[str, Any]:
    """Up to `limit` of `rows`, which hold one more where there is a next page."""
    items = rows[:limit]
    cursor = None
    if len(rows) > limit:
        cursor = sign(_purpose(), items[-1].id.bytes + scope)
        _link(cursor)
    return {"items": items, "next_cursor": cursor}


def filters() -> bytes:
    """A scope of all that is asked for, so that a cursor goes on with this search only."""
    asked = request.args.to_dict(flat=False)
    kept = {name: asked[name] for name in sorted(asked) if name not in {"cursor", "limit"}}
    return hashlib.sha256(urlencode(kept, doseq=True).encode()).digest()[:_ID]


def _link(cursor: str) -> None:
    query = {**request.args.to_dict(flat=False), "cursor": cursor}

    @after_this_request
    def add(response: Response) -> Response:
        response.headers["Link"] = f'<{request.path}?{urlencode(query, doseq=True)}>; rel="next"'
        return response


def _purpose() -> str:
    """A cursor of one list is none of another's."""
    return f"cursor|{request.url_rule.rule if request.url_rule else ''}"
