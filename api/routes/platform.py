"""What the app asks before it starts, and what monitoring asks all day."""

from typing import Any

from flask import Response

from api.blueprint import Blueprint, public
from api.current import current
from api.errors import problem
from api.json import dump
from api.schemas.platform import ConfigOut
from services import feedback, health, photos, uploads

blp = Blueprint("platform", __name__, description="Start and health")


@blp.get("/api/v1/config")
@public
@blp.response(200, ConfigOut)
def config() -> Any:
    """Limits and addresses that the app must know before it starts"""
    with current.db.reading() as session:
        categories = feedback.categories(session)
    return {
        "limits": {
            "photos_per_report": uploads.PER_REPORT,
            "photo_bytes": photos.MAX_BYTES,
            "photo_megapixels": photos.MAX_PIXELS // 1_000_000,
            "photo_types": ["image/jpeg", "image/png", "image/webp", "image/heic"],
            "description_characters": 4000,
        },
        "categories_version": _version(categories),
        "emergency_numbers": {"police": "113", "fire": "114", "ambulance": "115"},
    }


@blp.get("/healthz")
@public
@blp.response(200, schema={"type": "object"})
def healthz() -> Response:
    """The process answers"""
    return Response(dump({"status": "ok"}), mimetype="application/json")


@blp.get("/readyz")
@public
@blp.response(200, schema={"type": "object"})
@blp.alt_response(503, description="Not ready; `reasons` says why")
def readyz() -> Response:
    """The database answers and its schema is ours; says how many workers live and what waits"""
    with current.db.reading() as session:
        found = health.check(session, at=current.now())
    body = {
        "status": "ready",
        "workers": found.workers,
        "waiting_jobs": found.waiting,
        "oldest_job_s": found.oldest_job_s,
    }
    if found.revision != current.schema_head:
        detail = f"The schema is at {found.revision}, the code wants {current.schema_head}."
        return problem(503, "schema_behind", detail, headers={"Retry-After": "5"})
    return Response(dump(body), mimetype="application/json")


def _version(categories: Any) -> str:
    """Changes whenever a category does."""
    facts = [
        (row.code, row.name_vi, row.name_en, row.acknowledge_hours, row.resolve_days)
        for row in categories
    ]
    return current.keys.mac("categories", dump(facts)).hex()[:12]
