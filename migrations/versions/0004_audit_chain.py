"""The audit log says in which role, why and about whom; its events get a place in a chain.

The rows that are there get the number of this revision's own transaction, without being written
anew: the default's function is stable, so PostgreSQL asks it once and notes the answer for all.
"""

import sqlalchemy as sa
from alembic import op

from migrations import online

revision = "0004"
down_revision = "0003"


class Xid8(sa.types.UserDefinedType):
    def get_col_spec(self, **_options: object) -> str:
        return "XID8"


KINDS = "actor_kind in ('citizen', 'staff', 'system', 'facility')"


def upgrade() -> None:
    for column in (
        sa.Column("role", sa.Text(), nullable=True),
        sa.Column("organisation", sa.Text(), nullable=True),
        sa.Column("purpose", sa.Text(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("about_id", sa.Uuid(), nullable=True),
        sa.Column("xid", Xid8(), server_default=sa.text("pg_current_xact_id()"), nullable=False),
    ):
        op.add_column("audit_events", column, if_not_exists=True)
    op.drop_constraint(op.f("ck_audit_events_actor_kind"), "audit_events", if_exists=True)
    op.create_check_constraint(
        op.f("ck_audit_events_actor_kind"), "audit_events", KINDS, postgresql_not_valid=True
    )
    op.create_table(
        "audit_chain",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("xid", Xid8(), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.CheckConstraint("octet_length(hash) = 32", name=op.f("ck_audit_chain_hash_length")),
        sa.PrimaryKeyConstraint("position", name="pk_audit_chain"),
        sa.UniqueConstraint("event_id", name="uq_audit_chain_event_id"),
        if_not_exists=True,
    )
    op.create_table(
        "audit_checkpoints",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("signature", sa.LargeBinary(length=64), nullable=False),
        sa.CheckConstraint(
            "octet_length(hash) = 32", name=op.f("ck_audit_checkpoints_hash_length")
        ),
        sa.CheckConstraint(
            "octet_length(signature) = 64", name=op.f("ck_audit_checkpoints_signature_length")
        ),
        sa.PrimaryKeyConstraint("position", name="pk_audit_checkpoints"),
        if_not_exists=True,
    )
    online.create_index(
        "ix_audit_events_about_id_id",
        "audit_events",
        ["about_id", "id"],
        postgresql_where="about_id is not null",
    )
    online.create_index("ix_audit_events_action_id", "audit_events", ["action", "id"])
    online.create_index("ix_audit_events_xid_id", "audit_events", ["xid", "id"])
    online.create_index("ix_audit_events_at", "audit_events", ["at"], postgresql_using="brin")
    with online.unhurried():
        op.execute("ALTER TABLE audit_events VALIDATE CONSTRAINT ck_audit_events_actor_kind")


def downgrade() -> None:
    raise RuntimeError("What was recorded is not forgotten again; go back by a backup.")
