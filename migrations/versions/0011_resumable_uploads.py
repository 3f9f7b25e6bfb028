"""Photos that come in pieces."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

COMMENT = "pii=none; retention=unused_photo; export=no"
CONTENT = "pii=sensitive; retention=unused_photo; export=no"


def upgrade() -> None:
    op.create_table(
        "resumable_uploads",
        sa.Column("id", sa.Uuid(), nullable=False, comment=COMMENT),
        sa.Column("owner_id", sa.Uuid(), nullable=True, comment=COMMENT),
        sa.Column("staff_id", sa.Uuid(), nullable=True, comment=COMMENT),
        sa.Column("length", sa.Integer(), nullable=False, comment=COMMENT),
        sa.Column("received", sa.Integer(), nullable=False, comment=COMMENT),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, comment=COMMENT),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False, comment=COMMENT),
        sa.CheckConstraint(
            "received between 0 and length", name=op.f("ck_resumable_uploads_received")
        ),
        sa.CheckConstraint(
            "num_nonnulls(owner_id, staff_id) = 1", name=op.f("ck_resumable_uploads_one_owner")
        ),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["citizens.id"], name="fk_resumable_uploads_owner_id_citizens"
        ),
        sa.ForeignKeyConstraint(
            ["staff_id"], ["staff.id"], name="fk_resumable_uploads_staff_id_staff"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_resumable_uploads"),
        if_not_exists=True,
    )
    for column in ("owner_id", "expires_at"):
        op.create_index(
            f"ix_resumable_uploads_{column}", "resumable_uploads", [column], if_not_exists=True
        )
    op.create_table(
        "upload_pieces",
        sa.Column("upload_id", sa.Uuid(), nullable=False, comment=COMMENT),
        sa.Column("offset", sa.Integer(), nullable=False, comment=COMMENT),
        sa.Column("content", sa.LargeBinary(), nullable=False, comment=CONTENT),
        sa.ForeignKeyConstraint(
            ["upload_id"],
            ["resumable_uploads.id"],
            name="fk_upload_pieces_upload_id_resumable_uploads",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("upload_id", "offset", name="pk_upload_pieces"),
        if_not_exists=True,
    )


def downgrade() -> None:
    op.drop_table("upload_pieces", if_exists=True)
    op.drop_table("resumable_uploads", if_exists=True)
