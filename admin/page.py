"""Rendering: what every template of the staff view has at hand."""

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from flask import g, render_template, request

from admin import door, labels
from api.signing import sign, unsign
from services import permissions
from services.permissions import Duty

HTMX = Path(__file__).parent / "static" / "vendor" / "htmx.min.js"


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
        # Where a link leads that this person may follow.
        allowed={each.value for each in Duty if actor and permissions.may(actor, each)},
        csrf=door.csrf_token() if visit else None,
        # The pages work without it, only less lively.
        has_htmx=HTMX.is_file(),
        **context,
    )
