"""Moving a report on: one function for every move of the table, whoever asks and by which door."""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, true
from sqlalchemy.orm import Session

from models import Department, Report, ReportState, Staff, Visibility
from models.feedback import OPEN_STATES
from services import audit, identity, notifications, permissions, uploads
from services.errors import Conflict, Expired, Forbidden, Invalid, Stale
from services.feedback import transitions
from services.feedback.reports import (
    ReportNotFound,
    append,
    deadlines,
    load,
    open_category,
)
from services.feedback.transitions import REJECTION_REASONS, Transition
from services.identity.people import own_accounts
from services.permissions import Action, Actor, ActorKind, Duty, Grant
from services.text import tidy

REOPENED_WITHIN_DAYS = {ActorKind.CITIZEN: 7, ActorKind.STAFF: 90}
REOPENED_AT_MOST = 2


class IllegalMove(Conflict):
    """A report that is {state} cannot become {to}."""

    vi = "Phản ánh đang ở trạng thái {state}, không chuyển sang {to} được."


class MoveNotYours(Forbidden):
    """Your roles do not allow this step with this report."""

    vi = "Vai trò của bạn không cho phép bước này với phản ánh này."


class FieldNeeded(Invalid):
    """This step needs the field {field!r}."""

    vi = "Bước này cần có trường {field!r}."


class UnknownDepartment(Invalid):
    """There is no open department {department!r}."""

    vi = "Không có đơn vị {department!r} đang hoạt động."


class UnknownReason(Invalid):
    """The reason must be one of: {reasons}."""

    vi = "Lý do phải là một trong: {reasons}."


class SameDepartment(Invalid):
    """The report is with this department already."""

    vi = "Phản ánh đang ở chính đơn vị này."


class NotRateable(Conflict):
    """Only a report that was resolved can be rated."""

    vi = "Chỉ đánh giá được phản ánh đã có kết quả."


class ReopeningExpired(Expired):
    """A report can be reopened within {days} days of its result."""

    vi = "Chỉ mở lại được trong {days} ngày kể từ khi có kết quả."


class ReopenedTooOften(Conflict):
    """A report can be reopened by its reporter twice at most."""

    vi = "Người gửi chỉ được mở lại phản ánh tối đa hai lần."


class NothingToChange(Invalid):
    """Name at least one field to change."""

    vi = "Cần nêu ít nhất một trường cần sửa."


class PublicTextNeeded(Invalid):
    """A report is published with a text that staff cleared: send public_text."""

    vi = "Muốn công khai, cần có public_text do cán bộ duyệt."


@dataclass(frozen=True, slots=True)
class Move:
    """What is asked for: where to, and the fields that some moves need."""

    to: ReportState
    department: str | None = None
    category: str | None = None
    text: str | None = None
    reason: str | None = None
    upload_ids: Sequence[uuid.UUID] = ()

    def __post_init__(self) -> None:
        """Blank words are no words."""
        for name in ("text", "reason"):
            words = getattr(self, name)
            object.__setattr__(self, name, tidy(words) or None if words else None)


def move(
    session: Session,
    actor: Actor,
    report_id: uuid.UUID,
    asked: Move,
    *,
    version: int,
    at: dt.datetime,
) -> Report:
    """Move a report on behalf of staff; its row is locked, so two clerks cannot both win.

    Raises:
        ReportNotFound, OwnCase, Stale (`version` is not today's), IllegalMove, MoveNotYours,
        FieldNeeded, UnknownDepartment, UnknownReason, SameDepartment, uploads.UploadsUnusable
    """
    report = _locked(session, actor, report_id)
    if report.version != version:
        raise Stale
    step = transitions.find(actor, report, asked.to)
    if step is None:
        if transitions.is_known(report.state, asked.to):
            raise MoveNotYours
        raise IllegalMove(state=report.state.value, to=asked.to.value)
    _carry_out(session, actor, report, step, asked, at=at)
    # Not read(): a handler who returns a report may not see it any more, but sees this answer.
    return load(session, actor, Report.id == report_id)


def reopen(
    session: Session,
    actor: Actor,
    report_id: uuid.UUID,
    *,
    reason: str,
    upload_ids: Sequence[uuid.UUID] = (),
    at: dt.datetime,
) -> Report:
    """The reporter is not content: back to the department, within seven days, twice at most.

    Raises:
        ReportNotFound, IllegalMove, ReopeningExpired, ReopenedTooOften, uploads.UploadsUnusable
    """
    report = _locked(session, actor, report_id)
    step = transitions.find(actor, report, ReportState.ASSIGNED)
    if step is None:
        raise IllegalMove(state=report.state.value, to=ReportState.ASSIGNED.value)
    asked = Move(to=ReportState.ASSIGNED, reason=reason, upload_ids=upload_ids)
    _carry_out(session, actor, report, step, asked, at=at)
    return load(session, actor, Report.id == report_id)


def rate(
    session: Session,
    actor: Actor,
    report_id: uuid.UUID,
    *,
    score: int,
    text: str | None = None,
    at: dt.datetime,
) -> Report:
    """The reporter's verdict, 1 to 5; a later one takes the place of an earlier one.

    Raises:
        ReportNotFound, NotRateable
    """
    report = _locked(session, actor, report_id)
    if report.state not in {ReportState.RESOLVED, ReportState.CLOSED}:
        raise NotRateable
    report.rating, report.rating_text, report.rated_at = score, text and tidy(text), at
    append(session, report, "rated", actor, at=at, text=str(score))
    audit.record(
        session,
        audit.Deed.REPORT_RATE,
        actor=actor,
        subject=("report", report.id),
        at=at,
        score=score,
    )
    return load(session, actor, Report.id == report_id)


def edit(
    session: Session,
    actor: Actor,
    report_id: uuid.UUID,
    *,
    version: int,
    at: dt.datetime,
    **changes: Any,
) -> Report:
    """Correct the category, publish or unpublish, or word the public text.

    Raises:
        NothingToChange, ReportNotFound, OwnCase, Stale, MoveNotYours, UnknownCategory,
        PublicTextNeeded
    """
    if not changes:
        raise NothingToChange
    report = _locked(session, actor, report_id)
    if report.version != version:
        raise Stale
    needed = Action.DISPATCH if "category" in changes else Action.PUBLISH
    role = permissions.by(actor, needed, report)
    if role is None or (
        {"visibility", "public_text"} & changes.keys()
        and not permissions.can(actor, Action.PUBLISH, report)
    ):
        raise MoveNotYours
    if "category" in changes:
        _recategorise(session, actor, report, changes["category"], at=at)
    if "public_text" in changes:
        text = changes["public_text"]
        report.public_text = tidy(text) or None if text else None
    if "visibility" in changes:
        report.visibility = Visibility(changes["visibility"])
    if report.visibility is Visibility.PUBLIC and not report.public_text:
        raise PublicTextNeeded
    _touch(report, at)
    append(session, report, "edited", actor, at=at, public=False, text=", ".join(sorted(changes)))
    audit.record(
        session,
        audit.Deed.REPORT_EDIT,
        actor=actor,
        by=role,
        subject=("report", report.id),
        at=at,
        fields=sorted(changes),
    )
    return load(session, actor, Report.id == report_id)


def give_back(
    session: Session, actor: Actor, staff: Staff, *, keeps: Sequence[Grant], at: dt.datetime
) -> int:
    """Take open reports from a colleague who works on them no more, and say how many they were.

    Each waits in its department's queue again, so that a colleague can claim it; what they may go
    on working on by the roles that they keep stays with them. That offices change hands is no news
    to the reporter, so the step is internal.
    """
    remains = Actor(ActorKind.STAFF, staff.id, citizen_ids=own_accounts(staff), grants=tuple(keeps))
    stays = permissions.workable(remains)
    reports = session.scalars(
        select(Report)
        .where(
            Report.assignee_id == staff.id,
            Report.state.in_(OPEN_STATES),
            stays.is_not(true()),
        )
        .order_by(Report.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
    for report in reports:
        origin = report.state
        report.assignee_id = None
        if origin is ReportState.IN_PROGRESS:
            report.state = ReportState.ASSIGNED
        _touch(report, at)
        append(
            session,
            report,
            "give_back",
            actor,
            at=at,
            from_state=origin.value,
            to_state=report.state.value,
            public=False,
        )
        audit.record(
            session,
            audit.Deed.REPORT_GIVE_BACK,
            actor=actor,
            by=permissions.may(actor, Duty.MANAGE_STAFF),
            subject=("report", report.id),
            at=at,
            staff_id=str(staff.id),
        )
    return len(reports)


def _locked(session: Session, actor: Actor, report_id: uuid.UUID) -> Report:
    report = session.scalar(
        select(Report)
        .where(Report.id == report_id, permissions.readable(actor))
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if report is None:
        raise ReportNotFound
    permissions.refuse_own(actor, report.reporter_id)
    return report


def _carry_out(
    session: Session,
    actor: Actor,
    report: Report,
    step: Transition,
    asked: Move,
    *,
    at: dt.datetime,
) -> None:
    """Check the fields of a legal move, make it, and tell everybody concerned."""
    for field in step.needs:
        if not getattr(asked, field):
            raise FieldNeeded(field=field)
    if step.name == "reject" and asked.reason not in REJECTION_REASONS:
        raise UnknownReason(reasons=", ".join(REJECTION_REASONS))
    if asked.category and asked.category != report.category_code:
        if not permissions.can(actor, Action.DISPATCH, report):
            raise MoveNotYours
        _recategorise(session, actor, report, asked.category, at=at)
    origin = report.state
    role = transitions.role_for(actor, step, report)
    _apply(session, actor, report, step, asked, at=at)
    report.state = step.to
    if origin is ReportState.RECEIVED and report.acknowledged_at is None:
        report.acknowledged_at = at
    uploads.attach(
        session, actor, asked.upload_ids, report, shows_result=step.to is ReportState.RESOLVED
    )
    _touch(report, at)
    append(
        session,
        report,
        step.name,
        actor,
        at=at,
        from_state=origin.value,
        to_state=step.to.value,
        text=asked.text,
        reason=asked.reason,
        # Why one office passed a report to another is their own affair.
        public=step.name not in {"return", "hand_over"},
    )
    audit.record(
        session,
        audit.Deed(f"report:{step.name}"),
        actor=actor,
        by=role,
        subject=("report", report.id),
        at=at,
        to=step.to.value,
    )
    _tell(session, report, step, asked, at=at)


def _apply(
    session: Session,
    actor: Actor,
    report: Report,
    step: Transition,
    asked: Move,
    *,
    at: dt.datetime,
) -> None:
    """What a move changes beside the state."""
    if step.name in {"assign", "hand_over"}:
        department = session.get(Department, asked.department)
        if department is None or department.closed_at is not None:
            raise UnknownDepartment(department=asked.department)
        if step.name == "hand_over" and department.code == report.department_code:
            raise SameDepartment
        report.department_code, report.assignee_id = department.code, None
    elif step.name in {"return", "reconsider"}:
        report.department_code, report.assignee_id = None, None
    elif step.name == "claim":
        identity.hold_roles(session, actor)
        report.assignee_id = actor.id
    elif step.name == "resolve":
        report.resolved_at = at
    elif step.name == "reopen":
        _check_reopening(actor, report, at=at)
        category = open_category(session, report.category_code)
        report.acknowledge_due_at, report.resolve_due_at = deadlines(category, at)
        report.resolved_at, report.assignee_id = None, None
        report.reopened_count += 1


def _check_reopening(actor: Actor, report: Report, *, at: dt.datetime) -> None:
    days = REOPENED_WITHIN_DAYS[actor.kind]
    if report.resolved_at is None or at > report.resolved_at + dt.timedelta(days=days):
        raise ReopeningExpired(days=days)
    if actor.kind is ActorKind.CITIZEN and report.reopened_count >= REOPENED_AT_MOST:
        raise ReopenedTooOften


def _recategorise(
    session: Session, actor: Actor, report: Report, code: str, *, at: dt.datetime
) -> None:
    """Another category has another clock, counted from the start; the timeline says so."""
    category = open_category(session, code)
    before, report.category_code = report.category_code, category.code
    report.acknowledge_due_at, report.resolve_due_at = deadlines(category, report.created_at)
    append(session, report, "recategorised", actor, at=at, text=f"{before} → {category.code}")


def _touch(report: Report, at: dt.datetime) -> None:
    report.version += 1
    report.updated_at = at


def _tell(
    session: Session, report: Report, step: Transition, asked: Move, *, at: dt.datetime
) -> None:
    if step.tells is None or report.reporter_id is None:
        return
    facts: dict[str, str] = {"code": report.code}
    if step.tells == "report_assigned":
        facts["department"] = session.get_one(Department, report.department_code).name
    if step.tells in {"report_resolved", "report_rejected"}:
        facts["text"] = asked.text or ""
    notifications.tell(
        session,
        report.reporter_id,
        step.tells,
        subject=("report", report.id),
        at=at,
        **facts,
    )
