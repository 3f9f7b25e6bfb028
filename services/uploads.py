"""Photos on their way: taken in, cleaned by a job, tied to a report, and cleared away."""

import datetime as dt
import itertools
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, or_, select, union_all
from sqlalchemy.orm import Session

from models import Export, Report, Upload, UploadState
from models.base import new_id
from services import jobs, limits, permissions, photos
from services.errors import DomainError, Invalid, NotFound
from services.permissions import Action, Actor, ActorKind
from services.storage import Storage

A_DAY = 50
PER_REPORT = 5
ORPHANED_AFTER = dt.timedelta(hours=24)
TASK = "derive_photo"
DISCARD_TASK = "discard_files"
SIZES = ("full", "thumb")


class UploadNotFound(NotFound):
    """There is no such upload of yours."""

    vi = "Không có ảnh tải lên này của bạn."


class UploadsUnusable(Invalid):
    """Some photos cannot be used: each must be uploaded by you, whole, and used only once."""

    vi = "Có ảnh không dùng được: ảnh phải do chính bạn tải lên, không hỏng và chỉ dùng một lần."


@dataclass(frozen=True, slots=True)
class Derived:
    """What the job made of a photo: its measures in pixels, or the reason why there are none."""

    width: int | None = None
    height: int | None = None
    reason: str | None = None


def count_upload(session: Session, actor: Actor, *, at: dt.datetime) -> None:
    """Raises limits.RateLimited after fifty a day."""
    limits.take(session, f"upload:{actor.id}", limit=A_DAY, window=dt.timedelta(days=1), at=at)


def receive(
    session: Session, actor: Actor, content: bytes, *, storage: Storage, at: dt.datetime
) -> Upload:
    """Take a photo in: checked now, cleaned by a job in a moment.

    The file is written before the row, so there is never a row without its file; and before the
    session's first statement, so that a slow store holds no connection of the database.

    Raises:
        PhotoTooLarge, PhotoTooManyPixels, PhotoNotAccepted, PhotoAnimated: nothing is kept.
        StorageUnavailable
    """
    upload_id = new_id()
    keep(content, upload_id, storage=storage)
    return add(session, actor, upload_id, at=at)


def keep(content: bytes, upload_id: uuid.UUID, *, storage: Storage) -> None:
    """Write the file of a photo, before its row.

    Raises:
        PhotoTooLarge, PhotoTooManyPixels, PhotoNotAccepted, PhotoAnimated: nothing is kept.
        StorageUnavailable
    """
    photos.check(content)
    storage.put(key(upload_id, "original"), content)


def add(session: Session, actor: Actor, upload_id: uuid.UUID, *, at: dt.datetime) -> Upload:
    """The row of a photo whose file is kept, and the job that cleans it."""
    upload = Upload(
        id=upload_id,
        owner_id=actor.id if actor.kind is ActorKind.CITIZEN else None,
        staff_id=actor.id if actor.kind is ActorKind.STAFF else None,
        state=UploadState.PROCESSING,
        created_at=at,
        position=0,
        shows_result=False,
    )
    session.add(upload)
    session.flush()
    jobs.defer(session, TASK, queue="media", subject_id=upload.id)
    return upload


def derive(upload_id: uuid.UUID, *, storage: Storage) -> Derived:
    """Draw the sizes that are kept; half a second of work, so without any transaction.

    Safe to repeat: a run after the original went finds nothing, and `finish` then knows better.

    Raises:
        StorageUnavailable: that says nothing of the photo; try again.
    """
    try:
        original = storage.get(key(upload_id, "original"))
    except FileNotFoundError:
        return Derived(reason="photo_lost")
    try:
        sizes = photos.derive(original)
    except DomainError as error:
        return Derived(reason=error.code)
    storage.put(key(upload_id, "full"), sizes.full)
    storage.put(key(upload_id, "thumb"), sizes.thumb)
    return Derived(width=sizes.width, height=sizes.height)


def finish(session: Session, upload_id: uuid.UUID, derived: Derived) -> None:
    """Write down what became of a photo, unless another run did."""
    upload = session.get(Upload, upload_id, with_for_update=True)
    if upload is None or upload.state is not UploadState.PROCESSING:
        return
    upload.width, upload.height, upload.reason = derived.width, derived.height, derived.reason
    upload.state = UploadState.REJECTED if derived.reason else UploadState.READY


def discard_original(session: Session, upload_id: uuid.UUID, *, storage: Storage) -> None:
    """After `finish` is committed: the file as sent, with all its metadata, goes.

    All of them go when the photo itself did meanwhile, or what was drawn would be left over.
    """
    upload = session.get(Upload, upload_id)
    if upload is None:
        delete_files(session, upload_id, storage=storage)
    elif upload.state is not UploadState.PROCESSING:
        storage.delete(key(upload_id, "original"))


def get(session: Session, actor: Actor, upload_id: uuid.UUID) -> Upload:
    """Raises UploadNotFound, also for somebody else's."""
    upload = session.scalar(select(Upload).where(Upload.id == upload_id, _owned_by(actor)))
    if upload is None:
        raise UploadNotFound
    return upload


def attach(
    session: Session,
    actor: Actor,
    upload_ids: Sequence[uuid.UUID],
    report: Report,
    *,
    shows_result: bool = False,
) -> None:
    """Tie photos to a report, in the order given.

    Raises:
        UploadsUnusable: naming none of them, so that foreign ids cannot be probed.
    """
    if not upload_ids:
        return
    # Locked in one order, so that two reports that want the same photos cannot deadlock.
    found = {
        upload.id: upload
        for upload in session.scalars(
            select(Upload)
            .where(
                Upload.id.in_(upload_ids),
                _owned_by(actor),
                Upload.report_id.is_(None),
                Upload.state != UploadState.REJECTED,
            )
            .order_by(Upload.id)
            .with_for_update()
        )
    }
    if len(found) != len(set(upload_ids)) or len(found) != len(upload_ids):
        raise UploadsUnusable
    for position, upload_id in enumerate(upload_ids):
        upload = found[upload_id]
        upload.report_id = report.id
        upload.position = position
        upload.shows_result = shows_result


def readable(session: Session, actor: Actor, upload_id: uuid.UUID) -> Upload:
    """A photo that `actor` may look at: their own, or one of a report they may read.

    Raises:
        UploadNotFound
    """
    upload = session.get(Upload, upload_id)
    if upload is None:
        raise UploadNotFound
    if actor.id in {upload.owner_id, upload.staff_id}:
        return upload
    report = session.get(Report, upload.report_id) if upload.report_id else None
    if report is None or not permissions.can(actor, Action.READ, report):
        raise UploadNotFound
    return upload


def discard(session: Session, folders: Collection[uuid.UUID]) -> None:
    """Have folders of files deleted, after the commit, whose rows go in this transaction."""
    for folder in folders:
        jobs.defer(session, DISCARD_TASK, queue="bulk", subject_id=folder)


def delete_files(session: Session, folder: uuid.UUID, *, storage: Storage) -> None:
    """Delete what lies in `folder`, unless there is a row that it belongs to.

    Raises:
        StorageUnavailable
    """
    if not _known(session, [folder]):
        storage.delete_all(str(folder))


def sweep_files(session: Session, *, storage: Storage, at: dt.datetime) -> int:
    """Delete files that no row tells of: their process died, or was refused, before its commit."""
    gone = 0
    old = filter(_is_id, storage.untouched_since(at - ORPHANED_AFTER))
    while names := {uuid.UUID(name) for name in itertools.islice(old, 500)}:
        for name in names - _known(session, names):
            storage.delete_all(str(name))
            gone += 1
    return gone


def key(upload_id: uuid.UUID, size: str) -> str:
    """The storage key of one size: "original" (as sent, short-lived), "full" or "thumb"."""
    return f"{upload_id}/{size}"


def _known(session: Session, folders: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Those of `folders` that belong to a row: a photo's, or an export's."""
    rows = (select(kind.id).where(kind.id.in_(folders)) for kind in (Upload, Export))
    return set(session.scalars(union_all(*rows)))


def _is_id(name: str) -> bool:
    """A storage may hold folders of others, such as lost+found."""
    try:
        return str(uuid.UUID(name)) == name
    except ValueError:
        return False


def _owned_by(actor: Actor) -> ColumnElement[bool]:
    return or_(Upload.owner_id == actor.id, Upload.staff_id == actor.id)
