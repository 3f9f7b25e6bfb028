"""What is in the database, to see what a step changed."""

from collections import Counter

from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

from models import Base

TABLES = (
    *(table.name for table in Base.metadata.sorted_tables),
    *("procrastinate_jobs", "procrastinate_events"),
)
# One number for each table, which any change of any row changes.
_CONTENTS = text(
    " UNION ALL ".join(
        f"SELECT '{name}', count(*) || '/' || coalesce(sum(hashtextextended(t::text, 0)), 0)"  # noqa: S608 - our names
        f" FROM {name} t"
        for name in TABLES
    )
)
# PostgreSQL's own count: it sees what functions and triggers do, and what another driver sends.
_WRITTEN = text(
    "SELECT relname, n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_xact_user_tables"
    " WHERE n_tup_ins + n_tup_upd + n_tup_del > 0"
)


def written(source: Connection | Session) -> Counter[str]:
    """How many rows this transaction has written to each table, also where it took that back."""
    return Counter(dict(source.execute(_WRITTEN).all()))


def contents(source: Connection | Session) -> dict[str, str]:
    """A mark of the contents of every table, by its name."""
    return dict(source.execute(_CONTENTS).all())


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    """The tables whose contents differ."""
    return {name for name in TABLES if before[name] != after[name]}
