"""Rendering: what every template of the staff view has at hand."""

from pathlib import Path
from typing import Any

from flask import g, render_template

from admin import door, labels

HTMX = Path(__file__).parent / "static" / "vendor" / "htmx.min.js"


def render(template: str, **context: Any) -> str:
    """A page of the staff view; also where nobody is signed in, for the pages of the door."""
    visit = g.get("visit")
    return render_template(
        f"admin/{template}",
        labels=labels,
        actor=visit.actor if visit else None,
        csrf=door.csrf_token() if visit else None,
        # The pages work without it, only less lively.
        has_htmx=HTMX.is_file(),
        **context,
    )
