"""Copies of all that is held about a person, made for that person."""

import datetime as dt
import uuid

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, uuid_pk


class Export(Base):
    """A copy that a job makes, or made; its parts lie in the file store, in a folder of its id.

    A person has one at a time.
    """

    __tablename__ = "exports"
    __table_args__ = (
        CheckConstraint("(ready_at is null) = (parts is null)", name="ready_has_parts"),
    )

    id: Mapped[uuid_pk]
    citizen_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("citizens.id"), unique=True)
    asked_at: Mapped[dt.datetime]
    # The level of who asked, which decides how much is in clear; of a former release it is unknown.
    acr: Mapped[str | None]
    ready_at: Mapped[dt.datetime | None]
    parts: Mapped[int | None]
