"""Which commune a point lies in: by borders where they are loaded, otherwise by the old centres."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, exists, func, select
from sqlalchemy.orm import Session

from models import LegacyPair, LegacyPlace, Place, PlaceBorder
from services.places import borders
from services.places.units import PlaceNotFound

# Measured against the province's borders: no point inside is farther than 10.6 km from the
# centre of an old commune, and most uncertain ones are farther than 7 km.
OUTSIDE_KM = 11.0
UNCERTAIN_KM = 7.0
_EARTH_KM = 6371.0
_CANDIDATES = 3


@dataclass(frozen=True, slots=True)
class Resolution:
    """Where a point lies, and how that is known.

    `confidence` is "exact" by borders, "approximate" by the centres of old communes, or "outside".
    `distance_m` is from the nearest border, and 0 within; from the nearest centre without borders.
    Whoever handles what is `uncertain` should look which of the `candidates` it is.
    """

    place: Place | None
    confidence: str
    candidates: list[Place]
    distance_m: int
    uncertain: bool


def resolve(session: Session, *, lat: float, lng: float) -> Resolution:
    """The commune of a point in degrees, with those that it might lie in as well.

    Raises:
        PlaceNotFound: no reference data is loaded.
    """
    near = borders.nearest_first(
        session.execute(borders.around(lat=lat, lng=lng)).all(), lat=lat, lng=lng
    )
    if near:
        return _by_borders(near)
    rows = session.execute(_nearest_centres(lat, lng)).all()
    if not rows:
        raise PlaceNotFound
    if rows[0].drawn:
        all_borders = session.scalars(select(PlaceBorder.polygons))
        return _outside(min(borders.away_m(each, lat=lat, lng=lng) for each in all_borders))
    return _by_centres(rows, lat, lng)


def _by_borders(near: Sequence[tuple[Place, float]]) -> Resolution:
    _, away_m = near[0]
    candidates = [place for place, _ in near]
    return Resolution(
        place=candidates[0],
        confidence="exact",
        candidates=candidates,
        distance_m=round(away_m),
        uncertain=len(near) > 1 or away_m > 0,
    )


def _nearest_centres(lat: float, lng: float) -> Select[*tuple[Any, ...]]:
    """Units by the centres of their old communes, and whether there are any borders."""
    # Degrees of longitude shrink with the cosine of the latitude; exact enough for an order.
    shrink = math.cos(math.radians(lat)) ** 2
    nearness = func.power(LegacyPlace.lat - lat, 2) + func.power(LegacyPlace.lng - lng, 2) * shrink
    return (
        select(Place, LegacyPlace.lat, LegacyPlace.lng, exists(select(PlaceBorder)).label("drawn"))
        .join(LegacyPair, LegacyPair.new_code == Place.code)
        .join(LegacyPlace, LegacyPlace.code == LegacyPair.old_code)
        .where(LegacyPair.is_default)
        .order_by(nearness, LegacyPlace.code)
        .limit(40)  # No unit of today was made of more than 13 communes.
    )


def _by_centres(rows: Sequence[Any], lat: float, lng: float) -> Resolution:
    distance = distance_km((lat, lng), (rows[0].lat, rows[0].lng))
    if distance > OUTSIDE_KM:
        return _outside(distance * 1000)
    candidates = list({row.Place.code: row.Place for row in rows}.values())[:_CANDIDATES]
    return Resolution(
        place=candidates[0],
        confidence="approximate",
        candidates=candidates,
        distance_m=round(distance * 1000),
        uncertain=distance > UNCERTAIN_KM,
    )


def _outside(away_m: float) -> Resolution:
    return Resolution(None, "outside", [], round(away_m), uncertain=False)


def distance_km(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Great-circle distance between two (lat, lng) in degrees, by the haversine formula."""
    (lat1, lng1), (lat2, lng2) = (tuple(map(math.radians, point)) for point in (a, b))
    half = (
        math.sin((lat2 - lat1) / 2) ** 2
        + math.cos(lat1) * math.cos(lat2) * math.sin((lng2 - lng1) / 2) ** 2
    )
    return 2 * _EARTH_KM * math.asin(math.sqrt(half))
