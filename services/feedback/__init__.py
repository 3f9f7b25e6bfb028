"""Reports: sending them, finding them, and moving them to their end."""

from models.feedback import OPEN_STATES
from services.feedback.desk import ReporterHidden, newer_than, read_reporter, staff_names
from services.feedback.lists import mine, public_report, public_reports
from services.feedback.pauses import (
    MOST_DAYS,
    answer_appeal,
    appeal,
    lift_pause,
    may_decide,
    my_pauses,
    pause,
    pause_of,
    pause_reporter,
    pauses,
)
from services.feedback.reports import (
    Clock,
    Draft,
    QueueFilter,
    ReportNotFound,
    categories,
    clock,
    departments,
    queue,
    queue_counts,
    read,
    submit,
)
from services.feedback.transitions import (
    REJECTION_REASONS,
    TRANSITIONS,
    Transition,
    next_steps,
)
from services.feedback.workflow import Move, edit, give_back, move, rate, reopen

__all__ = [
    "MOST_DAYS",
    "OPEN_STATES",
    "REJECTION_REASONS",
    "TRANSITIONS",
    "Clock",
    "Draft",
    "Move",
    "QueueFilter",
    "ReportNotFound",
    "ReporterHidden",
    "Transition",
    "answer_appeal",
    "appeal",
    "categories",
    "clock",
    "departments",
    "edit",
    "give_back",
    "lift_pause",
    "may_decide",
    "mine",
    "move",
    "my_pauses",
    "newer_than",
    "next_steps",
    "pause",
    "pause_of",
    "pause_reporter",
    "pauses",
    "public_report",
    "public_reports",
    "queue",
    "queue_counts",
    "rate",
    "read",
    "read_reporter",
    "reopen",
    "staff_names",
    "submit",
]
