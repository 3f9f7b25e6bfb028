"""Photos that come in pieces, so that a dropped connection costs one piece and not the photo.

The pieces lie in the database, where every process finds them, until the last one is there; then
they go through the same door as a photo that came whole (services.uploads).
"""

import datetime as dt
import uuid

from sqlalchemy import ColumnElement, delete, func, or_, select
from sqlalchemy.orm import Session

from models import ResumableUpload, Upload, UploadPiece
from models.base import new_id
from services import photos, uploads
from services.errors import Conflict, Expired, Invalid
from services.permissions import Actor, ActorKind
from services.uploads import UploadNotFound

PIECE = 256 * 1024
LIFE = dt.timedelta(hours=24)
# Somebody who begins more than these without ending one loses the oldest.
UNFINISHED = 10
# Ten megabytes in pieces of 10 KiB; who sends smaller ones costs more rows than photos.
MOST_PIECES = 1024


class LengthUnlikely(Invalid):
    """Upload-Length is the size of the photo in bytes, from 1."""

    vi = "Upload-Length là số byte của ảnh, từ 1."


class OffsetWrong(Conflict):
    """Upload-Offset is not where the upload stands: {offset}. Ask by HEAD."""

    vi = "Upload-Offset không khớp vị trí hiện tại: {offset}. Hãy hỏi lại bằng HEAD."


class PieceTooLong(Invalid):
    """This piece goes beyond the length that was announced."""

    vi = "Phần gửi lên vượt quá độ dài đã khai."


class PiecesTooSmall(Invalid):
    """An upload has {most} pieces at most; send larger ones."""

    vi = "Mỗi ảnh gửi tối đa {most} phần; hãy gửi phần lớn hơn."


class UploadExpired(Expired):
    """The time for this upload is over; begin again."""

    vi = "Đã hết thời gian tải ảnh này; hãy bắt đầu lại."


def begin(session: Session, actor: Actor, length: int, *, at: dt.datetime) -> ResumableUpload:
    """Announce a photo of `length` bytes; its id becomes that of the photo.

    Raises:
        LengthUnlikely, photos.PhotoTooLarge
    """
    if length < 1:
        raise LengthUnlikely
    if length > photos.MAX_BYTES:
        raise photos.PhotoTooLarge(limit_mb=photos.MAX_BYTES // 1024 // 1024)
    unfinished = session.scalars(
        select(ResumableUpload.id)
        .where(_owned_by(actor), ResumableUpload.received < ResumableUpload.length)
        .order_by(ResumableUpload.id.desc())
        .offset(UNFINISHED - 1)
    ).all()
    session.execute(delete(ResumableUpload).where(ResumableUpload.id.in_(unfinished)))
    begun = ResumableUpload(
        id=new_id(),
        owner_id=actor.id if actor.kind is ActorKind.CITIZEN else None,
        staff_id=actor.id if actor.kind is ActorKind.STAFF else None,
        length=length,
        received=0,
        created_at=at,
        expires_at=at + LIFE,
    )
    session.add(begun)
    return begun


def get(
    session: Session, actor: Actor, upload_id: uuid.UUID, *, at: dt.datetime
) -> ResumableUpload:
    """How far an upload is.

    Raises:
        UploadNotFound: also for somebody else's; UploadExpired
    """
    return _open(session, actor, upload_id, at=at)


def whole(
    session: Session,
    actor: Actor,
    upload_id: uuid.UUID,
    piece: bytes,
    *,
    offset: int,
    at: dt.datetime,
) -> bytes | None:
    """The photo, where `piece` is the last of it; nothing is written here.

    Raises:
        UploadNotFound, UploadExpired, OffsetWrong, PieceTooLong, PiecesTooSmall
    """
    upload = _open(session, actor, upload_id, at=at)
    _check(session, upload, piece, offset)
    if not piece or offset + len(piece) < upload.length:
        return None
    before = b"".join(
        session.scalars(
            select(UploadPiece.content)
            .where(UploadPiece.upload_id == upload_id)
            .order_by(UploadPiece.offset)
        )
    )
    if len(before) != offset:
        # Somebody completed it between the two statements.
        raise OffsetWrong(offset=upload.length)
    return before + piece


def append(
    session: Session,
    actor: Actor,
    upload_id: uuid.UUID,
    piece: bytes,
    *,
    offset: int,
    at: dt.datetime,
) -> ResumableUpload:
    """Keep a piece that is not the last.

    Raises:
        UploadNotFound, UploadExpired, OffsetWrong, PieceTooLong, PiecesTooSmall
    """
    upload = _open(session, actor, upload_id, at=at, locked=True)
    _check(session, upload, piece, offset)
    if piece:
        session.add(UploadPiece(upload_id=upload_id, offset=offset, content=piece))
        upload.received = offset + len(piece)
        upload.expires_at = at + LIFE
    return upload


def complete(
    session: Session, actor: Actor, upload_id: uuid.UUID, *, offset: int, at: dt.datetime
) -> Upload:
    """Make a photo of an upload whose file `uploads.keep` has written; the last piece was it.

    Raises:
        UploadNotFound, UploadExpired, OffsetWrong: somebody completed it at the same moment.
    """
    upload = _open(session, actor, upload_id, at=at, locked=True)
    if upload.received != offset:
        raise OffsetWrong(offset=upload.received)
    upload.received = upload.length
    _forget_pieces(session, upload_id)
    return uploads.add(session, actor, upload_id, at=at)


def terminate(session: Session, actor: Actor, upload_id: uuid.UUID, *, at: dt.datetime) -> None:
    """Give an upload up; a photo that it has become stays.

    Raises:
        UploadNotFound, UploadExpired
    """
    session.delete(_open(session, actor, upload_id, at=at, locked=True))


def _open(
    session: Session,
    actor: Actor,
    upload_id: uuid.UUID,
    *,
    at: dt.datetime,
    locked: bool = False,
) -> ResumableUpload:
    query = select(ResumableUpload).where(ResumableUpload.id == upload_id, _owned_by(actor))
    if locked:
        query = query.with_for_update().execution_options(populate_existing=True)
    upload = session.scalar(query)
    if upload is None:
        raise UploadNotFound
    if upload.expires_at <= at:
        raise UploadExpired
    return upload


def _check(session: Session, upload: ResumableUpload, piece: bytes, offset: int) -> None:
    if offset != upload.received:
        raise OffsetWrong(offset=upload.received)
    if offset + len(piece) > upload.length:
        raise PieceTooLong
    count = session.scalar(
        select(func.count()).select_from(UploadPiece).where(UploadPiece.upload_id == upload.id)
    )
    is_last = offset + len(piece) == upload.length
    if count is not None and count >= MOST_PIECES and not is_last:
        raise PiecesTooSmall(most=MOST_PIECES)


def _forget_pieces(session: Session, upload_id: uuid.UUID) -> None:
    session.execute(delete(UploadPiece).where(UploadPiece.upload_id == upload_id))


def _owned_by(actor: Actor) -> ColumnElement[bool]:
    return or_(ResumableUpload.owner_id == actor.id, ResumableUpload.staff_id == actor.id)
