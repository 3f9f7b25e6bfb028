"""Push for tests: keeps what it was given and answers what it was told to."""

from collections.abc import Sequence
from threading import Lock

from notifications.push import Message, Outcome, Result

DELIVERED = Result(Outcome.DELIVERED_TO_FCM)


class MemoryPush:
    """Shipped beside the real adapter so that no test needs a mock of our own code.

    `sent` holds every message in the order given, whatever was answered. `answers` maps the value
    of an address to the result its messages get; others are delivered.
    """

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.answers: dict[str, Result] = {}
        self._lock = Lock()

    def send(self, messages: Sequence[Message]) -> list[Result]:
        with self._lock:
            self.sent.extend(messages)
            return [self.answers.get(message.address.value, DELIVERED) for message in messages]

    def delivered_to(self, value: str) -> list[Message]:
        """Give the messages for this address that were not answered with a failure."""
        with self._lock:
            result = self.answers.get(value, DELIVERED)
            if result.outcome is not Outcome.DELIVERED_TO_FCM:
                return []
            return [message for message in self.sent if message.address.value == value]
