"""Legal requests over personal data: their clocks, and the steps to their end.

Law 91/2025/QH15, article 4, and Decree 356/2025/NĐ-CP, article 5: a request is answered within two
working days and carried out within a number of days from receipt, which may be extended once and
is longer where somebody else has to act too. The numbers are reference data
(reference/data_request_clocks.csv). Working days are counted in working hours, as for reports, so
that an answer is never due later than the law has it; days by services.calendar.end_of_day.
"""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from models import DataRequest, DataRequestClock, DataRequestKind, DataRequestState
from services import audit, limits, notifications
from services.calendar import HOURS_A_DAY, after_working_time, end_of_day, local_time
from services.errors import Invalid, NotFound
from services.permissions import Actor
from services.privacy.guardians import acts_for
from services.text import tidy
from services.vault import Vault

A_DAY = 10


class DataRequestNotFound(NotFound):
    """There is no such request of yours."""

    vi = "Không có yêu cầu này của bạn."


class TextNeeded(Invalid):
    """Say in `text` what is wrong and how it should read."""

    vi = "Hãy nêu trong `text` nội dung nào sai và nội dung đúng."


class NotYourChild(Invalid):
    """child_id names no child under 16 whom you were confirmed to act for; see GET /me/children."""

    vi = "child_id không phải trẻ dưới 16 tuổi mà bạn được xác nhận đại diện; xem GET /me/children."


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for, for oneself or for a child."""

    kind: DataRequestKind
    text: str | None = None
    child_id: uuid.UUID | None = None


def submit(
    session: Session, actor: Actor, wish: Wish, *, vault: Vault, at: dt.datetime
) -> DataRequest:
    """Receive a request: its clocks start, and the citizen is told by when they have an answer.

    Raises:
        TextNeeded, NotYourChild, limits.RateLimited
    """
    limits.take(
        session, f"data_request:{actor.id}", limit=A_DAY, window=dt.timedelta(days=1), at=at
    )
    text = tidy(wish.text or "") or None
    if wish.kind is DataRequestKind.CORRECT and text is None:
        raise TextNeeded
    if wish.child_id and not acts_for(session, actor.id, wish.child_id, vault=vault, at=at):
        raise NotYourChild
    clock = session.get_one(DataRequestClock, wish.kind)
    answer_time = dt.timedelta(hours=clock.answer_working_days * HOURS_A_DAY)
    request = DataRequest(
        citizen_id=actor.id,
        child_id=wish.child_id,
        kind=wish.kind,
        text=text,
        state=DataRequestState.RECEIVED,
        version=1,
        received_at=at,
        answer_due_at=after_working_time(at, answer_time),
        act_due_at=end_of_day(at, clock.act_days),
        third_party=False,
        updated_at=at,
    )
    session.add(request)
    session.flush()
    audit.record(
        session,
        audit.Deed.DATA_REQUEST_SUBMIT,
        actor=actor,
        subject=("data_request", request.id),
        at=at,
        kind=wish.kind.value,
    )
    tell(session, request, "data_request_received", at=at, due=local_time(request.answer_due_at))
    return request


def mine(
    session: Session, actor: Actor, *, before: uuid.UUID | None, limit: int
) -> Sequence[DataRequest]:
    """The citizen's own requests with what was answered, newest first, those before `before`."""
    query = select(DataRequest).where(DataRequest.citizen_id == actor.id)
    if before is not None:
        query = query.where(DataRequest.id < before)
    return session.scalars(query.order_by(DataRequest.id.desc()).limit(limit)).all()


def own(session: Session, actor: Actor, request_id: uuid.UUID) -> DataRequest:
    """Raises DataRequestNotFound, also for somebody else's."""
    request = session.get(DataRequest, request_id)
    if request is None or request.citizen_id != actor.id:
        raise DataRequestNotFound
    return request


def tell(
    session: Session, request: DataRequest, kind: str, *, at: dt.datetime, **facts: str
) -> None:
    notifications.tell(
        session, request.citizen_id, kind, subject=("data_request", request.id), at=at, **facts
    )
