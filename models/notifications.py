"""The inbox, which is the truth, and the devices that are told that something is there."""

import datetime as dt
import uuid
from typing import Any, Literal

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, uuid_pk


class InboxMessage(Base):
    """One message to one citizen; its id is the notification_id that every push of it carries."""

    __tablename__ = "inbox_messages"
    __table_args__ = (
        Index(None, "citizen_id", "id"),
        Index("ix_inbox_messages_read", "created_at", postgresql_where="read_at is not null"),
        Index("ix_inbox_messages_unread_at", "created_at", postgresql_where="read_at is null"),
        Index("ix_inbox_messages_unread", "citizen_id", postgresql_where="read_at is null"),
    )

    id: Mapped[uuid_pk]
    citizen_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("citizens.id"))
    kind: Mapped[str] = mapped_column(String(40))
    subject_type: Mapped[str] = mapped_column(String(30))
    subject_id: Mapped[uuid.UUID]
    facts: Mapped[dict[str, Any]]
    created_at: Mapped[dt.datetime]
    read_at: Mapped[dt.datetime | None]


class Device(Base):
    """An installation of the app that may be pushed to, while its session lives."""

    __tablename__ = "devices"
    __table_args__ = (
        CheckConstraint("kind in ('fid', 'token')", name="kind"),
        CheckConstraint("platform in ('android', 'ios', 'web')", name="platform"),
        UniqueConstraint("kind", "value"),
        Index(None, "citizen_id"),
        Index(None, "session_id"),
    )

    id: Mapped[uuid_pk]
    installation_hash: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    citizen_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("citizens.id"))
    session_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("device_sessions.id"))
    platform: Mapped[str] = mapped_column(String(10))
    kind: Mapped[Literal["fid", "token"]] = mapped_column(String(5))
    value: Mapped[str]
    app_version: Mapped[str | None] = mapped_column(String(30))
    locale: Mapped[str] = mapped_column(String(2))
    last_seen_at: Mapped[dt.datetime]


class Delivery(Base):
    """What became of one message on one device, so that a second send is seen and counted."""

    __tablename__ = "deliveries"
    __table_args__ = (Index(None, "device_id"),)

    message_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("inbox_messages.id"), primary_key=True)
    device_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True
    )
    attempts: Mapped[int]
    outcome: Mapped[str | None] = mapped_column(String(30))
    handed_over_at: Mapped[dt.datetime | None]
