"""Rendering: what every template of the staff view has at hand."""

from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from flask import Response, g, make_response, render_template, request

from admin import door, labels
from api import errors
from api.signing import sign, unsign
from services import permissions
from services.errors import DomainError, Stale
from services.permissions import Actor, Duty

HTMX = Path(__file__).parent / "static" / "vendor" / "htmx.min.js"


class Link(NamedTuple):
    """A part of the staff view; `duty` is whose it is, None for everybody's."""

    address: str
    label: str
    duty: Duty | None = None


NAV = (
    Link("/admin/", "Phản ánh"),
    Link("/admin/pauses", "Tạm khóa", Duty.SEE_PAUSES),
    Link("/admin/people", "Cán bộ", Duty.MANAGE_STAFF),
    Link("/admin/data-requests", "Yêu cầu dữ liệu", Duty.HANDLE_REQUESTS),
    Link("/admin/guardians", "Giám hộ", Duty.CHECK_GUARDIANS),
    Link("/admin/breaches", "Sự cố dữ liệu", Duty.KEEP_BREACHES),
    Link("/admin/audit", "Nhật ký", Duty.READ_AUDIT),
)


def navigation(actor: Actor) -> list[Link]:
    """Where this person may go; nothing where there is only one way."""
    links = [link for link in NAV if link.duty is None or permissions.holds(actor, link.duty)]
    return links if len(links) > 1 else []


def is_here(link: Link) -> bool:
    """Whether this page belongs to that part; the queue's are those that belong to no other."""
    others = [each.address for each in NAV[1:]]
    inside = [each for each in others if request.path.startswith(each)]
    return link.address in inside if inside else link == NAV[0]


def went_well(step: str) -> str:
    """What a redirect carries so that the next page can say that `step` was done.

    Signed for this session, so that no link from elsewhere can claim it.
    """
    return urlencode({"done": sign(_purpose(), step.encode())})


def told() -> str | None:
    """What this page has to confirm, if it is the one after a step."""
    step = unsign(_purpose(), request.args.get("done", "")) or b""
    return labels.STEPS.get(step.decode(), (None, None))[1]


def _purpose() -> str:
    return f"done|{door.visit().session_hash.hex()}"


def render(template: str, **context: Any) -> str:
    """A page of the staff view; also where nobody is signed in, for the pages of the door."""
    visit = g.get("visit")
    actor = visit.actor if visit else None
    return render_template(
        f"admin/{template}",
        labels=labels,
        actor=actor,
        navigation=navigation(actor) if actor else [],
        is_here=is_here,
        open_appeals=g.get("open_appeals", 0),
        csrf=door.csrf_token() if visit else None,
        # The pages work without it, only less lively.
        has_htmx=HTMX.is_file(),
        **context,
    )


def respond(template: str, *, error: DomainError | None = None, **context: Any) -> Response:
    """A page that may have to say that a step was done, or why it was refused."""
    html = render(
        template,
        complaint=labels.message(error) if error else None,
        changed_meanwhile=isinstance(error, Stale),
        done=told(),
        **context,
    )
    response = make_response(html, _status(error))
    if error is not None and error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def _status(error: DomainError | None) -> HTTPStatus:
    if error is None:
        return HTTPStatus.OK
    # 412 is for a client that sent a condition; a person's form meets a conflict.
    return HTTPStatus.CONFLICT if isinstance(error, Stale) else errors.status_of(error)
