"""What the peers share: tables, and the rules that are nobody's framework.

The tables are mapped as one usually maps them, whole; signatures, clocks and texts are computed
as the measured system does, so that all three serve the same JSON.
"""

import base64
import datetime as dt
import hmac
import os
import uuid
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from sqlalchemy import DateTime, ForeignKey
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from notifications import templates

DATABASE_URL = os.environ["DATABASE_URL"]
PUBLIC_URL = os.environ["PUBLIC_URL"]
PAGE = 20
OPEN = {"received", "assigned", "in_progress", "pending_approval", "waiting_citizen"}
_LINK_STEP_S, _LINK_LIFE_S = 1800, 3600


class Base(DeclarativeBase):
    type_annotation_map = {dt.datetime: DateTime(timezone=True), dict[str, Any]: JSONB}  # noqa: RUF012


class Category(Base):
    __tablename__ = "categories"

    code: Mapped[str] = mapped_column(primary_key=True)
    name_vi: Mapped[str]
    name_en: Mapped[str]


class Place(Base):
    __tablename__ = "places"

    code: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    full_name: Mapped[str]
    kind: Mapped[str]
    level: Mapped[int]


class Department(Base):
    __tablename__ = "departments"

    code: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]


class Upload(Base):
    __tablename__ = "uploads"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    report_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("reports.id"))
    state: Mapped[str]
    width: Mapped[int | None]
    height: Mapped[int | None]
    position: Mapped[int]
    shows_result: Mapped[bool]


class Report(Base):
    __tablename__ = "reports"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    code: Mapped[str]
    reporter_id: Mapped[uuid.UUID | None]
    hide_reporter: Mapped[bool]
    category_code: Mapped[str] = mapped_column(ForeignKey("categories.code"))
    description: Mapped[str]
    lat: Mapped[float]
    lng: Mapped[float]
    accuracy_m: Mapped[float | None]
    place_code: Mapped[str] = mapped_column(ForeignKey("places.code"))
    address: Mapped[str | None]
    occurred_at: Mapped[dt.datetime | None]
    visibility: Mapped[str]
    public_text: Mapped[str | None]
    state: Mapped[str]
    department_code: Mapped[str | None] = mapped_column(ForeignKey("departments.code"))
    acknowledge_due_at: Mapped[dt.datetime]
    resolve_due_at: Mapped[dt.datetime]
    resolved_at: Mapped[dt.datetime | None]
    rating: Mapped[int | None]
    created_at: Mapped[dt.datetime]

    category: Mapped[Category] = relationship()
    place: Mapped[Place] = relationship()
    department: Mapped[Department | None] = relationship()
    photos: Mapped[list[Upload]] = relationship(
        order_by="(Upload.shows_result, Upload.position, Upload.id)"
    )


class InboxMessage(Base):
    __tablename__ = "inbox_messages"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    citizen_id: Mapped[uuid.UUID]
    kind: Mapped[str]
    subject_type: Mapped[str]
    subject_id: Mapped[uuid.UUID]
    facts: Mapped[dict[str, Any]]
    created_at: Mapped[dt.datetime]
    read_at: Mapped[dt.datetime | None]


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def rounded(degrees: float) -> float:
    return round(degrees * 2000) / 2000


def clock(report: Report) -> dict[str, Any]:
    if report.state not in OPEN:
        return {"level": "stopped", "paused": False}
    allowed = report.resolve_due_at - report.created_at
    left = report.resolve_due_at - now()
    level = "on_time"
    if left < -allowed:
        level = "very_late"
    elif left < dt.timedelta():
        level = "late"
    elif left < allowed / 5:
        level = "due_soon"
    return {"level": level, "paused": report.state == "waiting_citizen"}


def urls(upload: Upload) -> dict[str, str] | None:
    if upload.state != "ready":
        return None
    expires = (int(now().timestamp()) + _LINK_LIFE_S) // _LINK_STEP_S * _LINK_STEP_S + _LINK_STEP_S
    return {
        size: f"{PUBLIC_URL}/api/v1/files/{_sign('file', f'{upload.id}/{size}|{expires}'.encode())}"
        for size in ("thumb", "full")
    }


def cursor(path: str, last: uuid.UUID) -> str:
    return _sign(f"cursor|/api/v1{path}", last.bytes)


def words(message: InboxMessage) -> templates.Text:
    return templates.render(message.kind, "vi", **message.facts)


def citizen_of(authorization: str) -> uuid.UUID:
    """Raises jwt.InvalidTokenError."""
    claims = jwt.decode(
        authorization.removeprefix("Bearer "),
        _PUBLIC_KEY,
        algorithms=["ES256"],
        audience=["citizen"],
        issuer=PUBLIC_URL,
        options={"require": ["exp", "iat", "sub", "sid"]},
    )
    return uuid.UUID(claims["sub"])


def _derived(purpose: str) -> bytes:
    secret = os.environ["SECRET_KEY"].encode()
    return HKDF(SHA256(), 32, salt=None, info=purpose.encode()).derive(secret)


_KEYS = {
    purpose: _derived(purpose)
    for purpose in (
        "file",
        *(f"cursor|/api/v1{path}" for path in ("/public/reports", "/reports", "/me/inbox")),
    )
}
_PUBLIC_KEY = load_pem_private_key(
    Path(os.environ["ACCESS_TOKEN_KEY_FILE"]).read_bytes(), None
).public_key()


def _sign(purpose: str, content: bytes) -> str:
    mac = hmac.digest(_KEYS[purpose], content, "sha256")[:16]
    return base64.urlsafe_b64encode(mac + content).rstrip(b"=").decode()
