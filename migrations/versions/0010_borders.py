"""Borders of communes, which an installation imports."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"

COMMENT = "pii=none; retention=reference; export=no"


def upgrade() -> None:
    op.create_table(
        "place_borders",
        sa.Column("place_code", sa.String(5), nullable=False, comment=COMMENT),
        *(
            sa.Column(name, sa.Float(), nullable=False, comment=COMMENT)
            for name in ("south", "west", "north", "east")
        ),
        sa.Column("polygons", postgresql.JSONB(), nullable=False, comment=COMMENT),
        sa.ForeignKeyConstraint(
            ["place_code"], ["places.code"], name="fk_place_borders_place_code_places"
        ),
        sa.PrimaryKeyConstraint("place_code", name="pk_place_borders"),
        if_not_exists=True,
    )


def downgrade() -> None:
    op.drop_table("place_borders", if_exists=True)
