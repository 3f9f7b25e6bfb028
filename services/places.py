"""Which commune a point lies in, and what became of the old ones."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models import LegacyPair, LegacyPlace, Place
from services.errors import NotFound
from services.text import fold

# Measured against the province's borders: no point inside is farther than 10.6 km from the
# centre of an old commune, and most uncertain ones are farther than 7 km.
OUTSIDE_KM = 11.0
UNCERTAIN_KM = 7.0
_EARTH_KM = 6371.0
_CANDIDATES = 3


class PlaceNotFound(NotFound):
    """There is no such commune or ward."""

    vi = "Không có xã, phường này."


@dataclass(frozen=True, slots=True)
class Resolution:
    """Where a point lies: "approximate" as long as no borders are loaded, or "outside"."""

    place: Place | None
    confidence: str
    candidates: list[Place]
    distance_m: int
    uncertain: bool


@dataclass(frozen=True, slots=True)
class Succession:
    """An old commune and the units of today that it went into, the default one first."""

    legacy: LegacyPlace
    successors: list[Place]


def search(session: Session, *, level: int | None = None, q: str = "") -> Sequence[Place]:
    """Units by name without tone marks, prefix or not: "van lang" finds Văn Lang and Văn Lăng."""
    query = select(Place).order_by(Place.level, Place.folded_name, Place.code)
    if level is not None:
        query = query.where(Place.level == level)
    if q.strip():
        query = query.where(Place.folded_name.contains(fold(q), autoescape=True))
    return session.scalars(query).all()


def get(session: Session, code: str) -> Place:
    """Raises PlaceNotFound."""
    place = session.get(Place, code)
    if place is None:
        raise PlaceNotFound
    return place


def succession(session: Session, old_code: str) -> Succession:
    """Raises PlaceNotFound."""
    legacy = session.get(LegacyPlace, old_code)
    if legacy is None:
        raise PlaceNotFound
    successors = session.scalars(
        select(Place)
        .join(LegacyPair, LegacyPair.new_code == Place.code)
        .where(LegacyPair.old_code == old_code)
        .order_by(LegacyPair.is_default.desc(), Place.code)
    ).all()
    return Succession(legacy, list(successors))


def resolve(session: Session, *, lat: float, lng: float) -> Resolution:
    """The unit of today whose old communes have the nearest centre, with the two next best."""
    # Degrees of longitude shrink with the cosine of the latitude; exact enough for an order.
    shrink = math.cos(math.radians(lat)) ** 2
    nearness = func.power(LegacyPlace.lat - lat, 2) + func.power(LegacyPlace.lng - lng, 2) * shrink
    rows = session.execute(
        select(Place, LegacyPlace.lat, LegacyPlace.lng)
        .join(LegacyPair, LegacyPair.new_code == Place.code)
        .join(LegacyPlace, LegacyPlace.code == LegacyPair.old_code)
        .where(LegacyPair.is_default)
        .order_by(nearness, LegacyPlace.code)
        .limit(40)  # No unit of today was made of more than 13 communes.
    ).all()
    if not rows:
        raise PlaceNotFound
    candidates = list({place.code: place for place, _, _ in rows}.values())[:_CANDIDATES]
    distance = distance_km((lat, lng), (rows[0].lat, rows[0].lng))
    outside = distance > OUTSIDE_KM
    return Resolution(
        place=None if outside else candidates[0],
        confidence="outside" if outside else "approximate",
        candidates=[] if outside else candidates,
        distance_m=round(distance * 1000),
        uncertain=distance > UNCERTAIN_KM,
    )


def distance_km(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Great-circle distance between two (lat, lng) in degrees, by the haversine formula."""
    (lat1, lng1), (lat2, lng2) = (tuple(map(math.radians, point)) for point in (a, b))
    half = (
        math.sin((lat2 - lat1) / 2) ** 2
        + math.cos(lat1) * math.cos(lat2) * math.sin((lng2 - lng1) / 2) ** 2
    )
    return 2 * _EARTH_KM * math.asin(math.sqrt(half))
