"""Sessions: rotation that forgives a lost answer, an alarm that does not forgive a thief."""

import datetime as dt
import math
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import jwt
import pytest
from sqlalchemy import func, select, text

from api.app import create_app
from api.current import EXTENSION
from api.revocations import FRESH_S
from models import Audience, AuditEvent, Device, DeviceSession, RefreshToken
from services import identity
from services.notifications import Registration, register_device
from services.tokens import hashed
from tests import factories

REFRESH = "/api/v1/auth/refresh"
LOGOUT = "/api/v1/auth/logout"


@pytest.fixture
def first(app, session, citizen, clock) -> str:
    """The refresh token that somebody got at signing in."""
    return factories.signed_in(app, session, citizen, at=clock()).refresh_token


@pytest.fixture
def use(client, clock):
    """Use a refresh token after some time; the next one, or None where it is refused."""

    def ask(token: str, **later: float) -> str | None:
        clock.forward(**later)
        answer = client.post(REFRESH, json={"refresh_token": token})
        if answer.status_code == 200:
            return answer.json["refresh_token"]
        assert (answer.status_code, answer.json["code"]) == (401, "invalid_grant")
        return None

    return ask


def alarms(session, citizen) -> int:
    """How often the citizen was told, which is as often as it was recorded."""
    session.expire_all()
    told = factories.inbox_kinds(session, citizen).count("security_session_revoked")
    query = select(func.count()).where(AuditEvent.action == "session:alarm")
    assert session.scalar(query) == told
    return told


def sessions_alive(session) -> int:
    query = select(func.count()).where(DeviceSession.revoked_at.is_(None))
    return session.scalar(query)


def test_each_use_gives_another_token(use, first):
    tokens = [first]
    for _ in range(5):
        tokens.append(use(tokens[-1], minutes=10))

    assert None not in tokens
    assert len(set(tokens)) == 6


def test_the_answer_has_no_citizen_and_a_fresh_access_token(client, first):
    answer = client.post(REFRESH, json={"refresh_token": first})

    assert answer.json.keys() == {
        *("access_token", "token_type", "expires_in"),
        *("refresh_token", "refresh_expires_in"),
    }
    assert answer.json["refresh_expires_in"] == 60 * 24 * 3600


def test_within_ten_seconds_a_repetition_gets_the_same_token(use, first):
    successor = use(first, minutes=10)

    assert use(first, seconds=10) == successor
    assert use(successor, minutes=10) is not None


def test_two_repetitions_get_the_same_token_although_ten_seconds_end_between_them(use, first):
    use(first, minutes=10)
    repeated = use(first, seconds=9.9)

    assert use(first, seconds=0.2) == repeated
    assert use(repeated, minutes=10) is not None


def test_repetitions_do_not_prolong_what_a_straggler_may_once_the_successor_is_used(
    use, first, session, citizen
):
    second = use(first, minutes=10)
    use(second)
    assert use(first, seconds=9) == second

    assert use(first, seconds=2) is None
    assert alarms(session, citizen) == 1


def test_a_straggler_is_no_thief_although_the_successor_was_used(use, first, session, citizen):
    second = use(first)
    use(second)

    assert use(first, seconds=5) == second
    assert alarms(session, citizen) == 0


def test_within_ten_seconds_it_does_so_even_when_that_was_used(use, first, session, citizen):
    successor = use(first, minutes=10)
    third = use(successor, seconds=4)

    assert use(first, seconds=4) == successor
    assert use(third, minutes=10) is not None
    assert alarms(session, citizen) == 0


def test_twenty_repetitions_at_once_get_the_same_token(committed, settings):
    app = create_app(settings, db=committed)
    with committed.sessions() as session:
        pair = factories.signed_in(app, session, factories.a_citizen(session))
    together = threading.Barrier(20)

    def repeat(_: int):
        # With a connection in hand each, nobody is late.
        with committed.reading() as session:
            session.connection()
            together.wait()
        return app.test_client().post(REFRESH, json={"refresh_token": pair.refresh_token})

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(repeat, range(20)))

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json["refresh_token"] for answer in answers}) == 1
    with committed.sessions() as session:
        assert session.scalar(select(func.count()).select_from(RefreshToken)) == 2


def test_hours_after_a_lost_answer_a_fresh_token_is_given(use, first, session, citizen):
    lost = use(first)

    found = use(first, hours=5)

    assert found not in {None, lost}
    assert use(found, hours=1) is not None
    assert alarms(session, citizen) == 0


def test_the_lost_token_is_void_and_its_use_an_alarm(use, first, session, citizen):
    lost = use(first)
    found = use(first, seconds=11)

    assert use(lost, hours=1) is None
    assert use(found) is None
    assert alarms(session, citizen) == 1
    assert sessions_alive(session) == 0


def test_an_answer_may_be_lost_many_times(use, first, session, citizen):
    for _ in range(5):
        assert use(first, hours=1) is not None

    assert use(use(first, hours=1), hours=1) is not None
    assert alarms(session, citizen) == 0


def test_a_token_whose_successor_was_used_raises_the_alarm(use, first, session, citizen):
    second = use(first, hours=1)
    third = use(second, hours=1)

    assert use(first, hours=1) is None
    assert use(third) is None
    assert alarms(session, citizen) == 1


def test_a_thief_who_comes_first_is_found_when_both_go_on(use, first, session, citizen):
    stolen = use(first)
    owners = use(first, hours=1)

    assert owners is not None
    assert use(stolen, hours=1) is None
    assert alarms(session, citizen) == 1


def test_a_thief_who_comes_later_is_found_at_once(use, first, session, citizen):
    use(use(first, minutes=10), minutes=10)

    assert use(first, days=3) is None
    assert alarms(session, citizen) == 1


def test_an_alarm_rings_once(use, first, session, citizen):
    use(use(first, minutes=10), minutes=10)

    for _ in range(3):
        assert use(first, minutes=1) is None

    assert alarms(session, citizen) == 1


def test_an_alarm_ends_this_session_only(app, use, first, session, citizen, clock):
    tablet = factories.signed_in(app, session, citizen, at=clock()).refresh_token
    use(use(first, minutes=10), minutes=10)

    assert use(first) is None
    assert use(tablet, minutes=1) is not None


def test_a_session_that_was_signed_out_is_refused_without_an_alarm(
    use, first, session, citizen, clock
):
    (current,) = session.scalars(select(DeviceSession))
    second = use(first, minutes=10)
    identity.sign_out(session, current.id, at=clock())
    session.commit()

    assert [use(first), use(second)] == [None, None]
    assert alarms(session, citizen) == 0


@pytest.mark.usefixtures("first")
@pytest.mark.parametrize("token", ["x", "A" * 43, "A" * 512, "mã\u2028"])
def test_an_unknown_token_is_refused_without_an_alarm(use, session, citizen, token):
    assert use(token) is None
    assert alarms(session, citizen) == 0
    assert sessions_alive(session) == 1


def test_a_session_slides_for_sixty_days(use, first):
    second = use(first, days=59)

    assert use(second, days=59) is not None
    assert use(second, days=61) is None


def test_a_session_ends_after_180_days_however_much_it_is_used(client, use, first):
    token = first
    for _ in range(6):
        token = use(token, days=29)
    last = client.post(REFRESH, json={"refresh_token": token}).json

    assert last["refresh_expires_in"] == 6 * 24 * 3600
    assert use(last["refresh_token"], days=6) is None


def test_an_access_token_does_not_outlive_its_session(app, client, session, clock):
    staff = factories.a_staff(session)
    token = factories.signed_in(app, session, staff, at=clock()).refresh_token
    ends = clock() + dt.timedelta(hours=10)
    while ends - clock() > dt.timedelta(minutes=20):
        clock.forward(minutes=15)
        pair = client.post(REFRESH, json={"refresh_token": token}).json
        token = pair["refresh_token"]
    assert pair["expires_in"] == 600
    clock.forward(minutes=12)

    last = client.post(REFRESH, json={"refresh_token": token}).json

    said = jwt.decode(last["access_token"], options={"verify_signature": False})
    assert said["exp"] == int(ends.timestamp())
    assert last["expires_in"] == last["refresh_expires_in"] == 180


def test_a_staff_session_lasts_half_an_hour_untouched_and_ten_hours_at_most(
    app, use, session, clock
):
    staff = factories.a_staff(session)
    token = factories.signed_in(app, session, staff, at=clock()).refresh_token
    idle = factories.signed_in(app, session, staff, at=clock()).refresh_token
    for _ in range(20):
        token = use(token, minutes=29) or pytest.fail("It ended too early.")

    assert use(idle) is None
    assert use(token, minutes=21) is None


def test_disabled_staff_get_no_next_token(app, use, session, clock):
    staff = factories.a_staff(session)
    token = factories.signed_in(app, session, staff, at=clock()).refresh_token
    staff.disabled_at = clock()
    session.commit()

    assert use(token, minutes=1) is None


def test_tokens_are_stored_as_hashes_only(use, first, session):
    second = use(first, minutes=10)
    use(first, seconds=20)

    dump = str(session.execute(text("SELECT to_jsonb(t)::text FROM refresh_tokens t")).all())
    dump += str(session.execute(text("SELECT to_jsonb(t)::text FROM device_sessions t")).all())
    stored = set(session.scalars(select(RefreshToken.token_hash)))
    assert {hashed(first), hashed(second)} <= stored
    assert not [token for token in (first, second) if token in dump or token.encode().hex() in dump]


def test_an_installation_id_is_stored_as_a_hash_only(app, session, citizen, clock):
    factories.signed_in(app, session, citizen, clock(), installation_id="canary" * 5)

    dump = str(session.execute(text("SELECT to_jsonb(t)::text FROM device_sessions t")).all())
    assert "canary" not in dump
    assert ("canary" * 5).encode().hex() not in dump


@pytest.mark.alone
def test_signing_out_counts_within_three_seconds_in_every_process(settings, database, session):
    here, there = (create_app(settings, db=database).test_client() for _ in range(2))
    headers = factories.bearer(here.application, session, factories.a_citizen(session))
    assert there.get("/api/v1/me", headers=headers).status_code == 200

    assert here.post(LOGOUT, headers=headers).status_code == 204
    signed_out = time.monotonic()
    while there.get("/api/v1/me", headers=headers).status_code == 200:
        assert time.monotonic() - signed_out < 3
        time.sleep(0.1)

    answer = there.get("/api/v1/me", headers=headers)
    assert (answer.status_code, answer.json["code"]) == (401, "token_invalid")


def test_between_two_looks_the_database_is_not_asked(app, client, session, citizen):
    headers = factories.bearer(app, session, citizen)
    client.get("/api/v1/auth/config", headers=headers)
    client.get("/api/v1/me", headers=headers)
    seen = app.extensions[EXTENSION].revocations

    read_at = seen._read_at
    client.get("/api/v1/me", headers=headers)

    assert seen._read_at == read_at
    assert FRESH_S < 3


def test_signing_out_ends_one_session_only(app, client, session, citizen):
    phone, _ = (factories.signed_in(app, session, citizen) for _ in range(2))

    client.post(LOGOUT, headers={"Authorization": f"Bearer {phone.access_token}"})

    ended = session.scalars(select(DeviceSession).where(DeviceSession.revoked_at.is_not(None)))
    assert len(ended.all()) == 1
    assert sessions_alive(session) == 1


def test_who_signed_out_is_pushed_to_no_more(app, client, session, citizen):
    headers = factories.bearer(app, session, citizen)
    (current,) = session.scalars(select(DeviceSession))
    actor = replace(factories.citizen_actor(citizen), session_id=current.id)
    registration = Registration(platform="android", kind="token", value="a push token")
    register_device(session, actor, "i" * 32, registration, at=factories.NOON)
    session.commit()
    assert session.scalars(select(Device)).all()

    client.post(LOGOUT, headers=headers)

    assert session.scalars(select(Device)).all() == []


def test_an_installation_has_one_session_at_a_time(app, use, session, citizen, clock):
    other = factories.a_citizen(session, "Hoàng Văn Sau")
    former, present = (
        factories.signed_in(app, session, person, clock(), installation_id="i" * 32).refresh_token
        for person in (citizen, other)
    )

    assert use(former) is None
    assert use(present) is not None
    assert alarms(session, citizen) == 0


def test_two_sign_ins_at_once_on_one_phone_leave_one_session(committed, settings):
    app = create_app(replace(settings), db=committed)
    keys = app.extensions[EXTENSION].keys
    told, device = factories.claims(), identity.DeviceFacts("i" * 24, "android")
    start = threading.Barrier(6)

    def enter(_):
        with committed.transaction() as own:
            own.connection()
            start.wait()
            identity.sign_in(
                own,
                told,
                keys=keys,
                vault=factories.VAULT,
                audience=Audience.CITIZEN,
                device=device,
                at=factories.NOON,
            )

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(enter, range(6)))

    with committed.sessions() as own:
        alive = select(func.count()).where(DeviceSession.revoked_at.is_(None))
        assert own.scalar(alive) == 1


def test_a_desk_and_a_phone_may_share_an_installation(app, use, session, clock):
    staff = factories.a_staff(session)
    citizen = session.get_one(factories.Citizen, staff.citizen_id)
    tokens = [
        factories.signed_in(app, session, person, clock(), installation_id="i" * 32).refresh_token
        for person in (staff, citizen)
    ]

    assert all(use(token) for token in tokens)


class Phone:
    """A client on a bad network, with a session, a clock and connections of its own."""

    LONGEST_GAP_S = 12 * 3600

    def __init__(self, database, keys, token: str, seed: str) -> None:
        self.database, self.keys, self.token = database, keys, token
        self.chance = random.Random(seed)  # noqa: S311 - a repeatable network, no secret
        self.at = factories.NOON
        self.asked = 0

    def live(self, refreshes: int) -> None:
        """Refresh so often; AssertionError once an answer means that the person is signed out."""
        with ThreadPoolExecutor(3) as threads:
            while self.asked < refreshes:
                # As many gaps of seconds as of minutes and of hours.
                gap = self.chance.uniform(0, math.log(self.LONGEST_GAP_S))
                self.at += dt.timedelta(seconds=math.exp(gap))
                together = 3 if self.chance.random() < 0.05 else 1
                late = [self.chance.uniform(0, 9) for _ in range(together - 1)]
                moments = [self.at + dt.timedelta(seconds=seconds) for seconds in (0, *late)]
                self.asked += together
                answers = set(threads.map(self._ask, moments))
                assert len(answers) == 1, "those who asked together got different tokens"
                assert None not in answers, "signed out"
                self.at = max(moments)
                if self.chance.random() >= 0.05:
                    self.token = answers.pop()

    def _ask(self, at: dt.datetime) -> str | None:
        with self.database.transaction() as own:
            pair = identity.refresh(own, self.token, keys=self.keys, at=at)
            return None if pair is None else pair.refresh_token


@pytest.mark.parametrize("refreshes", [320, pytest.param(10_000, marks=pytest.mark.slow)])
def test_bad_networks_sign_nobody_out(committed, settings, refreshes):
    app = create_app(settings, db=committed)
    keys = app.extensions[EXTENSION].keys
    with committed.sessions() as own:
        people = [factories.a_citizen(own) for _ in range(8)]
        tokens = [
            factories.signed_in(app, own, each, factories.NOON).refresh_token for each in people
        ]
    phones = [Phone(committed, keys, token, f"network {n}") for n, token in enumerate(tokens)]

    with ThreadPoolExecutor(len(phones)) as threads:
        list(threads.map(lambda phone: phone.live(refreshes // len(phones)), phones))

    assert sum(phone.asked for phone in phones) >= refreshes
    with committed.sessions() as own:
        assert sessions_alive(own) == len(phones)
        assert [alarms(own, each) for each in people] == [0] * len(people)
