"""JSON in and out.

Reading is strict (RFC 8259 with the limits of RFC 7493, I-JSON): a body is at most 20 levels
deep, has no name twice, no NaN, and no character that PostgreSQL cannot store. Python's own
reader accepts all of these, and answers deep nesting with a RecursionError.
"""

import json
import math
from typing import Any

import orjson
from flask import Flask
from flask.json.provider import JSONProvider

from services.errors import TooLarge

JSON_LIMIT = 64 * 1024
MAX_DEPTH = 20
NUL = "\x00"


class Malformed(ValueError):
    """This is not the JSON we accept; the message says why."""


class BodyTooLarge(TooLarge):
    """The body is larger than {limit_kb} KB."""

    vi = "Nội dung gửi lên lớn hơn giới hạn {limit_kb} KB."


class OrjsonProvider(JSONProvider):
    """Flask's JSON by orjson: UTF-8, RFC 3339 times in UTC with Z."""

    def __init__(self, app: Flask) -> None:
        super().__init__(app)

    def dumps(self, obj: Any, **_options: Any) -> str:
        return dump(obj).decode()

    def loads(self, s: str | bytes, **_options: Any) -> Any:
        return load(s)

    def response(self, *args: Any, **kwargs: Any) -> Any:
        obj = self._prepare_response_obj(args, kwargs)
        return self._app.response_class(dump(obj), mimetype="application/json")


def dump(obj: Any) -> bytes:
    return orjson.dumps(obj, option=orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC)


def load(body: str | bytes) -> Any:
    """Parse `body`.

    Raises:
        Malformed: with the reason, in words for the client's developer.
    """
    try:
        text = body if isinstance(body, str) else body.decode("utf-8")
        value = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_name_twice)
    except RecursionError as error:
        raise Malformed(f"nested deeper than {MAX_DEPTH} levels") from error
    except UnicodeDecodeError as error:
        raise Malformed("not UTF-8") from error
    except json.JSONDecodeError as error:
        raise Malformed(f"{error.msg} at line {error.lineno}, column {error.colno}") from error
    except ValueError as error:
        raise Malformed(str(error)) from error
    _check(value)
    return value


def _no_constant(name: str) -> Any:
    raise Malformed(f"{name} is not JSON")


def _no_name_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Malformed("an object has the same name twice")
    return members


def _check(value: Any) -> None:
    """Walk the whole value without recursion: depth, numbers, characters."""
    todo = [(value, 1)]
    while todo:
        item, depth = todo.pop()
        if depth > MAX_DEPTH and isinstance(item, (dict, list)):
            raise Malformed(f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(item, str):
            check_text(item)
        elif isinstance(item, float) and not math.isfinite(item):
            raise Malformed("a number is out of range")
        elif isinstance(item, dict):
            todo.extend((name, depth + 1) for name in item)
            todo.extend((member, depth + 1) for member in item.values())
        elif isinstance(item, list):
            todo.extend((member, depth + 1) for member in item)


def check_text(text: str) -> None:
    """Raise Malformed for what PostgreSQL's text cannot hold: NUL and lone surrogates."""
    if NUL in text:
        raise Malformed("a string holds the character U+0000")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise Malformed("a string holds half a surrogate pair")
