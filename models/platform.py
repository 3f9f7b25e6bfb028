"""Tables of the mechanisms that every slice uses."""

import datetime as dt
import uuid

from sqlalchemy import CheckConstraint, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class IdempotencyKey(Base):
    """A creation that succeeded, so that its repetition finds what was made instead of making more.

    The body is kept only as a keyed hash, to tell a repetition from another request.
    """

    __tablename__ = "idempotency_keys"
    __table_args__ = (
        CheckConstraint("length(key) between 1 and 255", name="key_length"),
        Index(None, "created_at"),
    )

    actor_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    operation: Mapped[str] = mapped_column(String(60), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    body_mac: Mapped[bytes] = mapped_column(LargeBinary(32))
    resource_id: Mapped[uuid.UUID]
    created_at: Mapped[dt.datetime]


class KeyCheck(Base):
    """A key outside the database that was used on it, known again by a MAC that it made.

    So a mistyped key seals nothing that the right one could not open (services/keyring.py).
    """

    __tablename__ = "key_checks"
    __table_args__ = (CheckConstraint("purpose in ('data', 'index')", name="purpose"),)

    purpose: Mapped[str] = mapped_column(primary_key=True)
    key_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    mac: Mapped[bytes] = mapped_column(LargeBinary(32))


class RateLimit(Base):
    """How often something was done in the current window."""

    __tablename__ = "rate_limits"
    __table_args__ = (Index(None, "window_ends_at"),)

    bucket: Mapped[str] = mapped_column(String(120), primary_key=True)
    window_ends_at: Mapped[dt.datetime]
    used: Mapped[int]
