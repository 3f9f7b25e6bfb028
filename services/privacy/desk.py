"""The queue of legal requests, and the steps by which an administrator brings one to its end."""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, case, func, select, tuple_
from sqlalchemy.orm import Session

from models import Child, Citizen, DataRequest, DataRequestClock, DataRequestState
from services import audit, calendar, permissions
from services.errors import Conflict, Invalid, NotFound, Stale
from services.permissions import Actor, Duty
from services.privacy import remedies
from services.privacy.remedies import RemedyNotChosen, RemedyNotOffered
from services.privacy.requests import tell
from services.text import tidy
from services.vault import Vault

S = DataRequestState
OPEN_STATES = (S.RECEIVED, S.ACCEPTED)
# Why a request may be refused. Law 91/2025/QH15: what law orders to be kept or processed (articles
# 14.2 and 19.1); what is not the person's own; what harms others or is no protection of one's own
# rights (article 4.3). What nobody can carry out because it is unclear is refused with a question.
REFUSALS = ("law_requires", "not_yours", "harms_others", "no_own_right", "unclear")

_DUE: ColumnElement[dt.datetime] = case(
    (DataRequest.state == S.RECEIVED, DataRequest.answer_due_at), else_=DataRequest.act_due_at
)


class UnknownRequest(NotFound):
    """There is no such request."""

    vi = "Không có yêu cầu này."


class IllegalStep(Conflict):
    """This step is not open to the request any more."""

    vi = "Yêu cầu không còn ở trạng thái cho phép bước này."


class WordsNeeded(Invalid):
    """This step needs a text, which the citizen reads."""

    vi = "Bước này cần có nội dung; người yêu cầu sẽ đọc được."


class UnknownRefusal(Invalid):
    """The ground of a refusal must be one of: {grounds}."""

    vi = "Căn cứ từ chối phải là một trong: {grounds}."


@dataclass(frozen=True, slots=True)
class Step:
    """One legal step; `to` is None where the state stays. `needs` names what has to be given."""

    name: str
    origins: tuple[DataRequestState, ...]
    to: DataRequestState | None
    needs: tuple[str, ...] = ("text",)


STEPS = (
    Step("accept", (S.RECEIVED,), S.ACCEPTED),
    Step("refuse", (S.RECEIVED,), S.REFUSED, ("ground", "text")),
    Step("finish", (S.ACCEPTED,), S.DONE),
    Step("extend", OPEN_STATES, None),
    Step("involve", OPEN_STATES, None, ()),
)


@dataclass(frozen=True, slots=True)
class Given:
    """What an administrator filled in; `does` is what the system shall do (see remedies)."""

    step: str
    text: str | None = None
    ground: str | None = None
    does: str | None = None


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page of open requests ends: the deadline and the id of its last one."""

    due: dt.datetime
    id: uuid.UUID


@dataclass(frozen=True, slots=True)
class Clock:
    """The next deadline of a request, which is the answer's until there is one, and how it stands.

    `level` is that of services.calendar.urgency, or stopped at the end.
    """

    due: dt.datetime | None
    level: str


@dataclass(frozen=True, slots=True)
class Person:
    """Who asked, and for which child; None where it is not known any more."""

    name: str
    number: str | None
    child_name: str | None = None
    child_number: str | None = None


def queue(
    session: Session, actor: Actor, *, after: Cursor | None, limit: int
) -> Sequence[DataRequest]:
    """Open requests, the next deadline first.

    Raises:
        Forbidden
    """
    permissions.require(actor, Duty.HANDLE_REQUESTS)
    query = select(DataRequest).where(DataRequest.state.in_(OPEN_STATES))
    if after is not None:
        query = query.where(tuple_(_DUE, DataRequest.id) > (after.due, after.id))
    return session.scalars(query.order_by(_DUE, DataRequest.id).limit(limit)).all()


def ended(
    session: Session, actor: Actor, *, before: uuid.UUID | None, limit: int
) -> Sequence[DataRequest]:
    """Requests that were refused or carried out, newest first.

    Raises:
        Forbidden
    """
    permissions.require(actor, Duty.HANDLE_REQUESTS)
    query = select(DataRequest).where(DataRequest.state.not_in(OPEN_STATES))
    if before is not None:
        query = query.where(DataRequest.id < before)
    return session.scalars(query.order_by(DataRequest.id.desc()).limit(limit)).all()


def counts(session: Session, actor: Actor, *, at: dt.datetime) -> tuple[int, int]:
    """How many requests are open, and how many of them are late.

    Raises:
        Forbidden
    """
    permissions.require(actor, Duty.HANDLE_REQUESTS)
    late = func.count().filter(at > _DUE)
    query = select(func.count(), late).where(DataRequest.state.in_(OPEN_STATES))
    found = session.execute(query).one()
    return found[0], found[1]


def read(session: Session, actor: Actor, request_id: uuid.UUID) -> DataRequest:
    """Raises Forbidden, UnknownRequest."""
    permissions.require(actor, Duty.HANDLE_REQUESTS)
    request = session.get(DataRequest, request_id)
    if request is None:
        raise UnknownRequest
    return request


def read_person(
    session: Session, actor: Actor, request_id: uuid.UUID, *, vault: Vault, at: dt.datetime
) -> Person:
    """Who asked, with the citizen number; each look is recorded in the same transaction.

    Raises:
        Forbidden, UnknownRequest
    """
    request = read(session, actor, request_id)
    citizen = session.get_one(Citizen, request.citizen_id)
    child = session.get(Child, request.child_id) if request.child_id else None
    audit.record(
        session,
        audit.Deed.DATA_REQUEST_READ_PERSON,
        actor=actor,
        by=permissions.require(actor, Duty.HANDLE_REQUESTS),
        subject=("data_request", request.id),
        about=citizen.id,
        purpose=audit.Purpose.DATA_REQUEST_HANDLING,
        at=at,
        fields=["name", "citizen_number", *(["child"] if child else [])],
    )
    return Person(
        name=citizen.name,
        number=vault.read(citizen, "number"),
        child_name=vault.read(child, "name") if child else None,
        child_number=vault.read(child, "number") if child else None,
    )


def clock(request: DataRequest, *, at: dt.datetime) -> Clock:
    if request.state not in OPEN_STATES:
        return Clock(None, "stopped")
    due = request.answer_due_at if request.state is S.RECEIVED else request.act_due_at
    return Clock(due, calendar.urgency(request.received_at, due, at=at))


def next_steps(
    session: Session, actor: Actor, request: DataRequest, *, at: dt.datetime
) -> list[Step]:
    """The steps that `actor` may take now; what the staff view offers as forms."""
    if permissions.is_own(actor, request.citizen_id):
        return []
    times = session.get_one(DataRequestClock, request.kind)
    return [step for step in STEPS if _is_legal(step, request, times, at)]


def carry_out(
    session: Session,
    actor: Actor,
    request_id: uuid.UUID,
    given: Given,
    *,
    version: int,
    at: dt.datetime,
) -> DataRequest:
    """Take one step and tell the citizen; the row is locked, so two people cannot both decide.

    Raises:
        Forbidden, UnknownRequest, OwnCase, Stale (`version` is not today's), IllegalStep,
        WordsNeeded, UnknownRefusal, RemedyNotChosen, RemedyNotOffered
    """
    role = permissions.require(actor, Duty.HANDLE_REQUESTS)
    does = None if given.does == remedies.NOTHING else given.does
    if does:
        remedies.hold(session, request_id)
    request = session.scalar(
        select(DataRequest)
        .where(DataRequest.id == request_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if request is None:
        raise UnknownRequest
    permissions.refuse_own(actor, request.citizen_id)
    if request.version != version:
        raise Stale
    times = session.get_one(DataRequestClock, request.kind)
    step = next((step for step in STEPS if step.name == given.step), None)
    if step is None or not _is_legal(step, request, times, at):
        raise IllegalStep
    text = tidy(given.text or "")
    if "text" in step.needs and not text:
        raise WordsNeeded
    if "ground" in step.needs and given.ground not in REFUSALS:
        raise UnknownRefusal(grounds=", ".join(REFUSALS))
    if given.does and step.name != "finish":
        raise RemedyNotOffered
    if does:
        remedies.carry_out(session, actor, request, does, by=role, at=at)
    elif step.name == "finish" and not given.does and remedies.offered(session, request):
        raise RemedyNotChosen
    _apply(request, step, times, text, given.ground, at)
    request.version += 1
    request.updated_at = at
    detail: dict[str, Any] = {"does": given.does} if given.does else {}
    audit.record(
        session,
        audit.Deed(f"data_request:{step.name}"),
        actor=actor,
        by=role,
        subject=("data_request", request.id),
        at=at,
        state=request.state.value,
        **detail,
    )
    _tell(session, request, step, text, at=at)
    return request


def _is_legal(step: Step, request: DataRequest, times: DataRequestClock, at: dt.datetime) -> bool:
    """Time may be added once for each cause, and only while there is some left."""
    if request.state not in step.origins:
        return False
    if step.name == "extend":
        return request.extended_at is None and at <= request.act_due_at
    if step.name == "involve":
        longer = times.third_party_days is not None
        return longer and not request.third_party and at <= request.act_due_at
    return True


def _apply(
    request: DataRequest,
    step: Step,
    times: DataRequestClock,
    text: str,
    ground: str | None,
    at: dt.datetime,
) -> None:
    """What a step changes beside the version."""
    if step.to is not None:
        request.state = step.to
    if step.name in {"accept", "refuse"}:
        request.answered_at, request.answer = at, text
        request.refusal = ground if step.name == "refuse" else None
    elif step.name == "finish":
        request.done_at, request.conclusion = at, text
    elif step.name == "extend":
        request.extended_at, request.extension = at, text
        request.act_due_at += dt.timedelta(days=times.extension_days)
    elif step.name == "involve":
        request.third_party = True
        # Added to the deadline as it stands, which holds the numbers of the day of receipt.
        request.act_due_at += dt.timedelta(days=(times.third_party_days or 0) - times.act_days)


def _tell(
    session: Session, request: DataRequest, step: Step, text: str, *, at: dt.datetime
) -> None:
    due = calendar.local_time(request.act_due_at)
    kinds = {
        "accept": ("data_request_accepted", {"due": due, "text": text}),
        "refuse": ("data_request_refused", {"text": text}),
        "finish": ("data_request_done", {"text": text}),
        "extend": ("data_request_extended", {"due": due, "text": text}),
        "involve": ("data_request_third_party", {"due": due}),
    }
    kind, facts = kinds[step.name]
    tell(session, request, kind, at=at, **facts)
