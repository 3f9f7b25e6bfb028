"""Rights over personal data: consents, legal requests, guardians of children, breaches."""

import datetime as dt
import enum
import uuid

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, uuid_pk


class DataRequestKind(enum.StrEnum):
    """What somebody may ask of whoever holds their data (Law 91/2025/QH15, article 4)."""

    VIEW = "view"
    CORRECT = "correct"
    COPY = "copy"
    DELETE = "delete"
    RESTRICT = "restrict"
    OBJECT = "object"
    WITHDRAW = "withdraw"
    PROTECT = "protect"


class DataRequestState(enum.StrEnum):
    """Where a request stands: it is answered first, and carried out when it was accepted."""

    RECEIVED = "received"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    DONE = "done"


class Relation(enum.StrEnum):
    """What makes somebody the legal representative of a child."""

    PARENT = "parent"
    GUARDIAN = "guardian"


class ChildState(enum.StrEnum):
    """Where the check of a relation stands; that the child grew up is computed, not stored."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    REFUSED = "refused"
    ENDED = "ended"


class Consent(Base):
    """One giving of consent to one purpose, in the words of one version of its text.

    Rows are added, and closed by withdrawn_at; nothing else in them ever changes, which the rights
    of the application's role see to (migrations/env.py).
    """

    __tablename__ = "consents"
    __table_args__ = (
        Index(
            "uq_consents_open",
            "citizen_id",
            "purpose",
            unique=True,
            postgresql_where="withdrawn_at is null",
        ),
        Index(None, "citizen_id", "purpose", "given_at"),
        CheckConstraint("withdrawn_at >= given_at", name="withdrawn_later"),
        CheckConstraint("locale in ('vi', 'en')", name="locale"),
    )

    id: Mapped[uuid_pk]
    citizen_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("citizens.id"))
    purpose: Mapped[str] = mapped_column(String(40))
    version: Mapped[int]
    locale: Mapped[str] = mapped_column(String(2))
    channel: Mapped[str] = mapped_column(String(20))
    given_at: Mapped[dt.datetime]
    withdrawn_at: Mapped[dt.datetime | None]


class DataRequestClock(Base):
    """How much time the law leaves for one kind of request; reference data.

    Days are days of the calendar but for the answer's. `third_party_days` takes the place of
    `act_days` where a processor or somebody else has to act too; None where the law has no such
    rule.
    """

    __tablename__ = "data_request_clocks"

    kind: Mapped[DataRequestKind] = mapped_column(primary_key=True)
    answer_working_days: Mapped[int]
    act_days: Mapped[int]
    extension_days: Mapped[int]
    third_party_days: Mapped[int | None]
    source: Mapped[str]


class Child(Base):
    """A child whom a citizen acts for, once an administrator has checked that they may.

    What was told of the child is sealed by services.vault with the row's own data_key. A relation
    that was refused keeps the name alone, one that ended nothing.
    """

    __tablename__ = "children"
    __table_args__ = (
        Index(
            "uq_children_open",
            "guardian_id",
            "number_index",
            unique=True,
            postgresql_where="state in ('pending', 'confirmed')",
        ),
        Index(None, "guardian_id", "id"),
        Index("ix_children_pending", "id", postgresql_where="state = 'pending'"),
        CheckConstraint(
            "state not in ('pending', 'confirmed') or (number_index is not null"
            " and number_sealed is not null and birth_date_sealed is not null"
            " and name_sealed is not null)",
            name="open_has_its_data",
        ),
        CheckConstraint("state <> 'pending' or decided_at is null", name="pending_is_undecided"),
        CheckConstraint(
            "state not in ('confirmed', 'refused')"
            " or (decided_at is not null and decided_by is not null)",
            name="decided_by_somebody",
        ),
        CheckConstraint("state <> 'refused' or refusal is not null", name="refused_has_reason"),
        CheckConstraint("(state = 'ended') = (ended_at is not null)", name="ended_has_time"),
    )

    id: Mapped[uuid_pk]
    guardian_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("citizens.id"))
    relation: Mapped[Relation]
    data_key: Mapped[bytes | None]
    name_sealed: Mapped[bytes | None]
    number_sealed: Mapped[bytes | None]
    birth_date_sealed: Mapped[bytes | None]
    number_index: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    index_key_id: Mapped[int] = mapped_column(server_default="1")
    # The first day of the month after the sixteenth birthday, which does not say the day of birth.
    ends_on: Mapped[dt.date | None]
    state: Mapped[ChildState]
    version: Mapped[int]
    created_at: Mapped[dt.datetime]
    decided_at: Mapped[dt.datetime | None]
    decided_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("staff.id"))
    refusal: Mapped[str | None]
    ended_at: Mapped[dt.datetime | None]


class DataRequest(Base):
    """One request under the law, with its clocks as they were set at receipt."""

    __tablename__ = "data_requests"
    __table_args__ = (
        Index(None, "citizen_id", "id"),
        Index("ix_data_requests_open", "id", postgresql_where="state in ('received', 'accepted')"),
        CheckConstraint("length(text) between 1 and 4000", name="text_length"),
        CheckConstraint("(state = 'received') = (answered_at is null)", name="answered_has_time"),
        CheckConstraint("(answered_at is null) = (answer is null)", name="answered_has_answer"),
        CheckConstraint("(state = 'refused') = (refusal is not null)", name="refused_has_reason"),
        CheckConstraint("(state = 'done') = (done_at is not null)", name="done_has_time"),
        CheckConstraint("(done_at is null) = (conclusion is null)", name="done_has_conclusion"),
        CheckConstraint("(extended_at is null) = (extension is null)", name="extended_has_reason"),
    )

    id: Mapped[uuid_pk]
    citizen_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("citizens.id"))
    child_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("children.id"))
    kind: Mapped[DataRequestKind]
    text: Mapped[str | None]
    state: Mapped[DataRequestState]
    version: Mapped[int]
    received_at: Mapped[dt.datetime]
    answer_due_at: Mapped[dt.datetime]
    act_due_at: Mapped[dt.datetime]
    answered_at: Mapped[dt.datetime | None]
    answer: Mapped[str | None]
    refusal: Mapped[str | None] = mapped_column(String(30))
    extended_at: Mapped[dt.datetime | None]
    extension: Mapped[str | None]
    third_party: Mapped[bool]
    done_at: Mapped[dt.datetime | None]
    conclusion: Mapped[str | None]
    updated_at: Mapped[dt.datetime]


class Breach(Base):
    """One violation of the protection of personal data, as the register has it.

    Law 91/2025/QH15, article 23: the authority is told within 72 hours of the detection where harm
    may come of it, and a written record is kept in any case; the application's role cannot delete.
    """

    __tablename__ = "breaches"
    __table_args__ = (
        Index(None, "closed_at", "id"),
        CheckConstraint(
            "notify_due_at - detected_at = interval '72 hours'", name="told_within_72_hours"
        ),
        CheckConstraint("length(what) > 0", name="what_is_told"),
        CheckConstraint("people_count >= 0", name="people_count_range"),
        CheckConstraint("notified_at >= detected_at", name="notified_later"),
        CheckConstraint("notified_at is null or notifiable", name="notified_is_notifiable"),
        CheckConstraint(
            "closed_at is null or notified_at is not null"
            " or (notifiable is not null and not notifiable)",
            name="closed_when_told",
        ),
    )

    id: Mapped[uuid_pk]
    detected_at: Mapped[dt.datetime]
    recorded_at: Mapped[dt.datetime]
    recorded_by: Mapped[uuid.UUID] = mapped_column(ForeignKey("staff.id"))
    notify_due_at: Mapped[dt.datetime]
    what: Mapped[str]
    occurred_at: Mapped[dt.datetime | None]
    place: Mapped[str | None]
    data_kinds: Mapped[str | None]
    people_count: Mapped[int | None]
    consequences: Mapped[str | None]
    measures: Mapped[str | None]
    contact: Mapped[str | None]
    notifiable: Mapped[bool | None]
    notified_at: Mapped[dt.datetime | None]
    closed_at: Mapped[dt.datetime | None]
    version: Mapped[int]
    updated_at: Mapped[dt.datetime]
