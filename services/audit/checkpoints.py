"""Checkpoints: the head of the chain, signed by a key outside the database and copied out of it.

The chain alone proves little against whoever owns the database: they can write all of it anew.
What they cannot make is the signature, and what they cannot reach are the copies.
"""

import datetime as dt
import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models import AuditCheckpoint
from services.audit import chain
from services.storage import Storage

FOLDER = "audit/checkpoints"
COLUMNS = AuditCheckpoint.__table__.columns
_PEM = re.compile(rb"-----BEGIN (PRIVATE|PUBLIC) KEY-----.+?-----END \1 KEY-----", re.DOTALL)
_NAME = re.compile(r"([1-9][0-9]{0,18})\.json")


class AuditKeys:
    """The Ed25519 keys of AUDIT_KEY_FILE: PEM, one after the other.

    The first one that is private signs. All of them check signatures, so that the public half of a
    former key may stay there; whoever only checks needs no private one.
    """

    def __init__(self, pem: bytes) -> None:
        self._signer: Ed25519PrivateKey | None = None
        self._known: dict[str, Ed25519PublicKey] = {}
        for block in _PEM.finditer(pem):
            public = self._read(block[0], private=block[1] == b"PRIVATE")
            self._known[_key_id(public)] = public
        if not self._known:
            raise ValueError("AUDIT_KEY_FILE holds no key in PEM")

    @classmethod
    def of(cls, path: Path | None) -> "AuditKeys | None":
        """The keys of a file; none without a file."""
        return None if path is None else cls(path.read_bytes())

    @property
    def can_sign(self) -> bool:
        return self._signer is not None

    @property
    def key_id(self) -> str:
        """The id of the key that signs."""
        if self._signer is None:
            raise ValueError("AUDIT_KEY_FILE holds no private key")
        return _key_id(self._signer.public_key())

    def sign(self, position: int, head: bytes, *, at: dt.datetime) -> AuditCheckpoint:
        if self._signer is None:
            raise ValueError("AUDIT_KEY_FILE holds no private key")
        checkpoint = AuditCheckpoint(position=position, hash=head, at=at, key_id=self.key_id)
        checkpoint.signature = self._signer.sign(_statement(checkpoint))
        return checkpoint

    def knows(self, checkpoint: AuditCheckpoint) -> bool:
        return checkpoint.key_id in self._known

    def signed(self, checkpoint: AuditCheckpoint) -> bool:
        """Whether one of these keys signed exactly this."""
        try:
            self._known[checkpoint.key_id].verify(checkpoint.signature, _statement(checkpoint))
        except (KeyError, InvalidSignature):
            return False
        return True

    def _read(self, block: bytes, *, private: bool) -> Ed25519PublicKey:
        if not private:
            public = load_pem_public_key(block)
        else:
            key = load_pem_private_key(block, password=None)
            if not isinstance(key, Ed25519PrivateKey):
                raise TypeError("AUDIT_KEY_FILE must hold Ed25519 keys")
            self._signer = self._signer or key
            public = key.public_key()
        if not isinstance(public, Ed25519PublicKey):
            raise TypeError("AUDIT_KEY_FILE must hold Ed25519 keys")
        return public


def sign_head(session: Session, keys: AuditKeys, *, at: dt.datetime) -> AuditCheckpoint | None:
    """Sign the newest link; None when there is nothing since the last checkpoint."""
    head = chain.head(session)
    if head is None:
        return None
    signed = keys.sign(head.position, head.hash, at=at)
    values = {column.name: getattr(signed, column.name) for column in COLUMNS}
    return session.scalar(
        insert(AuditCheckpoint)
        .values(values)
        .on_conflict_do_nothing(index_elements=[AuditCheckpoint.position])
        .returning(AuditCheckpoint)
    )


def latest_checkpoints(session: Session, limit: int) -> Sequence[AuditCheckpoint]:
    return session.scalars(
        select(AuditCheckpoint).order_by(AuditCheckpoint.position.desc()).limit(limit)
    ).all()


def copy_out(checkpoints: Sequence[AuditCheckpoint], storage: Storage) -> int:
    """Copy those that have no copy yet into the file store; says how many.

    Raises:
        StorageUnavailable
    """
    copied = 0
    for checkpoint in checkpoints:
        key = f"{FOLDER}/{checkpoint.position}.json"
        try:
            storage.get(key)
        except FileNotFoundError:
            storage.put(key, _dumped(_members(checkpoint) | _signature(checkpoint)))
            copied += 1
    return copied


def copied_positions(storage: Storage) -> Iterator[int]:
    """The positions of the copies, in no order; other files there are passed over.

    Raises:
        StorageUnavailable
    """
    for name in storage.names(FOLDER):
        if found := _NAME.fullmatch(name):
            yield int(found[1])


def read_copy(storage: Storage, position: int) -> AuditCheckpoint | None:
    """A copy as a checkpoint; None when it is not of our making.

    Raises:
        FileNotFoundError, StorageUnavailable
    """
    content = storage.get(f"{FOLDER}/{position}.json")
    try:
        members = orjson.loads(content)
        return AuditCheckpoint(
            position=int(members["position"]),
            hash=bytes.fromhex(members["hash"]),
            at=dt.datetime.fromisoformat(members["at"]),
            key_id=str(members["key_id"]),
            signature=bytes.fromhex(members["signature"]),
        )
    except (ValueError, TypeError, KeyError):
        return None


def _statement(checkpoint: AuditCheckpoint) -> bytes:
    """What is signed; the type keeps the signature from meaning anything else."""
    return _dumped(_members(checkpoint))


def _members(checkpoint: AuditCheckpoint) -> dict[str, Any]:
    return {
        "type": "audit-checkpoint",
        "position": checkpoint.position,
        "hash": checkpoint.hash.hex(),
        "at": f"{checkpoint.at.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
        "key_id": checkpoint.key_id,
    }


def _signature(checkpoint: AuditCheckpoint) -> dict[str, str]:
    return {"signature": checkpoint.signature.hex()}


def _dumped(members: dict[str, Any]) -> bytes:
    return orjson.dumps(members, option=orjson.OPT_SORT_KEYS)


def _key_id(public: Ed25519PublicKey) -> str:
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()[:16]
