"""Limits that guard people hold across connections, to the last one."""

import datetime as dt
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from services import limits
from services.limits import RateLimited
from tests import factories

MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def take(database, clock):
    def use(bucket: str = "a bucket", limit: int = 3) -> bool:
        try:
            with database.transaction() as session:
                limits.take(session, bucket, limit=limit, window=MINUTE, at=clock())
        except RateLimited:
            return False
        return True

    return use


def test_a_limit_holds_to_the_last_one_across_connections(committed):
    together = threading.Barrier(25)

    def use(_: int) -> bool:
        # With a connection in hand each, nobody is late.
        with committed.reading() as session:
            session.connection()
            together.wait()
        try:
            with committed.transaction() as session:
                limits.take(session, "b", limit=10, window=MINUTE, at=factories.NOON)
        except RateLimited:
            return False
        return True

    with ThreadPoolExecutor(25) as pool:
        allowed = [list(pool.map(use, range(25))).count(True) for _ in range(3)]

    assert allowed == [10, 0, 0]


def test_up_to_the_limit_is_allowed_and_no_more(take):
    assert [take() for _ in range(5)] == [True, True, True, False, False]


def test_a_new_window_begins_when_the_old_one_ends(take, clock):
    before = [take() for _ in range(4)]
    clock.forward(seconds=59)
    still = take()
    clock.forward(seconds=1)

    assert (before[3], still) == (False, False)
    assert [take() for _ in range(4)] == [True, True, True, False]


def test_buckets_do_not_touch_one_another(take):
    for _ in range(4):
        take("one")

    assert take("another")


def test_a_refusal_says_how_long_to_wait(database, take, clock):
    for _ in range(3):
        take()
    clock.forward(seconds=43)

    with pytest.raises(RateLimited) as refusal, database.transaction() as session:
        limits.take(session, "a bucket", limit=3, window=MINUTE, at=clock())

    assert refusal.value.facts == {"limit": 3, "window_s": 60, "retry_after_s": 17}
    assert refusal.value.retry_after == 17
