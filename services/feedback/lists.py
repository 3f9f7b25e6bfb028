"""The lists that citizens and the public read: nine tenths of all requests.

They are rows of the columns that are shown, never whole reports, and each statement is built once
and kept: both cost more than the query itself. What PostgreSQL must know to plan well (the
condition of a partial index, the number of rows) stands in the statement's text; the rest are
parameters, so that the plan is kept as well.
"""

import functools
import uuid
from collections import defaultdict
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Row,
    Select,
    String,
    Uuid,
    any_,
    bindparam,
    literal_column,
    select,
    type_coerce,
)

from models import Category, Department, Place, Report, Upload, UploadState
from services.feedback.reports import ReportNotFound
from services.permissions import Actor

_NARROWED: dict[str, ColumnElement[bool]] = {
    "before": Report.id < bindparam("before"),
    "category": Report.category_code == bindparam("category"),
    "place": Report.place_code == bindparam("place"),
}
# States are read as they are written; turning each into its enumeration would help nobody.
_STATE = type_coerce(Report.state, String).label("state")
_PUBLIC: Select[*tuple[Any, ...]] = (
    select(
        Report.id,
        Report.code,
        _STATE,
        Report.lat,
        Report.lng,
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
    )
    .join(Report.place)
    .outerjoin(Report.department)
    .where(Report.reporter_id == bindparam("reporter"))
)
_PHOTOS: Select[*tuple[Any, ...]] = (
    select(
        Upload.id,
        Upload.report_id,
        Upload.state,
        Upload.width,
        Upload.height,
        Upload.shows_result,
    )
    .where(
        Upload.report_id == any_(bindparam("reports", type_=ARRAY(Uuid))),
        Upload.state != UploadState.REJECTED,
    )
    .order_by(Upload.shows_result, Upload.position, Upload.id)
)


def public_reports(
    connection: Connection,
    *,
    category: str | None = None,
    place: str | None = None,
    before: uuid.UUID | None = None,
    limit: int,
) -> Sequence[Row[*tuple[Any, ...]]]:
    """Published reports, newest first, as rows of what the public may see."""
    asked = {"category": category, "place": place, "before": before}
    given = {name: value for name, value in asked.items() if value is not None}
    return connection.execute(_page(_PUBLIC, tuple(given), limit), given).all()


def public_report(connection: Connection, code: str) -> Row[*tuple[Any, ...]]:
    """Raises ReportNotFound, also for one that is not published."""
    report = connection.execute(_PUBLIC.where(Report.code == code)).one_or_none()
    if report is None:
        raise ReportNotFound
    return report


def mine(
    connection: Connection, actor: Actor, *, before: uuid.UUID | None = None, limit: int
) -> list[SimpleNamespace]:
    """The citizen's own reports with their photos, newest first, those older than `before`."""
    given = {"before": before} if before else {}
    query = _page(_MINE, tuple(given), limit)
    rows = connection.execute(query, {"reporter": actor.id, **given}).all()
    photos = defaultdict(list)
    for photo in connection.execute(_PHOTOS, {"reports": [row.id for row in rows]}):
        photos[photo.report_id].append(photo)
    return [SimpleNamespace(**row._asdict(), photos=photos[row.id]) for row in rows]


@functools.cache
def _page(
    query: Select[*tuple[Any, ...]], narrowed_by: tuple[str, ...], limit: int
) -> Select[*tuple[Any, ...]]:
    """The newest `limit` of what `query` finds; there are a hundred limits and few filters."""
    query = query.where(*(_NARROWED[name] for name in narrowed_by))
    return query.order_by(Report.id.desc()).limit(literal_column(str(limit)))
