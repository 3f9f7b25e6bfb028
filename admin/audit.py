"""The audit log, for auditors: what was done, who saw whom, and how sound the chain is."""

from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, request

from admin import door, forms, page
from api import paging
from api.current import current
from services import audit
from services.audit import Deed

blp = Blueprint("audit", __name__, url_prefix="/audit")

PAGE = 50
HOME = "/admin/audit"


@blp.get("/", strict_slashes=False)
def index() -> str:
    """Raises NotAnAuditor, CursorInvalid, BadRequest."""
    wanted, scope = asked(), paging.filters()
    before = paging.before(request.args.get("cursor"), scope=scope)
    with current.db.transaction() as session:
        found = audit.search(
            session, door.visit().actor, wanted, before=before, limit=PAGE + 1, at=current.now()
        )
        standing = audit.standing(session)
        verified = audit.last_verification(session)
    shown = paging.page(found, PAGE, scope=scope)
    return page.render(
        "audit.html",
        events=shown["items"],
        more=_address(cursor=shown["next_cursor"]) if shown["next_cursor"] else None,
        narrowed=_address,
        deeds=Deed,
        wanted=wanted,
        standing=standing,
        verified=verified,
        now=current.now(),
    )


def asked() -> audit.Search:
    """The search in the address.

    Raises:
        BadRequest
    """
    days = forms.days("from", "to")
    return audit.Search(
        action=forms.one_of("action", Deed),
        actor=forms.an_id("actor"),
        about=forms.an_id("about"),
        subject=forms.an_id("subject"),
        since=days[0],
        until=days[1],
        looks="looks" in request.args,
    )


def _address(**changes: Any) -> str:
    """This page's address with other parameters; a new search begins at its first page."""
    kept = request.args.to_dict() | {"cursor": None}
    query = {name: value for name, value in (kept | changes).items() if value}
    return f"{HOME}?{urlencode(query)}" if query else HOME
