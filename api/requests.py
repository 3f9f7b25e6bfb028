"""What happens around every request: its id, its limits, its one log line, its headers."""

import re
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any

import structlog
from flask import Flask, Response, current_app, g, request

from api import hosts
from api.json import JSON_LIMIT, NUL, BodyTooLarge
from services.errors import BadRequest

log = structlog.get_logger()

# What is read at all; a body of JSON may be 64 KiB, but a malformed one is called malformed first.
BODY_LIMIT = 256 * 1024
WELL_FORMED_ID = re.compile(r"[A-Za-z0-9-]{8,64}")
# More than this is not read to the end for politeness' sake: the connection is cut instead.
DRAINED_AT_MOST = 32 * 1024 * 1024
# What every answer carries unless its view says otherwise.
HEADERS = {
    "Cache-Control": "private, no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "Content-Security-Policy": (
        "default-src 'none'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-site",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class HostUnknown(BadRequest):
    """This installation is not reached by the name in the Host header."""

    vi = "Máy chủ này không dùng tên ghi trong tiêu đề Host."


class UnreadableAddress(BadRequest):
    """The address holds the character U+0000."""

    vi = "Địa chỉ chứa ký tự U+0000."


def init_app(app: Flask) -> None:
    # A body may not be read without a limit, whatever the view; larger ones are marked.
    app.config["MAX_CONTENT_LENGTH"] = BODY_LIMIT
    app.before_request(begin)
    app.after_request(finish)
    app.wsgi_app = Outermost(app.wsgi_app)  # type: ignore[method-assign]


def begin() -> None:
    """Name the request, and refuse what no view should see."""
    asked = request._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 - each use of the proxy is a look-up
    offered = asked.headers.get("X-Request-Id", "")
    g.request_id = offered if WELL_FORMED_ID.fullmatch(offered) else str(uuid.uuid4())
    g.began = time.perf_counter()
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)
    if hosts.MARK in asked.environ:
        raise HostUnknown
    parts = (part for pair in asked.args.items(multi=True) for part in pair)
    if NUL in asked.path or any(NUL in part for part in parts):
        raise UnreadableAddress
    view = current_app.view_functions.get(asked.endpoint or "")
    limit = getattr(view, "body_limit", BODY_LIMIT)
    asked.max_content_length = limit
    if (asked.content_length or 0) > limit:
        refusal = getattr(view, "too_large", _too_large)
        raise refusal()


def finish(response: Response) -> Response:
    """Name the answer and write the request's line: a route, never an address."""
    request_id = g.get("request_id")
    if request_id is None:  # The server refused the request before it had a name.
        return response
    response.headers["X-Request-Id"] = request_id
    took = time.perf_counter() - g.began
    route = request.url_rule.rule if request.url_rule else "(none)"
    current_app.extensions["metrics"].observe(request.method, route, response.status_code, took)
    if route not in {"/healthz", "/readyz"}:
        log.info(
            "request",
            method=request.method,
            route=route,
            status=response.status_code,
            ms=round(took * 1000, 1),
        )
    return response


def client_address() -> str:
    """Whom a request comes from, as far as the trusted proxies tell."""
    return request.remote_addr or "unknown"


def _too_large() -> BodyTooLarge:
    return BodyTooLarge(limit_kb=JSON_LIMIT // 1024)


class Outermost:
    """What is done around Flask itself.

    Reads what a view left of the body before the answer goes out: a proxy that is still sending a
    body when the connection closes answers 502 in our name. And adds the headers of every answer,
    here because Flask's own headers take ten times as long to look through.
    """

    def __init__(self, wsgi: Callable[..., Iterable[bytes]]) -> None:
        self._wsgi = wsgi

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            present = {name.lower() for name, _ in headers}
            added = [pair for pair in HEADERS.items() if pair[0].lower() not in present]
            return start_response(status, headers + added, *exc_info)

        body = _Counted(environ["wsgi.input"])
        environ["wsgi.input"] = body
        answer = self._wsgi(environ, start)
        length = environ.get("CONTENT_LENGTH") or "0"
        left = (int(length) if length.isdecimal() else 0) - body.count
        left = min(left, DRAINED_AT_MOST)
        while left > 0:
            chunk = body.read(min(left, 65536))
            if not chunk:
                break
            left -= len(chunk)
        return answer


class _Counted:
    """A body that knows how much of it was read."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        chunk: bytes = self._stream.read(size)
        self.count += len(chunk)
        return chunk

    def readline(self, size: int = -1) -> bytes:
        line: bytes = self._stream.readline(size)
        self.count += len(line)
        return line

    def __iter__(self) -> Any:
        return iter(self.readline, b"")
