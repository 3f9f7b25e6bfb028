"""Scripted misbehaviour: what people and tests may ask for, and how it is done."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from flask import Response
from werkzeug.exceptions import BadRequest

from simulators.fcm.answers import google_error
from simulators.fcm.state import Fault, State

STATUSES = (400, 401, 403, 404, 429, 500, 503, "hang", "slow", "reset_after_accept", "html")
FIELDS = frozenset({"pattern", "status", "error_code", "retry_after", "times", "seconds", "at"})
MEANINGS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "SENDER_ID_MISMATCH",
    404: "UNREGISTERED",
    429: "QUOTA_EXCEEDED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}
DATE_AHEAD = timedelta(seconds=30)


def parse_fault(asked: Any) -> Fault:
    """Read the JSON of `POST /demo/faults`; a mistake in it is answered with 400."""
    if not isinstance(asked, dict) or not asked.keys() <= FIELDS:
        raise BadRequest(f"a fault is a JSON object of {', '.join(sorted(FIELDS))}")
    if asked.get("status") not in STATUSES:
        raise BadRequest(f"status is one of {', '.join(map(str, STATUSES))}")
    if asked.get("at", "send") not in ("send", "token"):
        raise BadRequest('at is "send" or "token"')
    retry_after = asked.get("retry_after")
    if not (retry_after is None or retry_after == "date" or isinstance(retry_after, int)):
        raise BadRequest('retry_after is a number of seconds or "date"')
    if not isinstance(asked.get("times"), int | None):
        raise BadRequest("times is a number")
    if not isinstance(asked.get("seconds", 0), int | float):
        raise BadRequest("seconds is a number")
    return Fault(
        pattern=_pattern(asked.get("pattern", "")),
        status=asked["status"],
        error_code=asked.get("error_code"),
        retry_after=retry_after,
        left=asked.get("times"),
        seconds=float(asked.get("seconds", 30)),
        at=asked.get("at", "send"),
    )


def _pattern(text: object) -> re.Pattern[str]:
    """Read a regular expression; what is none is meant literally."""
    try:
        return re.compile(str(text))
    except re.error:
        return re.compile(re.escape(str(text)))


def misbehave(fault: Fault, state: State) -> Response | None:
    """Do what the fault says before the message is accepted; None means: go on as usual."""
    if fault.status == "reset_after_accept":
        return None
    if fault.status == "slow":
        state.hang(fault.seconds)
        return None
    if fault.status == "hang":
        state.hang(fault.seconds)
        return google_error(503, "UNAVAILABLE", "The simulator hung and gave up.")
    if fault.status == "html":
        return Response("<!doctype html><title>Xin chào</title>", content_type="text/html")
    status = int(fault.status)
    code = fault.error_code or MEANINGS[status]
    response = google_error(status, code, f"Scripted fault: {code}.")
    if fault.retry_after is not None:
        response.headers["Retry-After"] = _retry_after(fault.retry_after)
    return response


def _retry_after(value: int | str) -> str:
    """Write seconds as they are, and "date" as the HTTP date half a minute ahead."""
    if value == "date":
        return format_datetime(datetime.now(UTC) + DATE_AHEAD, usegmt=True)
    return str(value)


def reset() -> Response:
    """Promise an answer and end after its first byte, on which the server cuts the connection."""
    first_byte: Iterator[bytes] = iter((b"{",))
    return Response(first_byte, headers={"Content-Length": "100"}, content_type="application/json")
