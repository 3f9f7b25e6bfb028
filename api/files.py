"""Signed links to photos, and the sending of their bytes."""

import datetime as dt
import uuid
from typing import Any

from flask import Response

from api.current import current
from api.signing import sign, unsign
from models import Upload, UploadState
from services import photos, uploads
from services.errors import NotFound

LIFE = dt.timedelta(hours=1)
# Links of one half hour are equal, so that a phone's cache finds the picture again.
STEP_S = 1800


# The photo itself and what multipart wraps around it.
UPLOAD_BODY = photos.MAX_BYTES + 64 * 1024


def too_large() -> photos.PhotoTooLarge:
    """The refusal of a body that is larger than any photo may be."""
    return photos.PhotoTooLarge(limit_mb=photos.MAX_BYTES // 1024 // 1024)


class LinkInvalid(NotFound):
    """This link is not valid or has expired; load the report again."""

    vi = "Đường dẫn không hợp lệ hoặc đã hết hạn; hãy tải lại phản ánh."


def links(upload: Upload) -> dict[str, str] | None:
    """Addresses of both sizes, good for one to one and a half hours; None until there are any."""
    if upload.state is not UploadState.READY:
        return None
    return {size: _link(upload.id, size) for size in uploads.SIZES}


def view(upload: Upload) -> dict[str, Any]:
    """A photo as reports show it."""
    return {
        "id": upload.id,
        "state": upload.state.value,
        "width": upload.width,
        "height": upload.height,
        "shows_result": upload.shows_result,
        "urls": links(upload),
    }


def send(signed: str) -> Response:
    """The bytes behind a signed link; nginx sends them itself where it stands in front.

    Raises:
        LinkInvalid
        StorageUnavailable
    """
    key = _opened(signed)
    response = Response(mimetype="image/jpeg")
    response.headers["Content-Disposition"] = "inline; filename=photo.jpg"
    if prefix := current.settings.accel_redirect:
        # How long it may be kept is said by nginx, which alone knows whether it finds the photo.
        response.headers["X-Accel-Redirect"] = prefix + current.storage.behind_nginx(key)
        return response
    try:
        response.set_data(current.storage.get(key))
    except FileNotFoundError as error:
        raise LinkInvalid from error
    response.headers["Cache-Control"] = "private, max-age=1800, immutable"
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response


def _link(upload_id: uuid.UUID, size: str) -> str:
    now = int(current.now().timestamp())
    expires = (now + int(LIFE.total_seconds())) // STEP_S * STEP_S + STEP_S
    text = f"{uploads.key(upload_id, size)}|{expires}".encode()
    return f"{current.settings.public_url}/api/v1/files/{sign('file', text)}"


def _opened(signed: str) -> str:
    text = unsign("file", signed)
    if text is None:
        raise LinkInvalid
    key, _, expires = text.decode().rpartition("|")
    if current.now().timestamp() > int(expires):
        raise LinkInvalid
    return key
