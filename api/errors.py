"""Errors become problem documents (RFC 9457); the only place that knows HTTP's numbers.

Every answer with a status of 400 or more is application/problem+json, in Vietnamese, or in
English where Accept-Language prefers it: title, status, detail, code, and errors per field.
"""

import enum
from http import HTTPStatus
from typing import Any

import structlog
from flask import Flask, Response, current_app, g, request
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException

from api.json import dump
from api.messages import HTTP_DETAILS, TITLES, field_message
from services import errors
from services.keyring import KeysUnfit
from services.limits import RateLimited
from services.permissions import RecentSignInNeeded
from services.vault import Unreadable

log = structlog.get_logger()


class TusStatus(enum.IntEnum):
    """A number that HTTP does not know, of the protocol tus 1.0.0."""

    CHECKSUM_MISMATCH = 460

    @property
    def phrase(self) -> str:
        return "Checksum Mismatch"


STATUS: dict[type[errors.DomainError], HTTPStatus | TusStatus] = {
    errors.BadRequest: HTTPStatus.BAD_REQUEST,
    errors.Unauthenticated: HTTPStatus.UNAUTHORIZED,
    errors.Forbidden: HTTPStatus.FORBIDDEN,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.Expired: HTTPStatus.GONE,
    errors.Stale: HTTPStatus.PRECONDITION_FAILED,
    errors.PreconditionNeeded: HTTPStatus.PRECONDITION_REQUIRED,
    errors.TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.UnsupportedMedia: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.Invalid: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.Damaged: TusStatus.CHECKSUM_MISMATCH,
    errors.TooMany: HTTPStatus.TOO_MANY_REQUESTS,
    errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.DomainError: HTTPStatus.UNPROCESSABLE_ENTITY,
}
PROBLEM = "application/problem+json"
# SQLSTATE classes that pass by themselves: connection lost, resources, operator intervention,
# lock not available, serialization failure. And a right that our role lacks: that is no fault of
# the request either, and where the audit log cannot be written, nothing is shown or done.
PASSING = ("08", "40", "42501", "53", "55", "57")


def locale() -> str:
    """The language of this answer: Vietnamese unless English is preferred."""
    return request.accept_languages.best_match(["vi", "en"], default="vi")


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    headers: dict[str, str] | None = None,
    **members: Any,
) -> Response:
    """A problem document; `code` also names its type, a path of this API's documentation."""
    body = {
        "type": f"/problems/{code}",
        "title": TITLES[locale()].get(status) or HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": g.get("request_id"),
        **members,
    }
    response = Response(dump(body), status, mimetype=PROBLEM, headers=headers)
    response.headers["Cache-Control"] = "no-store"
    response.vary.add("Accept-Language")
    return response


def status_of(error: errors.DomainError) -> HTTPStatus | TusStatus:
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def alarm(error: errors.DomainError) -> None:
    """Tell the operators of what they alone can mend; whose data it was stands nowhere."""
    if isinstance(error, Unreadable):
        log.error("unreadable", kind=error.column)
        current_app.extensions["metrics"].count_unreadable(error.column)
    elif isinstance(error, KeysUnfit):
        log.error("keys_unfit")


def handle_domain_error(error: errors.DomainError) -> Response:
    alarm(error)
    status = status_of(error)
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, RecentSignInNeeded):
        # RFC 9470 section 3: what to ask the identity provider for.
        level = error.facts["acr_values"]
        headers["WWW-Authenticate"] = (
            'Bearer error="insufficient_user_authentication", '
            + (f'acr_values="{level}", ' if level else "")
            + f'max_age="{error.facts["max_age"]}"'
        )
    if isinstance(error, RateLimited):
        # draft-ietf-httpapi-ratelimit-headers-10: the quota, and what is left of it.
        headers["RateLimit-Policy"] = '"default";q={limit};w={window_s}'.format_map(error.facts)
        headers["RateLimit"] = '"default";r=0;t={retry_after_s}'.format_map(error.facts)
    return problem(status, error.code, error.message(locale()), headers=headers, **error.facts)


def handle_http_error(error: HTTPException) -> Response:
    """Flask's own errors and webargs' validation errors."""
    status = error.code or 500
    code = HTTPStatus(status).phrase.lower().replace(" ", "_").replace("-", "_")
    detail = HTTP_DETAILS[locale()].get(status, HTTPStatus(status).phrase)
    members: dict[str, Any] = {}
    if messages := getattr(error, "data", {}).get("messages"):
        code = "invalid"
        members["errors"] = list(_field_errors(messages))
    headers = {
        name: value
        for name, value in error.get_headers()
        if name.lower() in {"allow", "retry-after", "www-authenticate"}
    }
    return problem(status, code, detail, headers=headers, **members)


def handle_database_error(error: DBAPIError | PoolTimeout) -> Response:
    """Says nothing of the row: neither here nor in the log stands what the statement held."""
    state = getattr(getattr(error, "orig", None), "sqlstate", None) or ""
    diagnostics = getattr(getattr(error, "orig", None), "diag", None)
    log.error(
        "database_error",
        kind=type(error).__name__,
        sqlstate=state,
        constraint=getattr(diagnostics, "constraint_name", None),
    )
    # Without a state it was the connection, or the wait for one.
    lost = isinstance(error, (OperationalError, PoolTimeout)) and not state
    passing = lost or state.startswith(PASSING)
    if passing:
        unavailable = errors.Unavailable(retry_after=2)
        return handle_domain_error(unavailable)
    return _internal()


def handle_anything(error: Exception) -> Response:
    """The log gets the kind and the place, never the message, which may quote a citizen."""
    log.error("unhandled_error", kind=type(error).__name__, where=_place(error))
    if current_app.testing:
        raise error
    return _internal()


def init_app(app: Flask) -> None:
    app.register_error_handler(errors.DomainError, handle_domain_error)
    app.register_error_handler(HTTPException, handle_http_error)
    app.register_error_handler(DBAPIError, handle_database_error)
    app.register_error_handler(PoolTimeout, handle_database_error)
    app.register_error_handler(Exception, handle_anything)


def _internal() -> Response:
    return problem(500, "internal_server_error", HTTP_DETAILS[locale()][500])


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    return f"{trace.tb_frame.f_code.co_filename.rsplit('/', 2)[-1]}:{trace.tb_lineno}"


def _field_errors(messages: Any) -> Any:
    """Webargs' nested messages as a flat list of pointers (RFC 6901) and texts."""
    for location, fields in messages.items():
        # The body is what a pointer points into; for a query the parameter's name is enough.
        prefix = "" if location == "json" else f"/{location}"
        yield from _flat(prefix, fields)


def _flat(pointer: str, messages: Any) -> Any:
    if isinstance(messages, dict):
        for name, inner in messages.items():
            escaped = str(name).replace("~", "~0").replace("/", "~1")
            yield from _flat(pointer if name == "_schema" else f"{pointer}/{escaped}", inner)
        return
    for message in messages if isinstance(messages, list) else [messages]:
        yield {"pointer": pointer, "detail": field_message(str(message), locale())}
