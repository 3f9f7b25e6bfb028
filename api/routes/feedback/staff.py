"""Reports for staff, by tokens of audience staff."""

import uuid
from typing import Any

from api import auth, etags, paging
from api.blueprint import Blueprint
from api.current import current
from api.openapi import fails
from api.paging import CursorInvalid
from api.schemas.base import PageQuery, page_of
from api.schemas.feedback import (
    AppealAnswerIn,
    DepartmentsOut,
    PauseReasonIn,
    QueueQuery,
    ReportPatch,
    StaffPauseOut,
    StaffReportDetailOut,
    StaffReportOut,
    TransitionIn,
)
from models import Audience
from services import feedback
from services.errors import PreconditionNeeded, Stale
from services.feedback import ReportNotFound
from services.feedback.pauses import (
    NoAppealOpen,
    OwnPause,
    PauseNotFound,
    PauseOver,
    PausesNotYours,
    PauseWordsNeeded,
)
from services.feedback.reports import UnknownCategory
from services.feedback.workflow import (
    FieldNeeded,
    IllegalMove,
    MoveNotYours,
    NothingToChange,
    PublicTextNeeded,
    SameDepartment,
    UnknownDepartment,
    UnknownReason,
)
from services.identity import NotStaff
from services.permissions import OwnCase
from services.uploads import UploadsUnusable

blp = Blueprint(
    "staff",
    __name__,
    url_prefix="/api/v1/staff",
    description="For staff",
    audience=Audience.STAFF,
)


@blp.get("/reports")
@blp.arguments(QueueQuery, location="query")
@blp.response(200, page_of(StaffReportOut), headers=paging.ANSWER)
@fails(CursorInvalid)
def queue(asked: dict[str, Any]) -> Any:
    """The reports I may see, newest first"""
    limit = asked.pop("limit")
    before = paging.before(asked.pop("cursor"))
    wanted = feedback.QueueFilter(states=asked.pop("state"), **asked)
    with current.db.reading() as session:
        reports = feedback.queue(session, auth.actor(), wanted, before=before, limit=limit + 1)
    return paging.page(reports, limit)


@blp.get("/reports/<uuid:report_id>")
@blp.response(200, StaffReportDetailOut, headers=etags.ANSWER)
@fails(ReportNotFound)
def get_report(report_id: uuid.UUID) -> Any:
    """One report with its whole history"""
    with current.db.reading() as session:
        report = feedback.read(session, auth.actor(), report_id)
    etags.send(report.version)
    return report


@blp.patch("/reports/<uuid:report_id>")
@blp.arguments(ReportPatch)
@blp.response(200, StaffReportDetailOut, headers=etags.ANSWER)
@fails(
    ReportNotFound,
    PreconditionNeeded,
    OwnCase,
    Stale,
    MoveNotYours,
    NothingToChange,
    UnknownCategory,
    PublicTextNeeded,
)
@blp.doc(parameters=[etags.HEADER])
def edit(changes: dict[str, Any], report_id: uuid.UUID) -> Any:
    """Correct the category, or publish with a cleared text"""
    with current.db.transaction() as session:
        report = feedback.edit(
            session,
            auth.actor(),
            report_id,
            version=etags.required_version(),
            at=current.now(),
            **changes,
        )
    etags.send(report.version)
    return report


@blp.post("/reports/<uuid:report_id>/transitions")
@blp.arguments(TransitionIn)
@blp.response(200, StaffReportDetailOut, headers=etags.ANSWER)
@fails(
    ReportNotFound,
    PreconditionNeeded,
    OwnCase,
    Stale,
    IllegalMove,
    MoveNotYours,
    FieldNeeded,
    UnknownDepartment,
    UnknownReason,
    SameDepartment,
    UnknownCategory,
    UploadsUnusable,
    NotStaff,
)
@blp.doc(parameters=[etags.HEADER])
def move(asked: dict[str, Any], report_id: uuid.UUID) -> Any:
    """Move a report to another state"""
    with current.db.transaction() as session:
        report = feedback.move(
            session,
            auth.actor(),
            report_id,
            feedback.Move(**asked),
            version=etags.required_version(),
            at=current.now(),
        )
    etags.send(report.version)
    return report


@blp.get("/departments")
@blp.response(200, DepartmentsOut)
def departments() -> Any:
    """Where reports can be sent"""
    with current.db.reading() as session:
        return {"items": feedback.departments(session)}


@blp.get("/pauses")
@blp.arguments(PageQuery, location="query")
@blp.response(200, page_of(StaffPauseOut), headers=paging.ANSWER)
@fails(CursorInvalid, PausesNotYours)
def pauses(asked: dict[str, Any]) -> Any:
    """Pauses that last or whose appeal waits for an answer

    Open appeals come first, those that wait longest before the others, and then the newest pauses.
    Dispatchers see those of reports of their places, administrators all; nobody their own.
    """
    with current.db.reading() as session:
        found = feedback.pauses(
            session,
            auth.actor(),
            after=paging.after(asked["cursor"]),
            limit=asked["limit"] + 1,
            at=current.now(),
        )
    return paging.page(found, asked["limit"], scope=paging.waiting)


@blp.post("/pauses/<uuid:pause_id>/lifting")
@blp.arguments(PauseReasonIn)
@blp.response(200, StaffPauseOut)
@fails(PausesNotYours, PauseNotFound, PauseWordsNeeded, PauseOver, OwnPause)
def lift_pause(asked: dict[str, Any], pause_id: uuid.UUID) -> Any:
    """End a pause early, which grants an open appeal

    While an appeal waits, not by who made the pause.
    """
    with current.db.transaction() as session:
        return feedback.lift_pause(session, auth.actor(), pause_id, at=current.now(), **asked)


@blp.post("/pauses/<uuid:pause_id>/answer")
@blp.arguments(AppealAnswerIn)
@blp.response(200, StaffPauseOut)
@fails(PausesNotYours, PauseNotFound, PauseWordsNeeded, NoAppealOpen, OwnPause)
def answer_appeal(asked: dict[str, Any], pause_id: uuid.UUID) -> Any:
    """Answer an appeal: grant it, which ends a pause that still runs, or keep the pause

    Not by who made the pause. An appeal is answered also when its pause has run out.
    """
    with current.db.transaction() as session:
        return feedback.answer_appeal(session, auth.actor(), pause_id, at=current.now(), **asked)
