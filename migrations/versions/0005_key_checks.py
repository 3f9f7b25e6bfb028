"""What keys are known again by, and a quick answer to which of them are in use."""

import sqlalchemy as sa
from alembic import op

from migrations import online

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "key_checks",
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("mac", sa.LargeBinary(length=32), nullable=False),
        sa.CheckConstraint("purpose in ('data', 'index')", name=op.f("ck_key_checks_purpose")),
        sa.PrimaryKeyConstraint("purpose", "key_id", name="pk_key_checks"),
        if_not_exists=True,
    )
    online.create_index("ix_citizens_wrapped_by", "citizens", [sa.text("substr(data_key, 2, 1)")])
    online.create_index(
        "ix_citizens_index_key_id",
        "citizens",
        ["index_key_id"],
        postgresql_where="number_index is not null",
    )


def downgrade() -> None:
    online.drop_index("ix_citizens_index_key_id")
    online.drop_index("ix_citizens_wrapped_by")
    op.drop_table("key_checks", if_exists=True)
