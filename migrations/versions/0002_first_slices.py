"""The tables of the first slices."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute(sa.schema.CreateSequence(sa.Sequence("report_numbers")))
    op.create_table(
        "audit_events",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_kind", sa.String(length=10), nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        sa.Column("action", sa.String(length=60), nullable=False),
        sa.Column("subject_type", sa.String(length=30), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=True),
        sa.Column("detail", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.CheckConstraint(
            "actor_kind in ('citizen', 'staff', 'system')", name=op.f("ck_audit_events_actor_kind")
        ),
        sa.PrimaryKeyConstraint("id", name="pk_audit_events"),
    )
    op.create_index("ix_audit_events_actor_id_at", "audit_events", ["actor_id", "at"], unique=False)
    op.create_index(
        "ix_audit_events_subject_type_subject_id_at",
        "audit_events",
        ["subject_type", "subject_id", "at"],
        unique=False,
    )
    op.create_table(
        "categories",
        sa.Column("code", sa.String(length=60), nullable=False),
        sa.Column("name_vi", sa.Text(), nullable=False),
        sa.Column("name_en", sa.Text(), nullable=False),
        sa.Column("acknowledge_hours", sa.Integer(), nullable=False),
        sa.Column("resolve_days", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("code", name="pk_categories"),
    )
    op.create_table(
        "departments",
        sa.Column("code", sa.String(length=60), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("wants_approval", sa.Boolean(), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("code", name="pk_departments"),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("actor_id", sa.Uuid(), nullable=False),
        sa.Column("operation", sa.String(length=60), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("body_mac", sa.LargeBinary(length=32), nullable=False),
        sa.Column("resource_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "length(key) between 1 and 255", name=op.f("ck_idempotency_keys_key_length")
        ),
        sa.PrimaryKeyConstraint("actor_id", "operation", "key", name="pk_idempotency_keys"),
    )
    op.create_index(
        "ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"], unique=False
    )
    op.create_table(
        "legacy_places",
        sa.Column("code", sa.String(length=5), nullable=False),
        sa.Column("full_name", sa.Text(), nullable=False),
        sa.Column("district_code", sa.String(length=3), nullable=False),
        sa.Column("district", sa.Text(), nullable=False),
        sa.Column("province", sa.Text(), nullable=False),
        sa.Column("lat", sa.Float(), nullable=False),
        sa.Column("lng", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("code", name="pk_legacy_places"),
    )
    op.create_table(
        "places",
        sa.Column("code", sa.String(length=5), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("full_name", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("folded_name", sa.Text(), nullable=False),
        sa.CheckConstraint("level in (1, 2)", name=op.f("ck_places_level")),
        sa.PrimaryKeyConstraint("code", name="pk_places"),
    )
    op.create_index("ix_places_folded_name", "places", ["folded_name"], unique=False)
    op.create_table(
        "rate_limits",
        sa.Column("bucket", sa.String(length=120), nullable=False),
        sa.Column("window_ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("bucket", name="pk_rate_limits"),
    )
    op.create_index(
        "ix_rate_limits_window_ends_at", "rate_limits", ["window_ends_at"], unique=False
    )
    op.create_table(
        "citizens",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("number_index", sa.LargeBinary(length=32), nullable=True),
        sa.Column("locale", sa.String(length=2), nullable=False),
        sa.Column("home_place_code", sa.String(length=5), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("locale in ('vi', 'en')", name=op.f("ck_citizens_locale")),
        sa.ForeignKeyConstraint(
            ["home_place_code"], ["places.code"], name="fk_citizens_home_place_code_places"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_citizens"),
        sa.UniqueConstraint("issuer", "subject", name="uq_citizens_issuer_subject"),
    )
    op.create_table(
        "legacy_pairs",
        sa.Column("old_code", sa.String(length=5), nullable=False),
        sa.Column("new_code", sa.String(length=5), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["new_code"], ["places.code"], name="fk_legacy_pairs_new_code_places"
        ),
        sa.ForeignKeyConstraint(
            ["old_code"], ["legacy_places.code"], name="fk_legacy_pairs_old_code_legacy_places"
        ),
        sa.PrimaryKeyConstraint("old_code", "new_code", name="pk_legacy_pairs"),
    )
    op.create_index("ix_legacy_pairs_new_code", "legacy_pairs", ["new_code"], unique=False)
    op.create_table(
        "device_sessions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("citizen_id", sa.Uuid(), nullable=False),
        sa.Column(
            "audience",
            sa.Enum(
                "citizen",
                "staff",
                name="audience",
                native_enum=False,
                create_constraint=True,
                length=30,
            ),
            nullable=False,
        ),
        sa.Column("acr", sa.String(length=60), nullable=False),
        sa.Column("auth_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("installation_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("platform", sa.String(length=10), nullable=False),
        sa.Column("model", sa.String(length=100), nullable=True),
        sa.Column("app_version", sa.String(length=30), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "expires_at > created_at", name=op.f("ck_device_sessions_expires_later")
        ),
        sa.ForeignKeyConstraint(
            ["citizen_id"], ["citizens.id"], name="fk_device_sessions_citizen_id_citizens"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_device_sessions"),
    )
    op.create_index(
        "ix_device_sessions_citizen_id", "device_sessions", ["citizen_id"], unique=False
    )
    op.create_index(
        "ix_device_sessions_revoked_at",
        "device_sessions",
        ["revoked_at"],
        unique=False,
        postgresql_where="revoked_at is not null",
    )
    op.create_table(
        "inbox_messages",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("citizen_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("subject_type", sa.String(length=30), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["citizen_id"], ["citizens.id"], name="fk_inbox_messages_citizen_id_citizens"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_inbox_messages"),
    )
    op.create_index(
        "ix_inbox_messages_citizen_id_id", "inbox_messages", ["citizen_id", "id"], unique=False
    )
    op.create_index(
        "ix_inbox_messages_unread",
        "inbox_messages",
        ["citizen_id"],
        unique=False,
        postgresql_where="read_at is null",
    )
    op.create_table(
        "staff",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("number_index", sa.LargeBinary(length=32), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("citizen_id", sa.Uuid(), nullable=True),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["citizen_id"], ["citizens.id"], name="fk_staff_citizen_id_citizens"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_staff"),
        sa.UniqueConstraint("citizen_id", name="uq_staff_citizen_id"),
        sa.UniqueConstraint("number_index", name="uq_staff_number_index"),
    )
    op.create_table(
        "admin_sessions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("staff_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["staff_id"], ["staff.id"], name="fk_admin_sessions_staff_id_staff"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_admin_sessions"),
        sa.UniqueConstraint("token_hash", name="uq_admin_sessions_token_hash"),
    )
    op.create_index("ix_admin_sessions_staff_id", "admin_sessions", ["staff_id"], unique=False)
    op.create_table(
        "devices",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("installation_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("citizen_id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("platform", sa.String(length=10), nullable=False),
        sa.Column("kind", sa.String(length=5), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("app_version", sa.String(length=30), nullable=True),
        sa.Column("locale", sa.String(length=2), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind in ('fid', 'token')", name=op.f("ck_devices_kind")),
        sa.CheckConstraint(
            "platform in ('android', 'ios', 'web')", name=op.f("ck_devices_platform")
        ),
        sa.ForeignKeyConstraint(
            ["citizen_id"], ["citizens.id"], name="fk_devices_citizen_id_citizens"
        ),
        sa.ForeignKeyConstraint(
            ["session_id"], ["device_sessions.id"], name="fk_devices_session_id_device_sessions"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_devices"),
        sa.UniqueConstraint("installation_hash", name="uq_devices_installation_hash"),
        sa.UniqueConstraint("kind", "value", name="uq_devices_kind_value"),
    )
    op.create_index("ix_devices_citizen_id", "devices", ["citizen_id"], unique=False)
    op.create_index("ix_devices_session_id", "devices", ["session_id"], unique=False)
    op.create_table(
        "refresh_tokens",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("salt", sa.LargeBinary(length=16), nullable=False),
        sa.Column("predecessor_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rotated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("voided_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["predecessor_id"],
            ["refresh_tokens.id"],
            name="fk_refresh_tokens_predecessor_id_refresh_tokens",
        ),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["device_sessions.id"],
            name="fk_refresh_tokens_session_id_device_sessions",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_refresh_tokens"),
        sa.UniqueConstraint("token_hash", name="uq_refresh_tokens_token_hash"),
    )
    op.create_index(
        "ix_refresh_tokens_predecessor_id", "refresh_tokens", ["predecessor_id"], unique=False
    )
    op.create_index("ix_refresh_tokens_session_id", "refresh_tokens", ["session_id"], unique=False)
    op.create_table(
        "reports",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.String(length=20), nullable=False),
        sa.Column("reporter_id", sa.Uuid(), nullable=True),
        sa.Column("hide_reporter", sa.Boolean(), nullable=False),
        sa.Column("category_code", sa.String(length=60), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("lat", sa.Float(), nullable=False),
        sa.Column("lng", sa.Float(), nullable=False),
        sa.Column("accuracy_m", sa.Float(), nullable=True),
        sa.Column("place_code", sa.String(length=5), nullable=False),
        sa.Column("place_uncertain", sa.Boolean(), nullable=False),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("source", sa.String(length=10), nullable=False),
        sa.Column(
            "visibility",
            sa.Enum(
                "private",
                "public",
                name="visibility",
                native_enum=False,
                create_constraint=True,
                length=30,
            ),
            nullable=False,
        ),
        sa.Column("public_text", sa.Text(), nullable=True),
        sa.Column(
            "state",
            sa.Enum(
                "received",
                "assigned",
                "in_progress",
                "pending_approval",
                "waiting_citizen",
                "resolved",
                "rejected",
                "duplicate",
                "cancelled",
                "closed",
                name="reportstate",
                native_enum=False,
                create_constraint=True,
                length=30,
            ),
            nullable=False,
        ),
        sa.Column("department_code", sa.String(length=60), nullable=True),
        sa.Column("assignee_id", sa.Uuid(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("acknowledge_due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("resolve_due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reopened_count", sa.SmallInteger(), nullable=False),
        sa.Column("rating", sa.SmallInteger(), nullable=True),
        sa.Column("rating_text", sa.Text(), nullable=True),
        sa.Column("rated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state not in ('assigned', 'in_progress', 'pending_approval') or department_code is not null",
            name=op.f("ck_reports_worked_on_by_a_department"),
        ),
        sa.CheckConstraint(
            "visibility = 'private' or public_text is not null", name=op.f("ck_reports_public_text")
        ),
        sa.CheckConstraint(
            "(rating is null) = (rated_at is null)", name=op.f("ck_reports_rating_has_time")
        ),
        sa.CheckConstraint(
            "lat between -90 and 90 and lng between -180 and 180", name=op.f("ck_reports_position")
        ),
        sa.CheckConstraint(
            "length(description) between 1 and 4000", name=op.f("ck_reports_description_length")
        ),
        sa.CheckConstraint("rating between 1 and 5", name=op.f("ck_reports_rating_range")),
        sa.ForeignKeyConstraint(["assignee_id"], ["staff.id"], name="fk_reports_assignee_id_staff"),
        sa.ForeignKeyConstraint(
            ["category_code"], ["categories.code"], name="fk_reports_category_code_categories"
        ),
        sa.ForeignKeyConstraint(
            ["department_code"], ["departments.code"], name="fk_reports_department_code_departments"
        ),
        sa.ForeignKeyConstraint(
            ["place_code"], ["places.code"], name="fk_reports_place_code_places"
        ),
        sa.ForeignKeyConstraint(
            ["reporter_id"], ["citizens.id"], name="fk_reports_reporter_id_citizens"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_reports"),
        sa.UniqueConstraint("code", name="uq_reports_code"),
    )
    op.create_index(
        "ix_reports_department_code_state_id",
        "reports",
        ["department_code", "state", "id"],
        unique=False,
    )
    op.create_index(
        "ix_reports_public",
        "reports",
        ["id"],
        unique=False,
        postgresql_where="visibility = 'public'",
    )
    op.create_index("ix_reports_reporter_id_id", "reports", ["reporter_id", "id"], unique=False)
    op.create_index("ix_reports_state_id", "reports", ["state", "id"], unique=False)
    op.create_table(
        "role_grants",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("staff_id", sa.Uuid(), nullable=False),
        sa.Column(
            "role",
            sa.Enum(
                "dispatcher",
                "handler",
                "leader",
                "communicator",
                "health_clerk",
                "health_manager",
                "market_manager",
                "alert_editor",
                "alert_approver",
                "auditor",
                "administrator",
                name="role",
                native_enum=False,
                create_constraint=True,
                length=30,
            ),
            nullable=False,
        ),
        sa.Column("department_code", sa.String(length=60), nullable=True),
        sa.Column("place_codes", postgresql.ARRAY(sa.String(length=5)), nullable=True),
        sa.CheckConstraint(
            "role not in ('handler', 'leader') or department_code is not null",
            name=op.f("ck_role_grants_department_where_needed"),
        ),
        sa.ForeignKeyConstraint(
            ["department_code"],
            ["departments.code"],
            name="fk_role_grants_department_code_departments",
        ),
        sa.ForeignKeyConstraint(
            ["staff_id"], ["staff.id"], name="fk_role_grants_staff_id_staff", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_role_grants"),
    )
    op.create_index("ix_role_grants_staff_id", "role_grants", ["staff_id"], unique=False)
    op.create_table(
        "deliveries",
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("device_id", sa.Uuid(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(length=30), nullable=True),
        sa.Column("handed_over_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["device_id"],
            ["devices.id"],
            name="fk_deliveries_device_id_devices",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["message_id"], ["inbox_messages.id"], name="fk_deliveries_message_id_inbox_messages"
        ),
        sa.PrimaryKeyConstraint("message_id", "device_id", name="pk_deliveries"),
    )
    op.create_index("ix_deliveries_device_id", "deliveries", ["device_id"], unique=False)
    op.create_table(
        "report_events",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("report_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(length=30), nullable=False),
        sa.Column("actor_kind", sa.String(length=10), nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        sa.Column("from_state", sa.String(length=30), nullable=True),
        sa.Column("to_state", sa.String(length=30), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("public", sa.Boolean(), nullable=False),
        sa.CheckConstraint(
            "actor_kind in ('citizen', 'staff', 'system')", name=op.f("ck_report_events_actor_kind")
        ),
        sa.ForeignKeyConstraint(
            ["report_id"], ["reports.id"], name="fk_report_events_report_id_reports"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_report_events"),
    )
    op.create_index(
        "ix_report_events_report_id_id", "report_events", ["report_id", "id"], unique=False
    )
    op.create_table(
        "uploads",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=True),
        sa.Column("staff_id", sa.Uuid(), nullable=True),
        sa.Column(
            "state",
            sa.Enum(
                "processing",
                "ready",
                "rejected",
                name="uploadstate",
                native_enum=False,
                create_constraint=True,
                length=30,
            ),
            nullable=False,
        ),
        sa.Column("reason", sa.String(length=60), nullable=True),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("report_id", sa.Uuid(), nullable=True),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("shows_result", sa.Boolean(), nullable=False),
        sa.CheckConstraint(
            "(state = 'rejected') = (reason is not null)",
            name=op.f("ck_uploads_rejected_has_reason"),
        ),
        sa.CheckConstraint(
            "num_nonnulls(owner_id, staff_id) = 1", name=op.f("ck_uploads_one_owner")
        ),
        sa.ForeignKeyConstraint(["owner_id"], ["citizens.id"], name="fk_uploads_owner_id_citizens"),
        sa.ForeignKeyConstraint(["report_id"], ["reports.id"], name="fk_uploads_report_id_reports"),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name="fk_uploads_staff_id_staff"),
        sa.PrimaryKeyConstraint("id", name="pk_uploads"),
    )
    op.create_index(
        "ix_uploads_owner_id_created_at", "uploads", ["owner_id", "created_at"], unique=False
    )
    op.create_index("ix_uploads_report_id", "uploads", ["report_id"], unique=False)


def downgrade() -> None:
    raise RuntimeError("The first tables are not undone; drop the database instead.")
