"""Ten times as many phones as before, for a moment: what happens meanwhile, and how it ends."""

import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Self

import httpx

from bench.wrk import Figures, Request, begin

# A list that is public; with this header nginx has the application answer, as for the signed-in.
PATH = "/api/v1/public/reports"
UNKEPT = {"Authorization": "Bearer nobody"}
PAUSE_S = 0.1
# It is over when so many probes in a row were as quick as before, give or take.
QUIET = 10
SLACK_MS = 20.0
LONGEST_S = 60.0


def spike(
    url: str,
    requests: Mapping[str, Sequence[Request]],
    *,
    calm: Mapping[str, int],
    factor: int,
    seconds: int,
) -> dict[str, Any]:
    """Measure calm connections, then `factor` times as many, then how soon it is calm again.

    Requests and connections are told by who asks, so that what nginx answers from what it keeps is
    not counted with what the application answers.
    """
    before = _loads(url, requests, calm, seconds)
    with Probe(url) as probe:
        many = {name: count * factor for name, count in calm.items()}
        during = _loads(url, requests, many, seconds)
    recovered_s = _until_quiet(url, max(each.p99_ms for each in before.values()) + SLACK_MS)
    return {
        "who": {
            name: {
                "calm_rate": before[name].rate,
                "rate": figures.rate,
                "refused_rate": figures.refused / figures.seconds,
                "broken": figures.broken,
                "p99_ms": figures.p99_ms,
            }
            for name, figures in during.items()
        },
        "probes": dict(sorted(probe.statuses.items())),
        "without_retry_after": probe.without_retry_after,
        "recovered_s": recovered_s,
    }


def _loads(
    url: str,
    requests: Mapping[str, Sequence[Request]],
    connections: Mapping[str, int],
    seconds: int,
) -> dict[str, Figures]:
    begun = {
        name: begin(url, requests[name], connections=count, seconds=seconds)
        for name, count in connections.items()
    }
    return {name: load.figures() for name, load in begun.items()}


class Probe:
    """Looks now and then at what a single phone is told."""

    def __init__(self, url: str) -> None:
        self.statuses: Counter[str] = Counter()
        self.without_retry_after = 0
        self._url = url
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        headers = UNKEPT | {"Connection": "close"}
        with httpx.Client(
            base_url=self._url, headers=headers, trust_env=False, timeout=30
        ) as client:
            while not self._done.wait(PAUSE_S):
                self._look(client)

    def _look(self, client: httpx.Client) -> None:
        try:
            answer = client.get(PATH)
        except httpx.TransportError:
            self.statuses["none"] += 1
            return
        self.statuses[str(answer.status_code)] += 1
        if not answer.is_success and "Retry-After" not in answer.headers:
            self.without_retry_after += 1


def _until_quiet(url: str, limit_ms: float) -> float:
    """Seconds until ten probes in a row stay below the limit."""
    began = quiet_since = time.monotonic()
    quick = 0
    with httpx.Client(base_url=url, headers=UNKEPT, trust_env=False, timeout=30) as client:
        while quick < QUIET and time.monotonic() - began < LONGEST_S:
            asked = time.monotonic()
            answer = client.get(PATH)
            took_ms = (time.monotonic() - asked) * 1000
            quick = quick + 1 if answer.is_success and took_ms <= limit_ms else 0
            if quick == 1:
                quiet_since = asked
            time.sleep(PAUSE_S / 2)
    return quiet_since - began if quick == QUIET else LONGEST_S
