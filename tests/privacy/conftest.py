"""Somebody who handles what others ask, and several people at one moment."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests import factories


@pytest.fixture
def administrator(session):
    return factories.a_staff(session, (("administrator", None),), "Ma Văn Quản")


@pytest.fixture
def at_once():
    """`at_once(work, 6)`: have `work(0)` to `work(5)` begin at the same moment; all have ended."""

    def run(work, count):
        start = threading.Barrier(count)

        def begin(number):
            start.wait()
            work(number)

        with ThreadPoolExecutor(count) as threads:
            list(threads.map(begin, range(count)))

    return run
