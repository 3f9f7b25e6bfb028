"""One wait in vain serves for all: the others do not begin another."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError

from api.bounded import Bounded
from models.base import connect
from models.patience import PAUSE_S, Patience, Silent
from tests.test_transaction import a_row


class Stopwatch:
    """A monotonic clock that a test moves."""

    seconds = 1000.0

    def __call__(self):
        return self.seconds


def seconds_until_refused(patience, port) -> float:
    began = time.monotonic()
    address = f"postgresql://nobody@127.0.0.1:{port}/none"
    with pytest.raises(Silent):
        patience.connect(None, None, [address], {"connect_timeout": 2})
    return time.monotonic() - began


@pytest.mark.alone
def test_who_comes_after_a_silence_is_refused_at_once_but_for_one_who_tries():
    clock = Stopwatch()
    patience = Patience(clock)
    with socket.create_server(("127.0.0.1", 0)) as mute, ThreadPoolExecutor() as threads:
        ask = partial(seconds_until_refused, patience, mute.getsockname()[1])
        first, second = ask(), ask()
        clock.seconds += PAUSE_S
        trying = threads.submit(ask)
        time.sleep(0.2)
        meanwhile = ask()

    assert min(first, trying.result()) > 1.5
    assert max(second, meanwhile) < 0.5


def test_a_server_that_refuses_is_not_a_silent_one():
    patience = Patience()

    with pytest.raises(OperationalError) as refusal:
        connect("postgresql://nobody@127.0.0.1:1/none", patience=patience).connect()

    assert not isinstance(refusal.value.orig, Silent)
    assert not patience.lost


def test_a_statement_that_the_server_refuses_leaves_its_connection_in_use(committed):
    with committed.sessions() as session:
        mine = session.connection().connection.driver_connection
        with pytest.raises(IntegrityError):
            session.execute(a_row().__table__.insert(), [{"bucket": None}, {"bucket": None}])
        session.rollback()

        assert session.connection().connection.driver_connection is mine
        assert session.scalar(text("SELECT 1")) == 1


@pytest.mark.alone
def test_who_asks_what_never_answers_waits_no_longer_than_the_first(request):
    never = threading.Event()
    request.addfinalizer(never.set)
    asked = []
    ask = Bounded(lambda: asked.append(1) or never.wait(), 0.2)

    for _ in range(3):
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            ask()
        assert time.monotonic() - began < 0.4

    assert len(asked) == 1


def test_who_asks_meanwhile_gets_the_same_answer_and_who_asks_later_a_new_one():
    answers = iter(range(10))
    told = []

    def slowly():
        time.sleep(0.1)
        return next(answers)

    ask = Bounded(slowly, 5)
    threads = [threading.Thread(target=lambda: told.append(ask())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert told == [0, 0, 0]
    assert ask() == 1


def test_what_is_raised_where_it_is_asked_is_raised_to_who_waits():
    def fail():
        raise LookupError

    with pytest.raises(LookupError):
        Bounded(fail, 5)()
