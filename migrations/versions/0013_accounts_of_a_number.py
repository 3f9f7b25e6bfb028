"""Finding the accounts of one citizen number, for what staff may not do in their own case."""

from migrations import online

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    online.create_index(
        "ix_citizens_number_index",
        "citizens",
        ["number_index"],
        postgresql_where="number_index is not null",
    )


def downgrade() -> None:
    online.drop_index("ix_citizens_number_index")
