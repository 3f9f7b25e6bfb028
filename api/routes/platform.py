"""What the app asks before it starts, and what monitoring asks all day."""

from typing import Any

from flask import Response

from api.blueprint import Blueprint, public
from api.current import current
from api.errors import locale, problem
from api.json import dump
from api.schemas.platform import ConfigOut
from services import feedback, photos, uploads

NOT_READY = {
    "vi": "Hệ thống chưa sẵn sàng phục vụ.",
    "en": "The system is not ready to serve.",
}

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
    """The database answers and is ours, there is room, and workers live; says what waits

    Reasons: `database_unreachable`, `database_silent`, `database_unsafe`, `schema_behind`,
    `key_wrong`, `key_missing`, `disk_nearly_full`, `workers_silent`.
    """
    report = current.readiness.report()
    found = report.health
    body = (
        {
            "workers": found.workers,
            "waiting_jobs": sum(queue.waiting for queue in found.queues.values()),
            "oldest_job_s": max((queue.oldest_s for queue in found.queues.values()), default=0),
        }
        if found
        else {}
    )
    if report.reasons:
        headers = {"Retry-After": "5"}
        detail = NOT_READY[locale()]
        return problem(503, "not_ready", detail, headers=headers, reasons=report.reasons, **body)
    return Response(dump({"status": "ready", **body}), mimetype="application/json")


def _version(categories: Any) -> str:
    """Changes whenever a category does."""
    facts = [
        (row.code, row.name_vi, row.name_en, row.acknowledge_hours, row.resolve_days)
        for row in categories
    ]
    return current.keys.mac("categories", dump(facts)).hex()[:12]
