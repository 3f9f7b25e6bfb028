"""Communes and wards of today and of before July 2025."""

from typing import Any

from flask import Response, after_this_request

from api.blueprint import Blueprint, public
from api.current import current
from api.openapi import fails
from api.schemas.places import (
    LegacyOut,
    PlaceOut,
    PlaceQuery,
    PlacesOut,
    PointQuery,
    ResolutionOut,
)
from services import places
from services.places import PlaceNotFound

blp = Blueprint("places", __name__, url_prefix="/api/v1", description="Communes and wards")


@blp.get("/places")
@public
@blp.arguments(PlaceQuery, location="query")
@blp.response(200, PlacesOut)
def search(asked: dict[str, Any]) -> Any:
    """Find units by name; tone marks do not matter"""
    _cacheable()
    with current.db.reading() as session:
        return {"items": places.search(session, **asked)}


@blp.get("/places/resolve")
@public
@blp.arguments(PointQuery, location="query")
@blp.response(200, ResolutionOut)
def resolve(point: dict[str, Any]) -> Any:
    """The commune a point lies in, with the next best guesses"""
    with current.db.reading() as session:
        return places.resolve(session, **point)


@blp.get("/places/<code>")
@public
@blp.response(200, PlaceOut)
@fails(PlaceNotFound)
def get(code: str) -> Any:
    """One unit of today"""
    _cacheable()
    with current.db.reading() as session:
        return places.get(session, code)


@blp.get("/places/legacy/<old_code>")
@public
@blp.response(200, LegacyOut)
@fails(PlaceNotFound)
def legacy(old_code: str) -> Any:
    """What became of a commune of before July 2025"""
    _cacheable()
    with current.db.reading() as session:
        return places.succession(session, old_code)


def _cacheable() -> None:
    @after_this_request
    def add(response: Response) -> Response:
        if response.status_code == 200:  # noqa: PLR2004 - OK
            response.headers["Cache-Control"] = "public, max-age=3600"
        return response
