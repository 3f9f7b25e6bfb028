"""Reporters who have to pause: the list, and one pause with what may be decided on it."""

import uuid
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from admin import door, forms, page
from api import paging
from api.current import current
from services import feedback, permissions
from services.errors import DomainError, NotFound
from services.feedback.pauses import MOST_CHARACTERS
from services.permissions import Action

blp = Blueprint("pauses", __name__, url_prefix="/pauses")

HOME = "/admin/pauses"
PAGE = 50
# More than is taken, so that who typed too much is told how much it may be.
MOST_TYPED = 4000
STEPS: dict[str, Callable[..., Any]] = {
    "lift_pause": feedback.lift_pause,
    "grant_appeal": partial(feedback.answer_appeal, granted=True),
    "keep_pause": partial(feedback.answer_appeal, granted=False),
}


@blp.get("/", strict_slashes=False)
def index() -> Response:
    actor, now = door.visit().actor, current.now()
    with current.db.reading() as session:
        found = feedback.pauses(
            session,
            actor,
            after=paging.after(request.args.get("cursor") or None),
            limit=PAGE + 1,
            at=now,
        )
    shown = paging.page(found, PAGE, scope=paging.waiting)
    return page.respond(
        "pauses.html",
        pauses=shown["items"],
        now=now,
        home=HOME,
        more=(cursor := shown["next_cursor"]) and f"{HOME}?{urlencode({'cursor': cursor})}",
    )


@blp.get("/<uuid:pause_id>")
def show(pause_id: uuid.UUID) -> Response:
    return _page(pause_id)


@blp.post("/<uuid:pause_id>")
def decide(pause_id: uuid.UUID) -> AnyResponse:
    name = request.form.get("step", "")
    if name not in STEPS:
        raise forms.FormMalformed
    try:
        with current.db.transaction() as session:
            STEPS[name](
                session,
                door.visit().actor,
                pause_id,
                reason=forms.text("reason", limit=MOST_TYPED) or "",
                at=current.now(),
            )
    except NotFound:
        raise
    except DomainError as error:
        return _page(pause_id, failed=name, error=error)
    return redirect(f"{HOME}/{pause_id}?{page.went_well(name)}", HTTPStatus.SEE_OTHER)


def _page(pause_id: uuid.UUID, *, failed: str = "", error: DomainError | None = None) -> Response:
    actor, now = door.visit().actor, current.now()
    with current.db.reading() as session:
        found = feedback.pause(session, actor, pause_id)
    return page.respond(
        "pause.html",
        error=error,
        pause=found,
        runs=found.lifted_at is None and now < found.until,
        may_decide=feedback.may_decide(actor, found),
        may_read_report=permissions.can(actor, Action.READ, found.report),
        most=MOST_CHARACTERS,
        failed=failed,
        typed=forms.typed() if failed else {},
        home=HOME,
    )
