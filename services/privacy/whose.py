"""Which rows are about somebody, as models.personal says it for each table."""

import uuid

from sqlalchemy import ColumnElement, Table, or_, select

from models.personal import TABLES


def rows_of(table: Table, citizen_id: uuid.UUID) -> ColumnElement[bool]:
    """The rows of `table` that lead to the citizen, as SQL."""
    return or_(*(_leads(table, path, citizen_id) for path in TABLES[table.name].people))


def _leads(table: Table, path: str, citizen_id: uuid.UUID) -> ColumnElement[bool]:
    name, _, rest = path.partition(".")
    column: ColumnElement[uuid.UUID] = table.c[name]
    if not rest:
        return column == citizen_id
    (key,) = table.c[name].foreign_keys
    return column.in_(select(key.column).where(_leads(key.column.table, rest, citizen_id)))
