"""Tables, and the truths about one row."""

from models.audit import AuditCheckpoint, AuditEvent, AuditLink
from models.base import Base, Database
from models.exports import Export
from models.feedback import (
    Category,
    Report,
    ReporterPause,
    ReportEvent,
    ReportState,
    ResumableUpload,
    Upload,
    UploadPiece,
    UploadState,
    Visibility,
)
from models.identity import (
    AdminSession,
    Audience,
    Citizen,
    Department,
    DeviceSession,
    RefreshToken,
    Role,
    RoleGrant,
    Staff,
)
from models.notifications import Delivery, Device, InboxMessage
from models.personal import classify
from models.places import LegacyPair, LegacyPlace, Place, PlaceBorder
from models.platform import IdempotencyKey, KeyCheck, RateLimit
from models.privacy import (
    Breach,
    Child,
    ChildState,
    Consent,
    DataRequest,
    DataRequestClock,
    DataRequestKind,
    DataRequestState,
    Relation,
)

__all__ = [
    "AdminSession",
    "Audience",
    "AuditCheckpoint",
    "AuditEvent",
    "AuditLink",
    "Base",
    "Breach",
    "Category",
    "Child",
    "ChildState",
    "Citizen",
    "Consent",
    "DataRequest",
    "DataRequestClock",
    "DataRequestKind",
    "DataRequestState",
    "Database",
    "Delivery",
    "Department",
    "Device",
    "DeviceSession",
    "Export",
    "IdempotencyKey",
    "InboxMessage",
    "KeyCheck",
    "LegacyPair",
    "LegacyPlace",
    "Place",
    "PlaceBorder",
    "RateLimit",
    "RefreshToken",
    "Relation",
    "Report",
    "ReportEvent",
    "ReportState",
    "ReporterPause",
    "ResumableUpload",
    "Role",
    "RoleGrant",
    "Staff",
    "Upload",
    "UploadPiece",
    "UploadState",
    "Visibility",
]

classify(Base.metadata)
