"""Making somebody pause who misuses reports, without learning who it is."""

import datetime as dt
import uuid

from sqlalchemy import select
from sqlalchemy.orm import Session

from models import Citizen, Report, ReporterBlock
from models.base import new_id
from services import audit, calendar, notifications, permissions
from services.errors import Conflict, Forbidden, Invalid
from services.feedback.reports import read, running
from services.permissions import Action, Actor
from services.text import tidy

MOST_DAYS = 90
MOST_CHARACTERS = 1000


class BlockNotYours(Forbidden):
    """Only dispatchers make a reporter pause."""

    vi = "Chỉ cán bộ điều phối được tạm khoá người gửi."


class ReporterUnknown(Conflict):
    """Nobody knows any more who sent this report."""

    vi = "Không còn thông tin về người gửi phản ánh này."


class AlreadyBlocked(Conflict):
    """The reporter has to pause for this report already, until {local_time}."""

    vi = "Người gửi đang bị tạm khoá vì phản ánh này đến {local_time}."


class BlockUnlikely(Invalid):
    """A pause lasts from 1 to {most_days} days and has a reason."""

    vi = "Thời gian tạm khoá từ 1 đến {most_days} ngày và phải có lý do."


def block_of(
    session: Session, actor: Actor, report: Report, *, at: dt.datetime
) -> ReporterBlock | None:
    """The pause that runs for `report`, for whom may end it.

    One for another report of the same author is not shown: it would say that they have one author.
    """
    if not permissions.can(actor, Action.END_PAUSE, report):
        return None
    return session.scalar(
        select(ReporterBlock).where(ReporterBlock.report_id == report.id, running(at)).limit(1)
    )


def block_reporter(
    session: Session,
    actor: Actor,
    report_id: uuid.UUID,
    *,
    days: int,
    reason: str | None,
    at: dt.datetime,
) -> ReporterBlock:
    """Take no reports from the author of this one for some days, and tell them why.

    Each report has a pause of its own, whatever runs for others: a refusal would tell a dispatcher
    which reports have one author.

    Raises:
        ReportNotFound, OwnCase, BlockNotYours, ReporterUnknown, BlockUnlikely, AlreadyBlocked
    """
    report, citizen_id = _held(session, actor, report_id)
    words = tidy(reason or "")
    if not 1 <= days <= MOST_DAYS or not 1 <= len(words) <= MOST_CHARACTERS:
        raise BlockUnlikely(most_days=MOST_DAYS)
    if block := block_of(session, actor, report, at=at):
        raise AlreadyBlocked(local_time=calendar.local_time(block.until))
    block = ReporterBlock(
        id=new_id(),
        citizen_id=citizen_id,
        report_id=report.id,
        until=at + dt.timedelta(days=days),
        reason=words,
        blocked_by_id=actor.id,
        created_at=at,
    )
    session.add(block)
    audit.record(
        session,
        audit.Deed.REPORT_BLOCK_REPORTER,
        actor=actor,
        by=permissions.by(actor, Action.BLOCK_REPORTER, report),
        subject=("report", report.id),
        at=at,
        block_id=str(block.id),
        days=days,
    )
    notifications.tell(
        session,
        citizen_id,
        "reporter_blocked",
        subject=("report", report.id),
        at=at,
        code=report.code,
        until=calendar.local_time(block.until),
        text=words,
    )
    return block


def _held(session: Session, actor: Actor, report_id: uuid.UUID) -> tuple[Report, uuid.UUID]:
    """A report and its author, locked so that two dispatchers do not both decide."""
    report = read(session, actor, report_id)
    permissions.refuse_own(actor, report.reporter_id)
    if not permissions.can(actor, Action.DISPATCH, report):
        raise BlockNotYours
    if report.reporter_id is None or report.contact_removed_at is not None:
        raise ReporterUnknown
    session.execute(
        select(Citizen.id).where(Citizen.id == report.reporter_id).with_for_update(key_share=True)
    )
    return report, report.reporter_id
