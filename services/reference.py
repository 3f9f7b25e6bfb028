"""Reference data: brought up to date with the files of this version, never deleted."""

from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models import (
    Base,
    Category,
    DataRequestClock,
    Department,
    LegacyPair,
    LegacyPlace,
    Place,
)
from services.text import fold, tidy

Rows = Callable[[str], Iterable[dict[str, str]]]


def load(session: Session, rows: Rows) -> dict[str, int]:
    """Insert or update every row that `rows(name)` yields; how many of each."""
    return {
        "places": _upsert(session, Place, map(_place, rows("places"))),
        "legacy_places": _upsert(session, LegacyPlace, map(_legacy_place, rows("legacy_places"))),
        "legacy_pairs": _upsert(session, LegacyPair, map(_pair, rows("legacy_pairs"))),
        "departments": _upsert(session, Department, map(_department, rows("departments"))),
        "categories": _upsert(session, Category, map(_category, rows("categories"))),
        "data_request_clocks": _upsert(
            session, DataRequestClock, map(_clock, rows("data_request_clocks"))
        ),
    }


def _upsert(session: Session, table: type[Base], values: Iterable[dict[str, Any]]) -> int:
    found = list(values)
    statement = insert(table).values(found)
    keys = [column.name for column in table.__table__.primary_key]
    told = {name: statement.excluded[name] for name in found[0] if name not in keys}
    session.execute(statement.on_conflict_do_update(index_elements=keys, set_=told))
    return len(found)


def _place(row: dict[str, str]) -> dict[str, Any]:
    return row | {
        "name": tidy(row["name"]),
        "full_name": tidy(row["full_name"]),
        "level": int(row["level"]),
        "folded_name": fold(row["full_name"]),
    }


def _legacy_place(row: dict[str, str]) -> dict[str, Any]:
    return row | {"lat": float(row["lat"]), "lng": float(row["lng"])}


def _pair(row: dict[str, str]) -> dict[str, Any]:
    return row | {"is_default": row["is_default"] == "1"}


def _department(row: dict[str, str]) -> dict[str, Any]:
    return row | {"wants_approval": row["wants_approval"] == "1"}


def _category(row: dict[str, str]) -> dict[str, Any]:
    numbers = ("acknowledge_hours", "resolve_days", "position")
    return row | {name: int(row[name]) for name in numbers}


def _clock(row: dict[str, str]) -> dict[str, Any]:
    numbers = ("answer_working_days", "act_days", "extension_days")
    third_party = row["third_party_days"]
    return row | {
        **{name: int(row[name]) for name in numbers},
        "third_party_days": int(third_party) if third_party else None,
    }
