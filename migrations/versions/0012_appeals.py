"""Pauses of reporters that are appealed against, answered, and ended with a reason."""

import sqlalchemy as sa
from alembic import op

from migrations import online

revision = "0012"
down_revision = "0011"

TABLE = "reporter_blocks"
CHECKS = {
    "ck_reporter_blocks_lift_reason_length": "length(lift_reason) between 1 and 1000",
    "ck_reporter_blocks_appeal_length": "length(appeal) between 1 and 1000",
    "ck_reporter_blocks_answer_length": "length(answer) between 1 and 1000",
    "ck_reporter_blocks_appeal_has_time": "(appeal is null) = (appealed_at is null)",
    "ck_reporter_blocks_answer_is_whole": "num_nonnulls(answer, answered_at, answered_by_id) in (0, 3)"
    " and (answer is null or appeal is not null)",
}
ANSWERED_BY = "fk_reporter_blocks_answered_by_id_staff"
MOMENT = sa.DateTime(timezone=True)


def comment(pii: str, export: str) -> str:
    """What a column holds of a person, and whether its person gets it."""
    return f"pii={pii}; retention=reporter_block; export={export}"


def upgrade() -> None:
    for column in (
        sa.Column("lift_reason", sa.Text(), nullable=True, comment=comment("basic", "yes")),
        sa.Column("appeal", sa.Text(), nullable=True, comment=comment("basic", "yes")),
        sa.Column("appealed_at", MOMENT, nullable=True, comment=comment("none", "yes")),
        sa.Column("answer", sa.Text(), nullable=True, comment=comment("basic", "yes")),
        sa.Column("answered_at", MOMENT, nullable=True, comment=comment("none", "yes")),
        sa.Column("answered_by_id", sa.Uuid(), nullable=True, comment=comment("none", "no")),
    ):
        op.add_column(TABLE, column, if_not_exists=True)
    op.drop_constraint(ANSWERED_BY, TABLE, if_exists=True)
    op.create_foreign_key(
        ANSWERED_BY, TABLE, "staff", ["answered_by_id"], ["id"], postgresql_not_valid=True
    )
    for name, condition in CHECKS.items():
        op.drop_constraint(op.f(name), TABLE, if_exists=True)
        op.create_check_constraint(op.f(name), TABLE, condition, postgresql_not_valid=True)
    with online.unhurried():
        for name in (ANSWERED_BY, *CHECKS):
            op.execute(f"ALTER TABLE {TABLE} VALIDATE CONSTRAINT {name}")
    online.create_index("ix_reporter_blocks_report_id", TABLE, ["report_id"])


def downgrade() -> None:
    online.drop_index("ix_reporter_blocks_report_id")
    for name in (*CHECKS, ANSWERED_BY):
        op.drop_constraint(op.f(name), TABLE, if_exists=True)
    for column in (
        "answered_by_id",
        "answered_at",
        "answer",
        "appealed_at",
        "appeal",
        "lift_reason",
    ):
        op.drop_column(TABLE, column, if_exists=True)
