"""Who may do what: the one module that answers, for a list and for a single thing alike."""

import enum
import uuid
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, and_, false, or_, true

from models import Report, Role

LEVEL_1 = "urn:thainguyen:loa:1"
LEVEL_2 = "urn:thainguyen:loa:2"

_DISPATCHER = frozenset({Role.DISPATCHER})
_WORKERS = frozenset({Role.HANDLER, Role.LEADER})


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


class Duty(enum.StrEnum):
    """What one may have to do beside working on reports."""

    READ_AUDIT = "read_audit"
    MANAGE_STAFF = "manage_staff"
    HANDLE_REQUESTS = "handle_requests"
    KEEP_BREACHES = "keep_breaches"
    CHECK_GUARDIANS = "check_guardians"


@dataclass(frozen=True, slots=True)
class Grant:
    """One role, for one department and some places, or for all where None."""

    role: Role
    department: str | None = None
    places: frozenset[str] | None = None

    def covers(self, report: Report) -> bool:
        if self.role in _WORKERS and report.department_code != self.department:
            return False
        return self.places is None or report.place_code in self.places

    def condition(self) -> ColumnElement[bool]:
        """`covers`, as SQL."""
        parts: list[ColumnElement[bool]] = []
        if self.role in _WORKERS:
            parts.append(Report.department_code == self.department)
        if self.places is not None:
            parts.append(Report.place_code.in_(sorted(self.places)))
        return and_(true(), *parts)


@dataclass(frozen=True, slots=True)
class Actor:
    """Whoever asks. `id` is the citizen's or the staff row's; `name` is what colleagues see."""

    kind: ActorKind
    id: uuid.UUID
    session_id: uuid.UUID | None = None
    acr: str = ""
    name: str = ""
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
}
_DUTIES = {
    Duty.READ_AUDIT: Role.AUDITOR,
    Duty.MANAGE_STAFF: Role.ADMINISTRATOR,
    Duty.HANDLE_REQUESTS: Role.ADMINISTRATOR,
    Duty.KEEP_BREACHES: Role.ADMINISTRATOR,
    Duty.CHECK_GUARDIANS: Role.ADMINISTRATOR,
}


def can(actor: Actor, action: Action, report: Report) -> bool:
    """Whether `actor` may do `action` with `report`."""
    if actor.kind is ActorKind.CITIZEN:
        own = report.reporter_id == actor.id
        return own and action in {Action.READ, Action.OWN}
    return by(actor, action, report) is not None


def by(actor: Actor, action: Action, report: Report) -> Grant | None:
    """The role by which a member of staff may do `action` with `report`, if there is one."""
    if action is Action.SEE_REPORTER:
        return _sees_reporter(actor, report)
    roles = _ROLES.get(action, frozenset())
    return next(
        (grant for grant in actor.grants if grant.role in roles and grant.covers(report)), None
    )


def may(actor: Actor, duty: Duty) -> Grant | None:
    """The role by which `duty` is `actor`'s, if it is."""
    return next((grant for grant in actor.grants if grant.role is _DUTIES[duty]), None)


def holds(actor: Actor, duty: Duty) -> bool:
    """Whether `duty` is `actor`'s."""
    return may(actor, duty) is not None


def readable(actor: Actor) -> ColumnElement[bool]:
    """The reports that `actor` may read, as SQL; the same rule as `can(actor, READ, report)`."""
    if actor.kind is ActorKind.CITIZEN:
        return Report.reporter_id == actor.id
    grants = [grant for grant in actor.grants if grant.role in _ROLES[Action.READ]]
    return or_(false(), *(grant.condition() for grant in grants))


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
