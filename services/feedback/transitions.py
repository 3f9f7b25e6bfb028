"""The moves of a report, as data: from where, to where, by whom, with what.

services.feedback.workflow is the only code that carries one out. docs/reports.md is drawn from
this table.
"""

from dataclasses import dataclass

from models import Report, ReportState
from services import permissions
from services.permissions import Action, Actor, Grant

S = ReportState

# Why a report may be turned down; about three in ten real ones are.
REJECTION_REASONS = ("not_ours", "no_action", "insufficient", "abusive")


@dataclass(frozen=True, slots=True)
class Transition:
    """One legal move.

    `by` names what the actor must be allowed to do with the report; any one of them is enough.
    `needs` names the fields that must be given. `tells` is the kind of notice to the reporter.
    """

    name: str
    origins: frozenset[ReportState]
    to: ReportState
    by: tuple[Action, ...]
    needs: tuple[str, ...] = ()
    tells: str | None = None

    def allows(self, actor: Actor, report: Report) -> bool:
        return report.state in self.origins and any(
            permissions.can(actor, action, report) for action in self.by
        )


def _transition(
    name: str,
    origins: tuple[ReportState, ...],
    to: ReportState,
    by: tuple[Action, ...],
    *needs: str,
    tells: str | None = None,
) -> Transition:
    return Transition(name, frozenset(origins), to, by, needs, tells)


TRANSITIONS = (
    _transition(
        "assign",
        (S.RECEIVED,),
        S.ASSIGNED,
        (Action.DISPATCH,),
        "department",
        tells="report_assigned",
    ),
    _transition(
        "hand_over",
        (S.ASSIGNED, S.IN_PROGRESS),
        S.ASSIGNED,
        (Action.DISPATCH, Action.LEAD),
        "department",
        "reason",
        tells="report_assigned",
    ),
    _transition("return", (S.ASSIGNED, S.IN_PROGRESS), S.RECEIVED, (Action.WORK,), "reason"),
    _transition("claim", (S.ASSIGNED,), S.IN_PROGRESS, (Action.WORK,), tells="report_in_progress"),
    _transition(
        "resolve", (S.IN_PROGRESS,), S.RESOLVED, (Action.WORK,), "text", tells="report_resolved"
    ),
    _transition(
        "reject",
        (S.RECEIVED, S.ASSIGNED, S.IN_PROGRESS),
        S.REJECTED,
        (Action.DISPATCH, Action.LEAD),
        "reason",
        "text",
        tells="report_rejected",
    ),
    _transition(
        "reconsider",
        (S.REJECTED,),
        S.RECEIVED,
        (Action.DISPATCH,),
        "reason",
        tells="report_received",
    ),
    _transition(
        "reopen",
        (S.RESOLVED,),
        S.ASSIGNED,
        (Action.OWN, Action.LEAD),
        "reason",
        tells="report_reopened",
    ),
)


def next_steps(actor: Actor, report: Report) -> list[Transition]:
    """The moves that `actor` may make now; what the staff view offers as buttons."""
    return [transition for transition in TRANSITIONS if transition.allows(actor, report)]


def find(actor: Actor, report: Report, to: ReportState) -> Transition | None:
    """The move to `to` that `actor` may make now, if there is one."""
    return next((step for step in next_steps(actor, report) if step.to is to), None)


def role_for(actor: Actor, step: Transition, report: Report) -> Grant | None:
    """The role by which a member of staff makes this move, while the report is as it was."""
    found = (permissions.by(actor, action, report) for action in step.by)
    return next((grant for grant in found if grant), None)


def is_known(origin: ReportState, to: ReportState) -> bool:
    """Whether anybody at all may move a report from `origin` to `to`."""
    return any(origin in step.origins and step.to is to for step in TRANSITIONS)
