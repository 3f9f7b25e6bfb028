"""Writing the record, in the transaction of the deed."""

import datetime as dt
import uuid
from typing import Any

import structlog
from sqlalchemy.orm import Session

from models import AuditEvent
from services.audit.deeds import Deed, Purpose, Subject
from services.permissions import Actor, ActorKind, Grant


def record(
    session: Session,
    deed: Deed,
    *,
    actor: Actor | None,
    subject: tuple[Subject, uuid.UUID | None],
    at: dt.datetime,
    by: Grant | None = None,
    about: uuid.UUID | None = None,
    purpose: Purpose | None = None,
    **detail: Any,
) -> None:
    """Append one event; `detail` holds codes, ids and whole numbers, never texts or fractions.

    `actor` is None for what the system does by itself. `by` is the role that allowed a member of
    staff to do it. `about` is the citizen whose personal data they read or changed: such an event
    is shown to that citizen, so `detail["fields"]` names what was read.
    """
    subject_type, subject_id = subject
    session.add(
        AuditEvent(
            at=at,
            actor_kind=actor.kind.value if actor else ActorKind.SYSTEM.value,
            actor_id=actor.id if actor else None,
            action=deed.value,
            subject_type=subject_type,
            subject_id=subject_id,
            detail=detail,
            role=by.role.value if by else None,
            organisation=by.department if by else None,
            purpose=purpose.value if purpose else None,
            request_id=structlog.contextvars.get_contextvars().get("request_id"),
            about_id=about,
        )
    )
