"""Sending reports, reading one, and the queue of the staff."""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, select
from sqlalchemy.orm import Session, joinedload, selectinload
from sqlalchemy.orm.attributes import set_committed_value

from models import (
    Category,
    Department,
    Place,
    Report,
    ReporterPause,
    ReportEvent,
    ReportState,
    Upload,
    UploadState,
    Visibility,
)
from models.feedback import OPEN_STATES, REPORT_NUMBERS
from services import audit, calendar, limits, notifications, permissions, places, uploads
from services.errors import Forbidden, Invalid, NotFound
from services.permissions import Action, Actor
from services.text import tidy

PER_HOUR = 20
# A phone may be a little ahead of us without its owner seeing the future.
CLOCKS_DIFFER = dt.timedelta(minutes=5)
LONGEST_AGO = dt.timedelta(days=366)
# Where somebody who has to pause says that they should not; as data of the answer, for the app.
APPEALS = "/api/v1/me/pauses/{}/appeal"


class ReportNotFound(NotFound):
    """There is no such report."""

    vi = "Không có phản ánh này."


class UnknownCategory(Invalid):
    """There is no category {category!r}; see GET /report-categories."""

    vi = "Không có lĩnh vực {category!r}; xem GET /report-categories."


class OutsideProvince(Invalid):
    """This place lies outside the province, about {distance_km} km from its nearest commune."""

    vi = "Vị trí này nằm ngoài tỉnh, cách xã gần nhất khoảng {distance_km} km."


class OccurrenceUnlikely(Invalid):
    """occurred_at must lie within the last year, and not in the future."""

    vi = "occurred_at phải nằm trong vòng một năm qua và không ở tương lai."


class UnknownPlace(Invalid):
    """place_code names no commune or ward of the province."""

    vi = "place_code không phải là xã, phường của tỉnh."


class ReporterBlocked(Forbidden):
    """No reports are taken from you until {local_time}; you may appeal once, in the app."""

    vi = (
        "Bạn tạm thời không gửi được phản ánh đến {local_time}. "
        "Nếu không đồng ý, bạn có thể gửi ý kiến phản đối một lần trong ứng dụng."
    )


class BlockedAppealWaits(ReporterBlocked):
    """No reports are taken from you until {local_time}; your appeal waits for an answer."""

    vi = (
        "Bạn tạm thời không gửi được phản ánh đến {local_time}. "
        "Ý kiến phản đối của bạn đang chờ trả lời."
    )


class BlockedAppealAnswered(ReporterBlocked):
    """No reports are taken from you until {local_time}; your appeal was answered."""

    vi = (
        "Bạn tạm thời không gửi được phản ánh đến {local_time}. "
        "Ý kiến phản đối của bạn đã được trả lời."
    )


class DescriptionBlank(Invalid):
    """The description says nothing."""

    vi = "Nội dung phản ánh đang để trống."


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A report as the citizen wrote it; coordinates in WGS84 degrees, accuracy in metres."""

    category: str
    description: str
    lat: float
    lng: float
    accuracy_m: float | None = None
    place_code: str | None = None
    address: str | None = None
    occurred_at: dt.datetime | None = None
    upload_ids: Sequence[uuid.UUID] = ()
    hide_reporter: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFilter:
    """What a member of staff looks for; what is empty does not narrow."""

    states: Sequence[ReportState] = ()
    department: str | None = None
    category: str | None = None
    place: str | None = None
    code: str | None = None


def submit(session: Session, actor: Actor, draft: Draft, *, at: dt.datetime) -> Report:
    """Take a citizen's report in, with its photos, deadlines, first notice and place.

    Raises:
        ReporterBlocked, BlockedAppealWaits, BlockedAppealAnswered, UnknownCategory,
        DescriptionBlank, OccurrenceUnlikely, OutsideProvince,
        UnknownPlace, uploads.UploadsUnusable, limits.RateLimited
    """
    if pause := running_pause(session, actor.id, at=at):
        raise _refusal(pause)
    limits.take(session, f"report:{actor.id}", limit=PER_HOUR, window=dt.timedelta(hours=1), at=at)
    category = open_category(session, draft.category)
    description = tidy(draft.description)
    if not description:
        raise DescriptionBlank
    if draft.occurred_at and not at - LONGEST_AGO < draft.occurred_at < at + CLOCKS_DIFFER:
        raise OccurrenceUnlikely
    where = places.resolve(session, lat=draft.lat, lng=draft.lng)
    if where.place is None:
        raise OutsideProvince(distance_km=round(where.distance_m / 1000))
    place = session.get(Place, draft.place_code) if draft.place_code else where.place
    if place is None or place.level == 1:
        raise UnknownPlace
    acknowledge_due_at, resolve_due_at = deadlines(category, at)
    report = Report(
        code=_next_code(session, at),
        reporter_id=actor.id,
        hide_reporter=draft.hide_reporter,
        category_code=category.code,
        description=description,
        lat=draft.lat,
        lng=draft.lng,
        accuracy_m=draft.accuracy_m,
        place_code=place.code,
        place_uncertain=where.uncertain or place.code != where.place.code,
        address=tidy(draft.address) if draft.address else None,
        occurred_at=draft.occurred_at,
        source="app",
        visibility=Visibility.PRIVATE,
        state=ReportState.RECEIVED,
        version=1,
        acknowledge_due_at=acknowledge_due_at,
        resolve_due_at=resolve_due_at,
        reopened_count=0,
        created_at=at,
        updated_at=at,
    )
    session.add(report)
    session.flush()
    uploads.attach(session, actor, draft.upload_ids, report)
    append(session, report, "created", actor, at=at, to_state=report.state.value)
    audit.record(
        session, audit.Deed.REPORT_CREATE, actor=actor, subject=("report", report.id), at=at
    )
    notifications.tell(
        session,
        actor.id,
        "report_received",
        subject=("report", report.id),
        at=at,
        code=report.code,
    )
    return load(session, actor, Report.id == report.id)


def _refusal(pause: ReporterPause) -> ReporterBlocked:
    local_time = calendar.local_time(pause.until)
    facts: dict[str, Any] = {
        "until": pause.until.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "pause_id": str(pause.id),
    }
    if pause.awaits_answer:
        return BlockedAppealWaits(local_time=local_time, **facts)
    if pause.appealed_at is not None:
        return BlockedAppealAnswered(local_time=local_time, **facts)
    appeal = {"method": "POST", "path": APPEALS.format(pause.id)}
    return ReporterBlocked(local_time=local_time, appeal=appeal, **facts)


def running(at: dt.datetime) -> ColumnElement[bool]:
    """Whether a pause lasts at this moment, as SQL."""
    return and_(ReporterPause.until > at, ReporterPause.lifted_at.is_(None))


def running_pause(
    session: Session, citizen_id: uuid.UUID, *, at: dt.datetime
) -> ReporterPause | None:
    """The pause that this citizen has to make at this moment, the longest where there are more."""
    return session.scalar(
        select(ReporterPause)
        .where(ReporterPause.citizen_id == citizen_id, running(at))
        .order_by(ReporterPause.until.desc())
        .limit(1)
    )


def read(session: Session, actor: Actor, report_id: uuid.UUID) -> Report:
    """One report with all that is shown of it.

    Raises:
        ReportNotFound: also for one that exists but is not the actor's to read.
    """
    return load(session, actor, Report.id == report_id, permissions.readable(actor))


def load(session: Session, actor: Actor, *conditions: ColumnElement[bool]) -> Report:
    """One report, fresh from the database, with as much of its history as `actor` may read.

    Whether the actor may read the report itself is for the caller to ask.

    Raises:
        ReportNotFound
    """
    report = session.scalar(
        shown()
        .where(*conditions)
        .options(selectinload(Report.timeline))
        .execution_options(populate_existing=True)
    )
    if report is None:
        raise ReportNotFound
    if not permissions.can(actor, Action.READ_INTERNAL, report):
        set_committed_value(report, "timeline", [step for step in report.timeline if step.public])
    return report


def queue(
    session: Session,
    actor: Actor,
    wanted: QueueFilter,
    *,
    before: uuid.UUID | None,
    limit: int,
) -> Sequence[Report]:
    """The reports that a member of staff may read, newest first."""
    query = shown().where(*matching(actor, wanted))
    if before is not None:
        query = query.where(Report.id < before)
    return session.scalars(query.order_by(Report.id.desc()).limit(limit)).all()


def matching(actor: Actor, wanted: QueueFilter) -> list[ColumnElement[bool]]:
    """What a report must be to stand in this actor's queue under this filter."""
    conditions = [permissions.readable(actor)]
    if wanted.states:
        conditions.append(Report.state.in_(wanted.states))
    if wanted.department:
        conditions.append(Report.department_code == wanted.department)
    if wanted.category:
        conditions.append(Report.category_code == wanted.category)
    if wanted.place:
        conditions.append(Report.place_code == wanted.place)
    if wanted.code:
        conditions.append(Report.code == wanted.code.strip().upper())
    return conditions


def queue_counts(session: Session, actor: Actor) -> dict[ReportState, int]:
    """How many reports the actor may read stand in each state."""
    query = (
        select(Report.state, func.count()).where(permissions.readable(actor)).group_by(Report.state)
    )
    return dict(session.execute(query).all())


def categories(session: Session) -> Sequence[Category]:
    return session.scalars(
        select(Category).where(Category.closed_at.is_(None)).order_by(Category.position)
    ).all()


def departments(session: Session) -> Sequence[Department]:
    return session.scalars(
        select(Department).where(Department.closed_at.is_(None)).order_by(Department.code)
    ).all()


@dataclass(frozen=True, slots=True)
class Clock:
    """How a report stands against its deadline: on_time, due_soon, late, very_late or stopped."""

    level: str
    paused: bool


def clock(report: Report, *, at: dt.datetime) -> Clock:
    """How a report stands at this moment."""
    if report.state not in OPEN_STATES:
        return Clock("stopped", paused=False)
    level = calendar.urgency(report.created_at, report.resolve_due_at, at=at)
    return Clock(level, paused=report.state is ReportState.WAITING_CITIZEN)


def open_category(session: Session, code: str) -> Category:
    category = session.get(Category, code)
    if category is None or category.closed_at is not None:
        raise UnknownCategory(category=code)
    return category


def deadlines(category: Category, start: dt.datetime) -> tuple[dt.datetime, dt.datetime]:
    """When a report that came at `start` is to be acknowledged and resolved."""
    hours = category.acknowledge_hours, category.resolve_days * calendar.HOURS_A_DAY
    acknowledge, resolve = (
        calendar.after_working_time(start, dt.timedelta(hours=count)) for count in hours
    )
    return acknowledge, resolve


def append(
    session: Session,
    report: Report,
    kind: str,
    actor: Actor,
    *,
    at: dt.datetime,
    public: bool = True,
    **facts: Any,
) -> None:
    """Add one step to the history of a report."""
    session.add(
        ReportEvent(
            report_id=report.id,
            at=at,
            kind=kind,
            actor_kind=actor.kind.value,
            actor_id=actor.id,
            public=public,
            **facts,
        )
    )


def shown() -> Select[Report]:
    """Reports with all that a list shows, in a fixed number of statements."""
    return select(Report).options(
        joinedload(Report.category),
        joinedload(Report.place),
        joinedload(Report.department),
        joinedload(Report.assignee),
        selectinload(Report.photos.and_(Upload.state != UploadState.REJECTED)),
    )


def _next_code(session: Session, at: dt.datetime) -> str:
    """A code that people can read aloud; numbers are never given twice, gaps do no harm."""
    number = session.scalar(REPORT_NUMBERS)
    return f"TN-{at.astimezone(calendar.ZONE):%y}-{number:06d}"
