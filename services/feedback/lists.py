"""The lists that citizens and the public read: nine tenths of all requests.

They are rows of the columns that are shown, never whole reports, and each statement is built once
and kept: both cost more than the query itself. What PostgreSQL must know to plan well (the
condition of a partial index, the number of rows) stands in the statement's text; the rest are
parameters, so that the plan is kept as well.
"""

import functools
import uuid
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import (
    JSON,
    ColumnElement,
    Connection,
    Dialect,
    Row,
    Select,
    String,
    TypeDecorator,
    bindparam,
    func,
    literal_column,
    select,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import QueryableAttribute

from models import Category, Department, Place, Report, Upload, UploadState
from models.base import fetch
from services.feedback.reports import ReportNotFound
from services.permissions import Actor

_NARROWED: dict[str, ColumnElement[bool]] = {
    "before": Report.id < bindparam("before"),
    "category": Report.category_code == bindparam("category"),
    "place": Report.place_code == bindparam("place"),
}
# States are read as they are written; turning each into its enumeration would help nobody.
_STATE = type_coerce(Report.state, String).label("state")
# Half a thousandth of a degree is about 50 m; nearer than that nobody sees the place.
_STEPS_A_DEGREE = 2000


def _rounded(degrees: QueryableAttribute[float]) -> ColumnElement[float]:
    steps: ColumnElement[float] = literal_column(f"{_STEPS_A_DEGREE}.0::float8")
    return cast("ColumnElement[float]", func.round(degrees * steps) / steps)


_PUBLIC: Select[*tuple[Any, ...]] = (
    select(
        Report.id,
        Report.code,
        _STATE,
        _rounded(Report.lat).label("lat"),
        _rounded(Report.lng).label("lng"),
        Report.public_text,
        Report.created_at,
        Report.resolved_at,
        Report.category_code,
        Category.name_vi.label("category_name"),
        Report.place_code,
        Place.full_name.label("place_name"),
    )
    .join(Report.category)
    .join(Report.place)
    .where(Report.visibility == literal_column("'public'"))
)


@dataclass(frozen=True, slots=True)
class Photo:
    """What a list shows of a photo."""

    id: uuid.UUID
    state: UploadState
    width: int | None
    height: int | None
    shows_result: bool


class _Photos(TypeDecorator[list[Photo]]):
    """The photos of one report, gathered by PostgreSQL, since a statement costs more than a row."""

    impl = JSON
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> list[Photo]:
        del dialect
        return [
            Photo(uuid.UUID(photo_id), UploadState(state), *rest)
            for photo_id, state, *rest in value or ()
        ]


_PHOTOS = (
    select(
        func.json_agg(
            aggregate_order_by(
                func.json_build_array(
                    Upload.id, Upload.state, Upload.width, Upload.height, Upload.shows_result
                ),
                Upload.shows_result,
                Upload.position,
                Upload.id,
            )
        )
    )
    .where(Upload.report_id == Report.id, Upload.state != UploadState.REJECTED)
    .correlate(Report)
    .scalar_subquery()
)
_MINE: Select[*tuple[Any, ...]] = (
    select(
        Report.id,
        Report.code,
        _STATE,
        Report.category_code,
        Report.description,
        Report.lat,
        Report.lng,
        Report.accuracy_m,
        Report.place_code,
        Place.full_name.label("place_name"),
        Report.address,
        Report.occurred_at,
        type_coerce(Report.visibility, String).label("visibility"),
        Report.hide_reporter,
        Report.created_at,
        Report.acknowledge_due_at,
        Report.resolve_due_at,
        Report.resolved_at,
        Report.department_code,
        Department.name.label("department_name"),
        Report.rating,
        type_coerce(_PHOTOS, _Photos).label("photos"),
    )
    .join(Report.place)
    .outerjoin(Report.department)
    .where(Report.reporter_id == bindparam("reporter"))
)


def public_reports(
    connection: Connection,
    *,
    category: str | None = None,
    place: str | None = None,
    before: uuid.UUID | None = None,
    limit: int,
) -> list[Any]:
    """Published reports, newest first, as rows of what the public may see."""
    asked = {"category": category, "place": place, "before": before}
    given = {name: value for name, value in asked.items() if value is not None}
    return fetch(connection, _page(_PUBLIC, tuple(given), limit), given)


def public_report(connection: Connection, code: str) -> Row[*tuple[Any, ...]]:
    """Raises ReportNotFound, also for one that is not published."""
    report = connection.execute(_PUBLIC.where(Report.code == code)).one_or_none()
    if report is None:
        raise ReportNotFound
    return report


def mine(
    connection: Connection, actor: Actor, *, before: uuid.UUID | None = None, limit: int
) -> list[Any]:
    """The citizen's own reports with their photos, newest first, those older than `before`."""
    given = {"before": before} if before else {}
    query = _page(_MINE, tuple(given), limit)
    return fetch(connection, query, {"reporter": actor.id, **given})


@functools.cache
def _page(
    query: Select[*tuple[Any, ...]], narrowed_by: tuple[str, ...], limit: int
) -> Select[*tuple[Any, ...]]:
    """The newest `limit` of what `query` finds; there are a hundred limits and few filters."""
    query = query.where(*(_NARROWED[name] for name in narrowed_by))
    return query.order_by(Report.id.desc()).limit(literal_column(str(limit)))
