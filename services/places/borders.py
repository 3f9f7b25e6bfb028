"""Borders of communes: taking them from GeoJSON (RFC 7946), and how a point lies to them.

They are plain arrays, a row for each unit with its bounding box, since 92 units need no extension
of the database. Distances are computed on a plane that touches the earth at the point that is
asked about, which within some kilometres is right to a metre.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any

from sqlalchemy import Row, Select, delete, select
from sqlalchemy.orm import Session

from models import LegacyPair, LegacyPlace, Place, PlaceBorder
from services.errors import Invalid

# Nearer than this to a border, the better receivers of phones cannot say on which side they are.
NEAR_M = 60.0
# One degree of latitude, in metres.
_DEGREE_M = 6_371_000 * math.pi / 180
# In degrees, and a little more than NEAR_M in any direction.
_MARGIN = 0.001
_COMMUNE = 2
_RING = 4
# The province with some room: numbers elsewhere are in another order or of another projection.
_LNGS, _LATS = (105.0, 107.0), (21.0, 23.0)

Point = tuple[float, float]
Ring = Sequence[Point]
Polygon = Sequence[Ring]


class BordersUnfit(Invalid):
    """These borders cannot be used: {why}."""

    vi = "Không dùng được dữ liệu ranh giới này: {why}."


@dataclass(frozen=True, slots=True)
class Imported:
    """What was taken; of the old communes' centres, how many lie in a unit that followed theirs."""

    units: int
    points: int
    centres: int
    centres_right: int


def around(*, lat: float, lng: float) -> Select[*tuple[Place, Any]]:
    """Units whose box a point lies in or nearly in, with their polygons."""
    return (
        select(Place, PlaceBorder.polygons)
        .join(PlaceBorder, PlaceBorder.place_code == Place.code)
        .where(
            PlaceBorder.south <= lat + _MARGIN,
            PlaceBorder.north >= lat - _MARGIN,
            PlaceBorder.west <= lng + _MARGIN,
            PlaceBorder.east >= lng - _MARGIN,
        )
    )


def nearest_first(
    rows: Iterable[Row[*tuple[Place, Any]]], *, lat: float, lng: float
) -> list[tuple[Place, float]]:
    """Those of `around` that a point lies in or nearly in, with the metres to them."""
    found = [(place, away_m(polygons, lat=lat, lng=lng)) for place, polygons in rows]
    return sorted(
        (each for each in found if each[1] <= NEAR_M), key=lambda each: (each[1], each[0].code)
    )


def import_borders(session: Session, document: Any) -> Imported:
    """Take the borders of all communes from a GeoJSON FeatureCollection, in place of former ones.

    Each feature's `code` property is the code of a unit of today; all of them have to be there, or
    a point in one that is not would be called outside.

    Raises:
        BordersUnfit
    """
    drawn = dict(_features(document))
    communes = set(session.scalars(select(Place.code).where(Place.level == _COMMUNE)))
    if unknown := sorted(drawn.keys() - communes):
        raise BordersUnfit(why=f"no units of today: {', '.join(unknown)}")
    if missing := sorted(communes - drawn.keys()):
        raise BordersUnfit(why=f"units without borders: {', '.join(missing)}")
    session.execute(delete(PlaceBorder))
    session.add_all(_row(code, polygons) for code, polygons in drawn.items())
    session.flush()
    centres = session.execute(
        select(LegacyPlace.lat, LegacyPlace.lng, LegacyPair.old_code, LegacyPair.new_code).join(
            LegacyPair, LegacyPair.old_code == LegacyPlace.code
        )
    ).all()
    right = {
        row.old_code
        for row in centres
        if away_m(drawn[row.new_code], lat=row.lat, lng=row.lng) == 0
    }
    return Imported(
        units=len(drawn),
        points=sum(len(ring) for polygons in drawn.values() for ring in chain(*polygons)),
        centres=len({row.old_code for row in centres}),
        centres_right=len(right),
    )


def away_m(polygons: Iterable[Polygon], *, lat: float, lng: float) -> float:
    """Metres from a point to the nearest of some polygons; 0 within one."""
    return min(_away_m(polygon, lat, lng) for polygon in polygons)


def _away_m(polygon: Polygon, lat: float, lng: float) -> float:
    """Inside by the even-odd rule, so that a hole is outside (RFC 7946 section 3.1.6)."""
    east = _DEGREE_M * math.cos(math.radians(lat))
    inside = False
    nearest = math.inf
    for ring in polygon:
        around = [((x - lng) * east, (y - lat) * _DEGREE_M) for x, y in ring]
        for (x1, y1), (x2, y2) in pairwise(around):
            if (y1 > 0) != (y2 > 0) and x1 < (x2 - x1) * y1 / (y2 - y1):
                inside = not inside
            nearest = min(nearest, _from_origin(x1, y1, x2, y2))
    return 0.0 if inside else nearest


def _from_origin(x1: float, y1: float, x2: float, y2: float) -> float:
    """The distance from (0, 0) to a segment."""
    dx, dy = x2 - x1, y2 - y1
    length = dx * dx + dy * dy
    along = 0.0 if length == 0 else max(0.0, min(1.0, -(x1 * dx + y1 * dy) / length))
    return math.hypot(x1 + along * dx, y1 + along * dy)


def _row(code: str, polygons: Sequence[Polygon]) -> PlaceBorder:
    outer = [point for polygon in polygons for point in polygon[0]]
    lngs, lats = zip(*outer, strict=True)
    return PlaceBorder(
        place_code=code,
        south=min(lats),
        west=min(lngs),
        north=max(lats),
        east=max(lngs),
        polygons=polygons,
    )


def _features(document: Any) -> Iterator[tuple[str, Sequence[Polygon]]]:
    if not isinstance(document, dict) or document.get("type") != "FeatureCollection":
        raise BordersUnfit(why="this is no GeoJSON FeatureCollection")
    if "crs" in document:
        # RFC 7946 section 4: degrees of WGS 84 are the only ones.
        raise BordersUnfit(why="coordinates of another system than WGS 84 (the member crs)")
    features = document.get("features")
    if not isinstance(features, list):
        raise BordersUnfit(why="there are no features")
    seen: set[str] = set()
    for number, feature in enumerate(features):
        code = _member(_member(feature, "properties"), "code")
        if not isinstance(code, str):
            raise BordersUnfit(why=f"feature {number} has no code among its properties")
        if code in seen:
            raise BordersUnfit(why=f"{code} is there twice")
        seen.add(code)
        yield code, _polygons(code, _member(feature, "geometry"))


def _member(found: Any, name: str) -> Any:
    return found.get(name) if isinstance(found, dict) else None


def _polygons(code: str, geometry: Any) -> Sequence[Polygon]:
    kind, coordinates = _member(geometry, "type"), _member(geometry, "coordinates")
    if kind not in {"Polygon", "MultiPolygon"}:
        raise BordersUnfit(why=f"{code} is neither a Polygon nor a MultiPolygon")
    polygons = [coordinates] if kind == "Polygon" else coordinates
    try:
        read = [[[_point(point) for point in ring] for ring in polygon] for polygon in polygons]
    except (TypeError, ValueError):
        raise BordersUnfit(why=f"{code} has a point that is no pair of numbers") from None
    if not read or not all(read):
        raise BordersUnfit(why=f"{code} has no points")
    for ring in chain(*read):
        if len(ring) < _RING or ring[0] != ring[-1]:
            raise BordersUnfit(why=f"{code} has a ring that is not closed")
        if not all(_is_here(point) for point in ring):
            raise BordersUnfit(
                why=f"{code} has a point outside {_LNGS} east and {_LATS} north; "
                "longitude comes first, in degrees of WGS 84"
            )
    return read


def _point(point: Any) -> Point:
    """A position; what comes after longitude and latitude is the height, and of no use here."""
    lng, lat, *_ = point
    if isinstance(lng, bool | str) or isinstance(lat, bool | str):
        raise TypeError
    return float(lng), float(lat)


def _is_here(point: Point) -> bool:
    lng, lat = point
    return _LNGS[0] <= lng <= _LNGS[1] and _LATS[0] <= lat <= _LATS[1]
