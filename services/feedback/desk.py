"""What only the staff view asks: who sent a report, who worked on it, what is new."""

import datetime as dt
import uuid

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models import Citizen, Report, Staff
from services import audit, permissions
from services.errors import Forbidden
from services.feedback.reports import QueueFilter, matching, read
from services.permissions import Action, Actor, ActorKind


class ReporterHidden(Forbidden):
    """You may not see who sent this report."""

    vi = "Bạn không được xem người gửi phản ánh này."


def read_reporter(
    session: Session, actor: Actor, report_id: uuid.UUID, *, at: dt.datetime
) -> Citizen | None:
    """Who sent a report; each look is recorded in the same transaction.

    None when the author is not known any more; nobody was looked at then.

    Raises:
        ReportNotFound, OwnCase, ReporterHidden
    """
    report = read(session, actor, report_id)
    permissions.refuse_own(actor, report.reporter_id)
    role = permissions.by(actor, Action.SEE_REPORTER, report)
    if role is None:
        raise ReporterHidden
    if report.reporter_id is None:
        return None
    audit.record(
        session,
        audit.Deed.REPORT_READ_REPORTER,
        actor=actor,
        by=role,
        subject=("report", report.id),
        about=report.reporter_id,
        purpose=audit.Purpose.REPORT_HANDLING,
        at=at,
        fields=["name"],
    )
    return session.get_one(Citizen, report.reporter_id)


def staff_names(session: Session, report: Report) -> dict[uuid.UUID, str]:
    """The names of the colleagues in a report's history, by the ids of their staff rows."""
    ids = {event.actor_id for event in report.timeline if event.actor_kind == ActorKind.STAFF.value}
    query = select(Staff.id, Staff.name).where(Staff.id.in_(ids))
    return dict(session.execute(query).all())


def newer_than(
    session: Session, actor: Actor, wanted: QueueFilter, *, since: uuid.UUID | None
) -> int:
    """How many reports came into this queue after the one named `since`."""
    query = select(func.count()).select_from(Report).where(*matching(actor, wanted))
    if since is not None:
        query = query.where(Report.id > since)
    return session.scalar(query) or 0
