"""What tasks need of their process."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

from models import Database
from notifications.push import Push
from services.audit import AuditKeys
from services.storage import Storage
from services.vault import Vault


@dataclass(frozen=True, slots=True)
class Context:
    """`push` makes the sender when it is first needed, since Firebase costs 50 MB."""

    db: Database
    storage: Storage
    vault: Vault
    push: Callable[[], Push]
    now: Callable[[], dt.datetime]
    audit_keys: AuditKeys | None = None
