"""People, their roles, and their sessions."""

import datetime as dt
import enum
import uuid

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column, query_expression, relationship

from models.base import Base, uuid_pk


class Audience(enum.StrEnum):
    """Whom a token is for; a citizen's token never opens a staff operation."""

    CITIZEN = "citizen"
    STAFF = "staff"


class Role(enum.StrEnum):
    """What a member of staff may be; services.permissions says what each may do."""

    DISPATCHER = "dispatcher"
    HANDLER = "handler"
    LEADER = "leader"
    COMMUNICATOR = "communicator"
    HEALTH_CLERK = "health_clerk"
    HEALTH_MANAGER = "health_manager"
    MARKET_MANAGER = "market_manager"
    ALERT_EDITOR = "alert_editor"
    ALERT_APPROVER = "alert_approver"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"


class Citizen(Base):
    """A person who signed in at least once.

    Number, phone and date of birth are sealed by services.vault with the person's own data_key;
    the number is found again by its blind index. Of somebody who was erased the row stays, empty,
    since others refer to it; `deletion_due_at` is when there is something to erase.
    """

    __tablename__ = "citizens"
    __table_args__ = (
        UniqueConstraint("issuer", "subject"),
        CheckConstraint("locale in ('vi', 'en')", name="locale"),
        # Which keys are in use is asked all day (services/keyring.py).
        Index("ix_citizens_wrapped_by", text("substr(data_key, 2, 1)")),
        Index(None, "index_key_id", postgresql_where="number_index is not null"),
        Index(None, "number_index", postgresql_where="number_index is not null"),
        CheckConstraint(
            "erased_at is null or (name = '' and num_nonnulls(number_index, data_key,"
            " number_sealed, phone_sealed, birth_date_sealed, home_place_code) = 0)",
            name="erased_is_empty",
        ),
        Index(None, "deletion_due_at", postgresql_where="deletion_due_at is not null"),
        Index(None, "not_before", postgresql_where="not_before is not null"),
    )

    id: Mapped[uuid_pk]
    issuer: Mapped[str]
    subject: Mapped[str] = mapped_column(String(255))
    name: Mapped[str]
    number_index: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    index_key_id: Mapped[int] = mapped_column(server_default="1")
    data_key: Mapped[bytes | None]
    number_sealed: Mapped[bytes | None]
    phone_sealed: Mapped[bytes | None]
    birth_date_sealed: Mapped[bytes | None]
    locale: Mapped[str] = mapped_column(String(2))
    home_place_code: Mapped[str | None] = mapped_column(ForeignKey("places.code"))
    created_at: Mapped[dt.datetime]
    deletion_due_at: Mapped[dt.datetime | None]
    erased_at: Mapped[dt.datetime | None]
    # Whatever was given out before this moment opens nothing any more.
    not_before: Mapped[dt.datetime | None]


class Department(Base):
    """An organisation that reports are sent to."""

    __tablename__ = "departments"

    code: Mapped[str] = mapped_column(String(60), primary_key=True)
    name: Mapped[str]
    wants_approval: Mapped[bool]
    closed_at: Mapped[dt.datetime | None]


class Staff(Base):
    """A member of staff; the row exists before the person can enter, invited by citizen number."""

    __tablename__ = "staff"

    id: Mapped[uuid_pk]
    number_index: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    index_key_id: Mapped[int] = mapped_column(server_default="1")
    data_key: Mapped[bytes | None]
    number_sealed: Mapped[bytes | None]
    name: Mapped[str]
    citizen_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("citizens.id"), unique=True)
    disabled_at: Mapped[dt.datetime | None]
    version: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[dt.datetime]

    # The accounts of the same citizen number; loaded where an actor is made of the row.
    accounts: Mapped[list[uuid.UUID] | None] = query_expression()
    grants: Mapped[list["RoleGrant"]] = relationship(
        lazy="raise_on_sql",
        cascade="all, delete-orphan",
        passive_deletes=True,
        order_by="RoleGrant.id",
    )


class RoleGrant(Base):
    """One role of one member of staff, for one department and some places, or for all."""

    __tablename__ = "role_grants"
    __table_args__ = (
        CheckConstraint(
            "role not in ('handler', 'leader') or department_code is not null",
            name="department_where_needed",
        ),
        Index(None, "staff_id"),
    )

    id: Mapped[uuid_pk]
    staff_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("staff.id", ondelete="CASCADE"))
    role: Mapped[Role]
    department_code: Mapped[str | None] = mapped_column(ForeignKey("departments.code"))
    place_codes: Mapped[list[str] | None] = mapped_column(ARRAY(String(5)))


class DeviceSession(Base):
    """One sign-in of one person on one device."""

    __tablename__ = "device_sessions"
    __table_args__ = (
        Index(None, "citizen_id"),
        Index(None, "installation_hash"),
        Index(None, "revoked_at", postgresql_where="revoked_at is not null"),
        Index(None, "expires_at"),
        CheckConstraint("expires_at > created_at", name="expires_later"),
    )

    id: Mapped[uuid_pk]
    citizen_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("citizens.id"))
    audience: Mapped[Audience]
    acr: Mapped[str] = mapped_column(String(60))
    auth_time: Mapped[dt.datetime]
    installation_hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    name: Mapped[str | None]
    platform: Mapped[str] = mapped_column(String(10))
    model: Mapped[str | None] = mapped_column(String(100))
    app_version: Mapped[str | None] = mapped_column(String(30))
    created_at: Mapped[dt.datetime]
    last_used_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime]
    revoked_at: Mapped[dt.datetime | None]

    citizen: Mapped[Citizen] = relationship(lazy="raise_on_sql")


class RefreshToken(Base):
    """One link in a session's chain of refresh tokens; the token itself is never stored."""

    __tablename__ = "refresh_tokens"
    __table_args__ = (
        Index(None, "session_id"),
        Index(None, "predecessor_id"),
        Index(None, "expires_at"),
    )

    id: Mapped[uuid_pk]
    session_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("device_sessions.id"))
    token_hash: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    salt: Mapped[bytes] = mapped_column(LargeBinary(16))
    predecessor_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("refresh_tokens.id"))
    created_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime]
    rotated_at: Mapped[dt.datetime | None]
    voided_at: Mapped[dt.datetime | None]


class AdminSession(Base):
    """A member of staff in the staff view; the cookie holds a secret, the row its hash."""

    __tablename__ = "admin_sessions"
    __table_args__ = (Index(None, "staff_id"),)

    id: Mapped[uuid_pk]
    token_hash: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    staff_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("staff.id"))
    # Unknown for sessions that a release before these columns began.
    acr: Mapped[str | None]
    auth_time: Mapped[dt.datetime | None]
    created_at: Mapped[dt.datetime]
    last_seen_at: Mapped[dt.datetime]
    ended_at: Mapped[dt.datetime | None]

    staff: Mapped[Staff] = relationship(lazy="raise_on_sql")
