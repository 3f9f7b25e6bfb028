"""The contract: an OpenAPI 3.1 document made from the views, and a page for people to read it."""

import re
from collections import defaultdict
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, TypeVar

from flask import Flask, Response, render_template
from flask_smorest import Api
from flask_smorest.utils import deepupdate
from markupsafe import Markup, escape

from api.blueprint import Blueprint, public
from api.errors import PROBLEM, STATUS
from services.errors import DomainError

View = TypeVar("View", bound=Callable[..., Any])

DESCRIPTION = """\
The API of C-Thái Nguyên for the mobile app and for partners.

Every answer with a status of 400 or more is a problem document (RFC 9457); switch on its `code`.
Sign in through Thái Nguyên ID (`GET /auth/config`, `POST /auth/login`) and send the access token
as `Authorization: Bearer`. Lists come in pages: follow `next_cursor`.
"""
_PROBLEM_SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"type": "string", "examples": ["/problems/report_not_found"]},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "In Vietnamese, or English on request."},
        "code": {"type": "string", "description": "What a client switches on."},
        "request_id": {"type": ["string", "null"]},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {
                    "pointer": {"type": "string", "description": "JSON pointer (RFC 6901)."},
                    "detail": {"type": "string"},
                },
            },
        },
    },
}


class ProblemApi(Api):  # type: ignore[misc]  # flask-smorest ships no types
    """flask-smorest with problem documents as its errors; api.errors answers, not this."""

    def _register_error_handlers(self) -> None:
        """Leave errors to api.errors."""

    def _register_responses(self) -> None:
        """Name the one shape that every error has."""
        self.spec.components.schema("Problem", _PROBLEM_SCHEMA)
        for status in HTTPStatus:
            self.spec.components.response(status.name, _problem_response(status, status.phrase))
        self.spec.components.response(
            "DEFAULT_ERROR", _problem_response(None, "A problem document")
        )


# What a problem of this status carries beside its document.
_PROBLEM_HEADERS = {
    HTTPStatus.UNAUTHORIZED: ("WWW-Authenticate", "string", "Bearer"),
    HTTPStatus.CONFLICT: ("Retry-After", "integer", "Seconds, where waiting helps."),
    HTTPStatus.TOO_MANY_REQUESTS: ("Retry-After", "integer", "Seconds."),
    HTTPStatus.SERVICE_UNAVAILABLE: ("Retry-After", "integer", "Seconds."),
}


def _problem_response(status: HTTPStatus | None, description: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    response: dict[str, Any] = {
        "description": description,
        "content": {PROBLEM: {"schema": schema}},
    }
    if status in _PROBLEM_HEADERS:
        name, kind, meaning = _PROBLEM_HEADERS[status]
        response["headers"] = {name: {"schema": {"type": kind}, "description": meaning}}
    return response


def fails(*kinds: type[DomainError]) -> Callable[[View], View]:
    """Document which problems a view answers with; the codes are those of the error classes."""
    by_status: dict[HTTPStatus, list[str]] = defaultdict(list)
    for kind in kinds:
        status = next(STATUS[base] for base in kind.__mro__ if base in STATUS)
        by_status[status].append(kind.__new__(kind).code)
    responses = {
        str(status.value): _problem_response(status, ", ".join(f"`{code}`" for code in codes))
        for status, codes in by_status.items()
    }

    def document(view: View) -> View:
        notes = dict(getattr(view, "_apidoc", {}))
        notes["manual_doc"] = deepupdate(
            dict(notes.get("manual_doc", {})), {"responses": responses}
        )
        view._apidoc = notes  # type: ignore[attr-defined]  # noqa: SLF001 - flask-smorest's place for notes
        return view

    return document


def init_app(app: Flask, blueprints: list[Blueprint]) -> ProblemApi:
    app.config |= {
        "API_TITLE": "C-Thái Nguyên",
        "API_VERSION": "1",
        "OPENAPI_VERSION": "3.1.0",
        "OPENAPI_URL_PREFIX": "/api",
        "OPENAPI_JSON_PATH": "openapi.json",
    }
    api = ProblemApi(
        app,
        spec_kwargs={
            "info": {"description": DESCRIPTION},
            "security": [{"bearer": []}],
            "servers": [{"url": "/", "description": "This installation"}],
        },
    )
    api.spec.components.security_scheme(
        "bearer", {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    )
    for blueprint in blueprints:
        api.register_blueprint(blueprint)
    _document_sign_in(api)
    app.add_template_filter(code_words)
    app.add_url_rule("/api/docs", "api_docs", human_page(api))
    return api


def _document_sign_in(api: ProblemApi) -> None:
    """Whatever is not public answers 401 without a token."""
    unauthorized = _problem_response(HTTPStatus.UNAUTHORIZED, "`token_invalid`")
    for path in api.spec._paths.values():  # noqa: SLF001 - apispec has no public way to them
        for operation in path.values():
            if isinstance(operation, dict) and operation.get("security") != []:
                operation["responses"].setdefault("401", unauthorized)


def code_words(text: str) -> Markup:
    """`text` for a page: what stands between backticks as code, the rest as it is."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped


def human_page(api: ProblemApi) -> Callable[[], Response]:
    @public
    def show() -> Response:
        spec = api.spec.to_dict()
        response = Response(render_template("docs.html", spec=spec), mimetype="text/html")
        response.headers["Content-Security-Policy"] = (
            "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'"
        )
        return response

    return show
