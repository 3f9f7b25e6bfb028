"""Proving that nothing was changed, taken away or put in between, or naming what was.

Batches are small and each is a statement of its own, so memory and the database's patience are the
same for a thousand events and for a hundred million. The chain may grow meanwhile: what is looked
at ends at the head of the beginning, and rows never change.
"""

import datetime as dt
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, func, not_, select
from sqlalchemy.orm import Session

from models import AuditCheckpoint, AuditEvent, AuditLink
from services.audit import chain, checkpoints
from services.audit.chain import EVENTS, GENESIS
from services.audit.checkpoints import AuditKeys
from services.audit.deeds import Deed
from services.audit.recording import record
from services.storage import Storage

BATCH = 2000
# Beyond so many, the exact number of what waits tells nothing more.
COUNTED = 10_000
FAULTS = {
    "event_changed": "event {event} at position {position} was changed, or what stood before it"
    " was taken away",
    "event_removed": "event {event} at position {position} was removed",
    "event_inserted": "event {event} claims a place that the chain has passed already: it was put"
    " in later, or its link was removed",
    "event_ahead": "event {event} claims a transaction that has not happened yet",
    "link_changed": "the hash at position {position} was changed",
    "links_missing": "the links from position {position} on, before {until}, were removed",
    "link_moved": "the link at position {position} stands in the wrong order",
    "chain_cut": "the chain ends at position {until}, but position {position} was signed",
    "checkpoint_contradicted": "position {position} has another hash than was signed: what lies"
    " between the checkpoint before it and this one was written anew",
    "checkpoint_forged": "the checkpoint of position {position} bears no signature of ours",
    "checkpoint_key_unknown": "the checkpoint of position {position} was signed by a key that is"
    " not in AUDIT_KEY_FILE",
    "checkpoint_removed": "the checkpoint of position {position} has a copy, but was removed from"
    " the database",
    "copy_forged": "the copy of the checkpoint of position {position} is not what was signed",
    "expectation_missed": "position {position} has not the hash that was expected",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is not as it was written. `kind` is one of FAULTS."""

    kind: str
    position: int | None = None
    event: uuid.UUID | None = None
    until: int | None = None

    def __str__(self) -> str:
        return FAULTS[self.kind].format(position=self.position, event=self.event, until=self.until)


@dataclass(slots=True)
class Verification:
    """One look at the whole log; `faults` is to be walked to its end before the rest is asked.

    `chained` is the number of links, `guaranteed` the newest checkpoint up to which nothing is
    wrong, `waiting` the number of events that are not chained yet.
    """

    keys: AuditKeys
    expected: dict[int, bytes] = field(default_factory=dict)
    chained: int = 0
    guaranteed: AuditCheckpoint | None = None
    waiting: int = 0
    found: int = 0
    _first: int | None = None
    _kept: list[AuditCheckpoint] = field(default_factory=list)
    _hashes: dict[int, bytes] = field(default_factory=dict)

    def faults(self, session: Session, storage: Storage) -> Iterator[Fault]:
        """Every fault, as it is found.

        Raises:
            StorageUnavailable
        """
        for fault in self._faults(session, storage):
            self.found += 1
            if fault.position is not None:
                self._first = min(fault.position, self._first or fault.position)
            yield fault
        self.guaranteed = next(
            (
                each
                for each in reversed(self._kept)
                if not self._first or each.position < self._first
            ),
            None,
        )

    def _faults(self, session: Session, storage: Storage) -> Iterator[Fault]:
        # In the opposite order of their making, so that what is made meanwhile raises no alarm.
        copies = sorted(checkpoints.copied_positions(storage))
        signed = {each.position: each for each in _all_checkpoints(session)}
        head = chain.head(session)
        self.chained = head.position if head else 0
        yield from self._checkpoints(signed, copies, storage)
        yield from self._links(session, {*signed, *self.expected})
        yield from self._contradictions(signed)
        if head:
            yield from _inserted(session, head)
        yield from _ahead(session)
        self.waiting = _waiting(session, head)

    def _checkpoints(
        self, signed: dict[int, AuditCheckpoint], copies: list[int], storage: Storage
    ) -> Iterator[Fault]:
        """Whether each is signed, and still where it was written; `signed` keeps the good ones.

        A copy is read only where the database has lost or spoilt its own, and the newest one.
        """
        bad = set()
        for position, each in list(signed.items()):
            if not self.keys.knows(each):
                yield Fault("checkpoint_key_unknown", position)
            elif not self.keys.signed(each):
                yield Fault("checkpoint_forged", position)
            else:
                continue
            bad.add(position)
            del signed[position]
        for position in copies:
            if position in signed and position != copies[-1]:
                continue
            copy = checkpoints.read_copy(storage, position)
            if copy is None or copy.position != position or not self.keys.signed(copy):
                yield Fault("copy_forged", position)
            elif position not in signed:
                if position not in bad:
                    yield Fault("checkpoint_removed", position)
                signed[position] = copy

    def _links(self, session: Session, wanted: set[int]) -> Iterator[Fault]:
        """Walk the chain, keeping the hashes at the `wanted` positions."""
        walk = _Walk()
        for link in _all_links(session, self.chained):
            yield from walk.step(link)
            if link.position in wanted:
                self._hashes[link.position] = link.hash
        yield from walk.settle()

    def _contradictions(self, signed: dict[int, AuditCheckpoint]) -> Iterator[Fault]:
        for position, checkpoint in sorted(signed.items()):
            found = self._hashes.get(position)
            if position > self.chained:
                yield Fault("chain_cut", position, until=self.chained)
            elif found == checkpoint.hash:
                self._kept.append(checkpoint)
            elif found is not None:  # Where there is no link, the walk has said so.
                yield Fault("checkpoint_contradicted", position)
        for position, expected in sorted(self.expected.items()):
            if self._hashes.get(position) != expected:
                yield Fault("expectation_missed", position)


class _Walk:
    """Where the walk along the chain is, and what it doubts.

    A hash that does not fit may mean that the event was changed or that the hash was. The next link
    tells: it was made from the true hash.
    """

    def __init__(self) -> None:
        self.position = 0
        self.before: bytes | None = GENESIS
        self.place = (0, uuid.UUID(int=0))
        self.doubt: tuple[int, uuid.UUID, bytes] | None = None

    def step(self, link: Row[Any]) -> Iterator[Fault]:
        if link.position != self.position + 1:
            yield from self.settle()
            yield Fault("links_missing", self.position + 1, until=link.position)
            self.before = None
        if (link.link_xid, link.event_id) <= self.place:
            yield Fault("link_moved", link.position)
        if link.id is None:
            yield from self.settle()
            yield Fault("event_removed", link.position, link.event_id)
        elif self.before is not None:
            yield from self._compare(link, self.before)
        self.position, self.before = link.position, link.hash
        self.place = (link.link_xid, link.event_id)

    def _compare(self, link: Row[Any], before: bytes) -> Iterator[Fault]:
        right = chain.next_hash(before, link)
        if right == link.hash:
            yield from self.settle()
        elif self.doubt and chain.next_hash(self.doubt[2], link) == link.hash:
            yield Fault("link_changed", self.doubt[0])
            self.doubt = None
        else:
            yield from self.settle()
            self.doubt = (link.position, link.event_id, right)

    def settle(self) -> Iterator[Fault]:
        """Nothing speaks for the event that is in doubt."""
        if self.doubt:
            yield Fault("event_changed", self.doubt[0], self.doubt[1])
            self.doubt = None


def note_verification(session: Session, done: Verification, *, at: dt.datetime) -> None:
    """Put the result on the record, where the auditor's page finds it."""
    record(
        session,
        Deed.AUDIT_VERIFY,
        actor=None,
        subject=("audit", None),
        at=at,
        chained=done.chained,
        signed=done.guaranteed.position if done.guaranteed else 0,
        faults=done.found,
    )


def _all_checkpoints(session: Session) -> Iterator[AuditCheckpoint]:
    """A few thousand a year."""
    yield from session.scalars(select(AuditCheckpoint).order_by(AuditCheckpoint.position))


def _all_links(session: Session, until: int) -> Iterator[Row[Any]]:
    """The chain up to a position, each link with its event, or with nulls in place of it."""
    query = (
        select(
            AuditLink.position, AuditLink.event_id, AuditLink.xid.label("link_xid"), AuditLink.hash,
            EVENTS,
        )
        .outerjoin(EVENTS, EVENTS.c.id == AuditLink.event_id)
        .where(AuditLink.position <= until)
        .order_by(AuditLink.position)
        .limit(BATCH)
    )  # fmt: skip
    position = 0
    while links := session.execute(query.where(AuditLink.position > position)).all():
        yield from links
        position = links[-1].position


def _inserted(session: Session, head: AuditLink) -> Iterator[Fault]:
    """Events that stand before the head of the chain and are not in it."""
    query = (
        select(AuditEvent.xid, AuditEvent.id, AuditLink.position)
        .outerjoin(AuditLink, AuditLink.event_id == AuditEvent.id)
        .where(not_(chain.after(head.xid, head.event_id)))
        .order_by(AuditEvent.xid, AuditEvent.id)
        .limit(BATCH)
    )
    place = (0, uuid.UUID(int=0))
    while events := session.execute(query.where(chain.after(*place))).all():
        for event in events:
            if event.position is None:
                yield Fault("event_inserted", event=event.id)
        place = (events[-1].xid, events[-1].id)


def _ahead(session: Session) -> Iterator[Fault]:
    query = select(AuditEvent.id).where(
        AuditEvent.xid >= func.pg_snapshot_xmax(func.pg_current_snapshot())
    )
    for event_id in session.scalars(query):
        yield Fault("event_ahead", event=event_id)


def _waiting(session: Session, head: AuditLink | None) -> int:
    query = select(EVENTS.c.id).limit(COUNTED)
    if head:
        query = query.where(chain.after(head.xid, head.event_id))
    return session.scalar(select(func.count()).select_from(query.subquery())) or 0
