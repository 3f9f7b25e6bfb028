"""Guardians: relations that wait for a check, and the check of one."""

import uuid
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, redirect
from werkzeug.wrappers import Response as AnyResponse

from admin import door, forms, page, sign_in
from api.current import current
from models import Child
from services import permissions
from services.errors import BadRequest, DomainError, Forbidden, NotFound
from services.permissions import GRAVE, SENSITIVE
from services.privacy import checks
from services.privacy.checks import Look

blp = Blueprint("guardians", __name__, url_prefix="/guardians")

HOME = "/admin/guardians"
REASON = 2000


@blp.get("/", strict_slashes=False)
def index() -> Response:
    with current.db.reading() as session:
        waiting = checks.pending(session, door.visit().actor)
    return page.respond(
        "guardians.html",
        relations=waiting,
        at_once=checks.AT_ONCE,
        now=current.now(),
        home=HOME,
    )


@blp.get("/<uuid:child_id>")
def show(child_id: uuid.UUID) -> Response:
    return _page(child_id)


@blp.post("/<uuid:child_id>/look")
def look(child_id: uuid.UUID) -> Response:
    """Show what was told: an action of its own, because each look is recorded."""
    if asked := sign_in.asked_again(SENSITIVE, back=f"{HOME}/{child_id}"):
        return asked
    return _page(child_id, look=_look(child_id))


@blp.post("/<uuid:child_id>/confirm")
def confirm(child_id: uuid.UUID) -> AnyResponse:
    return _decide(
        child_id,
        "confirm",
        lambda session: checks.confirm(
            session,
            door.visit().actor,
            child_id,
            version=forms.version(),
            vault=current.vault,
            at=current.now(),
        ),
    )


@blp.post("/<uuid:child_id>/refuse")
def refuse(child_id: uuid.UUID) -> AnyResponse:
    return _decide(
        child_id,
        "refuse",
        lambda session: checks.refuse(
            session,
            door.visit().actor,
            child_id,
            reason=forms.text("reason", limit=REASON),
            version=forms.version(),
            at=current.now(),
        ),
    )


def _look(child_id: uuid.UUID) -> Look:
    with current.db.transaction() as session:
        return checks.look(
            session, door.visit().actor, child_id, vault=current.vault, at=current.now()
        )


def _decide(child_id: uuid.UUID, name: str, work: Callable[[Any], Child]) -> AnyResponse:
    if asked := sign_in.asked_again(GRAVE, back=f"{HOME}/{child_id}"):
        return asked
    try:
        with current.db.transaction() as session:
            work(session)
    except (NotFound, Forbidden, BadRequest):
        raise
    except DomainError as error:
        return _page(child_id, failed=name, error=error)
    return redirect(f"{HOME}?{page.went_well(f'child:{name}')}", HTTPStatus.SEE_OTHER)


def _page(
    child_id: uuid.UUID,
    *,
    failed: str = "",
    error: DomainError | None = None,
    look: Look | None = None,
) -> Response:
    with current.db.reading() as session:
        child = checks.read(session, door.visit().actor, child_id)
    return page.respond(
        "guardian.html",
        error=error,
        child=child,
        look=look,
        is_recent=sign_in.is_recent(GRAVE),
        is_own=permissions.is_own(door.visit().actor, child.guardian_id),
        now=current.now(),
        failed=failed,
        typed=forms.typed() if failed else {},
        home=HOME,
    )
