"""Photos in pieces, by the protocol tus 1.0.0 (tus.io/protocols/resumable-upload).

Core protocol with the extensions creation, expiration, checksum and termination. On a weak link
an app sends pieces of at most 256 KiB and asks by HEAD where it was, at whichever process.
"""

import base64
import datetime as dt
import hashlib
import hmac
import re
import uuid
from http import HTTPStatus
from typing import Any
from wsgiref.handlers import format_date_time

from flask import Response, request, url_for

from api import auth
from api.blueprint import Blueprint, any_audience, public, takes_bodies_up_to
from api.current import current
from api.openapi import fails
from services import photos, resumable, uploads
from services.errors import BadRequest, Damaged, Stale, TooLarge, UnsupportedMedia
from services.limits import RateLimited
from services.photos import PhotoAnimated, PhotoNotAccepted, PhotoTooLarge, PhotoTooManyPixels
from services.resumable import (
    LengthUnlikely,
    OffsetWrong,
    PiecesTooSmall,
    PieceTooLong,
    UploadExpired,
)
from services.storage import StorageUnavailable
from services.uploads import UploadNotFound

blp = Blueprint(
    "tus", __name__, url_prefix="/api/v1/uploads/tus", description="Photos in pieces (tus 1.0)"
)

VERSION = "1.0.0"
CONTENT = "application/offset+octet-stream"
# The protocol demands SHA-1; it is there against broken links, not against forgers.
ALGORITHMS = ("sha1", "sha256")
_NUMBER = re.compile("[0-9]{1,12}")
_REFUSED = (PhotoTooManyPixels, PhotoNotAccepted, PhotoAnimated)


class TusVersionUnknown(Stale):
    """Send Tus-Resumable: 1.0.0."""

    vi = "Cần gửi Tus-Resumable: 1.0.0."


class HeaderMalformed(BadRequest):
    """The header {header} is missing or not as the protocol tus has it."""

    vi = "Tiêu đề {header} bị thiếu hoặc không đúng giao thức tus."


class PieceTooLarge(TooLarge):
    """A piece has at most {limit_kb} KiB."""

    vi = "Mỗi phần gửi tối đa {limit_kb} KiB."


class NotAPiece(UnsupportedMedia):
    """Send the piece as application/offset+octet-stream."""

    vi = "Gửi phần ảnh dạng application/offset+octet-stream."


class ChecksumMismatch(Damaged):
    """The piece is not the one that Upload-Checksum was made of; send it again."""

    vi = "Phần nhận được không khớp Upload-Checksum; hãy gửi lại."


def _header(name: str, kind: str, description: str, *, required: bool = True) -> dict[str, Any]:
    return {
        "in": "header",
        "name": name,
        "required": required,
        "schema": {"type": kind},
        "description": description,
    }


def _answer(**described: str) -> dict[str, Any]:
    """Headers of an answer for the contract; underscores stand for hyphens."""
    return {
        name.replace("_", "-"): {"schema": {"type": "string"}, "description": text}
        for name, text in {"Tus_Resumable": VERSION, **described}.items()
    }


RESUMABLE = _header("Tus-Resumable", "string", VERSION)
EXPIRES = "When it ends unless more comes (RFC 9110 section 5.6.7)."


def _too_large() -> PieceTooLarge:
    return PieceTooLarge(limit_kb=resumable.PIECE // 1024)


@blp.route("", methods=["OPTIONS"])
@public
@blp.response(
    204,
    headers=_answer(
        Tus_Version=VERSION,
        Tus_Extension="creation,expiration,checksum,termination",
        Tus_Max_Size="The largest photo, in bytes.",
        Tus_Checksum_Algorithm=",".join(ALGORITHMS),
    ),
)
def describe() -> Any:
    """What this server can do of tus"""
    return None, {
        "Tus-Version": VERSION,
        "Tus-Extension": "creation,expiration,checksum,termination",
        "Tus-Max-Size": str(photos.MAX_BYTES),
        "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
    }


@blp.post("")
@any_audience
@blp.response(
    201, headers=_answer(Location="Where its pieces go; ends in its id.", Upload_Expires=EXPIRES)
)
@fails(HeaderMalformed, TusVersionUnknown, LengthUnlikely, PhotoTooLarge, RateLimited)
@blp.doc(parameters=[RESUMABLE, _header("Upload-Length", "integer", "Bytes of the whole photo.")])
def begin() -> Any:
    """Announce a photo that comes in pieces"""
    _known_version()
    length = _number("Upload-Length")
    with current.db.transaction() as session:
        uploads.count_upload(session, auth.actor(), at=current.now())
    with current.db.transaction() as session:
        begun = resumable.begin(session, auth.actor(), length, at=current.now())
    return None, {
        "Location": url_for("tus.append", upload_id=begun.id),
        "Upload-Expires": _date(begun.expires_at),
    }


@blp.route("/<uuid:upload_id>", methods=["HEAD"])
@any_audience
@blp.response(
    200, headers=_answer(Upload_Offset="Bytes that are here.", Upload_Length="Of the whole.")
)
@fails(TusVersionUnknown, UploadNotFound, UploadExpired)
@blp.doc(parameters=[RESUMABLE])
def offset(upload_id: uuid.UUID) -> Response:
    """How much of a photo is here"""
    _known_version()
    with current.db.reading() as session:
        upload = resumable.get(session, auth.actor(), upload_id, at=current.now())
    response = Response(status=HTTPStatus.OK)
    response.headers["Upload-Offset"] = str(upload.received)
    response.headers["Upload-Length"] = str(upload.length)
    response.headers["Upload-Expires"] = _date(upload.expires_at)
    response.headers["Cache-Control"] = "no-store"
    return response


@blp.route("/<uuid:upload_id>", methods=["PATCH"])
@any_audience
@takes_bodies_up_to(resumable.PIECE, or_else=_too_large)
@blp.response(
    204,
    headers=_answer(Upload_Offset="Bytes that are here now.", Upload_Expires=EXPIRES),
)
@fails(
    HeaderMalformed,
    TusVersionUnknown,
    NotAPiece,
    PieceTooLarge,
    ChecksumMismatch,
    UploadNotFound,
    UploadExpired,
    OffsetWrong,
    PieceTooLong,
    PiecesTooSmall,
    *_REFUSED,
    StorageUnavailable,
)
@blp.doc(
    parameters=[
        RESUMABLE,
        _header("Upload-Offset", "integer", "Where this piece begins."),
        _header("Upload-Checksum", "string", "sha1 or sha256, a blank, base64.", required=False),
    ],
    requestBody={"content": {CONTENT: {"schema": {"type": "string", "format": "binary"}}}},
)
def append(upload_id: uuid.UUID) -> Any:
    """Send the next piece; the last one makes it a photo as POST /uploads does"""
    _known_version()
    start = _number("Upload-Offset")
    if request.mimetype != CONTENT:
        raise NotAPiece
    piece = request.get_data(cache=False)
    _compare(piece)
    actor, now = auth.actor(), current.now()
    with current.db.reading() as session:
        whole = resumable.whole(session, actor, upload_id, piece, offset=start, at=now)
    if whole is None:
        with current.db.transaction() as session:
            upload = resumable.append(session, actor, upload_id, piece, offset=start, at=now)
        return None, {
            "Upload-Offset": str(upload.received),
            "Upload-Expires": _date(upload.expires_at),
        }
    # The file before its row, and outside of any transaction, as for a photo that comes whole.
    try:
        uploads.keep(whole, upload_id, storage=current.storage)
    except _REFUSED:
        with current.db.transaction() as session:
            resumable.terminate(session, actor, upload_id, at=now)
        raise
    try:
        with current.db.transaction() as session:
            resumable.complete(session, actor, upload_id, offset=start, at=now)
    except (OffsetWrong, UploadNotFound):
        # Somebody completed it, or gave it up, meanwhile; the job may have cleaned the photo
        # before our file came, and would not come again.
        with current.db.reading() as session:
            uploads.discard_original(session, upload_id, storage=current.storage)
        raise
    return None, {"Upload-Offset": str(len(whole))}


@blp.delete("/<uuid:upload_id>")
@any_audience
@blp.response(204, headers=_answer())
@fails(TusVersionUnknown, UploadNotFound, UploadExpired)
@blp.doc(parameters=[RESUMABLE])
def terminate(upload_id: uuid.UUID) -> None:
    """Give an upload up"""
    _known_version()
    with current.db.transaction() as session:
        resumable.terminate(session, auth.actor(), upload_id, at=current.now())


@blp.after_request
def sign(response: Response) -> Response:
    """Every answer names the version, refusals too; a refused version gets those that are known."""
    response.headers["Tus-Resumable"] = VERSION
    if response.status_code == HTTPStatus.PRECONDITION_FAILED:
        response.headers["Tus-Version"] = VERSION
    return response


def _known_version() -> None:
    if request.headers.get("Tus-Resumable") != VERSION:
        raise TusVersionUnknown


def _number(header: str) -> int:
    text = request.headers.get(header, "")
    if not _NUMBER.fullmatch(text):
        raise HeaderMalformed(header=header)
    return int(text)


def _compare(piece: bytes) -> None:
    """Raises HeaderMalformed, ChecksumMismatch."""
    told = request.headers.get("Upload-Checksum")
    if told is None:
        return
    algorithm, _, text = told.partition(" ")
    if algorithm not in ALGORITHMS:
        raise HeaderMalformed(header="Upload-Checksum")
    try:
        expected = base64.b64decode(text, validate=True)
    except ValueError:
        raise HeaderMalformed(header="Upload-Checksum") from None
    if not hmac.compare_digest(hashlib.new(algorithm, piece).digest(), expected):
        raise ChecksumMismatch


def _date(moment: dt.datetime) -> str:
    return format_date_time(moment.timestamp())
