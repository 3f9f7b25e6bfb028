"""The inbox, and the devices that are told when something lies in it."""

import uuid
from typing import Any

from api import auth, paging
from api.blueprint import Blueprint
from api.current import current
from api.errors import locale
from api.openapi import fails
from api.paging import CursorInvalid
from api.schemas.base import PageQuery, page_of
from api.schemas.notifications import DevicePut, LetterOut, UnreadOut
from services import notifications
from services.errors import Invalid
from services.notifications import InstallationTaken, MessageNotFound

blp = Blueprint("notifications", __name__, url_prefix="/api/v1", description="Inbox and push")
MIN_INSTALLATION_ID = 22  # 128 bits in base64


class InstallationIdWeak(Invalid):
    """An installation_id has 22 to 128 characters, at least 128 random bits."""

    vi = "installation_id gồm 22 đến 128 ký tự, ít nhất 128 bit ngẫu nhiên."


@blp.get("/me/inbox")
@blp.arguments(PageQuery, location="query")
@blp.response(200, page_of(LetterOut), headers=paging.ANSWER)
@fails(CursorInvalid)
def inbox(asked: dict[str, Any]) -> Any:
    """Messages to me, newest first"""
    with current.db.rows() as connection:
        letters = notifications.inbox(
            connection,
            auth.actor(),
            locale=locale(),
            before=paging.before(asked["cursor"]),
            limit=asked["limit"] + 1,
        )
    return paging.page(letters, asked["limit"])


@blp.get("/me/inbox/unread-count")
@blp.response(200, UnreadOut)
def unread_count() -> Any:
    """How many messages I have not read"""
    with current.db.reading() as session:
        return {"unread": notifications.unread_count(session, auth.actor())}


@blp.post("/me/inbox/<uuid:message_id>/read")
@blp.response(200, LetterOut)
@fails(MessageNotFound)
def mark_read(message_id: uuid.UUID) -> Any:
    """Mark one message as read"""
    with current.db.transaction() as session:
        return notifications.mark_read(
            session, auth.actor(), message_id, locale=locale(), at=current.now()
        )


@blp.post("/me/inbox/read-all")
@blp.response(204)
def mark_all_read() -> None:
    """Mark every message as read"""
    with current.db.transaction() as session:
        notifications.mark_all_read(session, auth.actor(), at=current.now())


@blp.put("/me/devices/<installation_id>")
@blp.arguments(DevicePut)
@blp.response(204)
@fails(InstallationIdWeak, InstallationTaken)
def register_device(registration: dict[str, Any], installation_id: str) -> None:
    """Be pushed to on this device while signed in; repeatable"""
    if not MIN_INSTALLATION_ID <= len(installation_id) <= 128:  # noqa: PLR2004 - as documented
        raise InstallationIdWeak
    with current.db.transaction() as session:
        notifications.register_device(
            session,
            auth.actor(),
            installation_id,
            notifications.Registration(**registration),
            at=current.now(),
        )


@blp.delete("/me/devices/<installation_id>")
@blp.response(204)
def forget_device(installation_id: str) -> None:
    """Stop being pushed to on this device"""
    with current.db.transaction() as session:
        notifications.forget_device(session, auth.actor(), installation_id)
