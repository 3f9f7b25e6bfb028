"""What becomes of a pause: its citizen appeals, somebody else answers, and it may end early."""

import datetime as dt
import uuid
from collections.abc import Sequence

from sqlalchemy import Select, and_, or_, select
from sqlalchemy.orm import Session, contains_eager, joinedload

from models import ReporterBlock
from services import audit, notifications, permissions
from services.errors import Conflict, Forbidden, Invalid, NotFound
from services.feedback.reports import running
from services.permissions import Action, Actor, Duty
from services.text import tidy

MOST_CHARACTERS = 1000


class PausesNotYours(Forbidden):
    """Only dispatchers and administrators see who has to pause."""

    vi = "Chỉ cán bộ điều phối và quản trị viên xem được các lần tạm khoá."


class PauseNotFound(NotFound):
    """There is no such pause."""

    vi = "Không có lần tạm khoá này."


class PauseOver(Conflict):
    """This pause is over."""

    vi = "Lần tạm khoá này đã kết thúc."


class PauseWordsNeeded(Invalid):
    """Say why, in 1 to {most} characters."""

    vi = "Cần nêu lý do, từ 1 đến {most} ký tự."


class AppealedAlready(Conflict):
    """You have appealed against this pause already."""

    vi = "Bạn đã gửi ý kiến phản đối về lần tạm khoá này."


class NoAppealOpen(Conflict):
    """No appeal against this pause waits for an answer."""

    vi = "Không có ý kiến phản đối nào đang chờ trả lời."


class OwnPause(Forbidden):
    """Who made a pause does not decide on the appeal against it; leave it to a colleague."""

    vi = (
        "Người đã tạm khoá không tự quyết định về ý kiến phản đối; hãy để đồng nghiệp khác xem xét."
    )


def my_pauses(
    session: Session, actor: Actor, *, before: uuid.UUID | None, limit: int
) -> Sequence[ReporterBlock]:
    """The citizen's own pauses with what became of them, newest first, those before `before`."""
    query = select(ReporterBlock).where(ReporterBlock.citizen_id == actor.id)
    if before is not None:
        query = query.where(ReporterBlock.id < before)
    return session.scalars(query.order_by(ReporterBlock.id.desc()).limit(limit)).all()


def appeal(
    session: Session, actor: Actor, pause_id: uuid.UUID, *, text: str, at: dt.datetime
) -> ReporterBlock:
    """Say once, while a pause lasts, why it should not; somebody else than who made it answers.

    Raises:
        PauseNotFound (also for somebody else's), PauseWordsNeeded, AppealedAlready, PauseOver
    """
    mine = select(ReporterBlock).where(ReporterBlock.citizen_id == actor.id)
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
    before: uuid.UUID | None = None,
    limit: int,
    at: dt.datetime,
) -> Sequence[ReporterBlock]:
    """Pauses that last or whose appeal waits for an answer, with their reports, newest first.

    Who has to pause is not among what is shown, and neither is which pauses are one person's.

    Raises:
        PausesNotYours
    """
    _require(actor)
    open_appeal = and_(ReporterBlock.appealed_at.is_not(None), ReporterBlock.answered_at.is_(None))
    query = _shown(actor).where(or_(running(at), open_appeal))
    if before is not None:
        query = query.where(ReporterBlock.id < before)
    return session.scalars(query.order_by(ReporterBlock.id.desc()).limit(limit)).all()


def pause(session: Session, actor: Actor, pause_id: uuid.UUID) -> ReporterBlock:
    """One pause with its report, also when it is over.

    Raises:
        PausesNotYours, PauseNotFound
    """
    _require(actor)
    found = session.scalar(_shown(actor).where(ReporterBlock.id == pause_id))
    if found is None:
        raise PauseNotFound
    return found


def may_decide(actor: Actor, pause: ReporterBlock) -> bool:
    """Whether `actor`, who may see a pause, may end it or answer; what the page offers."""
    return not (pause.awaits_answer and pause.blocked_by_id == actor.id)


def lift_pause(
    session: Session, actor: Actor, pause_id: uuid.UUID, *, reason: str, at: dt.datetime
) -> ReporterBlock:
    """End a pause early and tell the citizen why; an open appeal is answered by it.

    Raises:
        PausesNotYours, PauseNotFound, PauseWordsNeeded, PauseOver, OwnPause
    """
    found, words = _held(session, actor, pause_id), _words(reason)
    if not _runs(found, at):
        raise PauseOver
    if not may_decide(actor, found):
        raise OwnPause
    if found.awaits_answer:
        found.answer, found.answered_at, found.answered_by_id = words, at, actor.id
    found.lifted_at, found.lifted_by_id, found.lift_reason = at, actor.id, words
    _note(session, actor, found, audit.Deed.REPORT_UNBLOCK_REPORTER, "pause_lifted", words, at=at)
    return found


def keep_pause(
    session: Session, actor: Actor, pause_id: uuid.UUID, *, reason: str, at: dt.datetime
) -> ReporterBlock:
    """Answer the appeal against a pause that stays, and tell the citizen why.

    Raises:
        PausesNotYours, PauseNotFound, PauseWordsNeeded, NoAppealOpen, OwnPause
    """
    found, words = _held(session, actor, pause_id), _words(reason)
    if not found.awaits_answer:
        raise NoAppealOpen
    if not may_decide(actor, found):
        raise OwnPause
    found.answer, found.answered_at, found.answered_by_id = words, at, actor.id
    _note(session, actor, found, audit.Deed.REPORT_KEEP_PAUSE, "pause_kept", words, at=at)
    return found


def _require(actor: Actor) -> None:
    if not permissions.holds(actor, Duty.SEE_PAUSES):
        raise PausesNotYours


def _shown(actor: Actor) -> Select[ReporterBlock]:
    return (
        select(ReporterBlock)
        .join(ReporterBlock.report)
        .where(permissions.workable(actor, Action.END_PAUSE))
        .options(contains_eager(ReporterBlock.report), joinedload(ReporterBlock.blocked_by))
    )


def _held(session: Session, actor: Actor, pause_id: uuid.UUID) -> ReporterBlock:
    _require(actor)
    return _locked(session, _shown(actor), pause_id)


def _locked(session: Session, query: Select[ReporterBlock], pause_id: uuid.UUID) -> ReporterBlock:
    """A pause among those of the query, locked so that two people do not both change it."""
    found = session.scalar(
        query.where(ReporterBlock.id == pause_id)
        .with_for_update(of=ReporterBlock)
        .execution_options(populate_existing=True)
    )
    if found is None:
        raise PauseNotFound
    return found


def _runs(pause: ReporterBlock, at: dt.datetime) -> bool:
    return pause.lifted_at is None and at < pause.until


def _words(text: str) -> str:
    words = tidy(text)
    if not 1 <= len(words) <= MOST_CHARACTERS:
        raise PauseWordsNeeded(most=MOST_CHARACTERS)
    return words


def _note(
    session: Session,
    actor: Actor,
    pause: ReporterBlock,
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
