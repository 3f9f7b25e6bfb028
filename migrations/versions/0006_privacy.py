"""Consents, legal requests with their clocks, guardians of children, the register of breaches."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

TABLES = ("data_request_clocks", "consents", "breaches", "children", "data_requests")


def upgrade() -> None:
    op.create_table(
        "data_request_clocks",
        sa.Column(
            "kind",
            sa.Enum(
                "view",
                "correct",
                "copy",
                "delete",
                "restrict",
                "object",
                "withdraw",
                "protect",
                name="datarequestkind",
                native_enum=False,
                create_constraint=True,
                length=30,
            ),
            nullable=False,
        ),
        sa.Column("answer_working_days", sa.Integer(), nullable=False),
        sa.Column("act_days", sa.Integer(), nullable=False),
        sa.Column("extension_days", sa.Integer(), nullable=False),
        sa.Column("third_party_days", sa.Integer(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("kind", name="pk_data_request_clocks"),
    )
    op.create_table(
        "consents",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("citizen_id", sa.Uuid(), nullable=False),
        sa.Column("purpose", sa.String(length=40), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("locale", sa.String(length=2), nullable=False),
        sa.Column("channel", sa.String(length=20), nullable=False),
        sa.Column("given_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("locale in ('vi', 'en')", name=op.f("ck_consents_locale")),
        sa.CheckConstraint("withdrawn_at >= given_at", name=op.f("ck_consents_withdrawn_later")),
        sa.ForeignKeyConstraint(
            ["citizen_id"], ["citizens.id"], name="fk_consents_citizen_id_citizens"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_consents"),
    )
    op.create_index(
        "ix_consents_citizen_id_purpose_given_at",
        "consents",
        ["citizen_id", "purpose", "given_at"],
        unique=False,
    )
    op.create_index(
        "uq_consents_open",
        "consents",
        ["citizen_id", "purpose"],
        unique=True,
        postgresql_where="withdrawn_at is null",
    )
    op.create_table(
        "breaches",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("detected_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.Uuid(), nullable=False),
        sa.Column("notify_due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("place", sa.Text(), nullable=True),
        sa.Column("data_kinds", sa.Text(), nullable=True),
        sa.Column("people_count", sa.Integer(), nullable=True),
        sa.Column("consequences", sa.Text(), nullable=True),
        sa.Column("measures", sa.Text(), nullable=True),
        sa.Column("contact", sa.Text(), nullable=True),
        sa.Column("notifiable", sa.Boolean(), nullable=True),
        sa.Column("notified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "notify_due_at - detected_at = interval '72 hours'",
            name=op.f("ck_breaches_told_within_72_hours"),
        ),
        sa.CheckConstraint(
            "closed_at is null or notified_at is not null or (notifiable is not null and not notifiable)",
            name=op.f("ck_breaches_closed_when_told"),
        ),
        sa.CheckConstraint("length(what) > 0", name=op.f("ck_breaches_what_is_told")),
        sa.CheckConstraint("notified_at >= detected_at", name=op.f("ck_breaches_notified_later")),
        sa.CheckConstraint(
            "notified_at is null or notifiable", name=op.f("ck_breaches_notified_is_notifiable")
        ),
        sa.CheckConstraint("people_count >= 0", name=op.f("ck_breaches_people_count_range")),
        sa.ForeignKeyConstraint(
            ["recorded_by"], ["staff.id"], name="fk_breaches_recorded_by_staff"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_breaches"),
    )
    op.create_index("ix_breaches_closed_at_id", "breaches", ["closed_at", "id"], unique=False)
    op.create_table(
        "children",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("guardian_id", sa.Uuid(), nullable=False),
        sa.Column(
            "relation",
            sa.Enum(
                "parent",
                "guardian",
                name="relation",
                native_enum=False,
                create_constraint=True,
                length=30,
            ),
            nullable=False,
        ),
        sa.Column("data_key", sa.LargeBinary(), nullable=True),
        sa.Column("name_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("number_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("birth_date_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("number_index", sa.LargeBinary(length=32), nullable=True),
        sa.Column("index_key_id", sa.Integer(), server_default="1", nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "pending",
                "confirmed",
                "refused",
                "ended",
                name="childstate",
                native_enum=False,
                create_constraint=True,
                length=30,
            ),
            nullable=False,
        ),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_by", sa.Uuid(), nullable=True),
        sa.Column("refusal", sa.Text(), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state = 'ended') = (ended_at is not null)", name=op.f("ck_children_ended_has_time")
        ),
        sa.CheckConstraint(
            "state <> 'pending' or decided_at is null",
            name=op.f("ck_children_pending_is_undecided"),
        ),
        sa.CheckConstraint(
            "state <> 'refused' or refusal is not null", name=op.f("ck_children_refused_has_reason")
        ),
        sa.CheckConstraint(
            "state not in ('confirmed', 'refused') or (decided_at is not null and decided_by is not null)",
            name=op.f("ck_children_decided_by_somebody"),
        ),
        sa.CheckConstraint(
            "state not in ('pending', 'confirmed') or (number_index is not null and number_sealed is not null and birth_date_sealed is not null and name_sealed is not null)",
            name=op.f("ck_children_open_has_its_data"),
        ),
        sa.ForeignKeyConstraint(["decided_by"], ["staff.id"], name="fk_children_decided_by_staff"),
        sa.ForeignKeyConstraint(
            ["guardian_id"], ["citizens.id"], name="fk_children_guardian_id_citizens"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_children"),
    )
    op.create_index("ix_children_guardian_id_id", "children", ["guardian_id", "id"], unique=False)
    op.create_index(
        "ix_children_pending",
        "children",
        ["id"],
        unique=False,
        postgresql_where="state = 'pending'",
    )
    op.create_index(
        "uq_children_open",
        "children",
        ["guardian_id", "number_index"],
        unique=True,
        postgresql_where="state in ('pending', 'confirmed')",
    )
    op.create_table(
        "data_requests",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("citizen_id", sa.Uuid(), nullable=False),
        sa.Column("child_id", sa.Uuid(), nullable=True),
        sa.Column(
            "kind",
            sa.Enum(
                "view",
                "correct",
                "copy",
                "delete",
                "restrict",
                "object",
                "withdraw",
                "protect",
                name="datarequestkind",
                native_enum=False,
                create_constraint=True,
                length=30,
            ),
            nullable=False,
        ),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column(
            "state",
            sa.Enum(
                "received",
                "accepted",
                "refused",
                "done",
                name="datarequeststate",
                native_enum=False,
                create_constraint=True,
                length=30,
            ),
            nullable=False,
        ),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answer_due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("act_due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("refusal", sa.String(length=30), nullable=True),
        sa.Column("extended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("extension", sa.Text(), nullable=True),
        sa.Column("third_party", sa.Boolean(), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("conclusion", sa.Text(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(state = 'done') = (done_at is not null)", name=op.f("ck_data_requests_done_has_time")
        ),
        sa.CheckConstraint(
            "(state = 'received') = (answered_at is null)",
            name=op.f("ck_data_requests_answered_has_time"),
        ),
        sa.CheckConstraint(
            "(state = 'refused') = (refusal is not null)",
            name=op.f("ck_data_requests_refused_has_reason"),
        ),
        sa.CheckConstraint(
            "(answered_at is null) = (answer is null)",
            name=op.f("ck_data_requests_answered_has_answer"),
        ),
        sa.CheckConstraint(
            "(done_at is null) = (conclusion is null)",
            name=op.f("ck_data_requests_done_has_conclusion"),
        ),
        sa.CheckConstraint(
            "(extended_at is null) = (extension is null)",
            name=op.f("ck_data_requests_extended_has_reason"),
        ),
        sa.CheckConstraint(
            "length(text) between 1 and 4000", name=op.f("ck_data_requests_text_length")
        ),
        sa.ForeignKeyConstraint(
            ["child_id"], ["children.id"], name="fk_data_requests_child_id_children"
        ),
        sa.ForeignKeyConstraint(
            ["citizen_id"], ["citizens.id"], name="fk_data_requests_citizen_id_citizens"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_data_requests"),
    )
    op.create_index(
        "ix_data_requests_citizen_id_id", "data_requests", ["citizen_id", "id"], unique=False
    )
    op.create_index(
        "ix_data_requests_open",
        "data_requests",
        ["id"],
        unique=False,
        postgresql_where="state in ('received', 'accepted')",
    )


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
