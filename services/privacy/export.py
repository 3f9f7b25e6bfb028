"""Everything that is held about somebody, for that somebody, as JSON.

models.personal says which columns. Little is made at once; photos and long lists are gathered by a
job, sealed with the person's own key, and lie in the file store for a week.

    {"format": "c-thainguyen-export/1", "made_at": …, "part": 1,
     "masked": […], "whole_at": …, "citizen": {…}, "sessions": […],
     "reports": [{…, "timeline": […]}], "photos": […], …, "next_part": null}

A list that does not fit into a part goes on in the next one, under the same name. Who signed in
below level 2 gets numbers and dates of birth masked; `masked` names them, and `whole_at` the level
that shows them.
"""

import base64
import datetime as dt
import itertools
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    Table,
    func,
    literal,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.orm import Session

from models import (
    AuditEvent,
    Base,
    Citizen,
    DeviceSession,
    Export,
    InboxMessage,
    Report,
    Upload,
    UploadState,
)
from models.base import new_id
from models.personal import TABLES
from services import audit, jobs, keyring, limits, notifications, uploads
from services.errors import NotFound
from services.permissions import LEVEL_1, LEVEL_2, Actor
from services.privacy.whose import rows_of
from services.storage import Storage
from services.text import masked_number, tidy
from services.tokens import TokenInvalid
from services.vault import Vault

FORMAT = "c-thainguyen-export/1"
TASK = "build_export"
A_DAY = 5
KEPT = dt.timedelta(days=7)
# After this the job was given up, and asking again starts another.
LOST_AFTER = dt.timedelta(days=3)
# So many rows are gathered within a request; what one has more of, or any photo, is a job's work.
AT_ONCE = 1000
PAGE = AT_ONCE + 1
# Photos are kept small (services.photos), so a part has some ten of them.
PART_BYTES = 8 * 1024 * 1024
# What the document calls a table, where that is not its name.
NAMES = {
    "citizens": "citizen",
    "device_sessions": "sessions",
    "inbox_messages": "inbox",
    "report_events": "timeline",
    "uploads": "photos",
}
# Who took a copy is told once in so long, however many parts it has.
TOLD_AGAIN_AFTER = dt.timedelta(hours=1)
# What was proven at level 2, and what of it a sign-in below that shows.
MASKED: dict[str, dict[str, Callable[[str], str]]] = {
    table: {"number": masked_number, "birth_date": lambda date: f"{date[:4]}-**-**"}
    for table in ("citizens", "children")
}
# Their rows stand in those of another table.
INSIDE = {"report_events"}

Query = Select[*tuple[Any, ...]]
Ask = Callable[[Query], Sequence[RowMapping]]
Item = tuple[str, dict[str, Any] | None]


class ExportPartNotFound(NotFound):
    """There is no such part; start with the first one."""

    vi = "Không có phần này; hãy bắt đầu từ phần đầu tiên."


@dataclass(frozen=True, slots=True)
class Standing:
    """How the export of a citizen stands: `export` is None where it can be made at once."""

    citizen: Citizen
    export: Export | None


@dataclass(slots=True)
class _Opened:
    """One row as services.vault wants it, since a sealed value is bound to its row."""

    __tablename__: str
    id: uuid.UUID
    data_key: bytes | None


def ask(session: Session, actor: Actor, *, part: int, at: dt.datetime) -> Standing:
    """How the citizen's export stands; a job is asked for where one is needed and there is none.

    What is handed over is recorded and told to the citizen, since it may be somebody else who has
    their phone. An export that was asked for at another level than today's is made anew.

    Raises:
        ExportPartNotFound
        limits.RateLimited: five times a day, the asking whether a job is done not counted.
        TokenInvalid: the citizen is erased.
    """
    citizen = _locked(session, actor.id)
    if citizen.erased_at is not None:
        raise TokenInvalid
    export = _fitting(session, citizen, actor.acr, at=at)
    if export is not None and export.parts is None:
        return Standing(citizen, export)
    if part > (export.parts if export and export.parts else 1):
        raise ExportPartNotFound
    if part == 1:
        bucket = f"export:{actor.id}"
        limits.take(session, bucket, limit=A_DAY, window=dt.timedelta(days=1), at=at)
    if export is None and not _is_small(session, actor.id):
        export = _begun(session, citizen, actor.acr, at=at)
    else:
        _note(session, actor, part=part, at=at)
    return Standing(citizen, export)


def prepare(session: Session, citizen_id: uuid.UUID, *, at: dt.datetime) -> None:
    """Have an export made for a citizen who did not ask for it in the app, and tell them of it.

    It is made for the level that their data are of; where they sign in at another one, asking
    makes it anew.
    """
    citizen = _locked(session, citizen_id)
    acr = LEVEL_1 if citizen.number_sealed is None else LEVEL_2
    export = _fitting(session, citizen, acr, at=at)
    if export is None:
        _begun(session, citizen, acr, at=at)
    elif export.ready_at is not None:
        _tell_ready(session, export, at=at)


def at_once(connection: Connection, actor: Actor, *, vault: Vault, at: dt.datetime) -> bytes:
    """The document of somebody of whom there is little, in a fixed number of statements."""

    def ask(query: Query) -> Sequence[RowMapping]:
        return connection.execute(query).mappings().all()

    is_whole = actor.acr == LEVEL_2
    items = _items(ask, actor.id, vault, storage=None, is_whole=is_whole)
    return b"".join(_parts(items, _Head(at, is_whole), size=None))


def begin(session: Session, export_id: uuid.UUID, *, vault: Vault) -> tuple[Citizen, Export] | None:
    """Whose export is to be made, with a key to seal it; None when there is nothing to do."""
    found = session.execute(
        select(Citizen, Export)
        .join(Export, Export.citizen_id == Citizen.id)
        .where(Export.id == export_id, Export.ready_at.is_(None))
        .with_for_update(of=Citizen, key_share=True)
    ).one_or_none()
    if found is None:
        return None
    citizen, export = found
    keyring.provide(session, citizen, vault=vault)
    return citizen, export


def build(
    ask: Ask,
    citizen: Citizen,
    export: Export,
    *,
    vault: Vault,
    storage: Storage,
    at: dt.datetime,
) -> int:
    """Write the parts of an export into the store, one at a time, and return how many there are.

    Without any transaction, since stores are slow; safe to repeat.

    Raises:
        StorageUnavailable
    """
    is_whole = export.acr == LEVEL_2
    items = _items(ask, citizen.id, vault, storage, is_whole=is_whole)
    count = 0
    for content in _parts(items, _Head(at, is_whole), size=PART_BYTES):
        count += 1
        place = key(export.id, count)
        storage.put(place, vault.seal(citizen, place, content))
    return count


def finish(session: Session, export_id: uuid.UUID, parts: int, *, at: dt.datetime) -> None:
    """Tell its person that an export is ready; where it is not wanted any more its files go."""
    export = session.get(Export, export_id, with_for_update=True)
    if export is None:
        uploads.discard(session, [export_id])
    elif export.ready_at is None:
        export.ready_at, export.parts = at, parts
        _tell_ready(session, export, at=at)


def read_part(
    citizen: Citizen, export: Export, part: int, *, vault: Vault, storage: Storage
) -> bytes:
    """One part of an export that is ready.

    Raises:
        StorageUnavailable
        ExportPartNotFound: the store has lost it.
    """
    place = key(export.id, part)
    try:
        sealed = storage.get(place)
    except FileNotFoundError as error:
        raise ExportPartNotFound from error
    return vault.open(citizen, place, sealed)


def key(export_id: uuid.UUID, part: int) -> str:
    """The storage key of one part, which is also the place that it is sealed for."""
    return f"{export_id}/{part}"


def about(table: Table, citizen_id: uuid.UUID) -> ColumnElement[bool]:
    """The rows of `table` that their person gets, as SQL."""
    if table is AuditEvent.__table__:
        return AuditEvent.id.in_(_events_about(citizen_id))
    if table.name == "report_events":
        # Why one office passed a report to another is their own affair, as in the app.
        return rows_of(table, citizen_id) & (table.c.public | (table.c.actor_id == citizen_id))
    return rows_of(table, citizen_id)


def sections() -> list[str]:
    """The tables that an export has rows of, in its order."""
    return [name for name, table in TABLES.items() if table.people and table.exported]


def _events_about(citizen_id: uuid.UUID) -> Any:
    """What somebody did, and what others did with them; a query for each of the indexes."""
    sessions = select(DeviceSession.id).where(DeviceSession.citizen_id == citizen_id)
    reports = select(Report.id).where(Report.reporter_id == citizen_id)
    subjects = (
        ("citizen", AuditEvent.subject_id == citizen_id),
        ("session", AuditEvent.subject_id.in_(sessions)),
        (
            "report",
            AuditEvent.subject_id.in_(reports) & (AuditEvent.action == "report:read_reporter"),
        ),
    )
    return union_all(
        select(AuditEvent.id).where(AuditEvent.actor_id == citizen_id),
        select(AuditEvent.id).where(AuditEvent.about_id == citizen_id),
        *(
            select(AuditEvent.id).where(AuditEvent.subject_type == kind, which)
            for kind, which in subjects
        ),
    )


def _locked(session: Session, citizen_id: uuid.UUID) -> Citizen:
    """The citizen's row, locked, so that two askings at once make one job."""
    query = select(Citizen).where(Citizen.id == citizen_id)
    return session.scalars(query.with_for_update(key_share=True)).one()


def _fitting(session: Session, citizen: Citizen, acr: str, *, at: dt.datetime) -> Export | None:
    """The citizen's export; one whose time is over, or of another level, goes."""
    export = session.scalar(select(Export).where(Export.citizen_id == citizen.id))
    if export is not None and (_is_over(export, at) or export.acr != acr):
        uploads.discard(session, [export.id])
        session.delete(export)
        session.flush()
        return None
    return export


def _begun(session: Session, citizen: Citizen, acr: str, *, at: dt.datetime) -> Export:
    export = Export(id=new_id(), citizen_id=citizen.id, asked_at=at, acr=acr)
    session.add(export)
    jobs.defer(session, TASK, queue="bulk", subject_id=export.id)
    return export


def _tell_ready(session: Session, export: Export, *, at: dt.datetime) -> None:
    notifications.tell(
        session, export.citizen_id, "export_ready", subject=("export", export.id), at=at
    )


def _note(session: Session, actor: Actor, *, part: int, at: dt.datetime) -> None:
    """Record that a part is handed over, and tell the citizen which device has it."""
    audit.record(
        session,
        audit.Deed.CITIZEN_EXPORT,
        actor=actor,
        subject=("citizen", actor.id),
        at=at,
        part=part,
        acr=actor.acr,
    )
    device = session.get_one(DeviceSession, actor.session_id)
    told = select(InboxMessage.id).where(
        InboxMessage.citizen_id == actor.id,
        InboxMessage.kind == "export_taken",
        InboxMessage.subject_id == device.id,
        InboxMessage.created_at > at - TOLD_AGAIN_AFTER,
    )
    if session.scalar(told.limit(1)) is None:
        notifications.tell(
            session,
            actor.id,
            "export_taken",
            subject=("session", device.id),
            at=at,
            device=tidy(device.name or device.model or "") or device.platform,
        )


def _is_over(export: Export, at: dt.datetime) -> bool:
    if export.ready_at is None:
        return export.asked_at < at - LOST_AFTER
    return export.ready_at < at - KEPT


def _is_small(session: Session, citizen_id: uuid.UUID) -> bool:
    """Whether there is no photo and there are few rows; counting ends where there are too many."""
    counts = []
    for name in sections():
        table = Base.metadata.tables[name]
        found = select(literal(1)).where(about(table, citizen_id)).limit(AT_ONCE + 1).subquery()
        counts.append(select(func.count()).select_from(found).scalar_subquery())
    photos = _photos_of(citizen_id).exists()
    rows, has_photos = session.execute(select(sum(counts[1:], start=counts[0]), photos)).one()
    return rows <= AT_ONCE and not has_photos


def _photos_of(citizen_id: uuid.UUID) -> Select[*tuple[Any, ...]]:
    return select(Upload.id).where(
        about(Base.metadata.tables["uploads"], citizen_id), Upload.state != UploadState.REJECTED
    )


def _items(
    ask: Ask, citizen_id: uuid.UUID, vault: Vault, storage: Storage | None, *, is_whole: bool
) -> Iterator[Item]:
    """Every row, under the name of its list; a list begins with None, so that it shows if empty."""
    for name in sections():
        if name in INSIDE:
            continue
        if name != "citizens":
            yield NAMES.get(name, name), None
        for rows in _pages(ask, Base.metadata.tables[name], citizen_id):
            steps = _timelines(ask, citizen_id, rows) if name == "reports" else {}
            for row in rows:
                item = _shown(name, row, vault, is_whole=is_whole)
                if name == "reports":
                    item["timeline"] = steps.get(row["id"], [])
                if name == "uploads":
                    item["jpeg"] = _jpeg(row, storage)
                yield NAMES.get(name, name), item


def _pages(ask: Ask, table: Table, citizen_id: uuid.UUID) -> Iterator[Sequence[RowMapping]]:
    """The rows that their person gets, in the order of their keys."""
    keys = tuple_(*table.primary_key.columns)
    sealed = [table.c[name] for name in ("id", "data_key") if name in table.c]
    columns = [table.c[name] for name in TABLES[table.name].exported]
    shown = [*dict.fromkeys([*columns, *table.primary_key.columns, *sealed])]
    query = select(*shown).where(about(table, citizen_id)).order_by(*table.primary_key.columns)
    rows = ask(query.limit(PAGE))
    while rows:
        yield rows
        if len(rows) < PAGE:
            return
        last = [rows[-1][column.name] for column in table.primary_key.columns]
        rows = ask(query.where(keys > tuple_(*map(literal, last))).limit(PAGE))


def _timelines(
    ask: Ask, citizen_id: uuid.UUID, reports: Sequence[RowMapping]
) -> dict[uuid.UUID, list[dict[str, Any]]]:
    table = Base.metadata.tables["report_events"]
    names = TABLES["report_events"].exported
    steps = ask(
        select(*(table.c[name] for name in names))
        .where(
            about(table, citizen_id), table.c.report_id.in_([report["id"] for report in reports])
        )
        .order_by(table.c.report_id, table.c.id)
    )
    return {
        report_id: [dict(step) for step in group]
        for report_id, group in itertools.groupby(steps, key=lambda step: step["report_id"])
    }


def _shown(table: str, row: RowMapping, vault: Vault, *, is_whole: bool) -> dict[str, Any]:
    """The exported columns of one row; what was sealed is opened, and named without the suffix."""
    item = {}
    masks = {} if is_whole else MASKED.get(table, {})
    for name in TABLES[table].exported:
        if name.endswith("_sealed"):
            plain = name.removesuffix("_sealed")
            opened = _Opened(table, row["id"], row["data_key"])
            sealed = row[name]
            text = None if sealed is None else vault.open(opened, name, sealed).decode()
            item[plain] = masks[plain](text) if text and plain in masks else text
        else:
            item[name] = row[name]
    return item


def _jpeg(row: RowMapping, storage: Storage | None) -> str | None:
    """The larger of the two sizes that are kept, in base64."""
    if storage is None or row["state"] is not UploadState.READY:
        return None
    try:
        content = storage.get(uploads.key(row["id"], "full"))
    except FileNotFoundError:
        return None
    return base64.b64encode(content).decode()


def _parts(items: Iterable[Item], head: "_Head", *, size: int | None) -> Iterator[bytes]:
    """JSON documents of about `size` bytes each, or one of any size."""
    part = _Part(1, head)
    for name, item in items:
        if size is not None and len(part.text) > size:
            yield part.closed(goes_on=True)
            part = _Part(part.number + 1, head)
        part.add(name, item)
    yield part.closed(goes_on=False)


@dataclass(frozen=True, slots=True)
class _Head:
    """What every part says of the whole."""

    made_at: dt.datetime
    is_whole: bool

    def of(self, number: int) -> dict[str, Any]:
        masked = [f"{NAMES.get(table, table)}.{name}" for table in MASKED for name in MASKED[table]]
        return {
            "format": FORMAT,
            "made_at": self.made_at,
            "part": number,
            "masked": [] if self.is_whole else masked,
            "whole_at": None if self.is_whole else LEVEL_2,
        }


class _Part:
    """One document, written piece by piece, so that no more than its text is held."""

    def __init__(self, number: int, head: _Head) -> None:
        self.number = number
        self.text = bytearray(_json(head.of(number))[:-1])
        self._list = ""
        self._is_empty = True

    def add(self, name: str, item: dict[str, Any] | None) -> None:
        if name == NAMES["citizens"]:
            self.text += b"," + _json(name) + b":" + _json(item)
            return
        if name != self._list:
            self._end_list()
            self.text += b"," + _json(name) + b":["
            self._list, self._is_empty = name, True
        if item is not None:
            self.text += (b"" if self._is_empty else b",") + _json(item)
            self._is_empty = False

    def closed(self, *, goes_on: bool) -> bytes:
        self._end_list()
        self.text += b',"next_part":' + _json(self.number + 1 if goes_on else None) + b"}"
        return bytes(self.text)

    def _end_list(self) -> None:
        if self._list:
            self.text += b"]"


def _json(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_UTC_Z)
