"""Communes: what they are called, what became of the old ones, and which one a point lies in."""

from services.places.borders import BordersUnfit, Imported, import_borders
from services.places.resolving import Resolution, resolve
from services.places.units import (
    PlaceNotFound,
    Succession,
    get,
    search,
    succession,
)

__all__ = [
    "BordersUnfit",
    "Imported",
    "PlaceNotFound",
    "Resolution",
    "Succession",
    "get",
    "import_borders",
    "resolve",
    "search",
    "succession",
]
