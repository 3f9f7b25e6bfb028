"""The inbox, the devices, and the pushes between them."""

import datetime as dt
import secrets
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import func, select, update

from api.current import EXTENSION
from jobs import tasks
from jobs.context import Context
from models import Delivery, Device, DeviceSession, InboxMessage
from notifications.memory import MemoryPush
from notifications.push import Outcome, Result
from services.identity import sign_out
from services.notifications import Registration, register_device
from tests import factories
from tests.factories import NOON

MOMENT = dt.timedelta(microseconds=1)


@pytest.fixture
def phones():
    return MemoryPush()


@pytest.fixture
def context(app, database, phones, clock):
    storage = app.extensions[EXTENSION].storage
    return Context(
        db=database, storage=storage, vault=factories.VAULT, push=lambda: phones, now=clock
    )


def register(client, headers, value="a-push-token", installation=None, **changes):
    body = {"platform": "android", "kind": "token", "value": value} | changes
    installation = installation or secrets.token_urlsafe(24)
    return client.put(f"/api/v1/me/devices/{installation}", json=body, headers=headers)


def last_message(session, citizen):
    query = select(InboxMessage).where(InboxMessage.citizen_id == citizen.id)
    return session.scalars(query.order_by(InboxMessage.id.desc())).first()


def test_the_inbox_holds_the_words_in_the_readers_language(client, session, citizen, headers):
    report = factories.a_report(session, citizen)

    vi = client.get("/api/v1/me/inbox", headers=headers).json["items"][0]
    en = client.get("/api/v1/me/inbox", headers=headers | {"Accept-Language": "en"}).json

    assert report.code in vi["text"]
    assert vi["subject"] == {"type": "report", "id": str(report.id)}
    assert en["items"][0]["title"] == "Report received"


def test_reading_counts_down_and_the_first_reading_counts(client, session, citizen, headers, clock):
    factories.a_report(session, citizen)
    message = client.get("/api/v1/me/inbox", headers=headers).json["items"][0]

    first = client.post(f"/api/v1/me/inbox/{message['id']}/read", headers=headers).json
    clock.forward(hours=1)
    again = client.post(f"/api/v1/me/inbox/{message['id']}/read", headers=headers).json

    assert first["read_at"] == again["read_at"] is not None
    assert client.get("/api/v1/me/inbox/unread-count", headers=headers).json == {"unread": 0}


def test_all_are_read_at_once(client, session, citizen, headers):
    for _ in range(3):
        factories.a_report(session, citizen)

    client.post("/api/v1/me/inbox/read-all", headers=headers)

    assert client.get("/api/v1/me/inbox/unread-count", headers=headers).json == {"unread": 0}


def test_somebody_elses_message_is_not_found(app, client, session, citizen):
    factories.a_report(session, citizen)
    stranger = factories.bearer(app, session, factories.a_citizen(session))

    answer = client.post(
        f"/api/v1/me/inbox/{last_message(session, citizen).id}/read", headers=stranger
    )

    assert (answer.status_code, answer.json["code"]) == (404, "message_not_found")
    assert client.get("/api/v1/me/inbox", headers=stranger).json["items"] == []


def test_registering_a_device_again_changes_it(client, session, headers):
    installation = secrets.token_urlsafe(24)
    register(client, headers, "first-token", installation)

    answer = register(client, headers, "second-token", installation)

    assert answer.status_code == 204
    assert session.scalars(select(Device.value)).all() == ["second-token"]


def test_a_phone_that_changed_hands_hears_nothing_of_its_former_owner(
    app, client, session, citizen, headers, context, phones
):
    register(client, headers, "the-phone")
    new_owner = factories.bearer(app, session, factories.a_citizen(session))
    register(client, new_owner, "the-phone")
    factories.a_report(session, citizen)

    tasks.push(context, last_message(session, citizen).id)

    assert phones.sent == []


def test_the_only_phone_of_somebody_hears_that_a_stranger_had_their_session_and_nothing_after(
    app, client, session, citizen, context, phones, clock
):
    pair = factories.signed_in(app, session, citizen, at=clock())
    actor = replace(
        factories.citizen_actor(citizen), session_id=session.scalar(select(DeviceSession.id))
    )
    registration = Registration(platform="android", kind="token", value="the-only-phone")
    register_device(session, actor, "i" * 32, registration, at=clock())
    session.commit()

    def refresh(token):
        clock.forward(minutes=1)
        answer = client.post("/api/v1/auth/refresh", json={"refresh_token": token})
        return answer.json.get("refresh_token")

    refresh(refresh(pair.refresh_token))
    assert refresh(pair.refresh_token) is None
    alarm = last_message(session, citizen)

    tasks.push(context, alarm.id)
    factories.a_report(session, citizen)
    tasks.push(context, last_message(session, citizen).id)

    assert alarm.kind == "security_session_revoked"
    assert [(each.address.value, each.notification_id) for each in phones.sent] == [
        ("the-only-phone", alarm.id)
    ]


@pytest.mark.parametrize(
    ("installation", "body", "code"),
    [
        ("short", {}, "installation_id_weak"),
        (None, {"kind": "letter"}, "invalid"),
        (None, {"platform": "fridge"}, "invalid"),
        (None, {"value": ""}, "invalid"),
        (None, {"value": "x" * 1025}, "invalid"),
        (None, {"value": "a token \u00e9\n"}, "invalid"),
        (None, {"owner": "x"}, "invalid"),
    ],
)
def test_a_device_that_cannot_be_right_is_refused(
    client, session, headers, installation, body, code
):
    answer = register(client, headers, installation=installation, **body)

    assert (answer.status_code, answer.json["code"]) == (422, code)
    assert session.scalars(select(Device)).all() == []


def test_an_access_token_of_a_session_that_ended_registers_no_device(client, session, headers):
    session.execute(update(DeviceSession).values(revoked_at=NOON))
    session.commit()

    answer = register(client, headers)

    assert answer.status_code == 401
    assert session.scalars(select(Device)).all() == []


def test_a_device_of_a_session_that_ran_out_is_pushed_to_no_more(
    client, session, citizen, headers, context, phones
):
    register(client, headers)
    factories.a_report(session, citizen)
    session.execute(update(DeviceSession).values(expires_at=DeviceSession.created_at + MOMENT))
    session.commit()

    tasks.push(
        replace(context, now=lambda: dt.datetime.now(dt.UTC)), last_message(session, citizen).id
    )

    assert phones.sent == []


def test_two_phones_that_claim_one_address_at_once_are_served_one_after_the_other(committed):
    with committed.sessions() as own:
        actors = [factories.citizen_on_a_device(own, factories.a_citizen(own)) for _ in range(8)]
    registration = Registration(platform="android", kind="token", value="the-same-token")

    def claim(actor):
        with committed.transaction() as own:
            register_device(own, actor, secrets.token_hex(16), registration, at=NOON)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(claim, actors))

    with committed.sessions() as own:
        assert own.scalar(select(func.count()).select_from(Device)) == 1


def test_a_sign_out_takes_along_the_device_that_is_being_registered(committed):
    with committed.sessions() as own:
        actor = factories.citizen_on_a_device(own, factories.a_citizen(own))
    registration = Registration(platform="android", kind="token", value="a-late-token")

    def leave():
        with committed.transaction() as other:
            sign_out(other, actor.session_id, at=NOON)

    with ThreadPoolExecutor(1) as threads:
        with committed.transaction() as own:
            register_device(own, actor, secrets.token_hex(16), registration, at=NOON)
            leaving = threads.submit(leave)
            time.sleep(0.3)  # The sign-out waits for this registration by now.
            assert not leaving.done()
        leaving.result()

    with committed.sessions() as own:
        assert own.scalars(select(Device)).all() == []


def test_forgetting_a_device_touches_only_ones_own(app, client, session, headers):
    installation = secrets.token_urlsafe(24)
    register(client, headers, "a-phone-token", installation)
    stranger = factories.bearer(app, session, factories.a_citizen(session))

    client.delete(f"/api/v1/me/devices/{installation}", headers=stranger)
    kept = session.scalars(select(Device.value)).all()
    client.delete(f"/api/v1/me/devices/{installation}", headers=headers)

    assert kept == ["a-phone-token"]
    assert session.scalars(select(Device)).all() == []


def test_a_push_reaches_every_device_and_says_nothing_personal(
    client, session, citizen, headers, context, phones
):
    register(client, headers, "phone-token")
    register(client, headers, "tablet-token")
    report = factories.a_report(session, citizen, description="Chuyện riêng")

    tasks.push(context, last_message(session, citizen).id)

    assert {sent.address.value for sent in phones.sent} == {"phone-token", "tablet-token"}
    for sent in phones.sent:
        words = f"{sent.title} {sent.body} {sent.data}"
        assert report.code not in words
        assert "riêng" not in words
        assert citizen.name not in words


def test_a_job_that_runs_again_sends_only_what_is_left(
    client, session, citizen, headers, context, phones
):
    register(client, headers, "good-token")
    register(client, headers, "slow-token")
    phones.answers["slow-token"] = Result(Outcome.UNAVAILABLE)
    factories.a_report(session, citizen)
    message = last_message(session, citizen)
    with pytest.raises(tasks.TryAgain):
        tasks.push(context, message.id)

    del phones.answers["slow-token"]
    tasks.push(context, message.id)

    assert [sent.address.value for sent in phones.sent].count("good-token") == 1
    assert {sent.notification_id for sent in phones.sent} == {message.id}
    attempts = session.scalars(select(Delivery.attempts).order_by(Delivery.attempts)).all()
    assert attempts == [1, 2]


@pytest.mark.parametrize("outcome", [Outcome.UNREGISTERED, Outcome.SENDER_MISMATCH])
def test_a_dead_address_is_forgotten_alone(
    client, session, citizen, headers, context, phones, outcome
):
    register(client, headers, "dead-token")
    register(client, headers, "living-token")
    phones.answers["dead-token"] = Result(outcome)
    factories.a_report(session, citizen)

    tasks.push(context, last_message(session, citizen).id)

    assert session.scalars(select(Device.value)).all() == ["living-token"]


def test_a_push_for_nobody_does_nothing(context, phones):
    tasks.push(context, uuid.uuid4())

    assert phones.sent == []
