"""The record of who did what, written in the transaction of the deed."""

import datetime as dt
import uuid
from typing import Any

from sqlalchemy.orm import Session

from models import AuditEvent


def record(
    session: Session,
    action: str,
    *,
    actor_kind: str,
    actor_id: uuid.UUID | None,
    subject: tuple[str, uuid.UUID | None],
    at: dt.datetime,
    **detail: Any,
) -> None:
    """Append one event; `action` reads "subject:verb", `detail` holds codes, never texts."""
    subject_type, subject_id = subject
    session.add(
        AuditEvent(
            at=at,
            actor_kind=actor_kind,
            actor_id=actor_id,
            action=action,
            subject_type=subject_type,
            subject_id=subject_id,
            detail=detail,
        )
    )
