"""The port: what the rest of the product knows about push."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Literal, Protocol
from uuid import UUID

AddressKind = Literal["fid", "token", "topic"]


@dataclass(frozen=True, slots=True)
class Address:
    """One device (`fid`, or the older `token`) or everybody who joined a `topic`."""

    kind: AddressKind
    # A device's address is a secret of its owner, so it stays out of tracebacks and logs.
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Message:
    """A hint that something waits in the inbox.

    It leaves the country on its way, so title, body and data carry no personal data; the app
    fetches the text after sign-in. `notification_id` lets the app drop a repeat.
    """

    notification_id: UUID
    address: Address
    title: str
    body: str
    data: Mapping[str, str]
    collapse_key: str
    ttl: timedelta
    urgent: bool


class Outcome(StrEnum):
    """What became of a message; the caller decides on retries by this alone."""

    DELIVERED_TO_FCM = "delivered_to_fcm"  # Handed over: FCM gives no receipt from the phone.
    UNREGISTERED = "unregistered"  # The app is gone from this device: forget the device.
    SENDER_MISMATCH = "sender_mismatch"  # The device belongs to another project: forget it, alert.
    INVALID = "invalid"  # The message or the address is malformed: a retry changes nothing.
    QUOTA = "quota"  # Too fast: again after `retry_after`.
    UNAVAILABLE = "unavailable"  # FCM or the way to it is down: again later.
    AUTH = "auth"  # Our credentials are refused: again once a person has mended them.


@dataclass(frozen=True, slots=True)
class Result:
    """The answer for one message. `detail` is for people and never holds the address."""

    outcome: Outcome
    retry_after: timedelta | None = None
    detail: str = ""


class Push(Protocol):
    """Hands messages over."""

    def send(self, messages: Sequence[Message]) -> list[Result]:
        """Answer one result per message, in order; a failed delivery never raises."""
        ...
