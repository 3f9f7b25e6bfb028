"""Who may do what: the one module that answers, for a list and for a single thing alike."""

import datetime as dt
import enum
import uuid
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, and_, false, or_, true

from models import Report, Role
from services.errors import Forbidden, Unauthenticated

LEVEL_1 = "urn:thainguyen:loa:1"
LEVEL_2 = "urn:thainguyen:loa:2"
# How old a sign-in may be for what does harm in the wrong hands, and for a look at a name.
GRAVE = dt.timedelta(minutes=15)
SENSITIVE = dt.timedelta(hours=4)

_DISPATCHER = frozenset({Role.DISPATCHER})
_ADMINISTRATOR = frozenset({Role.ADMINISTRATOR})
_WORKERS = frozenset({Role.HANDLER, Role.LEADER})


class RecentSignInNeeded(Unauthenticated):
    """Please sign in again: for this the last time may be {minutes} minutes ago at most."""

    vi = "Vui lòng đăng nhập lại: việc này cần lần đăng nhập không quá {minutes} phút trước."


class OwnCase(Forbidden):
    """Nobody acts as staff in their own case; leave it to a colleague."""

    vi = "Không ai được giải quyết việc của chính mình; hãy để đồng nghiệp khác làm."


class ActorKind(enum.StrEnum):
    """In what capacity somebody acts; one person has two when signed in twice."""

    CITIZEN = "citizen"
    STAFF = "staff"
    SYSTEM = "system"


class Action(enum.StrEnum):
    """What one may want to do with a report."""

    READ = "read"
    READ_INTERNAL = "read_internal"
    SEE_REPORTER = "see_reporter"
    DISPATCH = "dispatch"
    WORK = "work"
    LEAD = "lead"
    OWN = "own"
    PUBLISH = "publish"
    PAUSE_REPORTER = "pause_reporter"
    END_PAUSE = "end_pause"


class Duty(enum.StrEnum):
    """What one may have to do beside working on reports."""

    READ_AUDIT = "read_audit"
    MANAGE_STAFF = "manage_staff"
    SEE_PAUSES = "see_pauses"
    HANDLE_REQUESTS = "handle_requests"
    KEEP_BREACHES = "keep_breaches"
    CHECK_GUARDIANS = "check_guardians"


@dataclass(frozen=True, slots=True)
class Grant:
    """One role, for one department and some places, or for all where None."""

    role: Role
    department: str | None = None
    places: frozenset[str] | None = None

    @property
    def is_of_a_department(self) -> bool:
        """A worker who has none by mistake works on nothing, instead of on everything."""
        return self.role in _WORKERS or self.department is not None

    def covers(self, report: Report) -> bool:
        if self.is_of_a_department and (
            self.department is None or report.department_code != self.department
        ):
            return False
        return self.places is None or report.place_code in self.places

    def includes(self, other: "Grant") -> bool:
        """Whether who has this needs `other` no more: the same role, for as many places or more."""
        if (self.role, self.department) != (other.role, other.department):
            return False
        return self.places is None or (other.places is not None and other.places <= self.places)

    def condition(self) -> ColumnElement[bool]:
        """`covers`, as SQL."""
        parts: list[ColumnElement[bool]] = []
        if self.is_of_a_department:
            parts.append(
                false() if self.department is None else Report.department_code == self.department
            )
        if self.places is not None:
            parts.append(Report.place_code.in_(sorted(self.places)))
        return and_(true(), *parts)


@dataclass(frozen=True, slots=True)
class Actor:
    """Whoever asks. `id` is the citizen's or the staff row's; `name` is what colleagues see.

    `citizen_ids` is who a member of staff is outside of the office: the account they entered by,
    and any other of the same citizen number, as a provider may give somebody a new one.
    """

    kind: ActorKind
    id: uuid.UUID
    session_id: uuid.UUID | None = None
    acr: str = ""
    name: str = ""
    citizen_ids: frozenset[uuid.UUID] = frozenset()
    grants: tuple[Grant, ...] = field(default=())

    @property
    def roles(self) -> list[str]:
        return sorted({grant.role.value for grant in self.grants})


_ROLES = {
    Action.READ: frozenset({Role.DISPATCHER, Role.HANDLER, Role.LEADER, Role.COMMUNICATOR}),
    Action.READ_INTERNAL: _DISPATCHER | _WORKERS,
    Action.DISPATCH: _DISPATCHER,
    Action.WORK: _WORKERS,
    Action.LEAD: frozenset({Role.LEADER}),
    Action.PUBLISH: frozenset({Role.DISPATCHER, Role.LEADER, Role.COMMUNICATOR}),
    Action.PAUSE_REPORTER: _DISPATCHER,
    Action.END_PAUSE: _DISPATCHER | _ADMINISTRATOR,
}
_DUTIES = {
    Duty.READ_AUDIT: frozenset({Role.AUDITOR}),
    Duty.MANAGE_STAFF: _ADMINISTRATOR,
    Duty.SEE_PAUSES: _DISPATCHER | _ADMINISTRATOR,
    Duty.HANDLE_REQUESTS: _ADMINISTRATOR,
    Duty.KEEP_BREACHES: _ADMINISTRATOR,
    Duty.CHECK_GUARDIANS: _ADMINISTRATOR,
}
# The roles by which anything can be done so far; the others wait for what they are for.
IN_USE = frozenset[Role]().union(*_ROLES.values(), *_DUTIES.values())
# Who manages the staff does not watch over the record of it.
NEVER_TOGETHER = frozenset({Role.AUDITOR, Role.ADMINISTRATOR})
# What a role may be limited to. Who dispatches has reports before they have a department.
NEED_A_DEPARTMENT = _WORKERS
TAKE_NO_DEPARTMENT = frozenset({Role.DISPATCHER, Role.AUDITOR, Role.ADMINISTRATOR})
TAKE_NO_PLACES = frozenset({Role.AUDITOR, Role.ADMINISTRATOR})


def can(actor: Actor, action: Action, report: Report) -> bool:
    """Whether `actor` may do `action` with `report`."""
    if actor.kind is ActorKind.CITIZEN:
        own = report.reporter_id == actor.id
        return own and action in {Action.READ, Action.OWN}
    return by(actor, action, report) is not None


def by(actor: Actor, action: Action, report: Report) -> Grant | None:
    """The role by which a member of staff may do `action` with `report`, if there is one.

    What they sent themselves they may read, without what the offices keep to themselves.
    """
    if action is not Action.READ and is_own(actor, report.reporter_id):
        return None
    if action is Action.SEE_REPORTER:
        return _sees_reporter(actor, report)
    roles = _ROLES.get(action, frozenset())
    return next(
        (
            grant
            for grant in actor.grants
            if grant.role in roles
            and grant.covers(report)
            and not (report.contact_removed_at and _needs_an_author(grant, action))
        ),
        None,
    )


def is_own(actor: Actor, citizen_id: uuid.UUID | None) -> bool:
    """Whether a member of staff has to do with what is this citizen's, and they are the citizen."""
    return actor.kind is ActorKind.STAFF and citizen_id in actor.citizen_ids


def refuse_own(actor: Actor, citizen_id: uuid.UUID | None) -> None:
    """Stop a member of staff who would act on what is their own.

    Raises:
        OwnCase
    """
    if is_own(actor, citizen_id):
        raise OwnCase


def may(actor: Actor, duty: Duty) -> Grant | None:
    """The role by which `duty` is `actor`'s, if it is."""
    return next((grant for grant in actor.grants if grant.role in _DUTIES[duty]), None)


def require(actor: Actor, duty: Duty) -> Grant:
    """The role by which `duty` is `actor`'s.

    Raises:
        Forbidden
    """
    role = may(actor, duty)
    if role is None:
        raise Forbidden
    return role


def holds(actor: Actor, duty: Duty) -> bool:
    """Whether `duty` is `actor`'s."""
    return may(actor, duty) is not None


def readable(actor: Actor) -> ColumnElement[bool]:
    """The reports that `actor` may read, as SQL; the same rule as `can(actor, READ, report)`."""
    if actor.kind is ActorKind.CITIZEN:
        return Report.reporter_id == actor.id
    return workable(actor, Action.READ)


def workable(actor: Actor, action: Action = Action.WORK) -> ColumnElement[bool]:
    """The reports with which this member of staff may do `action`, as SQL; as `can` has it."""
    grants = [grant for grant in actor.grants if grant.role in _ROLES[action]]
    condition = or_(
        false(),
        *(
            and_(grant.condition(), Report.contact_removed_at.is_(None))
            if _needs_an_author(grant, action)
            else grant.condition()
            for grant in grants
        ),
    )
    if action is Action.READ or not actor.citizen_ids:
        return condition
    own = Report.reporter_id.in_(sorted(actor.citizen_ids))
    return and_(condition, own.is_not(true()))


def is_recent(
    acr: str | None,
    auth_time: dt.datetime | None,
    *,
    max_age: dt.timedelta,
    level: str | None = LEVEL_2,
    at: dt.datetime,
) -> bool:
    """Whether somebody signed in not longer than `max_age` ago, at this level or any (RFC 9470)."""
    reaches = level is None or acr == level
    return reaches and auth_time is not None and at - auth_time <= max_age


def _needs_an_author(grant: Grant, action: Action) -> bool:
    """Whether this is done with an author who is none any more once the contact was removed.

    A pause that still runs then is left to administrators, who see no reports.
    """
    return action is Action.PAUSE_REPORTER or (
        action is Action.END_PAUSE and grant.role is Role.DISPATCHER
    )


def _sees_reporter(actor: Actor, report: Report) -> Grant | None:
    """Dispatchers always; the assigned handler and the leader unless the citizen hid the name.

    Nobody, once the report has been over for so long that nobody needs to (services.privacy).
    """
    if report.contact_removed_at is not None:
        return None
    if dispatcher := by(actor, Action.DISPATCH, report):
        return dispatcher
    if report.hide_reporter:
        return None
    if leader := by(actor, Action.LEAD, report):
        return leader
    return by(actor, Action.WORK, report) if report.assignee_id == actor.id else None
