"""What each column holds of a person, and what follows from that: the one list of it.

Every column of every table stands here, or importing the models fails with its name. An entry is

    _table(NAME, POLICY, columns, people=…, erased=…)

Each line of `columns` is a column, its class, and whether its person gets it in an export:

    none        nothing about anybody, or an opaque id
    basic       basic personal data, and whatever is derived from it
    sensitive   sensitive personal data: where somebody was, or what opens their account
                (Decree 356/2025/NĐ-CP, article 4)

A third word names another policy than the row's; services.privacy.retention has them all.

`people` leads from a row to its citizen: a column that holds their id, or, with dots in between,
columns to follow through other tables. `erased` is what erasing that citizen does with the row:

    kept             nothing: it holds opaque ids only, or is the office's
    deleted          it goes
    stripped         it stays, without its personal columns
    detached COLUMN  it stays, and COLUMN does not name the citizen any more

The comments of the database's columns, services.privacy.export, services.privacy.erasure and the
tests of the log's fields read this list. A new table needs one entry here and the comments in its
migration (`comment=` of its columns).
"""

import re
from dataclasses import dataclass

from sqlalchemy import MetaData

CLASSES = ("none", "basic", "sensitive")
ERASED = re.compile(r"kept|deleted|stripped|detached \w+")


class Unclassified(Exception):
    """The list and the tables disagree; the message names the columns."""


@dataclass(frozen=True, slots=True)
class Column:
    """What one column holds; `export` says whether its person gets it."""

    pii: str
    retention: str
    export: bool

    @property
    def comment(self) -> str:
        export = "yes" if self.export else "no"
        return f"pii={self.pii}; retention={self.retention}; export={export}"


@dataclass(frozen=True, slots=True)
class Table:
    """One table; see the module for what the words mean."""

    retention: str
    columns: dict[str, Column]
    people: tuple[str, ...]
    erased: str

    @property
    def exported(self) -> list[str]:
        return [name for name, column in self.columns.items() if column.export]

    @property
    def personal(self) -> list[str]:
        return [name for name, column in self.columns.items() if column.pii != "none"]


TABLES: dict[str, Table] = {}


def _table(
    name: str,
    retention: str,
    columns: str,
    *,
    people: tuple[str, ...] = (),
    erased: str = "kept",
) -> None:
    found = {}
    for line in columns.strip().splitlines():
        column, pii, export, *own = line.split()
        if pii not in CLASSES or export not in {"yes", "no"} or len(own) > 1 or column in found:
            raise Unclassified(f"{name}.{column}: {line.strip()!r} says nothing")
        found[column] = Column(pii, own[0] if own else retention, export == "yes")
    if not ERASED.fullmatch(erased) or name in TABLES:
        raise Unclassified(f"{name}: {erased!r} says nothing, or the table stands here twice")
    TABLES[name] = Table(retention, found, people, erased)


def _impersonal(name: str, retention: str, columns: str) -> None:
    """A table that holds nothing about anybody."""
    _table(name, retention, "\n".join(f"{column} none no" for column in columns.split()))


def classify(metadata: MetaData) -> None:
    """Give every column of `metadata` its comment.

    Raises:
        Unclassified: naming the columns that the list lacks, or has too many.
    """
    listed = {(table, column) for table in TABLES for column in TABLES[table].columns}
    there = {
        (table.name, column.name) for table in metadata.tables.values() for column in table.columns
    }
    if listed != there:
        missing, too_many = (
            ", ".join(sorted(map(".".join, names))) or "none"
            for names in (there - listed, listed - there)
        )
        raise Unclassified(f"models/personal.py lacks {missing}; no table has {too_many}")
    for table in metadata.tables.values():
        for column in table.columns:
            column.comment = TABLES[table.name].columns[column.name].comment


# People, and how they sign in.

_table(
    "citizens",
    "account",
    """
    id                  none       yes
    issuer              basic      yes
    subject             basic      yes
    name                basic      yes
    number_index        basic      no
    index_key_id        none       no
    data_key            sensitive  no
    number_sealed       basic      yes
    phone_sealed        basic      yes
    birth_date_sealed   basic      yes
    locale              none       yes
    home_place_code     basic      yes
    created_at          none       yes
    deletion_due_at     none       yes
    erased_at           none       no
    not_before          none       no
    """,
    people=("id",),
    erased="stripped",
)
_table(
    "device_sessions",
    "session",
    """
    id                  none       yes
    citizen_id          none       no
    audience            none       yes
    acr                 none       yes
    auth_time           none       yes
    installation_hash   basic      no
    name                basic      yes
    platform            none       yes
    model               basic      yes
    app_version         basic      yes
    created_at          none       yes
    last_used_at        none       yes
    expires_at          none       yes
    revoked_at          none       yes
    """,
    people=("citizen_id",),
    # Its id has to stay known as that of an ended session, or its access token would live on.
    erased="stripped",
)
# Of a token there is nothing to be given but the secret; its session is in the export.
_table(
    "refresh_tokens",
    "refresh_token",
    """
    id                  none       no
    session_id          none       no
    token_hash          sensitive  no
    salt                sensitive  no
    predecessor_id      none       no
    created_at          none       no
    expires_at          none       no
    rotated_at          none       no
    voided_at           none       no
    """,
    people=("session_id.citizen_id",),
    erased="deleted",
)

# Staff: the row and its roles are the office's, who once entered with them is the person's.

_table(
    "staff",
    "staff",
    """
    id                  none       yes
    number_index        basic      no
    index_key_id        none       no
    data_key            sensitive  no
    number_sealed       basic      no
    name                basic      yes
    citizen_id          none       no
    disabled_at         none       yes
    version             none       no
    created_at          none       yes
    """,
    people=("citizen_id",),
    erased="detached citizen_id",
)
_table(
    "role_grants",
    "staff",
    """
    id                  none       no
    staff_id            none       yes
    role                none       yes
    department_code     none       yes
    place_codes         none       yes
    """,
    people=("staff_id.citizen_id",),
)
_table(
    "admin_sessions",
    "admin_session",
    """
    id                  none       yes
    token_hash          sensitive  no
    staff_id            none       yes
    acr                 none       yes
    auth_time           none       yes
    created_at          none       yes
    last_seen_at        none       yes
    ended_at            none       yes
    """,
    people=("staff_id.citizen_id",),
)
_impersonal("departments", "reference", "code name wants_approval closed_at")

# Reports.

_table(
    "reports",
    "report",
    """
    id                  none       yes
    code                none       yes
    reporter_id         none       no   report_contact
    hide_reporter       none       yes
    category_code       none       yes
    description         basic      yes
    lat                 sensitive  yes
    lng                 sensitive  yes
    accuracy_m          sensitive  yes
    place_code          none       yes
    place_uncertain     none       yes
    address             basic      yes
    occurred_at         none       yes
    source              none       yes
    visibility          none       yes
    public_text         none       yes
    state               none       yes
    department_code     none       yes
    assignee_id         none       no
    version             none       no
    acknowledge_due_at  none       yes
    resolve_due_at      none       yes
    acknowledged_at     none       yes
    resolved_at         none       yes
    reopened_count      none       yes
    rating              none       yes
    rating_text         basic      yes
    rated_at            none       yes
    created_at          none       yes
    updated_at          none       yes
    contact_removed_at  none       yes
    """,
    people=("reporter_id",),
    erased="detached reporter_id",
)
_table(
    "report_events",
    "report",
    """
    id                  none       no
    report_id           none       yes
    at                  none       yes
    kind                none       yes
    actor_kind          none       yes
    actor_id            none       no
    from_state          none       yes
    to_state            none       yes
    text                basic      yes
    reason              basic      yes
    public              none       no
    """,
    people=("report_id.reporter_id",),
    erased="detached actor_id",
)
# A photo shows what its report is about; which it is, the report says.
_table(
    "uploads",
    "report",
    """
    id                  none       yes
    owner_id            none       no   unused_photo
    staff_id            none       no
    state               none       yes
    reason              none       yes
    width               none       yes
    height              none       yes
    created_at          none       yes
    report_id           none       yes
    position            none       yes
    shows_result        none       yes
    """,
    people=("owner_id", "report_id.reporter_id"),
    # Those that no report took are deleted before.
    erased="detached owner_id",
)
_table(
    "resumable_uploads",
    "unused_photo",
    """
    id                  none       no
    owner_id            none       no
    staff_id            none       no
    length              none       no
    received            none       no
    created_at          none       no
    expires_at          none       no
    """,
    people=("owner_id",),
    erased="deleted",
)
_table(
    "upload_pieces",
    "unused_photo",
    """
    upload_id           none       no
    offset              none       no
    content             sensitive  no
    """,
    people=("upload_id.owner_id",),
    erased="deleted",
)
_table(
    "reporter_blocks",
    "reporter_block",
    """
    id                  none       yes
    citizen_id          none       no
    report_id           none       yes
    until               none       yes
    reason              basic      yes
    blocked_by_id       none       no
    created_at          none       yes
    lifted_at           none       yes
    lifted_by_id        none       no
    lift_reason         basic      yes
    appeal              basic      yes
    appealed_at         none       yes
    answer              basic      yes
    answered_at         none       yes
    answered_by_id      none       no
    """,
    people=("citizen_id",),
    erased="deleted",
)
_impersonal(
    "categories",
    "reference",
    "code name_vi name_en acknowledge_hours resolve_days position closed_at",
)

# What the law on personal data asks for.

_table(
    "consents",
    "consent",
    """
    id                  none       yes
    citizen_id          none       no
    purpose             none       yes
    version             none       yes
    locale              none       yes
    channel             none       yes
    given_at            none       yes
    withdrawn_at        none       yes
    """,
    people=("citizen_id",),
)
_table(
    "data_requests",
    "data_request",
    """
    id                  none       yes
    citizen_id          none       no
    child_id            none       yes
    kind                none       yes
    text                basic      yes
    state               none       yes
    version             none       no
    received_at         none       yes
    answer_due_at       none       yes
    act_due_at          none       yes
    answered_at         none       yes
    answer              basic      yes
    refusal             none       yes
    extended_at         none       yes
    extension           basic      yes
    third_party         none       yes
    done_at             none       yes
    conclusion          basic      yes
    updated_at          none       yes
    """,
    people=("citizen_id",),
    erased="deleted",
)
# A child's data are their guardian's to see, who told them.
_table(
    "children",
    "child",
    """
    id                  none       yes
    guardian_id         none       no
    relation            none       yes
    data_key            sensitive  no
    name_sealed         basic      yes
    number_sealed       basic      yes
    birth_date_sealed   basic      yes
    number_index        basic      no
    index_key_id        none       no
    ends_on             basic      no
    state               none       yes
    version             none       no
    created_at          none       yes
    decided_at          none       yes
    decided_by          none       no
    refusal             basic      yes
    ended_at            none       yes
    """,
    people=("guardian_id",),
    erased="deleted",
)
# The register is the office's; what it says of people it says of all of them together.
_table(
    "breaches",
    "breach",
    """
    id                  none       no
    detected_at         none       no
    recorded_at         none       no
    recorded_by         none       no
    notify_due_at       none       no
    what                basic      no
    occurred_at         none       no
    place               none       no
    data_kinds          none       no
    people_count        none       no
    consequences        basic      no
    measures            basic      no
    contact             basic      no
    notifiable          none       no
    notified_at         none       no
    closed_at           none       no
    version             none       no
    updated_at          none       no
    """,
)
_impersonal(
    "data_request_clocks",
    "reference",
    "kind answer_working_days act_days extension_days third_party_days source",
)

# Messages.

_table(
    "inbox_messages",
    "message",
    """
    id                  none       yes
    citizen_id          none       no
    kind                none       yes
    subject_type        none       yes
    subject_id          none       yes
    facts               basic      yes
    created_at          none       yes
    read_at             none       yes
    """,
    people=("citizen_id",),
    erased="deleted",
)
_table(
    "devices",
    "device",
    """
    id                  none       yes
    installation_hash   basic      no
    citizen_id          none       no
    session_id          none       yes
    platform            none       yes
    kind                none       yes
    value               sensitive  no
    app_version         basic      yes
    locale              none       yes
    last_seen_at        none       yes
    """,
    people=("citizen_id",),
    erased="deleted",
)
_table(
    "deliveries",
    "message",
    """
    message_id          none       yes
    device_id           none       yes
    attempts            none       yes
    outcome             none       yes
    handed_over_at      none       yes
    """,
    people=("message_id.citizen_id",),
    erased="deleted",
)

# What every slice uses.

_table(
    "audit_events",
    "audit",
    """
    id                  none       yes
    at                  none       yes
    actor_kind          none       yes
    actor_id            none       no
    action              none       yes
    subject_type        none       yes
    subject_id          none       yes
    detail              none       yes
    role                none       yes
    organisation        none       yes
    purpose             none       yes
    request_id          none       yes
    about_id            none       no
    xid                 none       no
    """,
    # services.privacy.export knows more of whom an event is about.
    people=("actor_id", "about_id"),
)
_impersonal("audit_chain", "audit", "position event_id xid hash")
_impersonal("audit_checkpoints", "audit", "position hash at key_id signature")
_table(
    "exports",
    "export",
    """
    id                  none       yes
    citizen_id          none       no
    asked_at            none       yes
    acr                 none       yes
    ready_at            none       yes
    parts               none       yes
    """,
    people=("citizen_id",),
    erased="deleted",
)
_table(
    "idempotency_keys",
    "idempotency_key",
    """
    actor_id            none       no
    operation           none       yes
    key                 basic      yes
    body_mac            basic      no
    resource_id         none       yes
    created_at          none       yes
    """,
    people=("actor_id",),
    erased="deleted",
)
# A bucket may be named after an address of the network.
_table(
    "rate_limits",
    "rate_limit",
    """
    bucket              basic      no
    window_ends_at      none       no
    used                none       no
    """,
)
_impersonal("key_checks", "reference", "purpose key_id mac")
_impersonal("places", "reference", "code name full_name kind level folded_name")
_impersonal("legacy_places", "reference", "code full_name district_code district province lat lng")
_impersonal("legacy_pairs", "reference", "old_code new_code is_default")
_impersonal("place_borders", "reference", "place_code south west north east polygons")
