"""Numbers, phones and dates of birth, sealed by keys outside the database."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

CITIZENS = ("data_key", "number_sealed", "phone_sealed", "birth_date_sealed")
STAFF = ("data_key", "number_sealed")


def upgrade() -> None:
    for table, columns in (("citizens", CITIZENS), ("staff", STAFF)):
        op.add_column(
            table,
            sa.Column("index_key_id", sa.Integer(), server_default="1", nullable=False),
        )
        for name in columns:
            op.add_column(table, sa.Column(name, sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    for table, columns in (("citizens", CITIZENS), ("staff", STAFF)):
        for name in (*columns, "index_key_id"):
            op.drop_column(table, name)
