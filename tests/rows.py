"""What is in the database, to see what a step changed."""

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


def contents(source: Connection | Session) -> dict[str, str]:
    """A mark of the contents of every table, by its name."""
    return dict(source.execute(_CONTENTS).all())


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    """The tables whose contents differ."""
    return {name for name in TABLES if before[name] != after[name]}
