"""The audit log: the citizen's own, and the auditor's."""

from typing import Any

from api import auth, paging
from api.blueprint import Blueprint
from api.current import current
from api.errors import locale
from api.openapi import fails
from api.paging import CursorInvalid
from api.schemas.audit import AccessOut, AuditEventOut, AuditQuery
from api.schemas.base import PageQuery, page_of
from models import Audience
from services import audit
from services.audit import NotAnAuditor

blp = Blueprint("audit", __name__, url_prefix="/api/v1", description="Who looked at me")
staff = Blueprint(
    "staff_audit",
    __name__,
    url_prefix="/api/v1/staff",
    description="For auditors",
    audience=Audience.STAFF,
)


@blp.get("/me/access-log")
@blp.arguments(PageQuery, location="query")
@blp.response(200, page_of(AccessOut), headers=paging.ANSWER)
@fails(CursorInvalid)
def access_log(asked: dict[str, Any]) -> Any:
    """What staff and facilities did with my personal data, newest first

    It names the role and the organisation, not the person: the authority answers to you, and finds
    the person by the `id` of the entry.
    """
    with current.db.rows() as connection:
        entries = audit.access_log(
            connection,
            auth.actor(),
            locale=locale(),
            before=paging.before(asked["cursor"]),
            limit=asked["limit"] + 1,
        )
    return paging.page(entries, asked["limit"])


@staff.get("/audit")
@staff.arguments(AuditQuery, location="query")
@staff.response(200, page_of(AuditEventOut), headers=paging.ANSWER)
@fails(CursorInvalid, NotAnAuditor)
def search(asked: dict[str, Any]) -> Any:
    """The audit log, newest first; the search is recorded in it"""
    limit, scope = asked.pop("limit"), paging.filters()
    before = paging.before(asked.pop("cursor"), scope=scope)
    with current.db.transaction() as session:
        events = audit.search(
            session,
            auth.actor(),
            audit.Search(**asked),
            before=before,
            limit=limit + 1,
            at=current.now(),
        )
    return paging.page(events, limit, scope=scope)
