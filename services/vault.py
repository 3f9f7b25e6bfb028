"""Sealing what must not lie open in the database, and finding it again.

Each person has a random key of their own (the data key), kept in their row, wrapped by a key that
lies outside the database; destroying the wrapped key makes everything sealed with it unreadable,
in backups too. What is sealed is bound to its table, column and row, so that a value that was
moved elsewhere does not open. See docs/adr/0007.

    data_key   01 | id of the wrapping key (1 byte) | nonce (12) | key (32) | tag (16)
    *_sealed   01 | nonce (12) | text | tag (16)
"""

import functools
import hmac
import secrets
import uuid
from collections.abc import Mapping
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_FORM = b"\x01"
_NONCE = 12
_KEY = 32


class Unreadable(Exception):
    """A sealed value does not open: it was changed or moved, or its key is not here."""


class Sealing(Protocol):
    """A row that keeps sealed values; `id` and `__tablename__` bind them to it."""

    __tablename__: str
    id: uuid.UUID
    data_key: bytes | None


class Vault:
    """Seals and opens by the keys of this installation, of which the first is the current one."""

    def __init__(self, *, data_keys: Mapping[int, str], index_keys: Mapping[int, str]) -> None:
        self._data_keys = {
            number: AESGCM(_derived(secret, b"data key")) for number, secret in data_keys.items()
        }
        self._index_keys = {
            number: _derived(secret, b"blind index") for number, secret in index_keys.items()
        }
        self.data_key_id = next(iter(data_keys))
        self.index_key_id = next(iter(index_keys))
        # The keys of the people of the last minutes; unwrapping is as dear as opening.
        self._unwrapped = functools.lru_cache(1024)(self._unwrap)

    def write(self, row: Sealing, name: str, text: str | None) -> None:
        """Set `name`_sealed of `row`; what it says already stays, so that nothing is written."""
        column = f"{name}_sealed"
        if self.read(row, name) == text:
            return
        sealed = None
        if text is not None:
            if row.data_key is None:
                row.data_key = self._wrap(secrets.token_bytes(_KEY), _place(row, "data_key"))
            nonce = secrets.token_bytes(_NONCE)
            key = AESGCM(self._unwrapped(row.data_key, _place(row, "data_key")))
            sealed = _FORM + nonce + key.encrypt(nonce, text.encode(), _place(row, column))
        setattr(row, column, sealed)

    def read(self, row: Sealing, name: str) -> str | None:
        """What `name`_sealed of `row` says.

        Raises:
            Unreadable
        """
        column = f"{name}_sealed"
        sealed: bytes | None = getattr(row, column)
        if sealed is None:
            return None
        if row.data_key is None:
            raise Unreadable(column)
        key = AESGCM(self._unwrapped(row.data_key, _place(row, "data_key")))
        return _opened(key, sealed, 1, _place(row, column)).decode()

    def index(self, citizen_number: str, key_id: int | None = None) -> bytes:
        """The blind index of a citizen number, 32 bytes, by the current key or another.

        A plain hash would protect nothing: there are so few numbers that all can be tried.
        """
        key = self._index_keys[self.index_key_id if key_id is None else key_id]
        return hmac.digest(key, b"citizen_number|" + citizen_number.encode(), "sha256")

    def indexes(self, citizen_number: str) -> list[bytes]:
        """Every index that a row of this number may have, while keys are being changed."""
        return [self.index(citizen_number, key_id) for key_id in self._index_keys]

    def rewrap(self, row: Sealing) -> None:
        """Wrap the row's data key by the current key; what it sealed stays as it is.

        Raises:
            Unreadable
        """
        if row.data_key is not None and row.data_key[1] != self.data_key_id:
            place = _place(row, "data_key")
            row.data_key = self._wrap(self._unwrap(row.data_key, place), place)

    def _wrap(self, key: bytes, place: bytes) -> bytes:
        nonce = secrets.token_bytes(_NONCE)
        head = _FORM + bytes([self.data_key_id])
        return head + nonce + self._data_keys[self.data_key_id].encrypt(nonce, key, place)

    def _unwrap(self, wrapped: bytes, place: bytes) -> bytes:
        key = self._data_keys.get(wrapped[1]) if len(wrapped) > 1 else None
        if key is None:
            raise Unreadable("data_key")
        return _opened(key, wrapped, 2, place)


def _opened(key: AESGCM, sealed: bytes, start: int, place: bytes) -> bytes:
    end = start + _NONCE
    if sealed[:1] != _FORM:
        raise Unreadable(place.decode())
    try:
        return key.decrypt(sealed[start:end], sealed[end:], place)
    except (InvalidTag, ValueError) as error:
        raise Unreadable(place.decode()) from error


def _place(row: Sealing, column: str) -> bytes:
    return f"{row.__tablename__}|{column}|{row.id}".encode()


def _derived(secret: str, purpose: bytes) -> bytes:
    return HKDF(SHA256(), _KEY, salt=None, info=purpose).derive(secret.encode())
