"""Sending a report and following it to its end."""

import uuid
from typing import Any

from flask import Response

from api import auth, etags, files, idempotency, paging
from api.blueprint import Blueprint, any_audience, public, takes_bodies_up_to
from api.current import current
from api.idempotency import IdempotencyKeyMalformed, IdempotencyKeyRequired
from api.openapi import fails
from api.paging import CursorInvalid
from api.schemas.base import PageQuery, page_of
from api.schemas.feedback import (
    AppealIn,
    CategoriesOut,
    PauseOut,
    RatingIn,
    ReopeningIn,
    ReportDetailOut,
    ReportIn,
    ReportOut,
    UploadIn,
    UploadOut,
)
from services import feedback, photos, uploads
from services import idempotency as repeats
from services.errors import BadRequest
from services.feedback import ReportNotFound
from services.feedback.pauses import AppealedAlready, PauseNotFound, PauseOver, PauseWordsNeeded
from services.feedback.reports import (
    BlockedAppealAnswered,
    BlockedAppealWaits,
    DescriptionBlank,
    OccurrenceUnlikely,
    OutsideProvince,
    ReporterBlocked,
    UnknownCategory,
    UnknownPlace,
)
from services.feedback.workflow import IllegalMove, NotRateable, ReopenedTooOften, ReopeningExpired
from services.idempotency import IdempotencyKeyReused, RequestInFlight
from services.limits import RateLimited
from services.photos import PhotoAnimated, PhotoNotAccepted, PhotoTooLarge, PhotoTooManyPixels
from services.storage import StorageUnavailable
from services.uploads import UploadNotFound, UploadsUnusable

blp = Blueprint("feedback", __name__, url_prefix="/api/v1", description="Reports")


class FileMissing(BadRequest):
    """Send the photo as a file in the multipart field "file"."""

    vi = 'Gửi ảnh dưới dạng tệp trong trường multipart "file".'


@blp.get("/report-categories")
@public
@blp.response(200, CategoriesOut)
def categories() -> Any:
    """What reports can be about"""
    with current.db.reading() as session:
        return {
            "items": [
                {
                    "code": category.code,
                    "name": {"vi": category.name_vi, "en": category.name_en},
                    "acknowledge_hours": category.acknowledge_hours,
                    "resolve_days": category.resolve_days,
                }
                for category in feedback.categories(session)
            ]
        }


@blp.post("/uploads")
@any_audience
@takes_bodies_up_to(files.UPLOAD_BODY, or_else=files.too_large)
@blp.arguments(UploadIn, location="multipart")
@blp.response(201, UploadOut)
@fails(
    FileMissing,
    PhotoTooLarge,
    PhotoTooManyPixels,
    PhotoNotAccepted,
    PhotoAnimated,
    RateLimited,
    StorageUnavailable,
)
def upload(sent: dict[str, Any]) -> Any:
    """Upload a photo, to be named in a report afterwards"""
    if not hasattr(sent["file"], "stream"):
        raise FileMissing
    with current.db.transaction() as session:
        uploads.count_upload(session, auth.actor(), at=current.now())
    content = sent["file"].stream.read(photos.MAX_BYTES + 1)
    with current.db.transaction() as session:
        received = uploads.receive(
            session, auth.actor(), content, storage=current.storage, at=current.now()
        )
    return _upload(received)


@blp.get("/uploads/<uuid:upload_id>")
@any_audience
@blp.response(200, UploadOut)
@fails(UploadNotFound)
def get_upload(upload_id: uuid.UUID) -> Any:
    """Whether a photo is ready"""
    with current.db.reading() as session:
        return _upload(uploads.get(session, auth.actor(), upload_id))


@blp.get("/files/<signed>")
@public
@blp.response(200, schema={"type": "string", "format": "binary"}, content_type="image/jpeg")
@fails(files.LinkInvalid, StorageUnavailable)
def get_file(signed: str) -> Response:
    """A photo, by the signed link that a report or upload names"""
    return files.send(signed)


@blp.post("/reports")
@blp.arguments(ReportIn)
@blp.response(201, ReportDetailOut, headers=idempotency.ANSWER)
@fails(
    IdempotencyKeyRequired,
    IdempotencyKeyMalformed,
    IdempotencyKeyReused,
    RequestInFlight,
    ReporterBlocked,
    BlockedAppealWaits,
    BlockedAppealAnswered,
    UnknownCategory,
    OutsideProvince,
    UnknownPlace,
    DescriptionBlank,
    OccurrenceUnlikely,
    UploadsUnusable,
    RateLimited,
)
@blp.doc(parameters=[idempotency.HEADER])
def create_report(draft: dict[str, Any]) -> Any:
    """Send a report; repeatable under one Idempotency-Key"""
    attempt = idempotency.attempt("create_report")
    with current.db.transaction() as session:
        if known := repeats.earlier(session, attempt):
            idempotency.mark_replayed()
            return feedback.read(session, auth.actor(), known)
        report = feedback.submit(session, auth.actor(), feedback.Draft(**draft), at=current.now())
        repeats.remember(session, attempt, report.id, at=current.now())
    return report


@blp.get("/reports")
@blp.arguments(PageQuery, location="query")
@blp.response(200, page_of(ReportOut), headers=paging.ANSWER)
@fails(CursorInvalid)
def my_reports(asked: dict[str, Any]) -> Any:
    """My reports, newest first"""
    with current.db.rows() as connection:
        reports = feedback.mine(
            connection,
            auth.actor(),
            before=paging.before(asked["cursor"]),
            limit=asked["limit"] + 1,
        )
    return paging.page(reports, asked["limit"])


@blp.get("/reports/<uuid:report_id>")
@blp.response(200, ReportDetailOut, headers=etags.ANSWER)
@fails(ReportNotFound)
def get_report(report_id: uuid.UUID) -> Any:
    """One of my reports with its history"""
    with current.db.reading() as session:
        report = feedback.read(session, auth.actor(), report_id)
    etags.send(report.version)
    return report


@blp.post("/reports/<uuid:report_id>/rating")
@blp.arguments(RatingIn)
@blp.response(200, ReportDetailOut)
@fails(ReportNotFound, NotRateable)
def rate(rating: dict[str, Any], report_id: uuid.UUID) -> Any:
    """Say how content I am with the result, 1 to 5"""
    with current.db.transaction() as session:
        return feedback.rate(session, auth.actor(), report_id, at=current.now(), **rating)


@blp.post("/reports/<uuid:report_id>/reopening")
@blp.arguments(ReopeningIn)
@blp.response(200, ReportDetailOut)
@fails(ReportNotFound, IllegalMove, ReopeningExpired, ReopenedTooOften, UploadsUnusable)
def reopen(asked: dict[str, Any], report_id: uuid.UUID) -> Any:
    """Send a resolved report back, within seven days, twice at most"""
    with current.db.transaction() as session:
        return feedback.reopen(session, auth.actor(), report_id, at=current.now(), **asked)


@blp.get("/me/pauses")
@blp.arguments(PageQuery, location="query")
@blp.response(200, page_of(PauseOut), headers=paging.ANSWER)
@fails(CursorInvalid)
def my_pauses(asked: dict[str, Any]) -> Any:
    """When I could send no reports, why, and what became of my appeals, newest first"""
    with current.db.reading() as session:
        found = feedback.my_pauses(
            session,
            auth.actor(),
            before=paging.before(asked["cursor"]),
            limit=asked["limit"] + 1,
        )
    return paging.page(found, asked["limit"])


@blp.post("/me/pauses/<uuid:pause_id>/appeal")
@blp.arguments(AppealIn)
@blp.response(201, PauseOut)
@fails(PauseNotFound, PauseWordsNeeded, AppealedAlready, PauseOver)
def appeal(asked: dict[str, Any], pause_id: uuid.UUID) -> Any:
    """Say once why I should not have to pause; somebody else than who decided it answers"""
    with current.db.transaction() as session:
        return feedback.appeal(session, auth.actor(), pause_id, at=current.now(), **asked)


def _upload(upload: Any) -> dict[str, Any]:
    return {**files.view(upload), "reason": upload.reason}
