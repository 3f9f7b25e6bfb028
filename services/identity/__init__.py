"""People: signing in, sessions and their tokens, and the staff view's sessions."""

from services.identity.admin import (
    AdminVisit,
    enter_admin,
    leave_admin,
    visit_admin,
)
from services.identity.devices import (
    SessionNotFound,
    end_other_sessions,
    end_session,
    live_sessions,
    rename_session,
)
from services.identity.ending import (
    Revoked,
    end_staff_sessions,
    recently_revoked,
    shut_out,
    sign_out,
)
from services.identity.people import (
    NotStaff,
    PersonClaims,
    get_citizen,
    hold_roles,
    note_refusal,
    update_me,
)
from services.identity.sessions import (
    DeviceFacts,
    InvalidGrant,
    TokenPair,
    count_attempt,
    count_refresh,
    refresh,
    sign_in,
    staff_actor,
)

__all__ = [
    "AdminVisit",
    "DeviceFacts",
    "InvalidGrant",
    "NotStaff",
    "PersonClaims",
    "Revoked",
    "SessionNotFound",
    "TokenPair",
    "count_attempt",
    "count_refresh",
    "end_other_sessions",
    "end_session",
    "end_staff_sessions",
    "enter_admin",
    "get_citizen",
    "hold_roles",
    "leave_admin",
    "live_sessions",
    "note_refusal",
    "recently_revoked",
    "refresh",
    "rename_session",
    "shut_out",
    "sign_in",
    "sign_out",
    "staff_actor",
    "update_me",
    "visit_admin",
]
