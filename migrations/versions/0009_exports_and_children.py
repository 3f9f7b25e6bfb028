"""The level at which a copy of everything was asked for, and by when a child has grown up."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def comment(pii: str, retention: str, export: str) -> str:
    """What a column holds of a person, the policy that ends it, whether its person gets it."""
    return f"pii={pii}; retention={retention}; export={export}"


def upgrade() -> None:
    op.add_column(
        "exports",
        sa.Column("acr", sa.Text(), nullable=True, comment=comment("none", "export", "yes")),
    )
    op.add_column(
        "children",
        sa.Column("ends_on", sa.Date(), nullable=True, comment=comment("basic", "child", "no")),
    )


def downgrade() -> None:
    op.drop_column("children", "ends_on")
    op.drop_column("exports", "acr")
