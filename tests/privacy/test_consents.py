"""The consent ledger: nothing is agreed to by itself, and what was agreed to can be proved."""

import datetime as dt
import hashlib

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from models import AuditEvent, Consent
from services.privacy import consents
from services.privacy.purposes import TEXTS, Purpose
from tests import factories
from tests.factories import NOON

CONSENTS = "/api/v1/me/consents"
SURVEYS = f"{CONSENTS}/satisfaction_surveys"
# What was shown to people may never be rewritten; new words are a new version, added here.
SHOWN = {
    ("campaign_messages", 1): "7579eae59132f2dd",
    ("satisfaction_surveys", 1): "c1eb606352acb43f",
    ("research", 1): "1c45ebd66d2de932",
    ("published_photos", 1): "f95594b39f6c955d",
}


def digest(version) -> str:
    words = "|".join(f"{code}|{version[code].title}|{version[code].text}" for code in ("vi", "en"))
    return hashlib.sha256(words.encode()).hexdigest()[:16]


def rows(session, citizen) -> list[Consent]:
    session.expire_all()
    query = select(Consent).where(Consent.citizen_id == citizen.id)
    return session.scalars(query.order_by(Consent.given_at, Consent.id)).all()


def audited(session) -> list[str]:
    query = select(AuditEvent.action).where(AuditEvent.action.like("consent:%"))
    return list(session.scalars(query.order_by(AuditEvent.id)))


@pytest.fixture
def put(client, headers):
    def ask(granted, version=1, address=SURVEYS, **more):
        body = {"granted": granted, "version": version}
        return client.put(address, json=body, headers=headers | more)

    return ask


def test_a_text_that_was_shown_is_not_rewritten():
    now = {
        (purpose.value, number): digest(version)
        for purpose, versions in TEXTS.items()
        for number, version in enumerate(versions, 1)
    }

    assert now == SHOWN


def test_every_purpose_has_both_languages():
    assert TEXTS.keys() == set(Purpose)
    for versions in TEXTS.values():
        for version in versions:
            assert version.keys() == {"vi", "en"}
            assert version["vi"] != version["en"]


def test_nothing_is_agreed_to_from_the_start(client, headers):
    answer = client.get(CONSENTS, headers=headers)

    items = answer.json["items"]
    assert [item["purpose"] for item in items] == [purpose.value for purpose in Purpose]
    for item in items:
        assert (item["granted"], item["since"], item["channel"]) == (False, None, None)
        assert (item["version"], item["history"]) == (1, [])
    assert answer.headers["Cache-Control"] == "private, no-store"


@pytest.mark.parametrize(
    ("language", "title"), [("vi", "Khảo sát mức độ hài lòng"), ("en", "Satisfaction surveys")]
)
def test_the_text_is_in_the_readers_language(client, headers, language, title):
    answer = client.get(CONSENTS, headers=headers | {"Accept-Language": language})

    assert title in [item["title"] for item in answer.json["items"]]


def test_consent_is_given_to_one_purpose_alone(client, session, citizen, headers, put, clock):
    answer = put(granted=True, **{"Accept-Language": "en"})

    assert (answer.status_code, answer.json["granted"]) == (200, True)
    assert answer.json["since"] == "2026-11-23T03:00:00Z"
    assert answer.json["channel"] == "app"
    (row,) = rows(session, citizen)
    assert (row.purpose, row.version, row.locale) == ("satisfaction_surveys", 1, "en")
    assert (row.given_at, row.withdrawn_at) == (clock.now, None)
    listed = client.get(CONSENTS, headers=headers).json["items"]
    assert [item["purpose"] for item in listed if item["granted"]] == ["satisfaction_surveys"]
    assert audited(session) == ["consent:give"]


def test_agreeing_twice_is_agreeing_once(session, citizen, put, clock):
    first = put(granted=True)
    clock.forward(hours=1)

    again = put(granted=True)

    assert again.json == first.json
    assert len(rows(session, citizen)) == 1
    assert audited(session) == ["consent:give"]


def test_a_withdrawal_closes_the_row_and_is_recorded(session, citizen, put, clock):
    put(granted=True)
    clock.forward(days=2)

    answer = put(granted=False)

    assert (answer.json["granted"], answer.json["since"]) == (False, None)
    (row,) = rows(session, citizen)
    assert (row.given_at, row.withdrawn_at) == (NOON, clock.now)
    assert audited(session) == ["consent:give", "consent:withdraw"]


def test_withdrawing_what_was_never_given_changes_nothing(session, citizen, put):
    answer = put(granted=False)

    assert (answer.status_code, answer.json["granted"]) == (200, False)
    assert rows(session, citizen) == []
    assert audited(session) == []


def test_giving_again_is_another_row_and_the_history_shows_both(session, citizen, put, clock):
    for granted in (True, False, True):
        answer = put(granted=granted)
        clock.forward(days=1)

    history = answer.json["history"]
    assert [event["given_at"][:10] for event in history] == ["2026-11-25", "2026-11-23"]
    assert [event["withdrawn_at"] for event in history] == [None, "2026-11-24T03:00:00Z"]
    assert len(rows(session, citizen)) == 2


def test_the_history_shown_is_bounded_and_keeps_what_holds(session, citizen, client, headers, put):
    put(granted=True)
    session.add_all(
        Consent(
            citizen_id=citizen.id,
            purpose="research",
            version=1,
            locale="vi",
            channel="app",
            given_at=NOON + dt.timedelta(minutes=number),
            withdrawn_at=NOON + dt.timedelta(minutes=number),
        )
        for number in range(30)
    )
    session.commit()

    items = {item["purpose"]: item for item in client.get(CONSENTS, headers=headers).json["items"]}

    assert len(items["research"]["history"]) == 20
    assert items["research"]["history"][0]["given_at"] == "2026-11-23T03:29:00Z"
    assert items["satisfaction_surveys"]["granted"] is True


@pytest.mark.parametrize("version", [2, 9999])
def test_agreeing_to_a_text_that_is_not_shown_is_refused(session, citizen, put, version):
    answer = put(granted=True, version=version)

    assert (answer.status_code, answer.json["code"]) == (409, "text_outdated")
    assert answer.json["version"] == 1
    assert rows(session, citizen) == []


def test_a_withdrawal_counts_whatever_text_was_shown(put):
    put(granted=True)

    answer = put(granted=False, version=7)

    assert (answer.status_code, answer.json["granted"]) == (200, False)


def former_consent(session, citizen):
    """One to words that came before the first that this release knows."""
    session.add(
        Consent(
            citizen_id=citizen.id,
            purpose="satisfaction_surveys",
            version=0,
            locale="vi",
            channel="app",
            given_at=NOON - dt.timedelta(days=90),
        )
    )
    session.commit()


def test_consent_to_former_words_is_none_to_todays(client, session, citizen, headers):
    former_consent(session, citizen)

    items = client.get(CONSENTS, headers=headers).json["items"]

    (surveys,) = (item for item in items if item["purpose"] == "satisfaction_surveys")
    assert surveys["granted"] is False
    assert [event["version"] for event in surveys["history"]] == [0]


def test_agreeing_to_todays_words_takes_the_place_of_the_former(session, citizen, put, clock):
    former_consent(session, citizen)

    answer = put(granted=True)

    former, today = rows(session, citizen)
    assert answer.json["granted"] is True
    assert (former.version, former.withdrawn_at) == (0, clock.now)
    assert (today.version, today.withdrawn_at) == (1, None)


def test_an_unknown_purpose_is_not_found(client, headers):
    answer = client.put(
        f"{CONSENTS}/sell_my_data", json={"granted": True, "version": 1}, headers=headers
    )

    assert (answer.status_code, answer.json["code"]) == (404, "unknown_purpose")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"granted": True},
        {"version": 1},
        {"granted": "true", "version": 1},
        {"granted": 1, "version": 1},
        {"granted": None, "version": 1},
        {"granted": True, "version": "1"},
        {"granted": True, "version": 1.5},
        {"granted": True, "version": True},
        {"granted": True, "version": 0},
        {"granted": True, "version": 10**12},
        {"granted": True, "version": 1, "citizen_id": "x"},
        [],
    ],
)
def test_a_decision_is_said_in_full_or_not_taken(client, session, citizen, headers, body):
    answer = client.put(SURVEYS, json=body, headers=headers)

    assert (answer.status_code, answer.json["code"]) == (422, "invalid")
    assert rows(session, citizen) == []


def test_nobody_decides_for_somebody_else(app, client, session, citizen, put):
    other = factories.a_citizen(session)
    put(granted=True)

    theirs = client.get(CONSENTS, headers=factories.bearer(app, session, other)).json["items"]

    assert not any(item["granted"] or item["history"] for item in theirs)
    assert [row.purpose for row in consents.running(session, citizen.id)] == [
        "satisfaction_surveys"
    ]
    assert consents.running(session, other.id) == []


def test_agreeing_has_a_limit_and_taking_it_back_has_none(put):
    statuses = [put(granted=number % 2 == 0).status_code for number in range(121)]

    assert statuses == [200] * 120 + [429]
    assert put(granted=False).status_code == 200


def test_the_list_takes_the_same_statements_however_long_the_history(
    client, headers, put, statements
):
    counts = []
    for _ in range(2):
        put(granted=True)
        put(granted=False)
        with statements() as seen:
            client.get(CONSENTS, headers=headers)
        counts.append(len(seen))

    assert counts[0] == counts[1]


def deciding(committed, actor, decisions):
    """The work of each phone: its decision, on a connection of its own."""

    def decide(number):
        with committed.transaction() as session:
            consents.decide(
                session,
                actor,
                "research",
                granted=decisions[number],
                version=1,
                locale="vi",
                at=NOON,
            )

    return decide


def test_agreeing_at_once_from_two_phones_is_one_consent(committed, at_once):
    with committed.sessions() as session:
        citizen = factories.a_citizen(session)

    at_once(deciding(committed, factories.citizen_actor(citizen), [True] * 8), 8)

    with committed.sessions() as session:
        assert session.scalar(select(func.count()).select_from(Consent)) == 1
        assert audited(session) == ["consent:give"]


def test_agreeing_and_withdrawing_at_once_end_in_one_of_both(committed, at_once):
    with committed.sessions() as session:
        citizen = factories.a_citizen(session)

    at_once(deciding(committed, factories.citizen_actor(citizen), [True, False] * 4), 8)

    with committed.sessions() as session:
        found = rows(session, citizen)
        given, withdrawn = (audited(session).count(f"consent:{v}") for v in ("give", "withdraw"))
        still_open = [row for row in found if row.withdrawn_at is None]
        assert len(still_open) <= 1
        assert given == len(found)
        assert withdrawn == len(found) - len(still_open)
        assert list(consents.running(session, citizen.id)) == still_open


def test_the_database_itself_lets_one_consent_be_open(session, citizen):
    former_consent(session, citizen)

    with pytest.raises(IntegrityError, match="uq_consents_open"):
        former_consent(session, citizen)
