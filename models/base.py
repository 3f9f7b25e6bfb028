"""What every table shares, and the one way to a session."""

import contextlib
import datetime as dt
import enum
import functools
import time
import uuid
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Any, ClassVar

import orjson
import psycopg
import uuid_utils.compat
from sqlalchemy import (
    Connection,
    DateTime,
    Dialect,
    Engine,
    Enum,
    Executable,
    MetaData,
    String,
    Text,
    Uuid,
    create_engine,
    event,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.orm import DeclarativeBase, Session, mapped_column, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry

from models.patience import Patience, ping

# A connection that was used within so many seconds is taken to be alive.
TRUSTED_S = 1.0


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


def connect(
    url: str, *, read_only: bool = False, patience: Patience | None = None, **options: Any
) -> Engine:
    """An engine for `url`; a bare postgresql:// address means psycopg 3.

    Waits are bounded on this side and on the server's: a request would rather answer 503 than
    hold one of the few threads (lock 1 s, statement 2.5 s, connect 3 s, pool 2 s, and 4 s for
    whatever a silent server was asked, see models/patience.py). Engines for one database share
    their `patience`. A `read_only` engine commits by itself, which spares each read two round
    trips, and the server refuses its writes.
    """
    patience = patience or Patience()
    settings = {"lock_timeout": 1000, "statement_timeout": 2500, "timezone": "UTC"}
    if read_only:
        settings["default_transaction_read_only"] = "on"
        options["isolation_level"] = "AUTOCOMMIT"
        options["skip_autocommit_rollback"] = True
    engine = create_engine(
        url.replace("postgresql://", "postgresql+psycopg://", 1),
        json_serializer=lambda value: orjson.dumps(value).decode(),
        json_deserializer=orjson.loads,
        hide_parameters=True,  # A failed statement must not carry a citizen's data into the log.
        connect_args={
            "connect_timeout": 3,
            "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
        },
        **options,
    )
    event.listen(engine, "do_connect", patience.connect)
    event.listen(engine, "checkin", _note_use)
    event.listen(engine, "checkout", partial(_ping_if_idle, engine.dialect, patience))
    return engine


def _note_use(_connection: Any, record: ConnectionPoolEntry) -> None:
    record.info["used_at"] = time.monotonic()


def _ping_if_idle(
    dialect: Dialect, patience: Patience, connection: Any, record: ConnectionPoolEntry, _proxy: Any
) -> None:
    """See that a connection still lives, unless it did a moment ago.

    A ping for each use, as pool_pre_ping has it, would cost as much as a small query. What dies
    within the moment fails one request, which makes the pool forget all its old connections. So
    does a ping that fails, and a silence: what one connection did not get, the others would not.
    """
    used_at = record.info.get("used_at")
    if used_at is None:  # It was made just now.
        return
    if patience.lost:
        raise InvalidatePoolError
    if time.monotonic() - used_at > TRUSTED_S:
        try:
            ping(dialect, connection)
        except psycopg.Error as error:
            raise InvalidatePoolError from error


def fetch(connection: Connection, statement: Executable, parameters: dict[str, Any]) -> list[Any]:
    """All rows of a statement, as named tuples.

    They are what SQLAlchemy's rows are, but for the time that reading an attribute takes: a tenth.
    """
    result = connection.execute(statement, parameters)
    return [*map(_named(tuple(result.keys())), result.all())]


@functools.cache
def _named(names: tuple[str, ...]) -> Callable[[Iterable[Any]], Any]:
    # The names are known only here, so there is no class of them to be written down.
    row: Any = namedtuple("Row", names)  # type: ignore[misc]  # noqa: PYI024
    make: Callable[[Iterable[Any]], Any] = row._make
    return make


class Database:
    """Hands out sessions; whoever opens a transaction here has it committed or rolled back here."""

    def __init__(
        self, sessions: sessionmaker[Session], readers: sessionmaker[Session] | None = None
    ) -> None:
        self.sessions = sessions
        self._readers = readers or sessions

    @classmethod
    def at(cls, url: str, **options: Any) -> "Database":
        options["patience"] = Patience()
        # expire_on_commit is off because answers are rendered after the commit.
        return cls(
            sessionmaker(connect(url, **options), expire_on_commit=False),
            sessionmaker(connect(url, read_only=True, **options)),
        )

    def close(self) -> None:
        """Let go of every connection that is not in use."""
        for maker in (self.sessions, self._readers):
            maker.kw["bind"].dispose()

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A session whose work is committed at the end, and gone if anything is raised."""
        with self.sessions() as session, session.begin():
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that can only read; each statement sees what was committed before it."""
        with self._readers() as session:
            yield session

    @contextmanager
    def rows(self) -> Iterator[Connection]:
        """The same without objects, for lists: a session would double the cost of a short one."""
        bind = self._readers.kw["bind"]
        with (
            contextlib.nullcontext(bind) if isinstance(bind, Connection) else bind.connect() as own
        ):
            yield own
