"""The audit log: recording deeds, chaining them, signing the chain, and reading it."""

from services.audit.chain import BATCH, extend
from services.audit.checkpoints import (
    AuditKeys,
    copy_out,
    latest_checkpoints,
    sign_head,
)
from services.audit.deeds import Deed, Purpose, title
from services.audit.reading import (
    Entry,
    NotAnAuditor,
    Search,
    Standing,
    access_log,
    last_verification,
    search,
    standing,
)
from services.audit.recording import record
from services.audit.verification import Fault, Verification, note_verification

__all__ = [
    "BATCH",
    "AuditKeys",
    "Deed",
    "Entry",
    "Fault",
    "NotAnAuditor",
    "Purpose",
    "Search",
    "Standing",
    "Verification",
    "access_log",
    "copy_out",
    "extend",
    "last_verification",
    "latest_checkpoints",
    "note_verification",
    "record",
    "search",
    "sign_head",
    "standing",
    "title",
]
