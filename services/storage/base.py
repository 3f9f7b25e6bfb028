"""What a place for photos can do."""

import datetime as dt
from collections.abc import Iterator
from typing import Protocol

from services.errors import Unavailable


class StorageUnavailable(Unavailable):
    """Photos cannot be stored or shown at the moment; please try again shortly."""

    vi = "Tạm thời không lưu hoặc xem được ảnh; vui lòng thử lại sau ít phút."


class Storage(Protocol):
    """Keys are slash-separated names that this project made, never a user's text.

    Where the place is another machine, each method may raise StorageUnavailable.
    """

    def put(self, key: str, content: bytes) -> None:
        """Store `content` whole or not at all."""

    def get(self, key: str) -> bytes:
        """Read it back; FileNotFoundError when it is not there."""

    def behind_nginx(self, key: str) -> str:
        """What names `key` below nginx's internal prefix; made without asking anybody."""

    def delete_all(self, prefix: str) -> None:
        """Remove every key under `prefix`; nothing there is fine."""

    def delete(self, key: str) -> None:
        """Remove one key; nothing there is fine."""

    def is_nearly_full(self) -> bool:
        """Whether little room is left for more."""

    def names(self, folder: str) -> Iterator[str]:
        """The last part of each key that lies directly in `folder`; nothing there is fine."""

    def untouched_since(self, moment: dt.datetime) -> Iterator[str]:
        """The first part of each key under which nothing was written since `moment`."""

    def prepare(self) -> None:
        """Make the place itself, unless it is there; nobody else may look into it."""
