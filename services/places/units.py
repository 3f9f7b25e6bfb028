"""The communes of today by name and by code, and what became of the old ones."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from models import LegacyPair, LegacyPlace, Place
from services.errors import NotFound
from services.text import fold


class PlaceNotFound(NotFound):
    """There is no such commune or ward."""

    vi = "Không có xã, phường này."


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
