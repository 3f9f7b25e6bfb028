"""Sealing what must not lie open in the database, and finding it again.

Each person has a random key of their own (the data key), kept in their row, wrapped by a key that
lies outside the database; destroying the wrapped key makes everything sealed with it unreadable
(backups made before hold it until they are gone). What is sealed is bound to its table, column and
row, so that a value that was moved elsewhere does not open. See docs/adr/0007.

    data_key   01 | id of the wrapping key (1 byte) | nonce (12) | key (32) | tag (16)
    *_sealed   01 | nonce (12) | text | tag (16)

Data keys are unwrapped for each use and kept nowhere: that takes four microseconds, and a key that
was destroyed must not live on in the memory of a process. services/keyring.py makes new ones.
"""

import hmac
import secrets
import uuid
from collections.abc import Mapping
from typing import Any, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from services.errors import Unavailable

DATA, INDEX = "data", "index"
_FORM = b"\x01"
_NONCE = 12
_KEY = 32
# Where the id of the wrapping key stands in a data key.
_ID = 1


class Unreadable(Unavailable):
    """Something that is stored about this person cannot be read; the operators have been told."""

    vi = "Có dữ liệu đã lưu về người này không đọc được; hệ thống đã báo cho người vận hành."

    def __init__(self, column: str = "") -> None:
        """Remember the column, such as `citizens.phone_sealed`: for the log, not for the answer."""
        self.column = column
        super().__init__()


class Sealing(Protocol):
    """A row that keeps sealed values; `id` and `__tablename__` bind them to it."""

    __tablename__: str
    id: uuid.UUID
    data_key: bytes | None


class Numbered(Sealing, Protocol):
    """A row that is found by the blind index of a citizen number."""

    number_index: Any  # bytes; a citizen may have none
    index_key_id: int


class Vault:
    """Seals and opens by the keys of this installation, of which the first is the current one.

    It never changes, so threads may share it.
    """

    def __init__(self, *, data_keys: Mapping[int, str], index_keys: Mapping[int, str]) -> None:
        self._data_keys = {
            number: AESGCM(_derived(secret, b"data key")) for number, secret in data_keys.items()
        }
        self._index_keys = {
            number: _derived(secret, b"blind index") for number, secret in index_keys.items()
        }
        self.data_key_id = next(iter(data_keys))
        self.index_key_id = next(iter(index_keys))
        # By these the database recognises each key, which follows from none of them: the secrets
        # have 128 random bits or more.
        self.checks = {
            (purpose, number): hmac.digest(
                _derived(secret, b"check"), f"{purpose}|{number}".encode(), "sha256"
            )
            for purpose, keys in ((DATA, data_keys), (INDEX, index_keys))
            for number, secret in keys.items()
        }

    def write(self, row: Sealing, name: str, text: str | None) -> None:
        """Set `name`_sealed of `row`; what it says already stays, so that nothing is written.

        Raises:
            Unreadable: by what is there, or by the row's data key.
        """
        column = f"{name}_sealed"
        if self.read(row, name) != text:
            sealed = None if text is None else self.seal(row, column, text.encode())
            setattr(row, column, sealed)

    def read(self, row: Sealing, name: str) -> str | None:
        """What `name`_sealed of `row` says.

        Raises:
            Unreadable: it was changed or moved, or its key was destroyed or is not here.
        """
        column = f"{name}_sealed"
        sealed: bytes | None = getattr(row, column)
        return None if sealed is None else self.open(row, column, sealed).decode()

    def seal(self, row: Sealing, place: str, content: bytes) -> bytes:
        """`content` by the key of `row`; it opens at `place` alone.

        A place is a column of the row, or whatever else names where the sealed content is kept.

        Raises:
            Unreadable: the row's data key is.
        """
        if row.data_key is None:
            raise ValueError("a row without a data key; services.keyring.provide makes one")
        nonce = secrets.token_bytes(_NONCE)
        key = self._unwrapped(row, row.data_key)
        return _FORM + nonce + key.encrypt(nonce, content, _place(row, place))

    def open(self, row: Sealing, place: str, sealed: bytes) -> bytes:
        """What was sealed for `place` of `row`.

        Raises:
            Unreadable
        """
        if row.data_key is None:
            raise Unreadable(_name(row, place))
        return _opened(self._unwrapped(row, row.data_key), sealed, _ID, row, place)

    def write_number(self, row: Numbered, citizen_number: str) -> None:
        """Seal a citizen number, and have the row found by it.

        Raises:
            Unreadable
        """
        row.number_index = self.index(citizen_number)
        row.index_key_id = self.index_key_id
        self.write(row, "number", citizen_number)

    def index(self, citizen_number: str, key_id: int | None = None) -> bytes:
        """The blind index of a citizen number, 32 bytes, by the current key or another.

        A plain hash would protect nothing: there are so few numbers that all can be tried.
        """
        key = self._index_keys[self.index_key_id if key_id is None else key_id]
        return hmac.digest(key, b"citizen_number|" + citizen_number.encode(), "sha256")

    def indexes(self, citizen_number: str) -> list[bytes]:
        """Every index that a row of this number may have, while keys are being changed."""
        return [self.index(citizen_number, key_id) for key_id in self._index_keys]

    def equip(self, row: Sealing) -> None:
        """Give a row a new data key; what was sealed with another one does not open any more."""
        self._wrap(row, secrets.token_bytes(_KEY))

    def rewrap(self, row: Sealing) -> None:
        """Wrap the row's data key by the current key; what it sealed stays as it is.

        Raises:
            Unreadable
        """
        if row.data_key is not None and wrapped_by(row.data_key) != self.data_key_id:
            self._wrap(row, self._unwrap(row, row.data_key))

    def _wrap(self, row: Sealing, key: bytes) -> None:
        nonce = secrets.token_bytes(_NONCE)
        wrapping = self._data_keys[self.data_key_id]
        head = _FORM + bytes([self.data_key_id])
        row.data_key = head + nonce + wrapping.encrypt(nonce, key, _place(row, "data_key"))

    def _unwrap(self, row: Sealing, wrapped: bytes) -> bytes:
        wrapping = self._data_keys.get(wrapped_by(wrapped))
        if wrapping is None:
            raise Unreadable(_name(row, "data_key"))
        return _opened(wrapping, wrapped, _ID + 1, row, "data_key")

    def _unwrapped(self, row: Sealing, wrapped: bytes) -> AESGCM:
        return AESGCM(self._unwrap(row, wrapped))


def wrapped_by(data_key: bytes) -> int:
    """The id of the key that wrapped a data key; 0, which no key has, for what is none."""
    return data_key[_ID] if len(data_key) > _ID else 0


def _opened(key: AESGCM, sealed: bytes, start: int, row: Sealing, column: str) -> bytes:
    end = start + _NONCE
    if sealed[:1] != _FORM:
        raise Unreadable(_name(row, column))
    try:
        return key.decrypt(sealed[start:end], sealed[end:], _place(row, column))
    except (InvalidTag, ValueError) as error:
        raise Unreadable(_name(row, column)) from error


def _name(row: Sealing, column: str) -> str:
    return f"{row.__tablename__}.{column}"


def _place(row: Sealing, column: str) -> bytes:
    return f"{row.__tablename__}|{column}|{row.id}".encode()


def _derived(secret: str, purpose: bytes) -> bytes:
    return HKDF(SHA256(), _KEY, salt=None, info=purpose).derive(secret.encode())
