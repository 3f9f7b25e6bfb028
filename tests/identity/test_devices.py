"""Sessions by device: their owner sees, names and ends them, and an installation changes hands."""

import datetime as dt
import secrets
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx
import pytest
from sqlalchemy import func, select, update

from api.app import create_app
from api.current import EXTENSION
from jobs import tasks
from jobs.context import Context
from models import (
    AdminSession,
    Audience,
    AuditEvent,
    Database,
    Device,
    DeviceSession,
    InboxMessage,
    RateLimit,
    RefreshToken,
    Staff,
)
from notifications.memory import MemoryPush
from services import identity
from services.notifications import InstallationTaken, Registration, register_device
from services.tokens import Keys, TokenInvalid
from tests import factories

SESSIONS = "/api/v1/me/sessions"
REFRESH = "/api/v1/auth/refresh"


class AppOf:
    """The app of somebody on a phone of theirs."""

    def __init__(self, client, pair, installation_id):
        self.client = client
        self.pair = pair
        self.installation_id = installation_id
        self.headers = {"Authorization": f"Bearer {pair.access_token}"}

    def get(self, path=SESSIONS):
        return self.client.get(path, headers=self.headers)

    def patch(self, session_id, **body):
        return self.client.patch(f"{SESSIONS}/{session_id}", json=body, headers=self.headers)

    def delete(self, session_id=None):
        path = f"{SESSIONS}/{session_id}" if session_id else SESSIONS
        return self.client.delete(path, headers=self.headers)

    def ask_for_pushes(self, value, installation_id=None):
        body = {"platform": "android", "kind": "token", "value": value}
        path = f"/api/v1/me/devices/{installation_id or self.installation_id}"
        return self.client.put(path, json=body, headers=self.headers)

    @property
    def id(self):
        (own,) = [each for each in self.get().json["items"] if each["current"]]
        return own["id"]


@pytest.fixture
def sign_in(app, client, session, clock):
    """`sign_in(citizen)`: an app of theirs, on a new phone unless the installation is known."""

    def enter(person, installation_id=None, audience=Audience.CITIZEN, **facts):
        installation_id = installation_id or secrets.token_urlsafe(24)
        pair = identity.sign_in(
            session,
            factories.claims_of(citizen_of(session, person)),
            keys=app.extensions[EXTENSION].keys,
            vault=factories.VAULT,
            audience=audience,
            device=identity.DeviceFacts(installation_id, "android", **facts),
            at=clock(),
        )
        session.commit()
        return AppOf(client, pair, installation_id)

    return enter


@pytest.fixture
def clock(clock):
    """Access tokens are checked by the clock on the wall, and may not come from the future."""
    clock.now = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=2)
    return clock


def citizen_of(session, person):
    return factories.person_of(session, person) if isinstance(person, Staff) else person


def alive(session):
    session.expire_all()
    query = select(DeviceSession.id).where(DeviceSession.revoked_at.is_(None))
    return {str(found) for found in session.scalars(query)}


def recorded(session, action):
    query = select(AuditEvent).where(AuditEvent.action == action).order_by(AuditEvent.id)
    return session.scalars(query).all()


def test_a_citizen_sees_where_they_are_signed_in(sign_in, citizen, clock):
    tablet = sign_in(citizen, model="Máy bảng", app_version="1.2.3")
    clock.forward(seconds=5)
    phone = sign_in(citizen)

    first, second = phone.get().json["items"]

    assert (first["current"], second["current"]) == (True, False)
    assert second | {"id": "", "created_at": "", "last_used_at": ""} == {
        "id": "",
        "name": None,
        "audience": "citizen",
        "platform": "android",
        "model": "Máy bảng",
        "app_version": "1.2.3",
        "created_at": "",
        "last_used_at": "",
        "current": False,
    }
    assert second["id"] == tablet.id
    assert second["created_at"].endswith("Z")


def test_a_session_that_may_not_be_used_any_more_is_not_shown(sign_in, session, citizen, clock):
    forgotten, ended, phone = (sign_in(citizen) for _ in range(3))
    ended.delete(ended.id)
    long_ago = clock() - dt.timedelta(days=61)
    session.execute(
        update(DeviceSession)
        .where(DeviceSession.id == uuid.UUID(forgotten.id))
        .values(last_used_at=long_ago)
    )
    session.commit()

    assert [each["id"] for each in phone.get().json["items"]] == [phone.id]


def test_nothing_of_others_is_shown(sign_in, session, citizen):
    sign_in(factories.a_citizen(session))

    assert len(sign_in(citizen).get().json["items"]) == 1


def test_the_list_takes_the_same_number_of_statements_however_long_it_is(
    sign_in, citizen, statements
):
    phone = sign_in(citizen)
    counts = []
    for _ in range(2):
        for _ in range(3):
            sign_in(citizen)
        phone.get()
        with statements() as seen:
            phone.get()
        counts.append(len(seen))

    assert counts[0] == counts[1] <= 3


def test_a_device_gets_a_name_and_loses_it_again(sign_in, session, citizen):
    phone, tablet = sign_in(citizen), sign_in(citizen)

    named = phone.patch(tablet.id, name=" Máy ở\u200b nhà ")
    bare = phone.patch(tablet.id, name=None)

    assert (named.status_code, named.json["name"], named.json["id"]) == (
        *(200, "Máy ở nhà"),
        tablet.id,
    )
    assert (bare.status_code, bare.json["name"]) == (200, None)
    events = recorded(session, "session:rename")
    assert [str(event.subject_id) for event in events] == [tablet.id] * 2
    assert "nhà" not in str([event.detail for event in events])


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": "x" * 61},
        {"name": 7},
        {"name": ["x"]},
        {"name": "x", "revoked_at": None},
        {"name": "x", "citizen_id": str(uuid.UUID(int=1))},
        {"name": "x", "acr": "urn:thainguyen:loa:2"},
        {"name": "x", "current": True},
    ],
)
def test_nothing_but_a_name_can_be_given(sign_in, session, citizen, body):
    phone = sign_in(citizen)

    answer = phone.patch(phone.id, **body)

    assert (answer.status_code, answer.json["code"]) == (422, "invalid")
    assert session.scalar(select(DeviceSession.name)) is None


def test_one_device_is_signed_out_and_hears_nothing_more(sign_in, session, citizen):
    phone, tablet = sign_in(citizen), sign_in(citizen)
    tablet.ask_for_pushes("the-tablet")
    phone.ask_for_pushes("the-phone")
    tablet_id = tablet.id

    answer = phone.delete(tablet_id)

    assert answer.status_code == 204
    assert alive(session) == {phone.id}
    assert session.scalars(select(Device.value)).all() == ["the-phone"]
    (event,) = recorded(session, "session:end")
    assert (event.actor_kind, event.actor_id, str(event.subject_id), event.detail) == (
        *("citizen", citizen.id, tablet_id),
        {"reason": "owner"},
    )


def test_ending_the_own_session_is_signing_out(sign_in, session, citizen):
    phone = sign_in(citizen)

    assert phone.delete(phone.id).status_code == 204
    assert alive(session) == set()


def test_all_others_are_signed_out_at_once(sign_in, session, citizen):
    stranger = sign_in(factories.a_citizen(session))
    others = [sign_in(citizen) for _ in range(3)]
    for number, other in enumerate(others):
        other.ask_for_pushes(f"phone-{number}")
    phone = sign_in(citizen)

    assert phone.delete().status_code == 204
    assert alive(session) == {phone.id, stranger.id}
    assert session.scalars(select(Device)).all() == []
    assert len(recorded(session, "session:end")) == 3
    assert phone.delete().status_code == 204


def test_a_clerks_programs_are_among_the_devices_of_the_person(sign_in, session):
    staff = factories.a_staff(session)
    person = factories.person_of(session, staff)
    sign_in(staff, audience=Audience.STAFF)
    phone = sign_in(person)

    assert [each["audience"] for each in phone.get().json["items"]] == ["citizen", "staff"]
    phone.delete()
    assert alive(session) == {phone.id}


def test_a_session_of_somebody_else_is_as_if_it_were_not(sign_in, session, citizen):
    theirs = sign_in(factories.a_citizen(session))
    theirs_id, unknown = theirs.id, uuid.uuid4()
    phone = sign_in(citizen)

    answers = [
        (phone.patch(which, name="x"), phone.delete(which)) for which in (theirs_id, unknown)
    ]

    for foreign, missing in zip(*answers, strict=True):
        assert (foreign.status_code, foreign.json["code"]) == (404, "session_not_found")
        assert foreign.json | {"request_id": ""} == missing.json | {"request_id": ""}
    assert theirs_id in alive(session)


def test_a_session_that_has_ended_is_not_found_again(sign_in, citizen):
    phone, tablet = sign_in(citizen), sign_in(citizen)
    tablet_id = tablet.id
    phone.delete(tablet_id)

    assert phone.delete(tablet_id).status_code == 404
    assert phone.patch(tablet_id, name="x").status_code == 404


def test_whoever_was_shut_out_cannot_shut_out_the_owner(session, citizen):
    thief, owner = (factories.citizen_on_a_device(session, citizen) for _ in range(2))
    at = factories.NOON
    identity.end_session(session, owner, thief.session_id, at=at)
    session.commit()

    # Their access token is taken for some seconds more.
    for deed in (
        lambda: identity.end_other_sessions(session, thief, at=at),
        lambda: identity.end_session(session, thief, owner.session_id, at=at),
        lambda: identity.rename_session(session, thief, owner.session_id, name="x", at=at),
    ):
        with pytest.raises(TokenInvalid):
            deed()
    session.rollback()
    assert alive(session) == {str(owner.session_id)}


def test_of_two_devices_that_shut_out_each_other_at_once_one_is_left(committed):
    with committed.sessions() as own:
        citizen = factories.a_citizen(own)
        devices = [factories.citizen_on_a_device(own, citizen) for _ in range(6)]
    together = threading.Barrier(6)

    def shut_out_others(device):
        with committed.transaction() as own:
            own.connection()
            together.wait()
            try:
                identity.end_other_sessions(own, device, at=factories.NOON)
            except TokenInvalid:
                return "too late"
            return "alone"

    with ThreadPoolExecutor(6) as threads:
        outcomes = sorted(threads.map(shut_out_others, devices))

    assert outcomes == ["alone", *["too late"] * 5]
    with committed.sessions() as own:
        assert len(alive(own)) == 1


def test_the_first_device_is_no_news(sign_in, session, citizen):
    sign_in(citizen)

    assert factories.inbox_kinds(session, citizen) == []


def test_a_sign_in_on_another_device_is_told_and_pushed(sign_in, session, citizen, context, phones):
    phone = sign_in(citizen)
    phone.ask_for_pushes("the-phone")
    sign_in(citizen, model="Gọi 0912345678 để mở khóa")

    (message,) = session.scalars(select(InboxMessage))
    tasks.push(context, message.id)

    assert message.kind == "security_new_sign_in"
    assert message.facts == {"device": "Android"}
    (letter,) = phone.get("/api/v1/me/inbox").json["items"]
    assert "thiết bị mới: Android." in letter["text"]
    assert [push.address.value for push in phones.sent] == ["the-phone"]


def test_a_sign_in_on_a_device_of_ones_own_is_no_news(sign_in, session, citizen, clock):
    phone, tablet = sign_in(citizen), sign_in(citizen)
    clock.forward(days=200)
    sign_in(citizen, phone.installation_id)
    sign_in(citizen, tablet.installation_id)

    assert factories.inbox_kinds(session, citizen) == ["security_new_sign_in"]


@pytest.fixture
def phones():
    return MemoryPush()


@pytest.fixture
def context(app, database, phones, clock):
    storage = app.extensions[EXTENSION].storage
    return Context(
        db=database, storage=storage, vault=factories.VAULT, push=lambda: phones, now=clock
    )


@pytest.mark.parametrize("audience", list(Audience))
def test_an_installation_moves_to_whoever_signs_in_on_it(
    sign_in, session, citizen, context, phones, audience
):
    former = sign_in(citizen)
    former.ask_for_pushes("the-one-phone")
    successor = factories.a_staff(session)

    sign_in(successor, former.installation_id, audience)

    assert len(alive(session)) == 1
    factories.a_report(session, citizen)
    (message,) = session.scalars(select(InboxMessage).where(InboxMessage.citizen_id == citizen.id))
    tasks.push(context, message.id)
    assert phones.sent == []
    (event,) = recorded(session, "session:end")
    assert (event.actor_id, event.detail) == (successor.citizen_id, {"reason": "replaced"})


def test_a_device_of_the_former_citizen_goes_even_if_it_hung_on_another_session(
    sign_in, session, citizen
):
    elsewhere, old_id = sign_in(citizen), secrets.token_urlsafe(24)
    elsewhere.ask_for_pushes("the-old-phone", old_id)

    successor = sign_in(factories.a_citizen(session), old_id)

    assert session.scalars(select(Device)).all() == []
    assert successor.ask_for_pushes("the-old-phone").status_code == 204


def test_without_a_sign_in_an_installation_does_not_move(sign_in, session, citizen):
    owner, stranger = sign_in(citizen), sign_in(factories.a_citizen(session))
    before = stranger.ask_for_pushes("another-phone", owner.installation_id)
    owner.ask_for_pushes("the-owners")

    after = stranger.ask_for_pushes("another-phone", owner.installation_id)

    for answer in (before, after):
        assert (answer.status_code, answer.json["code"]) == (409, "installation_taken")
    assert session.scalars(select(Device.value)).all() == ["the-owners"]


@pytest.mark.parametrize(
    ("was_there", "refusal"), [(True, TokenInvalid), (False, InstallationTaken)]
)
def test_a_registration_while_another_signs_in_leaves_no_device_of_the_former(
    committed, settings, was_there, refusal
):
    """The former citizen asks from a session on this installation, or from one elsewhere."""
    keys = create_app(settings, db=committed).extensions[EXTENSION].keys
    installation = "i" * 32
    with committed.sessions() as own:
        citizen = factories.a_citizen(own)
        former = factories.citizen_on_a_device(own, citizen, installation if was_there else None)
    registration = Registration(platform="android", kind="token", value="the-phone")

    def register():
        with committed.transaction() as own:
            register_device(own, former, installation, registration, at=factories.NOON)

    with ThreadPoolExecutor(1) as thread:
        with committed.transaction() as own:
            identity.sign_in(
                own,
                factories.claims(),
                keys=keys,
                vault=factories.VAULT,
                audience=Audience.CITIZEN,
                device=identity.DeviceFacts(installation, "android"),
                at=factories.NOON,
            )
            registering = thread.submit(register)
            time.sleep(0.3)
            assert not registering.done()
        with pytest.raises(refusal):
            registering.result()

    with committed.sessions() as own:
        assert own.scalars(select(Device)).all() == []


@pytest.fixture
def another_process(app):
    """What a process that has just begun knows of ended sessions."""
    state = app.extensions[EXTENSION]
    return create_app(state.settings, db=state.db).extensions[EXTENSION].revocations


def test_who_is_shut_out_is_refused_whatever_they_hold(app, session, clock, another_process):
    keys = app.extensions[EXTENSION].keys
    staff = factories.a_staff(session)
    person = factories.person_of(session, staff)
    pairs = [factories.signed_in(app, session, each, clock()) for each in (person, staff)]
    told = factories.claims_of(factories.person_of(session, staff))
    identity.enter_admin(session, told, vault=factories.VAULT, at=clock())
    factories.a_phone(session, person, "a-phone")
    clock.forward(seconds=2)

    identity.shut_out(session, person.id, "erased", by=None, at=clock())
    session.commit()

    for pair in pairs:
        assert another_process.refuse(keys.verify(pair.access_token))
        assert identity.refresh(session, pair.refresh_token, keys=keys, at=clock()) is None
    assert alive(session) == set()
    assert session.scalars(select(Device)).all() == []
    assert session.scalar(select(AdminSession.ended_at)) is not None


def test_a_token_whose_session_is_gone_is_refused_by_the_person(
    app, session, citizen, clock, another_process
):
    claims = app.extensions[EXTENSION].keys.verify(
        factories.signed_in(app, session, citizen, clock()).access_token
    )
    clock.forward(seconds=2)
    identity.shut_out(session, citizen.id, "erased", by=None, at=clock())
    session.commit()

    of_a_lost_session = replace(claims, session_id=uuid.uuid4())
    afterwards = replace(of_a_lost_session, issued_at=clock() + dt.timedelta(seconds=1))

    assert another_process.refuse(of_a_lost_session)
    assert not another_process.refuse(afterwards)


def test_a_refresh_token_of_before_the_moment_is_refused_though_its_session_lives(
    app, session, citizen, clock
):
    keys = app.extensions[EXTENSION].keys
    token = factories.signed_in(app, session, citizen, clock()).refresh_token
    citizen.not_before = clock() + dt.timedelta(seconds=1)
    session.commit()

    assert identity.refresh(session, token, keys=keys, at=clock()) is None


def refreshes(client, token, count):
    return [client.post(REFRESH, json={"refresh_token": token}) for _ in range(count)]


def test_too_many_refreshes_of_one_session_have_to_wait_and_use_no_token(
    app, client, session, citizen
):
    one, other = (factories.signed_in(app, session, citizen).refresh_token for _ in range(2))
    allowed = refreshes(client, one, 60)

    (refused,) = refreshes(client, one, 1)

    assert len({answer.json["refresh_token"] for answer in allowed}) == 1
    assert (refused.status_code, refused.json["code"]) == (429, "rate_limited")
    assert int(refused.headers["Retry-After"]) > 0
    assert refused.headers["RateLimit-Policy"] == '"default";q=60;w=60'
    assert refreshes(client, other, 1)[0].status_code == 200
    # Of both sessions the first token and one after it; the refused attempt made none.
    assert session.scalar(select(func.count()).select_from(RefreshToken)) == 4


def test_a_session_goes_on_when_it_has_waited(app, client, session, citizen, clock):
    token = factories.signed_in(app, session, citizen, clock()).refresh_token
    refused = refreshes(client, token, 61)[-1]
    clock.forward(seconds=int(refused.headers["Retry-After"]))

    assert refused.status_code == 429
    assert refreshes(client, token, 1)[0].status_code == 200
    assert "security_session_revoked" not in factories.inbox_kinds(session, citizen)


def test_guessing_tokens_is_limited_by_address(client, session, clock):
    ends = clock() + dt.timedelta(seconds=40)
    session.add(RateLimit(bucket="refresh from:127.0.0.1", window_ends_at=ends, used=3000))
    session.commit()

    (answer,) = refreshes(client, "a guess", 1)

    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "40")


def test_an_ended_session_is_refused_within_three_seconds_by_another_process(
    two_servers, app, access_key
):
    url, (here, there) = two_servers
    keys = Keys(
        secret=app.extensions[EXTENSION].settings.secret_key,
        access_key=access_key,
        issuer="http://127.0.0.1",
    )
    database = Database.at(url)
    with database.sessions() as own:
        citizen = factories.a_citizen(own)
        phone, tablet = (
            identity.sign_in(
                own,
                factories.claims_of(citizen),
                keys=keys,
                vault=factories.VAULT,
                audience=Audience.CITIZEN,
                device=identity.DeviceFacts(secrets.token_urlsafe(24), "android"),
                at=dt.datetime.now(dt.UTC),
            )
            for _ in range(2)
        )
        own.commit()
    database.close()
    asking = {"Authorization": f"Bearer {tablet.access_token}"}
    ending = {"Authorization": f"Bearer {phone.access_token}"}
    for server in (here, there):
        assert httpx.get(f"{server}/api/v1/me", headers=asking).status_code == 200

    assert httpx.delete(f"{here}{SESSIONS}", headers=ending).status_code == 204
    ended = time.monotonic()
    while httpx.get(f"{there}/api/v1/me", headers=asking).status_code == 200:
        assert time.monotonic() - ended < 3
        time.sleep(0.05)

    answer = httpx.get(f"{there}/api/v1/me", headers=asking)
    assert (answer.status_code, answer.json()["code"]) == (401, "token_invalid")
    for server in (here, there):
        assert httpx.get(f"{server}/api/v1/me", headers=ending).status_code == 200
