"""The register of breaches: the 72 hours, one record, and the notice to print."""

import uuid
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from admin import door, forms, labels, page
from api.current import current
from models import Breach
from services.errors import BadRequest, DomainError, Forbidden, NotFound
from services.privacy import breaches

blp = Blueprint("breaches", __name__, url_prefix="/breaches")

HOME = "/admin/breaches"
PAGE = 50
TEXT = 8000
LINE = 500
PEOPLE = 100_000_000
ANSWERS = {"": None, "yes": True, "no": False}


@blp.get("/", strict_slashes=False)
def index() -> Response:
    return _list()


@blp.post("/", strict_slashes=False)
def record() -> AnyResponse:
    try:
        facts = breaches.Facts(
            # To the minute, as the form of the record shows it again.
            detected_at=forms.moment("detected_at")
            or current.now().replace(second=0, microsecond=0),
            what=forms.text("what", limit=TEXT) or "",
        )
        with current.db.transaction() as session:
            made = breaches.record(session, door.visit().actor, facts, at=current.now())
    except (Forbidden, BadRequest):
        raise
    except DomainError as error:
        return _list(error)
    return redirect(f"{HOME}/{made.id}?{page.went_well('breach:record')}", HTTPStatus.SEE_OTHER)


@blp.get("/<uuid:breach_id>")
def show(breach_id: uuid.UUID) -> Response:
    return _page(breach_id)


@blp.post("/<uuid:breach_id>/edit")
def edit(breach_id: uuid.UUID) -> AnyResponse:
    return _attempt(
        breach_id,
        "edit",
        lambda session: breaches.edit(
            session,
            door.visit().actor,
            breach_id,
            _facts(),
            version=forms.version(),
            at=current.now(),
        ),
    )


@blp.post("/<uuid:breach_id>/notify")
def notify(breach_id: uuid.UUID) -> AnyResponse:
    return _attempt(
        breach_id,
        "notify",
        lambda session: breaches.notify(
            session,
            door.visit().actor,
            breach_id,
            notified_at=forms.moment("notified_at"),
            version=forms.version(),
            at=current.now(),
        ),
    )


@blp.post("/<uuid:breach_id>/close")
def close(breach_id: uuid.UUID) -> AnyResponse:
    return _attempt(
        breach_id,
        "close",
        lambda session: breaches.close(
            session, door.visit().actor, breach_id, version=forms.version(), at=current.now()
        ),
    )


@blp.get("/<uuid:breach_id>/notice")
def notice(breach_id: uuid.UUID) -> str:
    """What the authority is told, to be printed and signed."""
    with current.db.reading() as session:
        breach = breaches.read(session, door.visit().actor, breach_id)
    return page.render("breach_notice.html", breach=breach, now=current.now(), home=HOME)


def _facts() -> breaches.Facts:
    """The record as it was typed; the form shows all of it, so a blank is meant."""
    detected_at = forms.moment("detected_at")
    answer = request.form.get("notifiable", "")
    if detected_at is None or answer not in ANSWERS:
        raise forms.FormMalformed
    return breaches.Facts(
        detected_at=detected_at,
        what=forms.text("what", limit=TEXT) or "",
        occurred_at=forms.moment("occurred_at"),
        place=forms.text("place", limit=LINE),
        data_kinds=forms.text("data_kinds", limit=TEXT),
        people_count=forms.whole("people_count", limit=PEOPLE),
        consequences=forms.text("consequences", limit=TEXT),
        measures=forms.text("measures", limit=TEXT),
        contact=forms.text("contact", limit=TEXT),
        notifiable=ANSWERS[answer],
    )


def _attempt(breach_id: uuid.UUID, name: str, work: Callable[[Any], Breach]) -> AnyResponse:
    """Do the work and show the record; a refusal shows it with what was typed."""
    try:
        with current.db.transaction() as session:
            work(session)
    except (NotFound, Forbidden, BadRequest):
        raise
    except DomainError as error:
        return _page(breach_id, failed=name, error=error)
    done = page.went_well(f"breach:{name}")
    return redirect(f"{HOME}/{breach_id}?{done}", HTTPStatus.SEE_OTHER)


def _list(error: DomainError | None = None) -> Response:
    actor, now, before = door.visit().actor, current.now(), forms.an_id("before")
    with current.db.reading() as session:
        running = [] if before else breaches.running(session, actor)
        closed = breaches.closed(session, actor, before=before, limit=PAGE + 1)
        overdue = breaches.overdue(session, at=now)
    return page.respond(
        "breaches.html",
        error=error,
        running=[(each, breaches.urgency(each, at=now)) for each in running],
        closed=closed[:PAGE],
        overdue=overdue,
        before=before,
        more=f"{HOME}?before={closed[PAGE - 1].id}" if len(closed) > PAGE else None,
        now=now,
        typed=forms.typed() if error else {},
        home=HOME,
    )


def _page(breach_id: uuid.UUID, *, failed: str = "", error: DomainError | None = None) -> Response:
    now = current.now()
    with current.db.reading() as session:
        breach = breaches.read(session, door.visit().actor, breach_id)
    return page.respond(
        "breach.html",
        error=error,
        breach=breach,
        level=breaches.urgency(breach, at=now),
        shown=forms.typed() if failed == "edit" else _typed(breach),
        now=now,
        failed=failed,
        typed=forms.typed() if failed else {},
        home=HOME,
    )


def _typed(breach: Breach) -> dict[str, Any]:
    """The record as the form takes it."""
    answers = {value: name for name, value in ANSWERS.items()}
    names = ("what", "place", "data_kinds", "consequences", "measures", "contact")
    return {name: getattr(breach, name) or "" for name in names} | {
        "detected_at": labels.local_input(breach.detected_at),
        "occurred_at": labels.local_input(breach.occurred_at),
        "people_count": "" if breach.people_count is None else breach.people_count,
        "notifiable": answers[breach.notifiable],
    }
