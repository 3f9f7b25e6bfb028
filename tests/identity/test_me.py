"""The person signed in: what they may see and change of themselves."""

import uuid

import pytest
from sqlalchemy import inspect, select

from models import AuditEvent, Citizen
from tests import factories

ME = "/api/v1/me"
HOME = "05443"


@pytest.fixture
def citizen(session):
    return factories.a_citizen(session, "Dương Thị Mình")


def stored(session, citizen) -> dict:
    session.expire_all()
    fresh = session.get_one(Citizen, citizen.id)
    return {column.key: getattr(fresh, column.key) for column in inspect(Citizen).column_attrs}


def test_somebody_sees_who_they_are(client, citizen, headers):
    answer = client.get(ME, headers=headers)

    assert answer.json == {
        "id": str(citizen.id),
        "name": "Dương Thị Mình",
        "phone": factories.VAULT.read(citizen, "phone"),
        "locale": "vi",
        "home_place": None,
        "acr": "urn:thainguyen:loa:2",
        "deletion_due_at": None,
    }


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("0912 345 678", "+84912345678"),
        ("+84.912.345.678", "+84912345678"),
        ("84912345678", "+84912345678"),
        ("(0208) 385-5688", "+842083855688"),
        (None, None),
    ],
)
def test_somebody_changes_their_phone_number(client, session, citizen, headers, typed, kept):
    answer = client.patch(ME, json={"phone": typed}, headers=headers)

    session.expire_all()
    assert (answer.status_code, answer.json["phone"]) == (200, kept)
    assert factories.VAULT.read(session.get_one(Citizen, citizen.id), "phone") == kept


@pytest.mark.parametrize("typed", ["0112345678", "+1 202 555 0123", "091234567", "٠٩١٢٣٤٥٦٧٨"])
def test_a_phone_number_is_a_vietnamese_one(client, session, citizen, headers, typed):
    before = stored(session, citizen)

    answer = client.patch(ME, json={"phone": typed}, headers=headers)

    assert (answer.status_code, answer.json["code"]) == (422, "phone_unlikely")
    assert stored(session, citizen) == before


def test_the_number_that_somebody_chose_outlives_the_providers(
    app, client, session, citizen, headers
):
    client.patch(ME, json={"phone": "0987654321"}, headers=headers)

    again = factories.bearer(app, session, citizen)

    assert client.get(ME, headers=again).json["phone"] == "+84987654321"


def test_somebody_changes_language_and_home(client, session, citizen, headers):
    answer = client.patch(ME, json={"locale": "en", "home_place": HOME}, headers=headers)

    assert (answer.status_code, answer.json["locale"], answer.json["home_place"]) == (
        *(200, "en"),
        HOME,
    )
    assert stored(session, citizen)["home_place_code"] == HOME


def test_what_is_not_named_stays(client, session, citizen, headers):
    client.patch(ME, json={"locale": "en", "home_place": HOME}, headers=headers)

    client.patch(ME, json={"locale": "vi"}, headers=headers)
    client.patch(ME, json={}, headers=headers)

    kept = stored(session, citizen)
    assert (kept["locale"], kept["home_place_code"]) == ("vi", HOME)


def test_what_was_changed_is_recorded_by_name_and_not_what_it_was_or_is(
    client, session, citizen, headers
):
    client.patch(ME, json={"phone": "0987654321", "locale": "en"}, headers=headers)
    client.patch(ME, json={}, headers=headers)

    (event,) = session.scalars(select(AuditEvent).where(AuditEvent.action == "citizen:edit"))
    assert (event.actor_id, event.subject_id) == (citizen.id, citizen.id)
    assert event.detail == {"changed": ["locale", "phone"]}


def test_null_takes_the_home_away(client, headers):
    client.patch(ME, json={"home_place": HOME}, headers=headers)

    answer = client.patch(ME, json={"home_place": None}, headers=headers)

    assert (answer.status_code, answer.json["home_place"]) == (200, None)


@pytest.mark.parametrize("code", ["00000", "99999", "     ", "xã xã"])
def test_a_home_is_a_commune_of_the_province(client, session, citizen, headers, code):
    answer = client.patch(ME, json={"home_place": code}, headers=headers)

    assert (answer.status_code, answer.json["code"]) == (422, "unknown_home_place")
    assert stored(session, citizen)["home_place_code"] is None


@pytest.mark.parametrize(
    "body",
    [
        {"locale": "fr"},
        {"locale": None},
        {"locale": 1},
        {"home_place": "19"},
        {"home_place": ["05443"]},
        {"name": "Tên khác"},
        {"id": str(uuid.UUID(int=1))},
        {"acr": "urn:thainguyen:loa:2"},
        {"number_index": "00"},
        {"created_at": "2020-01-01T00:00:00Z"},
        {"roles": ["administrator"]},
        {"is_admin": True},
        {"home_place_code": "05443"},
        {"__class__": "Staff"},
        {"_sa_instance_state": {}},
    ],
)
def test_nothing_else_can_be_changed(client, session, citizen, headers, body):
    before = stored(session, citizen)

    answer = client.patch(ME, json=body, headers=headers)

    assert (answer.status_code, answer.json["code"]) == (422, "invalid")
    assert stored(session, citizen) == before


def test_one_wrong_field_keeps_the_others_from_changing(client, session, citizen, headers):
    before = stored(session, citizen)

    client.patch(ME, json={"locale": "en", "home_place": "99999"}, headers=headers)

    assert stored(session, citizen) == before


def test_nobody_changes_somebody_else(client, session, headers):
    other = factories.a_citizen(session)
    before = stored(session, other)

    client.patch(ME, json={"locale": "en"}, headers=headers)

    assert stored(session, other) == before
