"""An audit log on a database of its own, with the application and the owner at it."""

import itertools
import uuid

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from sqlalchemy import select

from models import AuditEvent, AuditLink, Database
from services import audit
from services.audit import AuditKeys, Deed, Verification, chain
from services.storage import LocalStorage
from tests import factories
from tests.conftest import TEMPLATE

_names = (f"ctn_audited_{number}" for number in itertools.count())


def a_key() -> bytes:
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_half(pem: bytes) -> bytes:
    key = AuditKeys(pem)._signer.public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


class Ledger:
    """The log, and what may be done to it by right and by force."""

    def __init__(self, db: Database, owner: psycopg.Connection, storage: LocalStorage) -> None:
        self.db = db
        self.owner = owner
        self.storage = storage
        self.pem = a_key()

    @property
    def keys(self) -> AuditKeys:
        return AuditKeys(self.pem)

    def write(self, count: int = 1, at=factories.NOON) -> None:
        """Events, each of a transaction of its own."""
        for _ in range(count):
            with self.db.transaction() as session:
                note(session, at)

    def chain(self, limit: int = audit.BATCH) -> int:
        with self.db.transaction() as session:
            return audit.extend(session, limit=limit)

    def sign(self, at=factories.NOON):
        """A checkpoint, with its copy."""
        with self.db.transaction() as session:
            made = audit.sign_head(session, self.keys, at=at)
        if made:
            audit.copy_out([made], self.storage)
        return made

    def looked_at(self, **expected: bytes) -> tuple[Verification, list[audit.Fault]]:
        done = Verification(self.keys, {int(name[2:]): value for name, value in expected.items()})
        with self.db.reading() as session:
            return done, list(done.faults(session, self.storage))

    def faults(self) -> list[str]:
        return [fault.kind for fault in self.looked_at()[1]]

    def event_at(self, position: int) -> uuid.UUID:
        with self.db.reading() as session:
            query = select(AuditLink.event_id).where(AuditLink.position == position)
            return session.scalars(query).one()

    def chained(self) -> list[uuid.UUID]:
        with self.db.reading() as session:
            return list(session.scalars(select(AuditLink.event_id).order_by(AuditLink.position)))

    def by_force(self, statement: str, *values: object) -> None:
        """As the owner of the tables, who may do anything."""
        self.owner.execute(statement, values)

    def empty(self) -> None:
        self.by_force("TRUNCATE audit_events, audit_chain, audit_checkpoints")

    def write_anew_from(self, position: int) -> None:
        """Make the chain fit the events again, as only somebody can who knows how it is made."""
        with self.db.reading() as session:
            links = session.scalars(select(AuditLink).order_by(AuditLink.position)).all()
            before = links[position - 2].hash if position > 1 else bytes(32)
            for link in links[position - 1 :]:
                query = select(AuditEvent.__table__).where(AuditEvent.id == link.event_id)
                before = chain.next_hash(before, session.execute(query).one())
                self.by_force(
                    "UPDATE audit_chain SET hash = %s WHERE position = %s", before, link.position
                )


def note(session, at=factories.NOON) -> None:
    audit.record(session, Deed.AUDIT_VERIFY, actor=None, subject=("audit", None), at=at, faults=0)


@pytest.fixture
def ledger(postgres, tmp_path):
    name = next(_names)
    postgres.create_database(name, template=TEMPLATE)
    db = Database.at(postgres.url("app", name), pool_size=5)
    with psycopg.connect(postgres.url("owner", name), autocommit=True) as owner:
        yield Ledger(db, owner, LocalStorage(tmp_path / "files"))
    db.close()
