"""What every table shares, and the one way to a session."""

import datetime as dt
import enum
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, ClassVar

import orjson
import uuid_utils.compat
from sqlalchemy import DateTime, Engine, Enum, MetaData, String, Text, Uuid, create_engine
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Session, mapped_column, sessionmaker


def new_id() -> uuid.UUID:
    """A UUIDv7 (RFC 9562 section 5.7): ids made later sort later, so indexes grow at one end."""
    return uuid_utils.compat.uuid7()


uuid_pk = Annotated[uuid.UUID, mapped_column(primary_key=True, default=new_id)]
short = Annotated[str, mapped_column(String(100))]


class Base(DeclarativeBase):
    """Names constraints by rule, so that code and migrations may name them too."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        dt.datetime: DateTime(timezone=True),
        str: Text,
        uuid.UUID: Uuid(),
        dict[str, Any]: JSONB,
        # Stored as checked text: a new member needs no lock on the type, and psql shows the word.
        enum.StrEnum: Enum(
            enum.StrEnum,
            native_enum=False,
            create_constraint=True,
            length=30,
            values_callable=lambda kind: [member.value for member in kind],
        ),
    }


def connect(url: str, **options: Any) -> Engine:
    """An engine for `url`; a bare postgresql:// address means psycopg 3.

    Waits are bounded on this side and on the server's: a request would rather answer 503 than
    hold one of the few threads (lock 1 s, statement 2.5 s, connect 3 s, pool 2 s).
    """
    return create_engine(
        url.replace("postgresql://", "postgresql+psycopg://", 1),
        json_serializer=lambda value: orjson.dumps(value).decode(),
        json_deserializer=orjson.loads,
        hide_parameters=True,  # A failed statement must not carry a citizen's data into the log.
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": 3,
            "options": "-c lock_timeout=1000 -c statement_timeout=2500 -c timezone=UTC",
        },
        **options,
    )


class Database:
    """Hands out sessions; whoever opens a transaction here has it committed or rolled back here."""

    def __init__(self, sessions: sessionmaker[Session]) -> None:
        self.sessions = sessions

    @classmethod
    def at(cls, url: str, **options: Any) -> "Database":
        # expire_on_commit is off because answers are rendered after the commit.
        return cls(sessionmaker(connect(url, **options), expire_on_commit=False))

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A session whose work is committed at the end, and gone if anything is raised."""
        with self.sessions() as session, session.begin():
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session for reading: nothing done on it is kept."""
        with self.sessions() as session:
            yield session
