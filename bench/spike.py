"""Ten times as many phones as before, for a moment: what happens meanwhile, and how it ends."""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, Self

import httpx

from bench.wrk import Request, begin

PATH = "/api/v1/public/reports"
PAUSE_S = 0.1
# It is over when so many probes in a row were as quick as before, give or take.
QUIET = 10
SLACK_MS = 20.0
LONGEST_S = 60.0


def spike(
    url: str, requests: Sequence[Request], *, calm: int, factor: int, seconds: int
) -> dict[str, Any]:
    """Measure calm connections, then `factor` times as many, then how soon it is calm again."""
    before = begin(url, requests, connections=calm, seconds=seconds).figures()
    probe = Probe(url)
    with probe:
        load = begin(url, requests, connections=calm * factor, seconds=seconds)
        during = load.figures()
    recovered_s = _until_quiet(url, before.p99_ms + SLACK_MS)
    return {
        "calm_rate": before.rate,
        "rate": during.rate,
        "refused": during.refused,
        "broken": during.broken,
        "p50_ms": during.p50_ms,
        "p99_ms": during.p99_ms,
        "statuses": dict(sorted(probe.statuses.items())),
        "without_retry_after": probe.without_retry_after,
        "recovered_s": recovered_s,
    }


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
        with httpx.Client(base_url=self._url, trust_env=False, timeout=30) as client:
            while not self._done.wait(PAUSE_S):
                # Nobody who is signed in is answered from what nginx keeps.
                self._look(client, {"Authorization": "Bearer nobody"})

    def _look(self, client: httpx.Client, headers: dict[str, str]) -> None:
        try:
            answer = client.get(PATH, headers=headers | {"Connection": "close"})
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
    with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
        while quick < QUIET and time.monotonic() - began < LONGEST_S:
            asked = time.monotonic()
            answer = client.get(PATH, params={"limit": 19})
            took_ms = (time.monotonic() - asked) * 1000
            quick = quick + 1 if answer.is_success and took_ms <= limit_ms else 0
            if quick == 1:
                quiet_since = asked
            time.sleep(PAUSE_S / 2)
    return quiet_since - began if quick == QUIET else LONGEST_S
