"""Push for development without a simulator: one line a message."""

import json
from collections.abc import Sequence
from typing import TextIO

from notifications.push import Message, Outcome, Result


class ConsolePush:
    """Writes each message to a stream instead of sending it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def send(self, messages: Sequence[Message]) -> list[Result]:
        for message in messages:
            self._stream.write(_line(message))
        self._stream.flush()
        return [Result(Outcome.DELIVERED_TO_FCM) for _ in messages]


def _line(message: Message) -> str:
    urgency = "urgent" if message.urgent else "normal"
    # As JSON, a line break in a text cannot fake a second line.
    text = json.dumps(f"{message.title}: {message.body}", ensure_ascii=False)
    address = f"{message.address.kind}:{message.address.value[:12]}"
    return f"push {urgency} {json.dumps(address)} {message.notification_id} {text}\n"
