"""One report: all that is known of it, and the steps that are legal now."""

import uuid
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, redirect, request
from werkzeug.datastructures import FileStorage
from werkzeug.wrappers import Response as AnyResponse

from admin import door, forms, labels, page, sign_in
from api import files
from api.blueprint import takes_bodies_up_to
from api.current import current
from models import Category, Citizen, Report, ReportEvent, Upload
from services import feedback, permissions, photos, uploads
from services.errors import DomainError, NotFound
from services.permissions import SENSITIVE, Action

blp = Blueprint("reports", __name__, url_prefix="/reports")

TEXT = 4000
REASON = 2000
CODE = 60
STEPS = {step.name: step for step in feedback.TRANSITIONS}
# What each button of the publication form makes of the report beside its text.
PUBLICATION = {"publish": "public", "save_text": "public", "unpublish": "private"}
# The texts of these steps stay inside the offices; all others are read by the reporter.
INTERNAL_STEPS = frozenset({"return", "hand_over"})
# More than may be chosen, so that who typed too many is told how many there may be.
MOST_TYPED_DAYS = 9999
# The usual way of a report; these steps stand first and open.
USUAL_STEPS = ("assign", "claim", "resolve")


@blp.get("/<uuid:report_id>")
def show(report_id: uuid.UUID) -> Response:
    return _page(report_id)


@blp.post("/<uuid:report_id>/reporter")
def reporter(report_id: uuid.UUID) -> Response:
    """Show who sent it: an action of its own, because each look is recorded."""
    if asked := sign_in.asked_again(SENSITIVE, back=f"/admin/reports/{report_id}"):
        return asked
    with current.db.transaction() as session:
        person = feedback.read_reporter(session, door.visit().actor, report_id, at=current.now())
    return _page(report_id, reporter=person, reporter_asked=True)


@blp.post("/<uuid:report_id>/move")
@takes_bodies_up_to(files.UPLOAD_BODY, or_else=files.too_large)
def move(report_id: uuid.UUID) -> AnyResponse:
    name = request.form.get("step", "")
    if name not in STEPS:
        raise forms.FormMalformed

    if _sent_photo() is not None:
        # By itself, so that a refused move counts too.
        with current.db.transaction() as session:
            uploads.count_upload(session, door.visit().actor, at=current.now())

    def carry_out(session: Any) -> Report:
        asked = feedback.Move(
            to=STEPS[name].to,
            department=forms.text("department", limit=CODE),
            category=forms.text("category", limit=CODE),
            text=forms.text("text", limit=TEXT),
            reason=forms.text("reason", limit=REASON),
            upload_ids=_photo_of_the_result(session),
        )
        return feedback.move(
            session,
            door.visit().actor,
            report_id,
            asked,
            version=forms.version(),
            at=current.now(),
        )

    return _attempt(report_id, name, carry_out)


@blp.post("/<uuid:report_id>/edit")
def edit(report_id: uuid.UUID) -> AnyResponse:
    name = request.form.get("step", "")
    if name not in PUBLICATION:
        raise forms.FormMalformed

    def carry_out(session: Any) -> Report:
        return feedback.edit(
            session,
            door.visit().actor,
            report_id,
            version=forms.version(),
            at=current.now(),
            public_text=forms.text("public_text", limit=TEXT),
            visibility=PUBLICATION[name],
        )

    return _attempt(report_id, name, carry_out)


@blp.post("/<uuid:report_id>/pause")
def pause(report_id: uuid.UUID) -> AnyResponse:
    """Have the author pause; who it is, is not shown."""

    def carry_out(session: Any) -> Report:
        actor = door.visit().actor
        feedback.pause_reporter(
            session,
            actor,
            report_id,
            days=forms.whole("days", limit=MOST_TYPED_DAYS) or 0,
            reason=forms.text("reason", limit=REASON),
            at=current.now(),
        )
        return feedback.read(session, actor, report_id)

    return _attempt(report_id, "pause_reporter", carry_out)


def _sent_photo() -> FileStorage | None:
    """A browser sends an empty part when no file was chosen."""
    sent = request.files.get("photo")
    return sent if sent and sent.filename else None


def _photo_of_the_result(session: Any) -> list[uuid.UUID]:
    """The photo sent with the form, if there is one, taken in by the one path for photos."""
    sent = _sent_photo()
    if sent is None:
        return []
    actor = door.visit().actor
    content = sent.stream.read(photos.MAX_BYTES + 1)
    received = uploads.receive(session, actor, content, storage=current.storage, at=current.now())
    return [received.id]


def _attempt(report_id: uuid.UUID, step: str, work: Callable[[Any], Report]) -> AnyResponse:
    """Do the work and go back to the report; a refusal shows it again with what was typed."""
    try:
        with current.db.transaction() as session:
            report = work(session)
    except NotFound:
        raise
    except DomainError as error:
        return _page(report_id, failed=step, error=error)
    # Who returns a report to the dispatcher may not see it any more.
    stays = permissions.can(door.visit().actor, Action.READ, report)
    back = f"/admin/reports/{report_id}" if stays else "/admin/"
    return redirect(f"{back}?{page.went_well(step)}", HTTPStatus.SEE_OTHER)


def _page(
    report_id: uuid.UUID,
    *,
    failed: str = "",
    error: DomainError | None = None,
    reporter: Citizen | None = None,
    reporter_asked: bool = False,
) -> Response:
    actor = door.visit().actor
    with current.db.reading() as session:
        report = feedback.read(session, actor, report_id)
        names = feedback.staff_names(session, report)
        categories = feedback.categories(session)
        departments = feedback.departments(session)
        pause = feedback.pause_of(session, actor, report, at=current.now())
    steps = sorted(
        feedback.next_steps(actor, report), key=lambda step: step.name not in USUAL_STEPS
    )
    return page.respond(
        "report.html",
        error=error,
        report=report,
        clock=feedback.clock(report, at=current.now()),
        now=current.now(),
        photos=[(photo, _links(photo)) for photo in report.photos],
        events=[_event(event, names, categories) for event in report.timeline],
        steps=steps,
        failed_is_offered=failed
        in {step.name for step in steps}
        | PUBLICATION.keys()
        | (set() if pause else {"pause_reporter"}),
        internal_steps=INTERNAL_STEPS,
        usual_steps=USUAL_STEPS,
        reasons=feedback.REJECTION_REASONS,
        departments=departments,
        categories=categories,
        is_own=permissions.is_own(actor, report.reporter_id),
        may_publish=permissions.can(actor, Action.PUBLISH, report),
        may_see_reporter=permissions.can(actor, Action.SEE_REPORTER, report),
        may_pause=permissions.can(actor, Action.PAUSE_REPORTER, report) and report.reporter_id,
        pause=pause,
        most_days=feedback.MOST_DAYS,
        reporter=reporter,
        reporter_asked=reporter_asked,
        failed=failed,
        typed=forms.typed() if failed else {},
    )


def _links(photo: Upload) -> dict[str, str] | None:
    """Addresses without a host: the page's own, by whatever name it was reached."""
    links = files.links(photo)
    host = current.settings.public_url
    return links and {size: link.removeprefix(host) for size, link in links.items()}


def _event(
    event: ReportEvent, names: dict[uuid.UUID, str], categories: list[Category]
) -> dict[str, Any]:
    text = event.text
    if event.kind == "recategorised" and text:
        by_code = {category.code: category.name_vi for category in categories}
        text = " → ".join(by_code.get(code, code) for code in text.split(" → "))
    return {
        "title": labels.EVENTS.get(event.kind, event.kind),
        "by": names.get(event.actor_id) or labels.ACTORS[event.actor_kind],
        "at": event.at,
        "text": labels.event_text(event.kind, text),
        "reason": labels.REASONS.get(event.reason or "", event.reason),
        "internal": not event.public,
    }
