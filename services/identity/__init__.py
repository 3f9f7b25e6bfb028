"""People: signing in, sessions and their tokens, and the staff view's sessions."""

from services.identity.admin import AdminVisit, enter_admin, leave_admin, visit_admin
from services.identity.people import (
    NotStaff,
    PersonClaims,
    create_administrator,
    get_citizen,
    update_me,
)
from services.identity.sessions import (
    DeviceFacts,
    InvalidGrant,
    TokenPair,
    count_attempt,
    end_all,
    recently_revoked,
    refresh,
    sign_in,
    sign_out,
    staff_actor,
)

__all__ = [
    "AdminVisit",
    "DeviceFacts",
    "InvalidGrant",
    "NotStaff",
    "PersonClaims",
    "TokenPair",
    "count_attempt",
    "create_administrator",
    "end_all",
    "enter_admin",
    "get_citizen",
    "leave_admin",
    "recently_revoked",
    "refresh",
    "sign_in",
    "sign_out",
    "staff_actor",
    "update_me",
    "visit_admin",
]
