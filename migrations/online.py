"""Changing the schema while requests come in.

A statement that waits for a lock makes every later request wait behind it, and requests give up
after a second (models/base.py). So a revision waits for a moment only; migrations/env.py then lets
everybody pass and tries again. What holds nobody up may take as long as it takes, but stands
outside of the revision's transaction, so a revision that does it must be repeatable: give
`if_not_exists` to what stands before it.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from alembic import op
from psycopg.errors import LockNotAvailable
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

LOCK_MS = 300
STATEMENT_MS = 5000
# An index is built when all transactions have ended that may not know of it.
UNHURRIED_LOCK_MS = 600_000
# Together four minutes: longer than any statement of ours runs.
PAUSES_S = (1, 2, 4, 8, *[15] * 15)


def timeouts(*, lock_ms: int = LOCK_MS, statement_ms: int = STATEMENT_MS) -> tuple[str, str]:
    return f"SET lock_timeout = {lock_ms}", f"SET statement_timeout = {statement_ms}"


def until_unlocked(attempt: Callable[[], None], tell: Callable[[str], None]) -> None:
    """Make attempts until no lock is in the way, or it has been there for minutes."""
    for pause in PAUSES_S:
        try:
            return attempt()
        except OperationalError as error:
            if not isinstance(error.orig, LockNotAvailable):
                raise
            tell(f"Another transaction holds a lock that is needed; trying again in {pause} s.")
            time.sleep(pause)
    return attempt()


@contextlib.contextmanager
def unhurried() -> Iterator[None]:
    """Only for what blocks neither reads nor writes: concurrent indexes, validated constraints."""
    with op.get_context().autocommit_block():
        for statement in timeouts(lock_ms=UNHURRIED_LOCK_MS, statement_ms=0):
            op.execute(statement)
        yield
        for statement in timeouts():
            op.execute(statement)


def create_index(name: str, table: str, columns: Sequence[Any], **options: Any) -> None:
    """Build an index concurrently, unless it is there; what an interrupted try left goes first.

    Such an index costs every write and serves no read, and its name would pass for the whole one.
    """
    with unhurried():
        if _is_broken(name):
            op.drop_index(name, postgresql_concurrently=True, if_exists=True)
        op.create_index(
            name, table, columns, postgresql_concurrently=True, if_not_exists=True, **options
        )


def drop_index(name: str) -> None:
    """Drop an index concurrently, if it is there."""
    with unhurried():
        op.drop_index(name, postgresql_concurrently=True, if_exists=True)


def _is_broken(name: str) -> bool:
    if op.get_context().as_sql:
        return True  # Nobody can look, and dropping what is not there does no harm.
    query = text(
        "SELECT EXISTS (SELECT FROM pg_index"
        " WHERE indexrelid = to_regclass(quote_ident(:name)) AND NOT indisvalid)"
    )
    return bool(op.get_bind().scalar(query, {"name": name}))
