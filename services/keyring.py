"""Whether our keys are those of our database, and how a key gives way to the next."""

import contextlib
import hmac
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Integer, LargeBinary, func, inspect, literal_column, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models import Base, KeyCheck
from services.errors import Unavailable
from services.vault import DATA, INDEX, Sealing, Unreadable, Vault, wrapped_by

# Their locks are held for some fifty milliseconds, of the second that a sign-in waits at most.
BATCH = 300


class KeysUnfit(Unavailable):
    """The keys of this installation are not those of its database; nothing is written."""

    vi = "Khóa của hệ thống không khớp với cơ sở dữ liệu; không có dữ liệu nào được ghi."


@dataclass(frozen=True, slots=True)
class Faults:
    """Keys, by purpose and number, that are not what the database needs.

    `wrong` ones are others than those that were used under their numbers; `missing` ones are not
    here, although there are rows that need them.
    """

    wrong: list[tuple[str, int]]
    missing: list[tuple[str, int]]


@dataclass(slots=True)
class Standing:
    """How many rows have which key, by its purpose and number, after `changed` got another one.

    `left` tells of those that are not with the current key, why: `no number` to make an index
    from, `unreadable`, or `waiting`, which says that the row was not tried.
    """

    looked: int = 0
    changed: int = 0
    rows: Counter[tuple[str, int]] = field(default_factory=Counter)
    left: Counter[tuple[str, int, str]] = field(default_factory=Counter)

    def add(self, other: "Standing") -> None:
        self.looked += other.looked
        self.changed += other.changed
        self.rows.update(other.rows)
        self.left.update(other.left)


def keepers() -> list[Any]:
    """Every table that keeps sealed values, in the order of their names."""
    kinds = (mapper.class_ for mapper in Base.registry.mappers if "data_key" in mapper.columns)
    return sorted(kinds, key=lambda kind: str(kind.__tablename__))


def faults(session: Session, *, vault: Vault) -> Faults:
    """Compare the keys with what the database knows of them; nothing is written."""
    known = _known(session)
    return Faults(
        wrong=[
            key
            for key, mac in vault.checks.items()
            if not hmac.compare_digest(known.get(key, mac), mac)
        ],
        missing=sorted(set(_used(session)) - vault.checks.keys()),
    )


def confirm(session: Session, *, vault: Vault) -> None:
    """See that what is sealed now can be opened later; the first use of a key is written down.

    Processes may begin at once with different keys: the constraint lets one of them be the first,
    and the others wait for its commit and then find its keys.

    Raises:
        KeysUnfit
    """
    known = _known(session)
    if vault.checks.keys() - known.keys():
        rows = [
            {"purpose": purpose, "key_id": key_id, "mac": mac}
            for (purpose, key_id), mac in sorted(vault.checks.items())
        ]
        session.execute(insert(KeyCheck).values(rows).on_conflict_do_nothing())
        known = _known(session)
    if not all(hmac.compare_digest(known[key], mac) for key, mac in vault.checks.items()):
        raise KeysUnfit


def provide(session: Session, row: Sealing, *, vault: Vault) -> None:
    """See that a row can be sealed into: with a data key, wrapped by a key of this database's.

    Raises:
        KeysUnfit
    """
    confirm(session, vault=vault)
    if row.data_key is None and inspect(row).persistent:
        # Of two requests that each made a key for one person, one would have sealed in vain.
        session.refresh(row, ["data_key"], with_for_update={"key_share": True})
    if row.data_key is None:
        vault.equip(row)


def rotate(
    session: Session, table: Any, *, after: uuid.UUID | None, vault: Vault, dry_run: bool = False
) -> tuple[Standing, uuid.UUID | None]:
    """Bring the next rows of a table, in the order of their ids, to the current keys.

    Rows that somebody holds at the moment are left as they are, so that nobody waits for long.

    Returns:
        How these rows stand now, and the last one's id, to go on from; None after the end.

    Raises:
        KeysUnfit
    """
    rows = _window(session, table, after)
    held: dict[uuid.UUID, Any] = {}
    if not dry_run:
        confirm(session, vault=vault)
        held = _lock(session, table, [row.id for row in rows if _former(row, vault)])
    standing = Standing(looked=len(rows))
    for row in rows:
        mine = held.get(row.id)
        if mine is not None:
            _renew(mine, vault)
        standing.changed += mine is not None and _keys(mine) != _keys(row)
        standing.rows.update(_keys(mine or row))
        standing.left.update(_reasons(mine or row, vault, tried=mine is not None))
    return standing, rows[-1].id if rows else None


def _known(session: Session) -> dict[tuple[str, int], bytes]:
    query = select(KeyCheck.purpose, KeyCheck.key_id, KeyCheck.mac)
    return {(purpose, key_id): mac for purpose, key_id, mac in session.execute(query)}


def _used(session: Session) -> Iterator[tuple[str, int]]:
    """The purpose and number of every key that a row needs."""
    for table in keepers():
        # A number that were a parameter would make it another expression than that of the index.
        where, length = literal_column("2", Integer), literal_column("1", Integer)
        wrapped = func.substr(table.data_key, where, length, type_=LargeBinary())
        for key_id in _distinct(session, wrapped):
            yield DATA, int.from_bytes(key_id, "big")
        if hasattr(table, "number_index"):
            for key_id in _distinct(session, table.index_key_id, table.number_index.is_not(None)):
                yield INDEX, key_id


def _distinct(session: Session, key: Any, *conditions: Any) -> Iterator[Any]:
    """The values of something indexed, each found by one look, however many rows there are."""
    query = select(key).where(key.is_not(None), *conditions).order_by(key).limit(1)
    value = session.scalar(query)
    while value is not None:
        yield value
        value = session.scalar(query.where(key > value))


def _window(session: Session, table: Any, after: uuid.UUID | None) -> list[Any]:
    names = ("id", "data_key", "number_index", "index_key_id", "number_sealed")
    columns = [getattr(table, name) for name in names if hasattr(table, name)]
    query = select(*columns).order_by(table.id).limit(BATCH)
    return list(session.execute(query if after is None else query.where(table.id > after)))


def _lock(session: Session, table: Any, ids: list[uuid.UUID]) -> dict[uuid.UUID, Any]:
    # What only names these rows, such as a new report of theirs, need not wait.
    query = select(table).where(table.id.in_(ids)).with_for_update(key_share=True, skip_locked=True)
    return {row.id: row for row in session.scalars(query)}


def _renew(row: Any, vault: Vault) -> None:
    with contextlib.suppress(Unreadable):
        vault.rewrap(row)
        if any(purpose == INDEX for purpose, _ in _former(row, vault)):
            number = vault.read(row, "number")
            if number is not None:
                vault.write_number(row, number)


def _reasons(row: Any, vault: Vault, *, tried: bool) -> Iterator[tuple[str, int, str]]:
    for purpose, key_id in _former(row, vault):
        if purpose == INDEX and row.number_sealed is None:
            yield purpose, key_id, "no number"
        else:
            yield purpose, key_id, "unreadable" if tried else "waiting"


def _former(row: Any, vault: Vault) -> list[tuple[str, int]]:
    current = {DATA: vault.data_key_id, INDEX: vault.index_key_id}
    return [(purpose, key_id) for purpose, key_id in _keys(row) if key_id != current[purpose]]


def _keys(row: Any) -> list[tuple[str, int]]:
    """The keys that this row needs, by purpose and number."""
    keys = [] if row.data_key is None else [(DATA, wrapped_by(row.data_key))]
    if getattr(row, "number_index", None) is not None:
        keys.append((INDEX, row.index_key_id))
    return keys
