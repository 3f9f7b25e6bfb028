"""The record of who did what; the application's role may add to it and read it, nothing else."""

import datetime as dt
import uuid
from typing import Any

from sqlalchemy import CheckConstraint, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, uuid_pk


class AuditEvent(Base):
    """One change, or one look at a citizen's personal data. Holds opaque ids only."""

    __tablename__ = "audit_events"
    __table_args__ = (
        CheckConstraint("actor_kind in ('citizen', 'staff', 'system')", name="actor_kind"),
        Index(None, "subject_type", "subject_id", "at"),
        Index(None, "actor_id", "at"),
    )

    id: Mapped[uuid_pk]
    at: Mapped[dt.datetime]
    actor_kind: Mapped[str] = mapped_column(String(10))
    actor_id: Mapped[uuid.UUID | None]
    action: Mapped[str] = mapped_column(String(60))
    subject_type: Mapped[str] = mapped_column(String(30))
    subject_id: Mapped[uuid.UUID | None]
    detail: Mapped[dict[str, Any]]
