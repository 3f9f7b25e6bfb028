"""So many requests a second to a running system, from loopback and for a bounded time."""

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from statistics import quantiles
from typing import Any

import urllib3

SENDERS = 200
LONGEST_S = 600


@dataclass(frozen=True)
class Ask:
    """One request; `kind` is the name under which its figures are told."""

    kind: str
    method: str
    url: str
    authorization: str = ""
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """How a request ended (status 0: without an answer), and how long after its time that was."""

    kind: str
    status: int
    waited: float
    body: bytes


class Load:
    """Each request has its own time, however long the others take.

    Ends by itself after `seconds`, or when the block is left if that is sooner.
    """

    def __init__(self, ask: Callable[[int], Ask], *, a_second: int, seconds: int = LONGEST_S):
        self.answers: list[Answer] = []
        self._ask = ask
        self._a_second = a_second
        self._count = a_second * seconds
        self._stop = threading.Event()
        self._pool = urllib3.PoolManager(maxsize=SENDERS, retries=False, timeout=30)
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.finish()

    def stop(self):
        """Send no more, and wait for the answers that are due."""
        self._stop.set()
        self.finish()

    def finish(self):
        """Wait until everything is sent and answered."""
        self._thread.join()
        self._pool.clear()

    @property
    def goes_on(self) -> bool:
        return self._thread.is_alive()

    def _run(self):
        began = time.monotonic()
        with ThreadPoolExecutor(SENDERS) as senders:
            for number in range(self._count):
                due = began + number / self._a_second
                if self._stop.wait(max(0, due - time.monotonic())):
                    break
                senders.submit(self._send, self._ask(number), due)

    def _send(self, ask, due):
        headers = {"Authorization": ask.authorization} if ask.authorization else {}
        body = None
        if ask.body is not None:
            body, headers["Content-Type"] = json.dumps(ask.body), "application/json"
        try:
            answer = self._pool.request(
                ask.method, ask.url, body=body, headers=headers | ask.headers
            )
            status, content = answer.status, answer.data
        except urllib3.exceptions.HTTPError as error:
            status, content = 0, repr(error).encode()
        self.answers.append(Answer(ask.kind, status, time.monotonic() - due, content))


def a_new_report(url: str, authorization: str, **draft: Any) -> Ask:
    key = {"Idempotency-Key": uuid.uuid4().hex}
    return Ask("report", "POST", f"{url}/api/v1/reports", authorization, draft, key)


def figures(answers: list[Answer]) -> Iterator[str]:
    """What is printed, by the kind of request."""
    kind = attrgetter("kind")
    for name, some in groupby(sorted(answers, key=kind), kind):
        waits = sorted(answer.waited for answer in some)
        parts = quantiles(waits, n=100)
        yield (
            f"{name:>7}: {len(waits)} requests, ms: median {parts[49] * 1000:.0f},"
            f" 99 % {parts[98] * 1000:.0f}, longest {waits[-1] * 1000:.0f}"
        )
