"""Administrative units: today's 92 and the 280 communes they were made of on 1 July 2025."""

from typing import Any

from sqlalchemy import CheckConstraint, Float, ForeignKey, Index, String
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class Place(Base):
    """A unit of today: the province (level 1) or a commune or ward (level 2)."""

    __tablename__ = "places"
    __table_args__ = (CheckConstraint("level in (1, 2)", name="level"), Index(None, "folded_name"))

    code: Mapped[str] = mapped_column(String(5), primary_key=True)
    name: Mapped[str]
    full_name: Mapped[str]
    kind: Mapped[str] = mapped_column(String(10))
    level: Mapped[int]
    folded_name: Mapped[str]


class LegacyPlace(Base):
    """A commune as it was until 30 June 2025.

    Codes are not shared with `Place`: all 92 codes of today were the code of an old commune too,
    46 of them under another name, so the table is the era.
    """

    __tablename__ = "legacy_places"

    code: Mapped[str] = mapped_column(String(5), primary_key=True)
    full_name: Mapped[str]
    district_code: Mapped[str] = mapped_column(String(3))
    district: Mapped[str]
    province: Mapped[str]
    lat: Mapped[float] = mapped_column(Float)
    lng: Mapped[float] = mapped_column(Float)


class LegacyPair(Base):
    """An old commune went, whole or in part, into a unit of today."""

    __tablename__ = "legacy_pairs"
    __table_args__ = (Index(None, "new_code"),)

    old_code: Mapped[str] = mapped_column(ForeignKey("legacy_places.code"), primary_key=True)
    new_code: Mapped[str] = mapped_column(ForeignKey("places.code"), primary_key=True)
    is_default: Mapped[bool]


class PlaceBorder(Base):
    """The border of a unit of today, as imported; without any, places are approximate.

    `polygons` is a list of polygons, each a list of closed rings of [longitude, latitude], the
    outer one first. The box around them is in degrees.
    """

    __tablename__ = "place_borders"

    place_code: Mapped[str] = mapped_column(ForeignKey("places.code"), primary_key=True)
    south: Mapped[float] = mapped_column(Float)
    west: Mapped[float] = mapped_column(Float)
    north: Mapped[float] = mapped_column(Float)
    east: Mapped[float] = mapped_column(Float)
    polygons: Mapped[Any] = mapped_column(JSONB)
