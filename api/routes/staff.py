"""Administrators manage who works here, by tokens of audience staff."""

import uuid
from collections.abc import Sequence
from typing import Any

from api import auth, etags, idempotency, paging
from api.blueprint import Blueprint
from api.current import current
from api.idempotency import IdempotencyKeyMalformed
from api.openapi import fails
from api.paging import CursorInvalid
from api.schemas.base import page_of
from api.schemas.staff import PeopleQuery, PersonIn, PersonOut, PersonPatch
from models import Audience
from services import idempotency as repeats
from services import staff
from services.errors import PreconditionNeeded, Stale
from services.feedback.workflow import NothingToChange, UnknownDepartment
from services.idempotency import IdempotencyKeyReused, RequestInFlight
from services.identity.people import AlreadyStaff
from services.permissions import GRAVE, Grant
from services.staff import (
    DepartmentNeeded,
    DepartmentUnfit,
    NameBlank,
    NotAdministrator,
    NotBound,
    OwnAccount,
    PersonNotFound,
    PlacesUnfit,
    RoleNotInUse,
    RolesApart,
    RoleTwice,
    UnknownPlaces,
)

blp = Blueprint(
    "people",
    __name__,
    url_prefix="/api/v1/staff/people",
    description="Who works here",
    audience=Audience.STAFF,
)
ROLES_WRONG = (
    NameBlank,
    RoleNotInUse,
    RolesApart,
    DepartmentNeeded,
    DepartmentUnfit,
    PlacesUnfit,
    RoleTwice,
    UnknownDepartment,
    UnknownPlaces,
)


@blp.get("")
@blp.arguments(PeopleQuery, location="query")
@blp.response(200, page_of(PersonOut), headers=paging.ANSWER)
@fails(CursorInvalid, NotAdministrator)
def people(asked: dict[str, Any]) -> Any:
    """Members of staff, those invited last first"""
    limit = asked.pop("limit")
    before = paging.before(asked.pop("cursor"))
    with current.db.reading() as session:
        found = staff.people(session, auth.actor(), before=before, limit=limit + 1, **asked)
    return paging.page(found, limit)


@blp.get("/<uuid:person_id>")
@blp.response(200, PersonOut, headers=etags.ANSWER)
@fails(NotAdministrator, PersonNotFound)
def person(person_id: uuid.UUID) -> Any:
    """One member of staff"""
    with current.db.reading() as session:
        found = staff.person(session, auth.actor(), person_id)
    etags.send(found.version)
    return found


@blp.post("")
@auth.needs_recent_sign_in(GRAVE)
@blp.arguments(PersonIn)
@blp.response(201, PersonOut, headers={**etags.ANSWER, **idempotency.ANSWER})
@fails(
    IdempotencyKeyMalformed,
    IdempotencyKeyReused,
    RequestInFlight,
    NotAdministrator,
    AlreadyStaff,
    *ROLES_WRONG,
)
@blp.doc(parameters=[idempotency.OPTIONAL_HEADER])
def invite(asked: dict[str, Any]) -> Any:
    """Invite somebody, who then enters by signing in at level 2"""
    attempt = idempotency.attempt_if_keyed("invite_staff")
    roles = _grants(asked.pop("roles"))
    with current.db.transaction() as session:
        if attempt and (known := repeats.earlier(session, attempt)):
            idempotency.mark_replayed()
            invited = staff.person(session, auth.actor(), known)
        else:
            invited = staff.invite(
                session,
                auth.actor(),
                roles=roles,
                vault=current.vault,
                at=current.now(),
                **asked,
            )
            if attempt:
                repeats.remember(session, attempt, invited.id, at=current.now())
    etags.send(invited.version)
    return invited


@blp.patch("/<uuid:person_id>")
@auth.needs_recent_sign_in(GRAVE)
@blp.arguments(PersonPatch)
@blp.response(200, PersonOut, headers=etags.ANSWER)
@fails(
    NotAdministrator,
    PersonNotFound,
    PreconditionNeeded,
    Stale,
    OwnAccount,
    NothingToChange,
    *ROLES_WRONG,
)
@blp.doc(parameters=[etags.HEADER])
def change(changes: dict[str, Any], person_id: uuid.UUID) -> Any:
    """Change the name or the roles, disable, or enable again

    Whoever loses a role, or places of one, or is disabled is signed out, and open reports that they
    may work on no more go back to their department's queue.
    """
    if "roles" in changes:
        changes["roles"] = _grants(changes["roles"])
    with current.db.transaction() as session:
        changed = staff.change(
            session,
            auth.actor(),
            person_id,
            version=etags.required_version(),
            at=current.now(),
            **changes,
        )
    etags.send(changed.version)
    return changed


@blp.post("/<uuid:person_id>/release")
@auth.needs_recent_sign_in(GRAVE)
@blp.response(200, PersonOut, headers=etags.ANSWER)
@fails(NotAdministrator, PersonNotFound, PreconditionNeeded, Stale, OwnAccount, NotBound)
@blp.doc(parameters=[etags.HEADER])
def release(person_id: uuid.UUID) -> Any:
    """Take somebody apart from the account that they entered by, which was not theirs

    They are signed out of the office; the next sign-in at level 2 with the number of the invitation
    is theirs.
    """
    with current.db.transaction() as session:
        released = staff.release(
            session,
            auth.actor(),
            person_id,
            version=etags.required_version(),
            at=current.now(),
        )
    etags.send(released.version)
    return released


def _grants(roles: list[dict[str, Any]]) -> Sequence[Grant]:
    return [
        Grant(
            role["role"],
            role.get("department"),
            None if role.get("places") is None else frozenset(role["places"]),
        )
        for role in roles
    ]
