"""Borders of communes: importing them, and which commune a point lies in when they are there.

The borders here are made from the centres of the old communes: each has the cell of all points
that are nearer to it than to any other, and a unit of today has the cells of its communes. So what
is found by borders has to be what is found by the nearest centre.
"""

import copy
import functools
import itertools
import json
import math

import pytest
from click.testing import Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from models import LegacyPair, LegacyPlace, Place, PlaceBorder
from services import places
from services.places import borders
from tests import factories

SOUTH, NORTH, WEST, EAST = 21.2, 22.9, 105.3, 106.5
BOX = [(WEST, SOUTH), (EAST, SOUTH), (EAST, NORTH), (WEST, NORTH)]
# The centres' order of nearness is by degrees of this latitude, so the cells are too.
SHRINK = math.cos(math.radians(22))


def cell(centre, others):
    """The part of the box that is nearer to `centre` than to any of `others`."""
    corners = BOX
    for other in others:
        corners = nearer_half(corners, centre, other)
    return corners


def nearer_half(corners, a, b):
    def side(point):
        return away2(point, b) - away2(point, a)

    kept = []
    for here, there in zip(corners, [*corners[1:], corners[0]], strict=True):
        at_here, at_there = side(here), side(there)
        if at_here >= 0:
            kept.append(here)
        if (at_here > 0 > at_there) or (at_here < 0 < at_there):
            part = at_here / (at_here - at_there)
            kept.append(tuple(x + part * (y - x) for x, y in zip(here, there, strict=True)))
    return kept


def away2(point, other):
    return ((point[0] - other[0]) * SHRINK) ** 2 + (point[1] - other[1]) ** 2


@pytest.fixture(scope="session")
def drawn(engine):
    """A FeatureCollection of the 92 units; nobody changes it."""
    query = (
        select(LegacyPlace.lng, LegacyPlace.lat, LegacyPair.new_code)
        .join(LegacyPair, LegacyPair.old_code == LegacyPlace.code)
        .where(LegacyPair.is_default)
    )
    with engine.connect() as connection:
        centres = {(lng, lat): code for lng, lat, code in connection.execute(query)}
    units = {}
    for centre, code in centres.items():
        corners = cell(centre, [other for other in centres if other != centre])
        units.setdefault(code, []).append([[*map(list, corners), list(corners[0])]])
    return collection(units)


def collection(units):
    return {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "properties": {"code": code},
                "geometry": {"type": "MultiPolygon", "coordinates": polygons},
            }
            for code, polygons in units.items()
        ],
    }


@pytest.fixture
def imported(session, drawn):
    taken = places.import_borders(session, drawn)
    session.commit()
    return taken


@pytest.fixture
def ask(client):
    def resolve(lat, lng):
        return client.get("/api/v1/places/resolve", query_string={"lat": lat, "lng": lng}).json

    return resolve


def test_all_units_and_all_centres_are_found(imported, session):
    # Two pairs of old communes have one centre each, and one of the pairs different heirs.
    assert (imported.units, imported.centres, imported.centres_right) == (92, 280, 279)
    assert session.scalar(select(func.count()).select_from(PlaceBorder)) == 92


@pytest.mark.usefixtures("imported")
def test_a_point_within_a_border_is_in_that_commune_exactly(ask, session):
    for centre in session.scalars(select(LegacyPlace).limit(20)):
        told = ask(centre.lat, centre.lng)

        assert (told["confidence"], told["distance_m"]) == ("exact", 0)
        assert told["place"] == told["candidates"][0]


@settings(
    derandomize=True,
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(lat=st.floats(SOUTH + 0.01, NORTH - 0.01), lng=st.floats(WEST + 0.01, EAST - 0.01))
@pytest.mark.usefixtures("imported")
def test_every_point_is_in_the_commune_whose_cell_it_is_in(session, lat, lng):
    centres = session.execute(
        select(LegacyPlace.lng, LegacyPlace.lat, LegacyPair.new_code)
        .join(LegacyPair, LegacyPair.old_code == LegacyPlace.code)
        .where(LegacyPair.is_default)
    ).all()
    nearest = min(centres, key=lambda row: away2((lng, lat), (row.lng, row.lat)))

    found = places.resolve(session, lat=lat, lng=lng)

    assert found.confidence == "exact"
    assert nearest.new_code in {place.code for place in found.candidates}
    if not found.uncertain:
        assert found.place.code == nearest.new_code
        assert found.candidates == [found.place]


def a_border_point(drawn):
    """The middle of an edge that two units share, with their codes, and a step across it."""
    edges = {}
    for feature in drawn["features"]:
        for (ring,) in feature["geometry"]["coordinates"]:
            for a, b in itertools.pairwise(ring):
                key = frozenset((round(x, 9), round(y, 9)) for x, y in (a, b))
                edges.setdefault(key, []).append((feature["properties"]["code"], a, b))
    for shared in edges.values():
        codes = {code for code, _, _ in shared}
        _, a, b = shared[0]
        length = math.dist(a, b)
        if len(codes) == 2 and length > 0.02:
            middle = ((a[0] + b[0]) / 2, (a[1] + b[1]) / 2)
            across = (-(b[1] - a[1]) / length, (b[0] - a[0]) / length)
            return middle, across, codes
    raise AssertionError("No two units touch.")


@pytest.mark.usefixtures("imported")
def test_near_a_border_both_communes_are_named_and_the_place_is_uncertain(session, drawn):
    (lng, lat), (east, north), codes = a_border_point(drawn)
    first, second = (
        places.resolve(session, lat=lat + north * step, lng=lng + east * step)
        for step in (0.0003, -0.0003)
    )

    for found in (first, second):
        assert {place.code for place in found.candidates} == codes
        assert (found.confidence, found.distance_m, found.uncertain) == ("exact", 0, True)
    assert {first.place.code, second.place.code} == codes


@pytest.mark.usefixtures("imported")
def test_a_kilometre_from_a_border_the_place_is_certain(session, drawn):
    (lng, lat), (east, north), _ = a_border_point(drawn)

    found = places.resolve(session, lat=lat + north / 100, lng=lng + east / 100)

    assert (found.uncertain, len(found.candidates)) == (False, 1)


def test_a_point_in_a_slit_between_borders_counts_as_in_the_nearer_one(session, drawn):
    apart = copy.deepcopy(drawn)
    for feature in apart["features"]:
        feature["geometry"]["coordinates"] = [
            [shrunk(ring)] for (ring,) in feature["geometry"]["coordinates"]
        ]
    places.import_borders(session, apart)
    (lng, lat), _, codes = a_border_point(drawn)

    found = places.resolve(session, lat=lat, lng=lng)

    assert found.place.code in codes
    assert 0 < found.distance_m <= 60
    assert found.uncertain


def shrunk(ring):
    """Some metres smaller on all sides."""
    lng, lat = (sum(point[axis] for point in ring[:-1]) / (len(ring) - 1) for axis in (0, 1))
    return [[lng + (x - lng) * 0.9995, lat + (y - lat) * 0.9995] for x, y in ring]


@pytest.mark.parametrize(
    ("lat", "lng", "metres"),
    [(SOUTH - 0.1, 105.85, 11_119), (22.0, EAST + 0.05, 5_155), (NORTH + 1, 105.85, 111_195)],
)
@pytest.mark.usefixtures("imported")
def test_outside_the_distance_to_the_border_is_told(ask, lat, lng, metres):
    told = ask(lat, lng)

    assert (told["confidence"], told["place"], told["candidates"]) == ("outside", None, [])
    assert told["distance_m"] == pytest.approx(metres, rel=0.01)


@pytest.mark.usefixtures("imported")
def test_a_report_from_outside_is_refused_with_the_distance(client, headers):
    answer = client.post(
        "/api/v1/reports",
        json={
            "category": "giao-thong",
            "description": "Ổ gà.",
            "lat": SOUTH - 0.1,
            "lng": 105.85,
        },
        headers=headers | {"Idempotency-Key": "8a4cf1de-50b1-43e7-9d5c-1b8f9cf0a3d1"},
    )

    assert (answer.status_code, answer.json["code"]) == (422, "outside_province")
    assert "11 km" in answer.json["detail"]


@pytest.mark.usefixtures("imported")
def test_a_report_near_a_border_is_marked_for_checking(session, citizen, drawn):
    (lng, lat), (east, north), _ = a_border_point(drawn)

    near = factories.a_report(session, citizen, lat=lat + north * 3e-4, lng=lng + east * 3e-4)
    far = factories.a_report(session, citizen, lat=lat + north / 100, lng=lng + east / 100)

    assert (near.place_uncertain, far.place_uncertain) == (True, False)


def test_a_hole_is_outside():
    square = [[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]]
    hole = [[1, 1], [3, 1], [3, 3], [1, 3], [1, 1]]

    away = functools.partial(borders.away_m, [[square, hole]])

    assert away(lat=0.5, lng=0.5) == 0
    assert away(lat=2, lng=2) == pytest.approx(111_195, rel=0.001)


@pytest.mark.usefixtures("imported")
def test_importing_again_takes_the_place_of_what_was_there(session, drawn):
    places.import_borders(session, drawn)

    assert session.scalar(select(func.count()).select_from(PlaceBorder)) == 92


@pytest.fixture
def run(app, tmp_path):
    def command(content: bytes | str | dict) -> Result:
        file = tmp_path / "borders.geojson"
        if isinstance(content, dict):
            content = json.dumps(content)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return app.test_cli_runner().invoke(args=["import-boundaries", str(file)])

    return command


def test_the_command_says_what_it_took(run, drawn):
    result = run(drawn)

    assert result.exit_code == 0, result.output
    assert "92 units with" in result.output
    assert "280 old communes, 279 lie in a unit that followed theirs." in result.output


def first(document):
    return document["features"][0]


def turned(point):
    return [point[1], point[0]]


SPOILED = {
    "no JSON": lambda _: b"not json",
    "a list": lambda _: "[]",
    "no FeatureCollection": lambda document: document | {"type": "Feature"},
    "no features": lambda document: document | {"features": None},
    "another system": lambda document: document | {"crs": {"type": "name"}},
    "a unit is missing": lambda document: document | {"features": document["features"][1:]},
    "a unit twice": lambda document: (
        document | {"features": [*document["features"], first(document)]}
    ),
    "a code of nothing": lambda document: first(document)["properties"].update(code="99999"),
    "the province": lambda document: first(document)["properties"].update(code="19"),
    "a code that is a number": lambda document: first(document)["properties"].update(code=5443),
    "no properties": lambda document: first(document).update(properties=None),
    "no geometry": lambda document: first(document).update(geometry=None),
    "a line": lambda document: first(document)["geometry"].update(type="LineString"),
    "no rings": lambda document: first(document)["geometry"].update(coordinates=[]),
    "an empty ring": lambda document: first(document)["geometry"].update(coordinates=[[[]]]),
    "an open ring": lambda document: first(document)["geometry"]["coordinates"][0][0].pop(),
    "words": lambda document: first(document)["geometry"].update(coordinates=[[[["a", "b"]] * 4]]),
    "nothing deep": lambda document: first(document)["geometry"].update(coordinates=[7]),
    "latitude first": lambda document: first(document)["geometry"].update(
        coordinates=[
            [[turned(point) for point in ring] for ring in polygon]
            for polygon in first(document)["geometry"]["coordinates"]
        ]
    ),
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED.keys())
@pytest.mark.usefixtures("imported")
def test_borders_that_cannot_be_right_change_nothing_and_are_named(run, session, drawn, spoil):
    document = copy.deepcopy(drawn)
    spoiled = spoil(document)

    result = run(
        document if spoiled is None or not isinstance(spoiled, bytes | str | dict) else spoiled
    )

    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert session.scalar(select(func.count()).select_from(PlaceBorder)) == 92


def test_where_a_point_lies_takes_one_statement_with_borders_and_two_without(
    session, drawn, statements
):
    def cost(lat):
        session.connection()
        with statements() as seen:
            places.resolve(session, lat=lat, lng=105.85)
        return len(seen)

    assert cost(21.6) == 2
    places.import_borders(session, drawn)
    session.commit()

    assert (cost(21.6), cost(SOUTH - 1)) == (1, 3)


def test_every_unit_of_today_can_be_drawn(session, drawn):
    assert {feature["properties"]["code"] for feature in drawn["features"]} == set(
        session.scalars(select(Place.code).where(Place.level == 2))
    )
