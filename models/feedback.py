"""Reports of citizens: what was seen where, its photos, and its history."""

import datetime as dt
import enum
import uuid

from sqlalchemy import (
    CheckConstraint,
    Float,
    ForeignKey,
    Index,
    Sequence,
    SmallInteger,
    String,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.base import Base, uuid_pk
from models.identity import Department, Staff
from models.places import Place


class ReportState(enum.StrEnum):
    """Where a report stands; services.feedback.transitions holds the moves between them."""

    RECEIVED = "received"
    ASSIGNED = "assigned"
    IN_PROGRESS = "in_progress"
    PENDING_APPROVAL = "pending_approval"
    WAITING_CITIZEN = "waiting_citizen"
    RESOLVED = "resolved"
    REJECTED = "rejected"
    DUPLICATE = "duplicate"
    CANCELLED = "cancelled"
    CLOSED = "closed"


OPEN_STATES = frozenset(ReportState) - {
    ReportState.RESOLVED,
    ReportState.REJECTED,
    ReportState.DUPLICATE,
    ReportState.CANCELLED,
    ReportState.CLOSED,
}


class Visibility(enum.StrEnum):
    """Who may see a report: private is the reporter and staff; staff publish, nobody else does."""

    PRIVATE = "private"
    PUBLIC = "public"


class UploadState(enum.StrEnum):
    """A photo is checked at the door, and cleaned and made smaller by a job."""

    PROCESSING = "processing"
    READY = "ready"
    REJECTED = "rejected"


# Codes count on over the years; a number is never given twice.
REPORT_NUMBERS = Sequence("report_numbers", metadata=Base.metadata)


class Category(Base):
    """What a report is about, with the time its answer may take."""

    __tablename__ = "categories"

    code: Mapped[str] = mapped_column(String(60), primary_key=True)
    name_vi: Mapped[str]
    name_en: Mapped[str]
    acknowledge_hours: Mapped[int]
    resolve_days: Mapped[int]
    position: Mapped[int]
    closed_at: Mapped[dt.datetime | None]


class Report(Base):
    """One thing that a citizen saw and told the province."""

    __tablename__ = "reports"
    __table_args__ = (
        CheckConstraint("length(description) between 1 and 4000", name="description_length"),
        CheckConstraint("lat between -90 and 90 and lng between -180 and 180", name="position"),
        CheckConstraint("rating between 1 and 5", name="rating_range"),
        CheckConstraint("(rating is null) = (rated_at is null)", name="rating_has_time"),
        CheckConstraint(
            "state not in ('assigned', 'in_progress', 'pending_approval') "
            "or department_code is not null",
            name="worked_on_by_a_department",
        ),
        CheckConstraint("visibility = 'private' or public_text is not null", name="public_text"),
        Index(None, "reporter_id", "id"),
        Index(None, "state", "id"),
        Index(None, "department_code", "state", "id"),
        Index(None, "assignee_id", postgresql_where="assignee_id is not null"),
        Index("ix_reports_public", "id", postgresql_where="visibility = 'public'"),
        Index(
            "ix_reports_contact_kept",
            "created_at",
            postgresql_where="contact_removed_at is null and reporter_id is not null",
        ),
    )

    id: Mapped[uuid_pk]
    code: Mapped[str] = mapped_column(String(20), unique=True)
    reporter_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("citizens.id"))
    hide_reporter: Mapped[bool]
    category_code: Mapped[str] = mapped_column(ForeignKey("categories.code"))
    description: Mapped[str]
    lat: Mapped[float] = mapped_column(Float)
    lng: Mapped[float] = mapped_column(Float)
    accuracy_m: Mapped[float | None] = mapped_column(Float)
    place_code: Mapped[str] = mapped_column(ForeignKey("places.code"))
    place_uncertain: Mapped[bool]
    address: Mapped[str | None]
    occurred_at: Mapped[dt.datetime | None]
    source: Mapped[str] = mapped_column(String(10))
    visibility: Mapped[Visibility]
    public_text: Mapped[str | None]
    state: Mapped[ReportState]
    department_code: Mapped[str | None] = mapped_column(ForeignKey("departments.code"))
    assignee_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("staff.id"))
    version: Mapped[int]
    acknowledge_due_at: Mapped[dt.datetime]
    resolve_due_at: Mapped[dt.datetime]
    acknowledged_at: Mapped[dt.datetime | None]
    resolved_at: Mapped[dt.datetime | None]
    reopened_count: Mapped[int] = mapped_column(SmallInteger)
    rating: Mapped[int | None] = mapped_column(SmallInteger)
    rating_text: Mapped[str | None]
    rated_at: Mapped[dt.datetime | None]
    created_at: Mapped[dt.datetime]
    updated_at: Mapped[dt.datetime]
    contact_removed_at: Mapped[dt.datetime | None]

    category: Mapped[Category] = relationship(lazy="raise_on_sql")
    place: Mapped[Place] = relationship(lazy="raise_on_sql")
    department: Mapped[Department | None] = relationship(lazy="raise_on_sql")
    assignee: Mapped[Staff | None] = relationship(lazy="raise_on_sql")
    photos: Mapped[list["Upload"]] = relationship(
        lazy="raise_on_sql",
        order_by="(Upload.shows_result, Upload.position, Upload.id)",
        viewonly=True,
    )
    timeline: Mapped[list["ReportEvent"]] = relationship(
        lazy="raise_on_sql", order_by="ReportEvent.id", viewonly=True
    )

    @property
    def place_name(self) -> str:
        return self.place.full_name

    @property
    def department_name(self) -> str | None:
        return self.department.name if self.department else None


class ReportEvent(Base):
    """One step in the history of a report; appended, never edited."""

    __tablename__ = "report_events"
    __table_args__ = (
        CheckConstraint("actor_kind in ('citizen', 'staff', 'system')", name="actor_kind"),
        Index(None, "report_id", "id"),
    )

    id: Mapped[uuid_pk]
    report_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("reports.id"))
    at: Mapped[dt.datetime]
    kind: Mapped[str] = mapped_column(String(30))
    actor_kind: Mapped[str] = mapped_column(String(10))
    actor_id: Mapped[uuid.UUID | None]
    from_state: Mapped[str | None] = mapped_column(String(30))
    to_state: Mapped[str | None] = mapped_column(String(30))
    text: Mapped[str | None]
    reason: Mapped[str | None]
    public: Mapped[bool]


class ReporterPause(Base):
    """For so long somebody sends no reports, because of what one of theirs was like."""

    __tablename__ = "reporter_blocks"
    __table_args__ = (
        CheckConstraint("until > created_at", name="ends_later"),
        CheckConstraint("length(reason) between 1 and 1000", name="reason_length"),
        CheckConstraint("length(lift_reason) between 1 and 1000", name="lift_reason_length"),
        CheckConstraint("length(appeal) between 1 and 1000", name="appeal_length"),
        CheckConstraint("length(answer) between 1 and 1000", name="answer_length"),
        CheckConstraint("(appeal is null) = (appealed_at is null)", name="appeal_has_time"),
        CheckConstraint(
            "num_nonnulls(answer, answered_at, answered_by_id) in (0, 3)"
            " and (answer is null or appeal is not null)",
            name="answer_is_whole",
        ),
        Index(None, "citizen_id", "until"),
        Index(None, "report_id"),
    )

    id: Mapped[uuid_pk]
    citizen_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("citizens.id"))
    report_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("reports.id"))
    until: Mapped[dt.datetime]
    reason: Mapped[str]
    blocked_by_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("staff.id"))
    created_at: Mapped[dt.datetime]
    lifted_at: Mapped[dt.datetime | None]
    lifted_by_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("staff.id"))
    lift_reason: Mapped[str | None]
    appeal: Mapped[str | None]
    appealed_at: Mapped[dt.datetime | None]
    answer: Mapped[str | None]
    answered_at: Mapped[dt.datetime | None]
    answered_by_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("staff.id"))

    report: Mapped[Report] = relationship(lazy="raise_on_sql")
    blocked_by: Mapped[Staff] = relationship(lazy="raise_on_sql", foreign_keys=[blocked_by_id])

    @property
    def awaits_answer(self) -> bool:
        return self.appealed_at is not None and self.answered_at is None

    @property
    def waits_since(self) -> dt.datetime | None:
        """Since when an appeal waits for its answer, if one does."""
        return self.appealed_at if self.awaits_answer else None

    @property
    def appeal_granted(self) -> bool | None:
        """Whether the answer to the appeal lifted the pause, be it over or not; None before."""
        return None if self.answered_at is None else self.lifted_at == self.answered_at


class ResumableUpload(Base):
    """A photo that comes in pieces; once all are there, `uploads` has a row of the same id."""

    __tablename__ = "resumable_uploads"
    __table_args__ = (
        CheckConstraint("received between 0 and length", name="received"),
        CheckConstraint("num_nonnulls(owner_id, staff_id) = 1", name="one_owner"),
        Index(None, "owner_id"),
        Index(None, "expires_at"),
    )

    id: Mapped[uuid_pk]
    owner_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("citizens.id"))
    staff_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("staff.id"))
    length: Mapped[int]
    received: Mapped[int]
    created_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime]


class UploadPiece(Base):
    """Some bytes of a photo, and where they belong."""

    __tablename__ = "upload_pieces"

    upload_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("resumable_uploads.id", ondelete="CASCADE"), primary_key=True
    )
    offset: Mapped[int] = mapped_column(primary_key=True)
    content: Mapped[bytes]


class Upload(Base):
    """A photo: stored as sent until the job has cleaned it, then only as the two cleaned sizes."""

    __tablename__ = "uploads"
    __table_args__ = (
        Index(None, "owner_id", "created_at"),
        Index(None, "report_id"),
        CheckConstraint("(state = 'rejected') = (reason is not null)", name="rejected_has_reason"),
        # The photo of a report outlives its owner, as the report does its author.
        CheckConstraint(
            "num_nonnulls(owner_id, staff_id) = 1"
            " or (num_nonnulls(owner_id, staff_id) = 0 and report_id is not null)",
            name="one_owner_or_report",
        ),
    )

    id: Mapped[uuid_pk]
    owner_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("citizens.id"))
    staff_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("staff.id"))
    state: Mapped[UploadState]
    reason: Mapped[str | None] = mapped_column(String(60))
    width: Mapped[int | None]
    height: Mapped[int | None]
    created_at: Mapped[dt.datetime]
    report_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("reports.id"))
    position: Mapped[int] = mapped_column(SmallInteger)
    shows_result: Mapped[bool]
