"""Communes of today and of before July 2025, and which one a point lies in."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from models import LegacyPair, LegacyPlace, Place
from services import places
from services.places.resolving import distance_km
from services.text import fold
from tests import factories

NORTH, SOUTH, WEST, EAST = 22.75, 21.30, 105.40, 106.25


def counted(session, table) -> int:
    return session.scalar(select(func.count()).select_from(table))


def names(answer) -> list[str]:
    return [item["name"] for item in answer.json["items"]]


def test_the_province_has_92_units_made_of_280(session):
    assert counted(session, Place) == 93
    assert counted(session, LegacyPlace) == 280
    assert counted(session, LegacyPair) == 283


def test_fifteen_units_are_wards_and_77_communes(client):
    kinds = [item["kind"] for item in client.get("/api/v1/places?level=2").json["items"]]

    assert (kinds.count("phuong"), kinds.count("xa"), len(kinds)) == (15, 77, 92)


def test_the_province_is_the_unit_of_level_1(client):
    answer = client.get("/api/v1/places?level=1")

    assert answer.json["items"] == [
        {
            "code": "19",
            "name": "Tỉnh Thái Nguyên",
            "short_name": "Thái Nguyên",
            "kind": "tinh",
            "level": 1,
        }
    ]


@pytest.mark.parametrize(
    "typed", ["van lang", "Văn Lang", "VĂN LĂNG", "  văn   lang ", "xa van lan"]
)
def test_tone_marks_do_not_matter_in_a_search(client, typed):
    answer = client.get("/api/v1/places", query_string={"q": typed})

    assert names(answer) == ["Xã Văn Lang", "Xã Văn Lăng"]


def test_a_search_folds_the_letter_d_with_a_stroke(client):
    assert "Phường Đức Xuân" in names(client.get("/api/v1/places?q=duc xuan"))


def test_a_name_may_come_in_decomposed_letters(client):
    assert names(client.get("/api/v1/places?q=Va\u0306n La\u0306ng"))


@pytest.mark.parametrize("typed", ["%", "_", "\\", "'; DROP TABLE places; --", "Hà Nội"])
def test_a_search_for_what_is_no_name_finds_nothing(client, typed):
    answer = client.get("/api/v1/places", query_string={"q": typed})

    assert (answer.status_code, names(answer)) == (200, [])


def test_a_unit_is_found_by_its_code(client):
    answer = client.get("/api/v1/places/05443")

    assert (answer.json["name"], answer.json["kind"]) == ("Phường Phan Đình Phùng", "phuong")
    assert answer.headers["Cache-Control"] == "public, max-age=3600"


@pytest.mark.parametrize("code", ["00000", "5443", "054430", "TN", "legacy"])
def test_a_code_of_nothing_finds_nothing(client, code):
    assert client.get(f"/api/v1/places/{code}").json["code"] == "place_not_found"
    assert client.get(f"/api/v1/places/legacy/{code}").json["code"] == "place_not_found"


def test_a_code_means_another_place_in_another_era(client):
    today = client.get("/api/v1/places/01843").json
    before = client.get("/api/v1/places/legacy/01843").json

    assert today["name"] == "Phường Bắc Kạn"
    assert before["name"] == "Phường Phùng Chí Kiên"
    assert before["province"] == "Tỉnh Bắc Kạn"


@pytest.mark.parametrize(
    ("old", "successors"),
    [("05461", ["05443", "05467"]), ("05467", ["05467", "05500"]), ("05932", ["05941", "05908"])],
)
def test_a_divided_commune_names_both_heirs_the_default_first(client, old, successors):
    answer = client.get(f"/api/v1/places/legacy/{old}")

    assert [place["code"] for place in answer.json["successors"]] == successors


def test_every_old_commune_has_an_heir_and_exactly_one_default(session):
    defaults = dict(
        session.execute(
            select(LegacyPair.old_code, func.count())
            .where(LegacyPair.is_default)
            .group_by(LegacyPair.old_code)
        ).all()
    )

    assert len(defaults) == 280
    assert set(defaults.values()) == {1}


def test_every_unit_of_today_was_made_of_something(session):
    heirs = set(session.scalars(select(LegacyPair.new_code)))

    assert len(heirs) == 92


def test_a_point_in_the_city_lies_in_a_ward(client):
    answer = client.get("/api/v1/places/resolve", query_string=factories.CITY)

    told = answer.json
    assert told["confidence"] == "approximate"
    assert told["place"] == told["candidates"][0]
    assert told["place"]["name"].startswith("Phường ")
    assert len({place["code"] for place in told["candidates"]}) == 3


@pytest.mark.parametrize(
    ("lat", "lng"), [(21.03, 105.85), (10.78, 106.70), (0, 0), (-90, -180), (90, 180), (21.6, 107)]
)
def test_a_point_elsewhere_lies_outside(client, lat, lng):
    told = client.get("/api/v1/places/resolve", query_string={"lat": lat, "lng": lng}).json

    assert (told["confidence"], told["place"], told["candidates"]) == ("outside", None, [])
    assert told["distance_m"] > 11_000


def test_every_old_centre_lies_in_a_default_heir(session):
    query = select(LegacyPlace, LegacyPair.new_code).join(
        LegacyPair, LegacyPair.old_code == LegacyPlace.code
    )

    for old, heir in session.execute(query.where(LegacyPair.is_default)):
        found = places.resolve(session, lat=old.lat, lng=old.lng)
        assert found.distance_m == 0
        assert heir in {place.code for place in found.candidates}


def test_far_from_every_centre_the_place_is_uncertain(session):
    centres = session.execute(select(LegacyPlace.lat, LegacyPlace.lng)).all()
    grid = [(21.4 + row / 40, 105.5 + column / 40) for row in range(50) for column in range(28)]
    nearest = {point: min(distance_km(point, centre) for centre in centres) for point in grid}
    far, near = (
        next(point for point, km in nearest.items() if low < km < high)
        for low, high in ((7.5, 10.5), (2, 5))
    )

    lonely = places.resolve(session, lat=far[0], lng=far[1])
    usual = places.resolve(session, lat=near[0], lng=near[1])

    assert (lonely.uncertain, usual.uncertain) == (True, False)
    assert lonely.place is not None


@settings(
    derandomize=True,
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(lat=st.floats(SOUTH, NORTH), lng=st.floats(WEST, EAST))
def test_the_nearest_centre_decides(session, lat, lng):
    found = places.resolve(session, lat=lat, lng=lng)

    centres = session.execute(select(LegacyPlace.lat, LegacyPlace.lng)).all()
    nearest = min(distance_km((lat, lng), centre) for centre in centres)
    assert found.distance_m == pytest.approx(nearest * 1000, abs=60)
    assert (found.place is None) is (found.confidence == "outside") is (found.distance_m > 11_000)


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"lat": "91", "lng": "105"}, "/query/lat"),
        ({"lat": "21", "lng": "181"}, "/query/lng"),
        ({"lat": "nan", "lng": "105"}, "/query/lat"),
        ({"lat": "21", "lng": "inf"}, "/query/lng"),
        ({"lat": "", "lng": "105"}, "/query/lat"),
        ({"lng": "105"}, "/query/lat"),
        ({"lat": "21,5", "lng": "105"}, "/query/lat"),
    ],
)
def test_a_point_is_given_in_degrees(client, query, pointer):
    answer = client.get("/api/v1/places/resolve", query_string=query)

    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json["errors"]] == [pointer]


def test_hanoi_is_where_it_is():
    thai_nguyen, hanoi = (21.5942, 105.8482), (21.0278, 105.8342)

    assert distance_km(thai_nguyen, hanoi) == pytest.approx(63.0, abs=0.2)


@settings(derandomize=True, deadline=None)
@given(st.text())
def test_folding_twice_changes_nothing_more(text):
    assert fold(fold(text)) == fold(text)
