"""Telling citizens what happened: the inbox holds it, a push says that something is there."""

import datetime as dt
import functools
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    delete,
    exists,
    func,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models import Citizen, Delivery, Device, DeviceSession, InboxMessage
from models.base import fetch, new_id
from notifications import templates
from notifications.push import Address, Message, Outcome
from services import jobs
from services.errors import Conflict, NotFound
from services.permissions import Actor
from services.tokens import TokenInvalid, hashed

# Answers after which a device hears nothing more: its address is dead or not ours.
GONE = frozenset({Outcome.UNREGISTERED, Outcome.SENDER_MISMATCH})
FINAL = GONE | {Outcome.DELIVERED_TO_FCM, Outcome.INVALID}
PUSH_TASK = "push"
# The one message that is pushed to a device whose session has ended: it tells of that end.
SESSION_REVOKED = "security_session_revoked"


class MessageNotFound(NotFound):
    """There is no such message in your inbox."""

    vi = "Không có tin này trong hộp thư của bạn."


class InstallationTaken(Conflict):
    """This installation of the app is somebody else's until you sign in on it."""

    vi = "Bản cài đặt ứng dụng này thuộc người khác cho đến khi bạn đăng nhập trên đó."


class Letter(NamedTuple):
    """A message as its reader sees it, in the reader's language."""

    id: uuid.UUID
    kind: str
    title: str
    text: str
    subject_type: str
    subject_id: uuid.UUID
    created_at: dt.datetime
    read_at: dt.datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """Where an installation of the app is pushed to: an FCM installation id or a token."""

    platform: str
    kind: str
    value: str
    app_version: str | None = None
    locale: str = "vi"


def tell(
    session: Session,
    citizen_id: uuid.UUID,
    kind: str,
    *,
    subject: tuple[str, uuid.UUID],
    at: dt.datetime,
    **facts: Any,
) -> None:
    """Put a message into the inbox and queue its push, both in the caller's transaction."""
    subject_type, subject_id = subject
    message = InboxMessage(
        citizen_id=citizen_id,
        kind=kind,
        subject_type=subject_type,
        subject_id=subject_id,
        facts=facts,
        created_at=at,
    )
    session.add(message)
    session.flush()
    jobs.defer(session, PUSH_TASK, queue=templates.KINDS[kind].lane, subject_id=message.id)


def inbox(
    connection: Connection, actor: Actor, *, locale: str, before: uuid.UUID | None, limit: int
) -> list[Letter]:
    """The newest messages first, those older than `before`."""
    given = {"before": before} if before else {}
    rows = fetch(connection, _page(tuple(given), limit), {"citizen": actor.id, **given})
    return [_letter(row, locale) for row in rows]


@functools.cache
def _page(narrowed_by: tuple[str, ...], limit: int) -> Select[*tuple[Any, ...]]:
    """The statement of an inbox, kept for the reasons that services.feedback.lists gives."""
    query = select(InboxMessage.__table__).where(InboxMessage.citizen_id == bindparam("citizen"))
    if narrowed_by:
        query = query.where(InboxMessage.id < bindparam("before"))
    return query.order_by(InboxMessage.id.desc()).limit(literal_column(str(limit)))


def unread_count(session: Session, actor: Actor) -> int:
    query = select(func.count()).where(
        InboxMessage.citizen_id == actor.id, InboxMessage.read_at.is_(None)
    )
    return session.scalar(query) or 0


def mark_read(
    session: Session, actor: Actor, message_id: uuid.UUID, *, locale: str, at: dt.datetime
) -> Letter:
    """Mark one message as read; the first time counts.

    Raises:
        MessageNotFound: also for somebody else's message.
    """
    row = session.scalar(
        update(InboxMessage)
        .where(InboxMessage.id == message_id, InboxMessage.citizen_id == actor.id)
        .values(read_at=func.coalesce(InboxMessage.read_at, at))
        .returning(InboxMessage)
    )
    if row is None:
        raise MessageNotFound
    return _letter(row, locale)


def mark_all_read(session: Session, actor: Actor, *, at: dt.datetime) -> None:
    session.execute(
        update(InboxMessage)
        .where(InboxMessage.citizen_id == actor.id, InboxMessage.read_at.is_(None))
        .values(read_at=at)
    )


def register_device(
    session: Session,
    actor: Actor,
    installation_id: str,
    registration: Registration,
    *,
    at: dt.datetime,
) -> None:
    """Let this installation be pushed to while the caller's session lives; repeatable.

    An address belongs to whoever registered it last, and an installation to whoever signed in on
    it last, so a phone that changed hands hears nothing of its former owner.

    Raises:
        TokenInvalid: the session has ended, although its access token still looks valid.
        InstallationTaken
    """
    installation = hashed(installation_id)
    hold_installation(session, installation)
    # Locked, so that a sign-out at this moment either sees the device or stops it here.
    if actor.session_id is None or not session.scalar(
        select(DeviceSession.id)
        .where(DeviceSession.id == actor.session_id, _is_alive(at))
        .with_for_update(read=True)
    ):
        raise TokenInvalid
    if _is_anothers(session, actor, installation, at=at):
        raise InstallationTaken
    # Two phones that claim one address wait for each other.
    address = f"{registration.kind}|{registration.value}"
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(address, 0))))
    values = asdict(registration) | {
        "citizen_id": actor.id,
        "session_id": actor.session_id,
        "last_seen_at": at,
    }
    session.execute(
        delete(Device).where(
            Device.kind == registration.kind,
            Device.value == registration.value,
            Device.installation_hash != installation,
        )
    )
    session.execute(
        insert(Device)
        .values(id=new_id(), installation_hash=installation, **values)
        .on_conflict_do_update(index_elements=[Device.installation_hash], set_=values)
    )


def hold_installation(session: Session, installation: bytes) -> None:
    """Let nobody else sign in on this installation or register it in this transaction."""
    lock = func.pg_advisory_xact_lock(func.hashtextextended(installation.hex(), 0))
    session.execute(select(lock))


def _is_anothers(
    session: Session, actor: Actor, installation: bytes, *, at: dt.datetime
) -> bool | None:
    signed_in = exists().where(
        DeviceSession.installation_hash == installation,
        DeviceSession.citizen_id != actor.id,
        _is_alive(at),
    )
    registered = exists().where(
        Device.installation_hash == installation, Device.citizen_id != actor.id
    )
    return session.scalar(select(signed_in | registered))


def forget_device(session: Session, actor: Actor, installation_id: str) -> None:
    """Stop pushing to the caller's installation; nothing there is fine."""
    session.execute(
        delete(Device).where(
            Device.installation_hash == hashed(installation_id), Device.citizen_id == actor.id
        )
    )


def undelivered(
    session: Session, message_id: uuid.UUID, *, at: dt.datetime
) -> list[tuple[uuid.UUID, Message]]:
    """The pushes that `message_id` still needs, one for each device, counted as attempts.

    Commit before sending: a crash after the send then shows as an attempt without an outcome.
    """
    message = session.get(InboxMessage, message_id)
    if message is None:
        return []
    reached = _is_alive(at)
    if message.kind == SESSION_REVOKED:
        reached |= DeviceSession.id == message.subject_id
    rows = session.execute(
        select(Device, Citizen.locale)
        .join(Citizen, Citizen.id == Device.citizen_id)
        .join(DeviceSession, DeviceSession.id == Device.session_id)
        .outerjoin(
            Delivery, (Delivery.device_id == Device.id) & (Delivery.message_id == message_id)
        )
        .where(
            Device.citizen_id == message.citizen_id,
            reached,
            Delivery.outcome.is_(None) | Delivery.outcome.not_in(FINAL),
        )
        .with_for_update(of=Device)
    ).all()
    for device, _ in rows:
        session.execute(
            insert(Delivery)
            .values(message_id=message_id, device_id=device.id, attempts=1)
            .on_conflict_do_update(
                index_elements=[Delivery.message_id, Delivery.device_id],
                set_={"attempts": Delivery.attempts + 1},
            )
        )
    return [(device.id, _push(message, device, locale)) for device, locale in rows]


def record_outcomes(
    session: Session,
    message_id: uuid.UUID,
    outcomes: Iterable[tuple[uuid.UUID, Outcome]],
    *,
    at: dt.datetime,
) -> None:
    """Write down what became of each push; an address that is dead or not ours is forgotten."""
    for device_id, outcome in outcomes:
        if outcome in GONE:
            session.execute(delete(Device).where(Device.id == device_id))
            continue
        session.execute(
            update(Delivery)
            .where(Delivery.message_id == message_id, Delivery.device_id == device_id)
            .values(
                outcome=outcome.value,
                handed_over_at=at if outcome is Outcome.DELIVERED_TO_FCM else None,
            )
        )


def _is_alive(at: dt.datetime) -> ColumnElement[bool]:
    return and_(DeviceSession.revoked_at.is_(None), DeviceSession.expires_at > at)


def _push(message: InboxMessage, device: Device, locale: str) -> Message:
    """A push says that something is there; the words are fetched after sign-in."""
    kind = templates.KINDS[message.kind]
    text = templates.push_text(message.kind, device.locale or locale)
    return Message(
        notification_id=message.id,
        address=Address(kind=device.kind, value=device.value),
        title=text.title,
        body=text.text,
        data={
            "kind": message.kind,
            "subject_type": message.subject_type,
            "subject_id": str(message.subject_id),
        },
        collapse_key=f"{message.subject_type}:{message.subject_id}",
        ttl=kind.ttl,
        urgent=kind.lane == "urgent",
    )


def _letter(row: Any, locale: str) -> Letter:
    text = templates.render(row.kind, locale, **row.facts)
    return Letter(
        id=row.id,
        kind=row.kind,
        title=text.title,
        text=text.text,
        subject_type=row.subject_type,
        subject_id=row.subject_id,
        created_at=row.created_at,
        read_at=row.read_at,
    )
