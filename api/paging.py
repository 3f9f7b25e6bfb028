"""Pages by key, never by offset: a cursor says after which row to go on."""

import datetime as dt
import hashlib
import uuid
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlencode

from flask import Response, after_this_request, request

from api.signing import sign, unsign
from services.errors import BadRequest


class CursorInvalid(BadRequest):
    """This cursor is not one of ours; start again without it."""

    vi = "Cursor không hợp lệ; hãy bắt đầu lại không kèm cursor."


_ID = 16
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_UNIT = dt.timedelta(microseconds=1)
ANSWER = {"Link": {"schema": {"type": "string"}, "description": 'The next page, rel="next".'}}


def before(cursor: str | None, *, scope: bytes = b"") -> uuid.UUID | None:
    """The id that a cursor of this route, made for the same `scope`, names.

    Raises:
        CursorInvalid: it was changed, or comes from another route or another scope.
    """
    if cursor is None:
        return None
    row, rest = _read(cursor)
    if rest != scope:
        raise CursorInvalid
    return row


def after(cursor: str | None) -> tuple[uuid.UUID, dt.datetime | None] | None:
    """The id that a cursor of a list by waiting time names, and since when that row waited.

    Raises:
        CursorInvalid: it was changed, or comes from another route.
    """
    if cursor is None:
        return None
    row, since = _read(cursor)
    return row, _EPOCH + int.from_bytes(since, "big") * _UNIT if since else None


def waiting(row: Any) -> bytes:
    """The scope of such a list: since when a row waits, nothing where it does not."""
    since = row.waits_since
    return b"" if since is None else ((since - _EPOCH) // _UNIT).to_bytes(8, "big")


def page(
    rows: Sequence[Any], limit: int, *, scope: bytes | Callable[[Any], bytes] = b""
) -> dict[str, Any]:
    """Up to `limit` of `rows`, which hold one more where there is a next page.

    `scope` is what the cursor holds beside the id, the same for all rows or asked of the last.
    """
    items = rows[:limit]
    cursor = None
    if len(rows) > limit:
        rest = scope(items[-1]) if callable(scope) else scope
        cursor = sign(_purpose(), items[-1].id.bytes + rest)
        _link(cursor)
    return {"items": items, "next_cursor": cursor}


def filters() -> bytes:
    """A scope of all that is asked for, so that a cursor goes on with this search only."""
    asked = request.args.to_dict(flat=False)
    kept = {name: asked[name] for name in sorted(asked) if name not in {"cursor", "limit"}}
    return hashlib.sha256(urlencode(kept, doseq=True).encode()).digest()[:_ID]


def _read(cursor: str) -> tuple[uuid.UUID, bytes]:
    key = unsign(_purpose(), cursor)
    if key is None:
        raise CursorInvalid
    return uuid.UUID(bytes=key[:_ID]), key[_ID:]


def _link(cursor: str) -> None:
    query = {**request.args.to_dict(flat=False), "cursor": cursor}

    @after_this_request
    def add(response: Response) -> Response:
        response.headers["Link"] = f'<{request.path}?{urlencode(query, doseq=True)}>; rel="next"'
        return response


def _purpose() -> str:
    """A cursor of one list is none of another's."""
    return f"cursor|{request.url_rule.rule if request.url_rule else ''}"
