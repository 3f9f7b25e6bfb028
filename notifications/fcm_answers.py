"""What an answer of FCM means for the message that was sent."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import orjson

from notifications.push import Outcome, Result

FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
LONGEST_WAIT = timedelta(days=1)
MAX_DETAIL = 200

# The codes that decide by themselves, whatever status they came with.
BY_CODE: Mapping[str, Outcome] = {
    "UNREGISTERED": Outcome.UNREGISTERED,
    "SENDER_ID_MISMATCH": Outcome.SENDER_MISMATCH,
    "QUOTA_EXCEEDED": Outcome.QUOTA,
    "APNS_AUTH_ERROR": Outcome.AUTH,
    "THIRD_PARTY_AUTH_ERROR": Outcome.AUTH,
}

# A 404 without the code UNREGISTERED is a wrong address or project of ours, not a lost device.
BY_STATUS: Mapping[int, Outcome] = {
    401: Outcome.AUTH,
    403: Outcome.AUTH,
    404: Outcome.UNAVAILABLE,
    408: Outcome.UNAVAILABLE,
    429: Outcome.QUOTA,
}
OK, UNAUTHENTICATED, CLIENT_ERROR, SERVER_ERROR = 200, 401, 400, 500


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    retry_after: str | None


@dataclass(frozen=True, slots=True)
class GoogleError:
    """`code` is FCM's own error code, or the status of the platform's error model."""

    code: str
    message: str


def needs_new_token(answer: Answer) -> bool:
    """Say whether a renewed token may help.

    A 401 about the certificate for APNs or web push is about somebody else's credentials.
    """
    if answer.status != UNAUTHENTICATED:
        return False
    error = _google_error(answer.body)
    return error is None or error.code not in BY_CODE


def classify(answer: Answer) -> Result:
    if answer.status == OK:
        return _accepted(answer.body)
    error = _google_error(answer.body)
    detail = f"{answer.status} {error.code}: {error.message}" if error else f"{answer.status}"
    return Result(
        _outcome(answer.status, error),
        parse_retry_after(answer.retry_after, now=datetime.now(UTC)),
        detail[:MAX_DETAIL],
    )


def _accepted(body: bytes) -> Result:
    """Believe a 200 only with the name of a message in it: portals answer 200 to everything."""
    parsed = _json_object(body)
    if isinstance(parsed.get("name"), str):
        return Result(Outcome.DELIVERED_TO_FCM)
    return Result(Outcome.UNAVAILABLE, detail="200 without the name of a message")


def _outcome(status: int, error: GoogleError | None) -> Outcome:
    if error and error.code in BY_CODE:
        return BY_CODE[error.code]
    if status in BY_STATUS:
        return BY_STATUS[status]
    # A page of some proxy says nothing about the message or the device, so neither may be given
    # up for it: only Google's own refusal is one.
    if error and CLIENT_ERROR <= status < SERVER_ERROR:
        return Outcome.INVALID
    return Outcome.UNAVAILABLE


def _google_error(body: bytes) -> GoogleError | None:
    """Read the platform's error model, https://cloud.google.com/apis/design/errors."""
    error = _json_object(body).get("error")
    if not isinstance(error, dict):
        return None
    code = _fcm_code(error.get("details")) or error.get("status")
    return GoogleError(str(code), str(error.get("message", "")))


def _fcm_code(details: object) -> str | None:
    for detail in details if isinstance(details, list) else []:
        if isinstance(detail, dict) and detail.get("@type") == FCM_ERROR:
            code = detail.get("errorCode")
            return code if isinstance(code, str) else None
    return None


def _json_object(body: bytes) -> dict[str, object]:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def parse_retry_after(value: str | None, *, now: datetime) -> timedelta | None:
    """Read seconds or an HTTP date (RFC 9110 §10.2.3); what is neither counts as absent."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return timedelta(seconds=min(int(text[:9]), LONGEST_WAIT.total_seconds()))
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    # A date without a zone ("-0000") is naive; HTTP dates are UTC.
    wait = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now
    return max(timedelta(0), min(wait, LONGEST_WAIT))
