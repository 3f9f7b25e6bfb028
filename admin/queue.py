"""The queue: what is to be done, newest first."""

from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, make_response, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from admin import door, forms, labels, page
from api.current import current
from models import ReportState
from services import feedback, places

blp = Blueprint("queue", __name__)

PAGE = 50
COMMUNES = 2
FILTERS = ("department", "category", "place", "code")
# These chips always stand; the rarer states only when a report is in one.
USUAL_STATES = ("received", "assigned", "in_progress", "resolved", "rejected")


@blp.get("")
def without_slash() -> AnyResponse:
    # Werkzeug's own redirect would take its host from the request.
    return redirect("/admin/", HTTPStatus.PERMANENT_REDIRECT)


@blp.get("/")
def index() -> str:
    wanted, before = forms.queue_filter(), forms.an_id("before")
    actor, now = door.visit().actor, current.now()
    with current.db.reading() as session:
        reports = feedback.queue(session, actor, wanted, before=before, limit=PAGE + 1)
        counts = feedback.queue_counts(session, actor)
        choices = {
            "departments": feedback.departments(session),
            "categories": feedback.categories(session),
            "places": places.search(session, level=COMMUNES),
        }
    shown = reports[:PAGE]
    return page.render(
        "queue.html",
        reports=[(report, feedback.clock(report, at=now)) for report in shown],
        now=now,
        chips=chips(counts),
        more=_address(before=str(shown[-1].id)) if len(reports) > PAGE else None,
        newest=None if before else _address("/admin/new", since=str(shown[0].id) if shown else ""),
        cleared=f"/admin/?{urlencode({'state': state})}"
        if (state := request.args.get("state"))
        else "/admin/",
        done=page.told(),
        filtered=any(request.args.get(name) for name in FILTERS),
        **choices,
    )


@blp.get("/new")
def newer() -> Response:
    """How many reports came since the page was loaded; the page asks by itself."""
    wanted, since = forms.queue_filter(), forms.an_id("since")
    with current.db.reading() as session:
        count = feedback.newer_than(session, door.visit().actor, wanted, since=since)
    response = make_response(page.render("newer.html", count=count, address=_address(since=None)))
    # With no-store the browser could not ask again by ETag.
    response.headers["Cache-Control"] = "private, no-cache"
    response.set_etag(str(count))
    return response.make_conditional(request)


def chips(counts: dict[ReportState, int]) -> list[dict[str, Any]]:
    """The states to choose from, each with its count and its address."""
    chosen = request.args.get("state", "")
    open_count = sum(count for state, count in counts.items() if state in feedback.OPEN_STATES)
    single = [
        (state.value, labels.STATES[state.value], counts.get(state, 0))
        for state in ReportState
        if state.value in USUAL_STATES or counts.get(state)
    ]
    every = (forms.EVERY_STATE, "Tất cả", sum(counts.values()))
    return [
        {
            "label": label,
            "count": count,
            "address": _address(state=state or None, before=None),
            "chosen": chosen == state,
        }
        for state, label, count in [("", "Cần xử lý", open_count), *single, every]
    ]


def _address(path: str = "/admin/", **changes: str | None) -> str:
    """This page's address with other parameters; None takes one away."""
    kept = {name: request.args.get(name) for name in ("state", *FILTERS)}
    query = {name: value for name, value in {**kept, **changes}.items() if value}
    return f"{path}?{urlencode(query)}" if query else path
