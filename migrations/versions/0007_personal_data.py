"""What every column holds of a person; exports of all of it, erasing of people, and ends of rows."""

import sqlalchemy as sa
from alembic import op

from migrations import online

revision = "0007"
down_revision = "0006"

# Of each column: the class of what it holds, the policy that ends it, whether its person gets it.
COMMENTS = {
    "audit_events": """
        id            none       audit            yes
        at            none       audit            yes
        actor_kind    none       audit            yes
        actor_id      none       audit            no
        action        none       audit            yes
        subject_type  none       audit            yes
        subject_id    none       audit            yes
        detail        none       audit            yes
        role          none       audit            yes
        organisation  none       audit            yes
        purpose       none       audit            yes
        request_id    none       audit            yes
        about_id      none       audit            no
        xid           none       audit            no
    """,
    "audit_chain": """
        position  none       audit            no
        event_id  none       audit            no
        xid       none       audit            no
        hash      none       audit            no
    """,
    "audit_checkpoints": """
        position   none       audit            no
        hash       none       audit            no
        at         none       audit            no
        key_id     none       audit            no
        signature  none       audit            no
    """,
    "consents": """
        id            none       consent          yes
        citizen_id    none       consent          no
        purpose       none       consent          yes
        version       none       consent          yes
        locale        none       consent          yes
        channel       none       consent          yes
        given_at      none       consent          yes
        withdrawn_at  none       consent          yes
    """,
    "data_requests": """
        id             none       data_request     yes
        citizen_id     none       data_request     no
        child_id       none       data_request     yes
        kind           none       data_request     yes
        text           basic      data_request     yes
        state          none       data_request     yes
        version        none       data_request     no
        received_at    none       data_request     yes
        answer_due_at  none       data_request     yes
        act_due_at     none       data_request     yes
        answered_at    none       data_request     yes
        answer         basic      data_request     yes
        refusal        none       data_request     yes
        extended_at    none       data_request     yes
        extension      basic      data_request     yes
        third_party    none       data_request     yes
        done_at        none       data_request     yes
        conclusion     basic      data_request     yes
        updated_at     none       data_request     yes
    """,
    "children": """
        id                 none       child            yes
        guardian_id        none       child            no
        relation           none       child            yes
        data_key           sensitive  child            no
        name_sealed        basic      child            yes
        number_sealed      basic      child            yes
        birth_date_sealed  basic      child            yes
        number_index       basic      child            no
        index_key_id       none       child            no
        state              none       child            yes
        version            none       child            no
        created_at         none       child            yes
        decided_at         none       child            yes
        decided_by         none       child            no
        refusal            basic      child            yes
        ended_at           none       child            yes
    """,
    "breaches": """
        id             none       breach           no
        detected_at    none       breach           no
        recorded_at    none       breach           no
        recorded_by    none       breach           no
        notify_due_at  none       breach           no
        what           basic      breach           no
        occurred_at    none       breach           no
        place          none       breach           no
        data_kinds     none       breach           no
        people_count   none       breach           no
        consequences   basic      breach           no
        measures       basic      breach           no
        contact        basic      breach           no
        notifiable     none       breach           no
        notified_at    none       breach           no
        closed_at      none       breach           no
        version        none       breach           no
        updated_at     none       breach           no
    """,
    "data_request_clocks": """
        kind                 none       reference        no
        answer_working_days  none       reference        no
        act_days             none       reference        no
        extension_days       none       reference        no
        third_party_days     none       reference        no
        source               none       reference        no
    """,
    "key_checks": """
        purpose  none       reference        no
        key_id   none       reference        no
        mac      none       reference        no
    """,
    "alembic_version": """
        version_num  none  schema  no
    """,
    "admin_sessions": """
        id            none       admin_session    yes
        token_hash    sensitive  admin_session    no
        staff_id      none       admin_session    yes
        created_at    none       admin_session    yes
        last_seen_at  none       admin_session    yes
        ended_at      none       admin_session    yes
    """,
    "categories": """
        code               none       reference        no
        name_vi            none       reference        no
        name_en            none       reference        no
        acknowledge_hours  none       reference        no
        resolve_days       none       reference        no
        position           none       reference        no
        closed_at          none       reference        no
    """,
    "citizens": """
        id                 none       account          yes
        issuer             basic      account          yes
        subject            basic      account          yes
        name               basic      account          yes
        number_index       basic      account          no
        index_key_id       none       account          no
        data_key           sensitive  account          no
        number_sealed      basic      account          yes
        phone_sealed       basic      account          yes
        birth_date_sealed  basic      account          yes
        locale             none       account          yes
        home_place_code    basic      account          yes
        created_at         none       account          yes
        deletion_due_at    none       account          yes
        erased_at          none       account          no
    """,
    "deliveries": """
        message_id      none       message          yes
        device_id       none       message          yes
        attempts        none       message          yes
        outcome         none       message          yes
        handed_over_at  none       message          yes
    """,
    "departments": """
        code            none       reference        no
        name            none       reference        no
        wants_approval  none       reference        no
        closed_at       none       reference        no
    """,
    "device_sessions": """
        id                 none       session          yes
        citizen_id         none       session          no
        audience           none       session          yes
        acr                none       session          yes
        auth_time          none       session          yes
        installation_hash  basic      session          no
        platform           none       session          yes
        model              basic      session          yes
        app_version        basic      session          yes
        created_at         none       session          yes
        last_used_at       none       session          yes
        expires_at         none       session          yes
        revoked_at         none       session          yes
    """,
    "devices": """
        id                 none       device           yes
        installation_hash  basic      device           no
        citizen_id         none       device           no
        session_id         none       device           yes
        platform           none       device           yes
        kind               none       device           yes
        value              sensitive  device           no
        app_version        basic      device           yes
        locale             none       device           yes
        last_seen_at       none       device           yes
    """,
    "idempotency_keys": """
        actor_id     none       idempotency_key  no
        operation    none       idempotency_key  yes
        key          basic      idempotency_key  yes
        body_mac     basic      idempotency_key  no
        resource_id  none       idempotency_key  yes
        created_at   none       idempotency_key  yes
    """,
    "inbox_messages": """
        id            none       message          yes
        citizen_id    none       message          no
        kind          none       message          yes
        subject_type  none       message          yes
        subject_id    none       message          yes
        facts         basic      message          yes
        created_at    none       message          yes
        read_at       none       message          yes
    """,
    "legacy_pairs": """
        old_code    none       reference        no
        new_code    none       reference        no
        is_default  none       reference        no
    """,
    "legacy_places": """
        code           none       reference        no
        full_name      none       reference        no
        district_code  none       reference        no
        district       none       reference        no
        province       none       reference        no
        lat            none       reference        no
        lng            none       reference        no
    """,
    "places": """
        code         none       reference        no
        name         none       reference        no
        full_name    none       reference        no
        kind         none       reference        no
        level        none       reference        no
        folded_name  none       reference        no
    """,
    "rate_limits": """
        bucket          basic      rate_limit       no
        window_ends_at  none       rate_limit       no
        used            none       rate_limit       no
    """,
    "refresh_tokens": """
        id              none       refresh_token    no
        session_id      none       refresh_token    no
        token_hash      sensitive  refresh_token    no
        salt            sensitive  refresh_token    no
        predecessor_id  none       refresh_token    no
        created_at      none       refresh_token    no
        expires_at      none       refresh_token    no
        rotated_at      none       refresh_token    no
        voided_at       none       refresh_token    no
    """,
    "report_events": """
        id          none       report           no
        report_id   none       report           yes
        at          none       report           yes
        kind        none       report           yes
        actor_kind  none       report           yes
        actor_id    none       report           no
        from_state  none       report           yes
        to_state    none       report           yes
        text        basic      report           yes
        reason      basic      report           yes
        public      none       report           no
    """,
    "reports": """
        id                  none       report           yes
        code                none       report           yes
        reporter_id         none       report_contact   no
        hide_reporter       none       report           yes
        category_code       none       report           yes
        description         basic      report           yes
        lat                 sensitive  report           yes
        lng                 sensitive  report           yes
        accuracy_m          sensitive  report           yes
        place_code          none       report           yes
        place_uncertain     none       report           yes
        address             basic      report           yes
        occurred_at         none       report           yes
        source              none       report           yes
        visibility          none       report           yes
        public_text         none       report           yes
        state               none       report           yes
        department_code     none       report           yes
        assignee_id         none       report           no
        version             none       report           no
        acknowledge_due_at  none       report           yes
        resolve_due_at      none       report           yes
        acknowledged_at     none       report           yes
        resolved_at         none       report           yes
        reopened_count      none       report           yes
        rating              none       report           yes
        rating_text         basic      report           yes
        rated_at            none       report           yes
        created_at          none       report           yes
        updated_at          none       report           yes
        contact_removed_at  none       report           yes
    """,
    "role_grants": """
        id               none       staff            no
        staff_id         none       staff            yes
        role             none       staff            yes
        department_code  none       staff            yes
        place_codes      none       staff            yes
    """,
    "staff": """
        id             none       staff            yes
        number_index   basic      staff            no
        index_key_id   none       staff            no
        data_key       sensitive  staff            no
        number_sealed  basic      staff            no
        name           basic      staff            yes
        citizen_id     none       staff            no
        disabled_at    none       staff            yes
        created_at     none       staff            yes
    """,
    "uploads": """
        id            none       report           yes
        owner_id      none       unused_photo     no
        staff_id      none       report           no
        state         none       report           yes
        reason        none       report           yes
        width         none       report           yes
        height        none       report           yes
        created_at    none       report           yes
        report_id     none       report           yes
        position      none       report           yes
        shows_result  none       report           yes
    """,
}
ERASED = (
    "erased_at is null or (name = '' and num_nonnulls(number_index, data_key,"
    " number_sealed, phone_sealed, birth_date_sealed, home_place_code) = 0)"
)
OWNER = (
    "num_nonnulls(owner_id, staff_id) = 1"
    " or (num_nonnulls(owner_id, staff_id) = 0 and report_id is not null)"
)
CHECKS = (
    ("citizens", "ck_citizens_erased_is_empty", ERASED),
    ("uploads", "ck_uploads_one_owner_or_report", OWNER),
)
INDEXES = (
    (
        "ix_citizens_deletion_due_at",
        "citizens",
        "deletion_due_at",
        "deletion_due_at is not null",
    ),
    ("ix_device_sessions_expires_at", "device_sessions", "expires_at", None),
    ("ix_inbox_messages_read", "inbox_messages", "created_at", "read_at is not null"),
    ("ix_inbox_messages_unread_at", "inbox_messages", "created_at", "read_at is null"),
    ("ix_refresh_tokens_expires_at", "refresh_tokens", "expires_at", None),
    (
        "ix_reports_contact_kept",
        "reports",
        "created_at",
        "contact_removed_at is null and reporter_id is not null",
    ),
)


def comment(pii: str, retention: str, export: str) -> str:
    return f"pii={pii}; retention={retention}; export={export}"


def upgrade() -> None:
    for table, name in (
        ("citizens", "deletion_due_at"),
        ("citizens", "erased_at"),
        ("reports", "contact_removed_at"),
    ):
        op.add_column(
            table, sa.Column(name, sa.DateTime(timezone=True), nullable=True), if_not_exists=True
        )
    op.create_table(
        "exports",
        sa.Column("id", sa.Uuid(), nullable=False, comment=comment("none", "export", "yes")),
        sa.Column("citizen_id", sa.Uuid(), nullable=False, comment=comment("none", "export", "no")),
        sa.Column(
            "asked_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment=comment("none", "export", "yes"),
        ),
        sa.Column(
            "ready_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment=comment("none", "export", "yes"),
        ),
        sa.Column("parts", sa.Integer(), nullable=True, comment=comment("none", "export", "yes")),
        sa.CheckConstraint(
            "(ready_at is null) = (parts is null)", name=op.f("ck_exports_ready_has_parts")
        ),
        sa.ForeignKeyConstraint(
            ["citizen_id"], ["citizens.id"], name="fk_exports_citizen_id_citizens"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_exports"),
        sa.UniqueConstraint("citizen_id", name="uq_exports_citizen_id"),
        if_not_exists=True,
    )
    for table, lines in COMMENTS.items():
        for line in lines.strip().splitlines():
            column, *words = line.split()
            op.execute(f"COMMENT ON COLUMN {table}.{column} IS '{comment(*words)}'")
    op.drop_constraint("ck_uploads_one_owner", "uploads", if_exists=True)
    for table, name, condition in CHECKS:
        op.drop_constraint(name, table, if_exists=True)
        op.create_check_constraint(op.f(name), table, condition, postgresql_not_valid=True)
    with online.unhurried():
        for table, name, _ in CHECKS:
            op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")
    for name, table, column, where in INDEXES:
        online.create_index(name, table, [column], postgresql_where=where and sa.text(where))


def downgrade() -> None:
    for name, *_ in INDEXES:
        online.drop_index(name)
    op.drop_constraint("ck_uploads_one_owner_or_report", "uploads", if_exists=True)
    # Photos without an owner may be there by now, so it holds for new ones alone.
    op.drop_constraint("ck_uploads_one_owner", "uploads", if_exists=True)
    op.create_check_constraint(
        op.f("ck_uploads_one_owner"),
        "uploads",
        "num_nonnulls(owner_id, staff_id) = 1",
        postgresql_not_valid=True,
    )
    for table, lines in COMMENTS.items():
        for line in lines.strip().splitlines():
            op.execute(f"COMMENT ON COLUMN {table}.{line.split()[0]} IS NULL")
    op.drop_table("exports", if_exists=True)
    op.drop_constraint("ck_citizens_erased_is_empty", "citizens", if_exists=True)
    op.drop_column("reports", "contact_removed_at", if_exists=True)
    for name in ("erased_at", "deletion_due_at"):
        op.drop_column("citizens", name, if_exists=True)
