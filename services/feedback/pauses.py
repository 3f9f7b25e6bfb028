"""Making somebody pause who misuses reports, without learning who it is, and what becomes of it.

Its citizen appeals, somebody else answers, and it may end early.
"""

import datetime as dt
import uuid
from collections.abc import Sequence

from sqlalchemy import Select, and_, case, func, or_, select
from sqlalchemy.orm import Session, contains_eager, joinedload

from models import Citizen, Report, ReporterPause
from models.base import new_id
from services import audit, calendar, notifications, permissions
from services.errors import Conflict, Forbidden, Invalid, NotFound
from services.feedback.reports import read, running
from services.permissions import Action, Actor, Duty
from services.text import tidy

MOST_DAYS = 90
MOST_CHARACTERS = 1000
_OPEN_APPEAL = and_(ReporterPause.appealed_at.is_not(None), ReporterPause.answered_at.is_(None))


class PausingNotYours(Forbidden):
    """Only dispatchers make a reporter pause."""

    vi = "Chỉ cán bộ điều phối được tạm khóa người gửi."


class ReporterUnknown(Conflict):
    """Nobody knows any more who sent this report."""

    vi = "Không còn thông tin về người gửi phản ánh này."


class PausedAlready(Conflict):
    """The reporter has to pause for this report already, until {local_time}."""

    vi = "Người gửi đang bị tạm khóa vì phản ánh này đến {local_time}."


class PauseUnlikely(Invalid):
    """A pause lasts from 1 to {most_days} days and has a reason."""

    vi = "Thời gian tạm khóa từ 1 đến {most_days} ngày và phải có lý do."


class PausesNotYours(Forbidden):
    """Only dispatchers and administrators see who has to pause."""

    vi = "Chỉ cán bộ điều phối và quản trị viên xem được các lần tạm khóa."


class PauseNotFound(NotFound):
    """There is no such pause."""

    vi = "Không có lần tạm khóa này."


class PauseOver(Conflict):
    """This pause is over."""

    vi = "Lần tạm khóa này đã kết thúc."


class PauseWordsNeeded(Invalid):
    """Say why, in 1 to {most} characters."""

    vi = "Cần nêu lý do, từ 1 đến {most} ký tự."


class AppealedAlready(Conflict):
    """You have appealed against this pause already."""

    vi = "Bạn đã gửi ý kiến phản đối về lần tạm khóa này."


class NoAppealOpen(Conflict):
    """No appeal against this pause waits for an answer."""

    vi = "Không có ý kiến phản đối nào đang chờ trả lời."


class OwnPause(Forbidden):
    """Who made a pause does not decide on the appeal against it; leave it to a colleague."""

    vi = (
        "Người đã tạm khóa không tự quyết định về ý kiến phản đối; hãy để đồng nghiệp khác xem xét."
    )


def pause_of(
    session: Session, actor: Actor, report: Report, *, at: dt.datetime
) -> ReporterPause | None:
    """The pause that runs for `report`, for whom may end it.

    One for another report of the same author is not shown: it would say that they have one author.
    """
    if not permissions.can(actor, Action.END_PAUSE, report):
        return None
    return session.scalar(
        select(ReporterPause).where(ReporterPause.report_id == report.id, running(at)).limit(1)
    )


def pause_reporter(
    session: Session,
    actor: Actor,
    report_id: uuid.UUID,
    *,
    days: int,
    reason: str | None,
    at: dt.datetime,
) -> ReporterPause:
    """Take no reports from the author of this one for some days, and tell them why.

    Each report has a pause of its own, whatever runs for others: a refusal would tell a dispatcher
    which reports have one author.

    Raises:
        ReportNotFound, OwnCase, PausingNotYours, ReporterUnknown, PauseUnlikely, PausedAlready
    """
    report, citizen_id = _authored(session, actor, report_id)
    words = tidy(reason or "")
    if not 1 <= days <= MOST_DAYS or not 1 <= len(words) <= MOST_CHARACTERS:
        raise PauseUnlikely(most_days=MOST_DAYS)
    if made := pause_of(session, actor, report, at=at):
        raise PausedAlready(local_time=calendar.local_time(made.until))
    pause = ReporterPause(
        id=new_id(),
        citizen_id=citizen_id,
        report_id=report.id,
        until=at + dt.timedelta(days=days),
        reason=words,
        blocked_by_id=actor.id,
        created_at=at,
    )
    session.add(pause)
    audit.record(
        session,
        audit.Deed.REPORT_PAUSE_REPORTER,
        actor=actor,
        by=permissions.by(actor, Action.PAUSE_REPORTER, report),
        subject=("report", report.id),
        at=at,
        block_id=str(pause.id),
        days=days,
    )
    notifications.tell(
        session,
        citizen_id,
        "reporter_blocked",
        subject=("report", report.id),
        at=at,
        code=report.code,
        until=calendar.local_time(pause.until),
        text=words,
    )
    return pause


def my_pauses(
    session: Session, actor: Actor, *, before: uuid.UUID | None, limit: int
) -> Sequence[ReporterPause]:
    """The citizen's own pauses with what became of them, newest first, those before `before`."""
    query = select(ReporterPause).where(ReporterPause.citizen_id == actor.id)
    if before is not None:
        query = query.where(ReporterPause.id < before)
    return session.scalars(query.order_by(ReporterPause.id.desc()).limit(limit)).all()


def appeal(
    session: Session, actor: Actor, pause_id: uuid.UUID, *, text: str, at: dt.datetime
) -> ReporterPause:
    """Say once, while a pause lasts, why it should not; somebody else than who made it answers.

    Raises:
        PauseNotFound (also for somebody else's), PauseWordsNeeded, AppealedAlready, PauseOver
    """
    mine = select(ReporterPause).where(ReporterPause.citizen_id == actor.id)
    pause = _locked(session, mine, pause_id)
    words = _words(text)
    if pause.appealed_at is not None:
        raise AppealedAlready
    if not _runs(pause, at):
        raise PauseOver
    pause.appeal, pause.appealed_at = words, at
    audit.record(
        session,
        audit.Deed.REPORT_APPEAL_PAUSE,
        actor=actor,
        subject=("report", pause.report_id),
        at=at,
        block_id=str(pause.id),
    )
    return pause


def pauses(
    session: Session,
    actor: Actor,
    *,
    after: tuple[uuid.UUID, dt.datetime | None] | None = None,
    limit: int,
    at: dt.datetime,
) -> Sequence[ReporterPause]:
    """Pauses that last or whose appeal waits for an answer, with their reports.

    Open appeals come first, those that wait longest before the others; then the newest pauses.
    `after` is the pause with which a page ended, and since when its appeal waited at that time.

    Who has to pause is not among what is shown, and neither is which pauses are one person's.

    Raises:
        PausesNotYours
    """
    _require(actor)
    query = _shown(actor).where(or_(running(at), _OPEN_APPEAL))
    waits = case((_OPEN_APPEAL, ReporterPause.appealed_at))
    if after is not None:
        last, since = after
        later = ReporterPause.id < last
        query = query.where(
            and_(waits.is_(None), later)
            if since is None
            else or_(waits.is_(None), waits > since, and_(waits == since, later))
        )
    return session.scalars(
        query.order_by(waits.asc().nulls_last(), ReporterPause.id.desc()).limit(limit)
    ).all()


def open_appeals(session: Session, actor: Actor) -> int:
    """How many appeals wait for an answer that `actor` may give."""
    if not permissions.holds(actor, Duty.SEE_PAUSES):
        return 0
    query = (
        select(func.count())
        .select_from(ReporterPause)
        .join(ReporterPause.report)
        .where(
            permissions.workable(actor, Action.END_PAUSE),
            _OPEN_APPEAL,
            ReporterPause.blocked_by_id != actor.id,
        )
    )
    return session.scalar(query) or 0


def pause(session: Session, actor: Actor, pause_id: uuid.UUID) -> ReporterPause:
    """One pause with its report, also when it is over.

    Raises:
        PausesNotYours, PauseNotFound
    """
    _require(actor)
    found = session.scalar(_shown(actor).where(ReporterPause.id == pause_id))
    if found is None:
        raise PauseNotFound
    return found


def may_decide(actor: Actor, pause: ReporterPause) -> bool:
    """Whether `actor`, who may see a pause, may end it or answer; what the page offers."""
    return not (pause.awaits_answer and pause.blocked_by_id == actor.id)


def lift_pause(
    session: Session, actor: Actor, pause_id: uuid.UUID, *, reason: str, at: dt.datetime
) -> ReporterPause:
    """End a pause early and tell the citizen why; an open appeal is granted by it.

    Raises:
        PausesNotYours, PauseNotFound, PauseWordsNeeded, PauseOver, OwnPause
    """
    found, words = _held(session, actor, pause_id), _words(reason)
    if not _runs(found, at):
        raise PauseOver
    if not may_decide(actor, found):
        raise OwnPause
    if found.awaits_answer:
        _answer(session, actor, found, words, granted=True, at=at)
    else:
        _end(actor, found, words, at=at)
        _note(session, actor, found, audit.Deed.REPORT_LIFT_PAUSE, "pause_lifted", words, at=at)
    return found


def answer_appeal(
    session: Session,
    actor: Actor,
    pause_id: uuid.UUID,
    *,
    granted: bool,
    reason: str,
    at: dt.datetime,
) -> ReporterPause:
    """Grant an appeal or not, and tell the citizen why; a pause that still runs ends when granted.

    Raises:
        PausesNotYours, PauseNotFound, PauseWordsNeeded, NoAppealOpen, OwnPause
    """
    found, words = _held(session, actor, pause_id), _words(reason)
    if not found.awaits_answer:
        raise NoAppealOpen
    if not may_decide(actor, found):
        raise OwnPause
    _answer(session, actor, found, words, granted=granted, at=at)
    return found


def _authored(session: Session, actor: Actor, report_id: uuid.UUID) -> tuple[Report, uuid.UUID]:
    """A report and its author, locked so that two dispatchers do not both decide."""
    report = read(session, actor, report_id)
    permissions.refuse_own(actor, report.reporter_id)
    if not permissions.can(actor, Action.DISPATCH, report):
        raise PausingNotYours
    if report.reporter_id is None or report.contact_removed_at is not None:
        raise ReporterUnknown
    session.execute(
        select(Citizen.id).where(Citizen.id == report.reporter_id).with_for_update(key_share=True)
    )
    return report, report.reporter_id


def _require(actor: Actor) -> None:
    if not permissions.holds(actor, Duty.SEE_PAUSES):
        raise PausesNotYours


def _shown(actor: Actor) -> Select[ReporterPause]:
    return (
        select(ReporterPause)
        .join(ReporterPause.report)
        .where(permissions.workable(actor, Action.END_PAUSE))
        .options(contains_eager(ReporterPause.report), joinedload(ReporterPause.blocked_by))
    )


def _held(session: Session, actor: Actor, pause_id: uuid.UUID) -> ReporterPause:
    _require(actor)
    return _locked(session, _shown(actor), pause_id)


def _locked(session: Session, query: Select[ReporterPause], pause_id: uuid.UUID) -> ReporterPause:
    """A pause among those of the query, locked so that two people do not both change it."""
    found = session.scalar(
        query.where(ReporterPause.id == pause_id)
        .with_for_update(of=ReporterPause)
        .execution_options(populate_existing=True)
    )
    if found is None:
        raise PauseNotFound
    return found


def _answer(
    session: Session,
    actor: Actor,
    pause: ReporterPause,
    words: str,
    *,
    granted: bool,
    at: dt.datetime,
) -> None:
    if not granted:
        deed, kind = audit.Deed.REPORT_KEEP_PAUSE, "pause_kept"
    elif _runs(pause, at):
        deed, kind = audit.Deed.REPORT_LIFT_PAUSE, "appeal_granted"
    else:
        deed, kind = audit.Deed.REPORT_GRANT_APPEAL, "appeal_granted_late"
    pause.answer, pause.answered_at, pause.answered_by_id = words, at, actor.id
    if granted:
        _end(actor, pause, words, at=at)
    _note(session, actor, pause, deed, kind, words, at=at)


def _end(actor: Actor, pause: ReporterPause, words: str, *, at: dt.datetime) -> None:
    pause.lifted_at, pause.lifted_by_id, pause.lift_reason = at, actor.id, words


def _runs(pause: ReporterPause, at: dt.datetime) -> bool:
    return pause.lifted_at is None and at < pause.until


def _words(text: str) -> str:
    words = tidy(text)
    if not 1 <= len(words) <= MOST_CHARACTERS:
        raise PauseWordsNeeded(most=MOST_CHARACTERS)
    return words


def _note(
    session: Session,
    actor: Actor,
    pause: ReporterPause,
    deed: audit.Deed,
    kind: str,
    words: str,
    *,
    at: dt.datetime,
) -> None:
    audit.record(
        session,
        deed,
        actor=actor,
        by=permissions.by(actor, Action.END_PAUSE, pause.report),
        subject=("report", pause.report_id),
        at=at,
        block_id=str(pause.id),
    )
    notifications.tell(
        session,
        pause.citizen_id,
        kind,
        subject=("report", pause.report_id),
        at=at,
        code=pause.report.code,
        text=words,
    )
