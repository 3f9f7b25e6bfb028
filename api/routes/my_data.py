"""What somebody may ask about their own data: a copy of all of it, and its end."""

from typing import Any

from flask import Response

from api import auth
from api.blueprint import Blueprint
from api.current import current
from api.json import dump
from api.openapi import fails
from api.schemas.my_data import DeletionOut, ExportQuery, PreparingOut
from services.limits import RateLimited
from services.permissions import GRAVE
from services.privacy import erasure, export
from services.privacy.export import ExportPartNotFound
from services.storage import StorageUnavailable

blp = Blueprint("my_data", __name__, url_prefix="/api/v1", description="My data")

EXPORT = "/api/v1/me/export"
ASK_AGAIN_S = 30
DOCUMENT = {
    "type": "object",
    "required": ["format", "made_at", "part", "masked", "whole_at", "next_part"],
    "properties": {
        "format": {"type": "string", "enum": [export.FORMAT]},
        "made_at": {"type": "string", "format": "date-time"},
        "part": {"type": "integer"},
        "masked": {
            "type": "array",
            "items": {"type": "string"},
            "description": "What a sign-in below level 2 does not show whole.",
        },
        "whole_at": {
            "type": ["string", "null"],
            "description": "Sign in with this acr to get it whole; null where nothing is masked.",
        },
        "citizen": {"type": "object"},
        "next_part": {"type": ["integer", "null"]},
    },
    "additionalProperties": {"type": "array", "items": {"type": "object"}},
}


@blp.get("/me/export")
@auth.needs_recent_sign_in(GRAVE, level=None)
@blp.arguments(ExportQuery, location="query")
@blp.response(
    200,
    schema=DOCUMENT,
    headers={
        "Content-Disposition": {"schema": {"type": "string"}, "description": "An attachment."},
        "Link": {"schema": {"type": "string"}, "description": 'The next part, rel="next".'},
    },
)
@blp.alt_response(
    202,
    schema=PreparingOut,
    headers={"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}},
)
@fails(ExportPartNotFound, RateLimited, StorageUnavailable)
def my_export(asked: dict[str, Any]) -> Response:
    """All that is held about me; with photos it is made in the background

    Lists of the same name in several parts belong together. Below level 2 numbers and dates of
    birth are masked. Whoever takes a copy, its person is told.
    """
    part, at = asked["part"], current.now()
    with current.db.transaction() as session:
        standing = export.ask(session, auth.actor(), part=part, at=at)
    if standing.export is None:
        with current.db.rows() as connection:
            return _document(
                export.at_once(connection, auth.actor(), vault=current.vault, at=at), part, 1
            )
    if standing.export.parts is None:
        response = Response(dump(PreparingOut().dump({"location": EXPORT})), 202)
        response.mimetype = "application/json"
        response.headers["Retry-After"] = str(ASK_AGAIN_S)
        return response
    content = export.read_part(
        standing.citizen, standing.export, part, vault=current.vault, storage=current.storage
    )
    return _document(content, part, standing.export.parts)


@blp.post("/me/deletion")
@auth.needs_recent_sign_in(GRAVE, level=None)
@blp.response(202, DeletionOut)
def ask_deletion() -> Any:
    """Have my account and my personal data erased in seven days"""
    with current.db.transaction() as session:
        return {"due_at": erasure.ask(session, auth.actor(), at=current.now())}


@blp.delete("/me/deletion")
@blp.response(204)
def undo_deletion() -> None:
    """Keep my account, if I asked for its deletion and it was not carried out"""
    with current.db.transaction() as session:
        erasure.undo(session, auth.actor(), at=current.now())


def _document(content: bytes, part: int, parts: int) -> Response:
    response = Response(content, mimetype="application/json")
    suffix = f"-{part}" if parts > 1 else ""
    name = f"c-thainguyen-export{suffix}.json"
    response.headers["Content-Disposition"] = f"attachment; filename={name}"
    if part < parts:
        response.headers["Link"] = f'<{EXPORT}?part={part + 1}>; rel="next"'
    return response
