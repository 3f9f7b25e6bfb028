"""Sessions by device, staff that others change too, and reporters who have to pause."""

import sqlalchemy as sa
from alembic import op

from migrations import online

revision = "0008"
down_revision = "0007"


def comment(pii: str, retention: str, export: str) -> str:
    """What a column holds of a person, the policy that ends it, whether its person gets it."""
    return f"pii={pii}; retention={retention}; export={export}"


def upgrade() -> None:
    op.add_column(
        "citizens",
        sa.Column(
            "not_before",
            sa.DateTime(timezone=True),
            nullable=True,
            comment=comment("none", "account", "no"),
        ),
        if_not_exists=True,
    )
    op.add_column(
        "staff",
        sa.Column(
            "version",
            sa.Integer(),
            server_default="1",
            nullable=False,
            comment=comment("none", "staff", "no"),
        ),
        if_not_exists=True,
    )
    op.add_column(
        "device_sessions",
        sa.Column("name", sa.Text(), nullable=True, comment=comment("basic", "session", "yes")),
        if_not_exists=True,
    )
    op.add_column(
        "admin_sessions",
        sa.Column("acr", sa.Text(), nullable=True, comment=comment("none", "admin_session", "yes")),
        if_not_exists=True,
    )
    op.add_column(
        "admin_sessions",
        sa.Column(
            "auth_time",
            sa.DateTime(timezone=True),
            nullable=True,
            comment=comment("none", "admin_session", "yes"),
        ),
        if_not_exists=True,
    )
    op.create_table(
        "reporter_blocks",
        sa.Column(
            "id", sa.Uuid(), nullable=False, comment=comment("none", "reporter_block", "yes")
        ),
        sa.Column(
            "citizen_id", sa.Uuid(), nullable=False, comment=comment("none", "reporter_block", "no")
        ),
        sa.Column(
            "report_id", sa.Uuid(), nullable=False, comment=comment("none", "reporter_block", "yes")
        ),
        sa.Column(
            "until",
            sa.DateTime(timezone=True),
            nullable=False,
            comment=comment("none", "reporter_block", "yes"),
        ),
        sa.Column(
            "reason", sa.Text(), nullable=False, comment=comment("basic", "reporter_block", "yes")
        ),
        sa.Column(
            "blocked_by_id",
            sa.Uuid(),
            nullable=False,
            comment=comment("none", "reporter_block", "no"),
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment=comment("none", "reporter_block", "yes"),
        ),
        sa.Column(
            "lifted_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment=comment("none", "reporter_block", "yes"),
        ),
        sa.Column(
            "lifted_by_id",
            sa.Uuid(),
            nullable=True,
            comment=comment("none", "reporter_block", "no"),
        ),
        sa.CheckConstraint("until > created_at", name=op.f("ck_reporter_blocks_ends_later")),
        sa.CheckConstraint(
            "length(reason) between 1 and 1000", name=op.f("ck_reporter_blocks_reason_length")
        ),
        sa.ForeignKeyConstraint(
            ["citizen_id"], ["citizens.id"], name="fk_reporter_blocks_citizen_id_citizens"
        ),
        sa.ForeignKeyConstraint(
            ["report_id"], ["reports.id"], name="fk_reporter_blocks_report_id_reports"
        ),
        sa.ForeignKeyConstraint(
            ["blocked_by_id"], ["staff.id"], name="fk_reporter_blocks_blocked_by_id_staff"
        ),
        sa.ForeignKeyConstraint(
            ["lifted_by_id"], ["staff.id"], name="fk_reporter_blocks_lifted_by_id_staff"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_reporter_blocks"),
        if_not_exists=True,
    )
    op.create_index(
        "ix_reporter_blocks_citizen_id_until",
        "reporter_blocks",
        ["citizen_id", "until"],
        if_not_exists=True,
    )
    online.create_index(
        "ix_citizens_not_before",
        "citizens",
        ["not_before"],
        postgresql_where="not_before is not null",
    )
    online.create_index(
        "ix_device_sessions_installation_hash", "device_sessions", ["installation_hash"]
    )
    online.create_index(
        "ix_reports_assignee_id",
        "reports",
        ["assignee_id"],
        postgresql_where="assignee_id is not null",
    )


def downgrade() -> None:
    online.drop_index("ix_reports_assignee_id")
    online.drop_index("ix_device_sessions_installation_hash")
    online.drop_index("ix_citizens_not_before")
    op.drop_table("reporter_blocks", if_exists=True)
    op.drop_column("admin_sessions", "auth_time", if_exists=True)
    op.drop_column("admin_sessions", "acr", if_exists=True)
    op.drop_column("device_sessions", "name", if_exists=True)
    op.drop_column("staff", "version", if_exists=True)
    op.drop_column("citizens", "not_before", if_exists=True)
