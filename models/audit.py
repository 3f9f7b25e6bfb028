"""The record of who did what; the application's role may add to it and read it, nothing else."""

import datetime as dt
import uuid
from collections.abc import Callable
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Index, LargeBinary, String, text
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import UserDefinedType

from models.base import Base, uuid_pk


class TransactionId(UserDefinedType[int]):
    """PostgreSQL's xid8: the number of a transaction, which never comes again."""

    cache_ok = True

    def get_col_spec(self, **_options: Any) -> str:
        return "XID8"

    def bind_processor(self, dialect: Any) -> Callable[[int | None], str | None]:
        del dialect
        return lambda value: None if value is None else str(value)

    def result_processor(self, dialect: Any, coltype: Any) -> Callable[[Any], int | None]:
        del dialect, coltype
        return lambda value: None if value is None else int(value)


class AuditEvent(Base):
    """One change, or one look at a citizen's personal data. Holds opaque ids and codes only.

    `about_id` is the citizen whose personal data was read or changed by somebody else. `xid` is
    PostgreSQL's own word for when the event was written; the application may not choose it.
    """

    __tablename__ = "audit_events"
    __table_args__ = (
        CheckConstraint(
            "actor_kind in ('citizen', 'staff', 'system', 'facility')", name="actor_kind"
        ),
        Index(None, "subject_type", "subject_id", "at"),
        Index(None, "actor_id", "at"),
        Index(None, "about_id", "id", postgresql_where="about_id is not null"),
        Index(None, "action", "id"),
        Index(None, "xid", "id"),
        # Rows come in the order of time, so this costs a thousandth of an index that knows each.
        Index(None, "at", postgresql_using="brin"),
    )
    # An event is written and not read back: its INSERT returns nothing.
    __mapper_args__ = {"eager_defaults": False}  # noqa: RUF012 - as SQLAlchemy wants it

    id: Mapped[uuid_pk]
    at: Mapped[dt.datetime]
    actor_kind: Mapped[str] = mapped_column(String(10))
    actor_id: Mapped[uuid.UUID | None]
    action: Mapped[str] = mapped_column(String(60))
    subject_type: Mapped[str] = mapped_column(String(30))
    subject_id: Mapped[uuid.UUID | None]
    detail: Mapped[dict[str, Any]]
    role: Mapped[str | None]
    organisation: Mapped[str | None]
    purpose: Mapped[str | None]
    request_id: Mapped[str | None]
    about_id: Mapped[uuid.UUID | None]
    xid: Mapped[int] = mapped_column(TransactionId, server_default=text("pg_current_xact_id()"))


class AuditLink(Base):
    """The place of one event in the chain.

    `hash` covers the event and the hash before it. There is no foreign key: its check would lock,
    and so write, every event once more.
    """

    __tablename__ = "audit_chain"
    __table_args__ = (CheckConstraint("octet_length(hash) = 32", name="hash_length"),)

    position: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    event_id: Mapped[uuid.UUID] = mapped_column(unique=True)
    xid: Mapped[int] = mapped_column(TransactionId)
    hash: Mapped[bytes] = mapped_column(LargeBinary(32))


class AuditCheckpoint(Base):
    """What the chain was at a moment, signed by a key that the database does not know."""

    __tablename__ = "audit_checkpoints"
    __table_args__ = (
        CheckConstraint("octet_length(hash) = 32", name="hash_length"),
        CheckConstraint("octet_length(signature) = 64", name="signature_length"),
    )

    position: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    at: Mapped[dt.datetime]
    key_id: Mapped[str]
    signature: Mapped[bytes] = mapped_column(LargeBinary(64))
