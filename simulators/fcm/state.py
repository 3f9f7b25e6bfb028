"""What the simulator remembers while it runs: tokens, phones, topics and faults."""

import re
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from secrets import token_urlsafe
from threading import Event, Lock
from time import monotonic
from typing import Any
from uuid import uuid4

# Enough for every test, and a bound for a simulator that runs for days.
KEPT_PER_PHONE = 1000


@dataclass(slots=True)
class Fault:
    """Misbehaviour for the targets that `pattern` is found in."""

    pattern: re.Pattern[str]
    status: int | str
    error_code: str | None = None
    retry_after: int | str | None = None
    left: int | None = None
    seconds: float = 30.0
    at: str = "send"


@dataclass(slots=True)
class Phone:
    """What one target was handed, the newest `KEPT_PER_PHONE` of it."""

    messages: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=KEPT_PER_PHONE))
    ids: set[str] = field(default_factory=set)
    count: int = 0

    @property
    def duplicates(self) -> int:
        return self.count - len(self.ids)


class State:
    """Guarded by one lock: every method is a whole step."""

    def __init__(self, *, token_seconds: int, clock: Callable[[], float] = monotonic) -> None:
        self.token_seconds = token_seconds
        self._clock = clock
        self._lock = Lock()
        self._tokens: dict[str, float] = {}
        self._phones: defaultdict[str, Phone] = defaultdict(Phone)
        self._topics: defaultdict[str, set[str]] = defaultdict(set)
        self._faults: list[Fault] = []
        self._faults_gone = Event()

    def new_token(self) -> str:
        token = f"ya29.{token_urlsafe(32)}"
        with self._lock:
            self._tokens[token] = self._clock() + self.token_seconds
        return token

    def token_is_good(self, token: str) -> bool:
        with self._lock:
            return self._tokens.get(token, 0.0) > self._clock()

    def revoke_tokens(self) -> None:
        with self._lock:
            self._tokens.clear()

    def deliver(self, kind: str, value: str, message: dict[str, Any]) -> None:
        """Hand a message to its target, and one for a topic also to everybody who joined it."""
        notification = message.get("notification", {})
        data = message.get("data", {})
        record = {
            "notification_id": data.get("notification_id"),
            "title": notification.get("title"),
            "body": notification.get("body"),
            "data": data,
            "accepted_at": datetime.now(UTC).isoformat(),
        }
        with self._lock:
            joined = self._topics.get(value, set()) if kind == "topic" else set()
            for name in {value} | joined:
                phone = self._phones[name]
                phone.messages.append(record)
                # Without an id the app could not drop a repeat, so each counts as its own.
                phone.ids.add(record["notification_id"] or str(uuid4()))
                phone.count += 1

    def messages(self, value: str) -> list[dict[str, Any]]:
        with self._lock:
            phone = self._phones.get(value)
            return list(phone.messages) if phone else []

    def phones(self) -> list[dict[str, Any]]:
        with self._lock:
            return [
                {"value": value, "count": phone.count, "duplicates": phone.duplicates}
                for value, phone in self._phones.items()
            ]

    def forget_phones(self) -> None:
        with self._lock:
            self._phones.clear()

    def subscribe(self, device: str, topic: str) -> bool:
        """Say whether the device was not yet in the topic."""
        with self._lock:
            new = device not in self._topics[topic]
            self._topics[topic].add(device)
            return new

    def unsubscribe(self, device: str, topic: str) -> bool:
        """Say whether the device was in the topic."""
        with self._lock:
            known = device in self._topics[topic]
            self._topics[topic].discard(device)
            return known

    def add_fault(self, fault: Fault) -> None:
        with self._lock:
            self._faults_gone.clear()
            self._faults.append(fault)

    def clear_faults(self) -> None:
        """Forget every fault and let go of those who hang in one."""
        with self._lock:
            self._faults.clear()
            self._faults_gone.set()

    def take_fault(self, at: str, value: str) -> Fault | None:
        """Give the newest fault for this target, counting down its `times`."""
        with self._lock:
            for fault in reversed(self._faults):
                if fault.at == at and fault.pattern.search(value) and fault.left != 0:
                    if fault.left is not None:
                        fault.left -= 1
                    return fault
        return None

    def hang(self, seconds: float) -> None:
        self._faults_gone.wait(seconds)
