"""docs/reports.md: the moves of a report, drawn from the table that the code obeys."""

from services.feedback import TRANSITIONS, Transition

HEAD = """\
# The states of a report

Drawn from `services/feedback/transitions.py` by `make docs`; edit that table, not this page.
One function, `services/feedback/workflow.py:_carry_out`, makes every move: it locks the report's
row, checks that the move is in the table and open to the actor, and writes the change, the step
of the timeline, the audit event and the notice to the reporter in one transaction. What somebody of
the staff sent as a citizen is moved by their colleagues alone.
"""
WHO = {
    "dispatch": "dispatcher",
    "work": "handler or leader of the department",
    "lead": "leader of the department",
    "own": "the reporter",
}


def text() -> str:
    """The page in Markdown, with the drawing as a Mermaid state diagram."""
    arrows = "\n".join(
        f"    {origin.value} --> {step.to.value}: {step.name}"
        for step in TRANSITIONS
        for origin in sorted(step.origins)
    )
    rows = "\n".join(_row(step) for step in TRANSITIONS)
    return (
        f"{HEAD}\n```mermaid\nstateDiagram-v2\n    [*] --> received: create\n{arrows}\n```\n\n"
        "| move | from | to | who | needs | tells the reporter |\n"
        "|---|---|---|---|---|---|\n"
        f"{rows}\n"
    )


def _row(step: Transition) -> str:
    cells = (
        step.name,
        ", ".join(sorted(step.origins)),
        step.to.value,
        "; ".join(WHO[action.value] for action in step.by),
        ", ".join(step.needs) or "–",
        f"`{step.tells}`" if step.tells else "–",
    )
    return f"| {' | '.join(cells)} |"
