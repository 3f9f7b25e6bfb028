"""Errors in the shape of Google's platform.

https://cloud.google.com/apis/design/errors and
https://firebase.google.com/docs/cloud-messaging/error-codes
"""

import json
from typing import Any

from flask import Response

FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"

STATUS_NAMES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}
# These are statuses of the platform rather than error codes of FCM: they come without a detail.
PLATFORM_ONLY = frozenset({"UNAUTHENTICATED", "PERMISSION_DENIED", "NOT_FOUND", "ALREADY_EXISTS"})


def google_error(status: int, code: str, message: str) -> Response:
    """Answer with FCM's own error code in the details, where FCM has one."""
    details = [] if code in PLATFORM_ONLY else [{"@type": FCM_ERROR, "errorCode": code}]
    return _error(status, message, details)


def field_error(field: str, message: str) -> Response:
    """Answer as Google does for a malformed request: the field, and no error code of FCM."""
    violation = {"field": field, "description": message}
    return _error(400, message, [{"@type": BAD_REQUEST, "fieldViolations": [violation]}])


def _error(status: int, message: str, details: list[dict[str, Any]]) -> Response:
    error: dict[str, Any] = {"code": status, "message": message, "status": STATUS_NAMES[status]}
    if details:
        error["details"] = details
    return Response(json.dumps({"error": error}), status, content_type="application/json")
