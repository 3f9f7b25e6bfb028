"""Published reports, for everybody."""

from typing import Any

from flask import Response, after_this_request, request

from api import paging
from api.blueprint import Blueprint, public
from api.current import current
from api.openapi import fails
from api.paging import CursorInvalid
from api.schemas.base import page_of
from api.schemas.feedback import PublicQuery, PublicReportOut
from services import feedback
from services.feedback import ReportNotFound

blp = Blueprint("public", __name__, url_prefix="/api/v1/public", description="Published reports")
MAX_AGE_S = 30
# nginx keeps it for so long, and keeps this header to itself.
FRONT_KEEPS_S = 2


@blp.get("/reports")
@public
@blp.arguments(PublicQuery, location="query")
@blp.response(200, page_of(PublicReportOut), headers=paging.ANSWER)
@fails(CursorInvalid)
def public_reports(asked: dict[str, Any]) -> Any:
    """Published reports, newest first"""
    limit = asked.pop("limit")
    before = paging.before(asked.pop("cursor"))
    with current.db.rows() as connection:
        reports = feedback.public_reports(connection, before=before, limit=limit + 1, **asked)
    _cacheable()
    return paging.page(reports, limit)


@blp.get("/reports/<code>")
@public
@blp.response(200, PublicReportOut)
@fails(ReportNotFound)
def public_report(code: str) -> Any:
    """One published report"""
    with current.db.rows() as connection:
        report = feedback.public_report(connection, code)
    _cacheable()
    return report


def _cacheable() -> None:
    """Let caches keep the answer for a moment and ask again by its ETag."""

    @after_this_request
    def add(response: Response) -> Response:
        response.headers["Cache-Control"] = f"public, max-age={MAX_AGE_S}"
        response.headers["X-Accel-Expires"] = str(FRONT_KEEPS_S)
        response.add_etag()
        asked = "If-None-Match" in request.headers
        return response.make_conditional(request) if asked else response
