"""Legal requests: the queue by the next deadline, and one request with its legal steps."""

import datetime as dt
import uuid
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from admin import door, forms, page, sign_in
from api.current import current
from services import permissions
from services.errors import BadRequest, DomainError, Forbidden, NotFound
from services.permissions import GRAVE, SENSITIVE
from services.privacy import desk, remedies
from services.privacy.desk import Cursor, Given, Person

blp = Blueprint("data_requests", __name__, url_prefix="/data-requests")

HOME = "/admin/data-requests"
PAGE = 50
TEXT = 4000
CODE = 30
ENDED = "ended"


@blp.get("/", strict_slashes=False)
def index() -> str:
    actor, now = door.visit().actor, current.now()
    shows_ended = request.args.get("state") == ENDED
    after, before = _cursor(), forms.an_id("before")
    with current.db.reading() as session:
        if shows_ended:
            found = desk.ended(session, actor, before=before, limit=PAGE + 1)
        else:
            found = desk.queue(session, actor, after=after, limit=PAGE + 1)
        open_count, late = desk.counts(session, actor, at=now)
    shown = found[:PAGE]
    return page.render(
        "data_requests.html",
        requests=[(each, desk.clock(each, at=now)) for each in shown],
        now=now,
        shows_ended=shows_ended,
        open_count=open_count,
        late=late,
        more=_more(shown[-1], ended=shows_ended) if len(found) > PAGE else None,
        home=HOME,
    )


@blp.get("/<uuid:request_id>")
def show(request_id: uuid.UUID) -> Response:
    return _page(request_id)


@blp.post("/<uuid:request_id>/person")
def person(request_id: uuid.UUID) -> Response:
    """Show who asked: an action of its own, because each look is recorded."""
    if asked := sign_in.asked_again(SENSITIVE, back=f"{HOME}/{request_id}"):
        return asked
    with current.db.transaction() as session:
        found = desk.read_person(
            session, door.visit().actor, request_id, vault=current.vault, at=current.now()
        )
    return _page(request_id, person=found)


@blp.post("/<uuid:request_id>/step")
def step(request_id: uuid.UUID) -> AnyResponse:
    name = request.form.get("step", "")
    does = request.form.get("does") or None
    # What the system does for somebody, such as deleting an account, is grave; words are not.
    acts = does not in {None, remedies.NOTHING}
    if acts and (asked := sign_in.asked_again(GRAVE, back=f"{HOME}/{request_id}")):
        return asked
    try:
        given = Given(
            name,
            text=forms.text("text", limit=TEXT),
            ground=forms.text("ground", limit=CODE),
            does=does,
        )
        with current.db.transaction() as session:
            desk.carry_out(
                session,
                door.visit().actor,
                request_id,
                given,
                version=forms.version(),
                at=current.now(),
            )
    except (NotFound, Forbidden, BadRequest):
        raise
    except DomainError as error:
        return _page(request_id, failed=name, error=error)
    done = page.went_well(f"data_request:{name}")
    return redirect(f"{HOME}/{request_id}?{done}", HTTPStatus.SEE_OTHER)


def _page(
    request_id: uuid.UUID,
    *,
    failed: str = "",
    error: DomainError | None = None,
    person: Person | None = None,
) -> Response:
    actor, now = door.visit().actor, current.now()
    with current.db.reading() as session:
        found = desk.read(session, actor, request_id)
        steps = desk.next_steps(session, actor, found, at=now)
        offered = remedies.offered(session, found)
    return page.respond(
        "data_request.html",
        error=error,
        item=found,
        clock=desk.clock(found, at=now),
        now=now,
        steps=steps,
        is_own=permissions.is_own(actor, found.citizen_id),
        refusals=desk.REFUSALS,
        remedies=offered,
        nothing=remedies.NOTHING,
        is_recent=sign_in.is_recent(GRAVE),
        person=person,
        failed=failed,
        failed_is_offered=failed in {step.name for step in steps},
        typed=forms.typed() if failed else {},
        home=HOME,
    )


def _cursor() -> Cursor | None:
    """Where the page before this one ended.

    Raises:
        BadRequest
    """
    value = request.args.get("after")
    if not value:
        return None
    due, _, last = value.partition("_")
    try:
        cursor = Cursor(dt.datetime.fromisoformat(due), uuid.UUID(last))
    except ValueError as error:
        raise BadRequest from error
    if cursor.due.tzinfo is None:
        raise BadRequest
    return cursor


def _more(last: Any, *, ended: bool) -> str:
    if ended:
        return f"{HOME}?{urlencode({'state': ENDED, 'before': last.id})}"
    due = desk.clock(last, at=current.now()).due
    return f"{HOME}?{urlencode({'after': f'{due and due.isoformat()}_{last.id}'})}"
