"""Who works here: the list, the invitation, and one person's page; for administrators."""

import re
import uuid
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from admin import door, forms, page, sign_in
from api.current import current
from models import Role, Staff
from services import feedback, permissions, places, staff
from services.errors import BadRequest, DomainError, NotFound
from services.identity.people import as_grant
from services.permissions import GRAVE, Duty, Grant
from services.staff import NotAdministrator

blp = Blueprint("people", __name__, url_prefix="/people")

PAGE = 50
NAME = 100
CODE = 60
PLACE = 5
# There are 92 communes.
MOST_PLACES = 100
COMMUNES = 2
# Whether only those are shown who are disabled, or only the others, or all.
STATES = {"": False, "disabled": True, "all": None}


@blp.before_request
def only_administrators() -> None:
    if not permissions.holds(door.visit().actor, Duty.MANAGE_STAFF):
        raise NotAdministrator


@blp.get("")
def index() -> str:
    state = request.args.get("state", "")
    if state not in STATES:
        raise BadRequest
    before = forms.an_id("before")
    with current.db.reading() as session:
        found = staff.people(
            session,
            door.visit().actor,
            department=request.args.get("department") or None,
            disabled=STATES[state],
            before=before,
            limit=PAGE + 1,
        )
        departments = feedback.departments(session)
    shown = found[:PAGE]
    kept = {name: request.args.get(name) for name in ("department", "state")}
    more = {name: value for name, value in kept.items() if value}
    return page.render(
        "people.html",
        people=shown,
        departments=departments,
        names={department.code: department.name for department in departments},
        more=f"/admin/people?{urlencode({**more, 'before': str(shown[-1].id)})}"
        if len(found) > PAGE
        else None,
    )


@blp.get("/new")
def invitation() -> Response:
    return _invitation()


@blp.post("")
def invite() -> AnyResponse:
    if asked := sign_in.asked_again(GRAVE, back="/admin/people/new"):
        return asked
    try:
        with current.db.transaction() as session:
            invited = staff.invite(
                session,
                door.visit().actor,
                citizen_number=re.sub(r"[\s.]", "", forms.text("citizen_number", limit=20) or ""),
                name=forms.text("name", limit=NAME) or "",
                roles=[_grant()],
                vault=current.vault,
                at=current.now(),
            )
    except DomainError as error:
        return _invitation(error)
    return _back(invited.id, "invite")


@blp.get("/<uuid:person_id>")
def show(person_id: uuid.UUID) -> Response:
    return _page(person_id)


@blp.post("/<uuid:person_id>/name")
def rename(person_id: uuid.UUID) -> AnyResponse:
    return _attempt(person_id, "rename", lambda _: {"name": forms.text("name", limit=NAME) or ""})


@blp.post("/<uuid:person_id>/roles")
def add_role(person_id: uuid.UUID) -> AnyResponse:
    """Give a role; one that is there for the same department gets the new places."""

    def change(person: Staff) -> dict[str, Any]:
        added = _grant()
        others = [
            grant
            for grant in map(as_grant, person.grants)
            if (grant.role, grant.department) != (added.role, added.department)
        ]
        return {"roles": [*others, added]}

    return _attempt(person_id, "add_role", change)


@blp.post("/<uuid:person_id>/roles/remove")
def remove_role(person_id: uuid.UUID) -> AnyResponse:
    wanted = request.form.get("grant", "")

    def change(person: Staff) -> dict[str, Any]:
        return {"roles": [as_grant(row) for row in person.grants if str(row.id) != wanted]}

    return _attempt(person_id, "remove_role", change)


@blp.post("/<uuid:person_id>/disabled")
def disable(person_id: uuid.UUID) -> AnyResponse:
    step = request.form.get("step", "")
    if step not in {"disable", "enable"}:
        raise forms.FormMalformed
    return _attempt(person_id, step, lambda _: {"disabled": step == "disable"})


@blp.post("/<uuid:person_id>/release")
def release(person_id: uuid.UUID) -> AnyResponse:
    """Take somebody apart from the account that they entered by."""
    return _decide(
        person_id,
        "release",
        lambda session: staff.release(
            session,
            door.visit().actor,
            person_id,
            version=forms.version(),
            at=current.now(),
        ),
    )


def _attempt(
    person_id: uuid.UUID, step: str, change: Callable[[Staff], dict[str, Any]]
) -> AnyResponse:
    def carry_out(session: Any) -> None:
        actor = door.visit().actor
        # Read without a lock: the version in the form decides whether it was seen so.
        person = staff.person(session, actor, person_id)
        staff.change(
            session,
            actor,
            person_id,
            version=forms.version(),
            at=current.now(),
            **change(person),
        )

    return _decide(person_id, step, carry_out)


def _decide(person_id: uuid.UUID, step: str, work: Callable[[Any], object]) -> AnyResponse:
    """Do the work and go back to the person; a refusal shows what was typed again."""
    if asked := sign_in.asked_again(GRAVE, back=f"/admin/people/{person_id}"):
        return asked
    try:
        with current.db.transaction() as session:
            work(session)
    except NotFound:
        raise
    except DomainError as error:
        return _page(person_id, failed=step, error=error)
    return _back(person_id, step)


def _back(person_id: uuid.UUID, step: str) -> AnyResponse:
    return redirect(f"/admin/people/{person_id}?{page.went_well(step)}", HTTPStatus.SEE_OTHER)


def _grant() -> Grant:
    """The role that was chosen in a form.

    Raises:
        FormMalformed
    """
    try:
        role = Role(request.form.get("role", ""))
    except ValueError as error:
        raise forms.FormMalformed from error
    chosen = forms.chosen("place", limit=PLACE, most=MOST_PLACES)
    return Grant(role, forms.text("department", limit=CODE), frozenset(chosen) or None)


def _invitation(error: DomainError | None = None) -> Response:
    with current.db.reading() as session:
        choices = _choices(session)
    # The number is typed again: what was sent is shown to nobody.
    kept = {name: value for name, value in forms.typed().items() if name != "citizen_number"}
    return page.respond(
        "invite.html",
        error=error,
        typed=kept,
        ticked=set(request.form.getlist("place")),
        is_recent=sign_in.is_recent(GRAVE),
        **choices,
    )


def _page(person_id: uuid.UUID, *, failed: str = "", error: DomainError | None = None) -> Response:
    actor = door.visit().actor
    with current.db.reading() as session:
        person = staff.person(session, actor, person_id)
        choices = _choices(session)
    return page.respond(
        "person.html",
        error=error,
        person=person,
        is_self=person.id == actor.id,
        is_recent=sign_in.is_recent(GRAVE),
        failed=failed,
        typed=forms.typed() if failed else {},
        ticked=set(request.form.getlist("place")) if failed else set(),
        **choices,
    )


def _choices(session: Any) -> dict[str, Any]:
    """What roles can be given, and the names of what they are limited to."""
    departments = feedback.departments(session)
    communes = places.search(session, level=COMMUNES)
    return {
        "roles": [role for role in Role if role in permissions.IN_USE],
        "departments": departments,
        "places": communes,
        "names": {
            **{department.code: department.name for department in departments},
            **{place.code: place.full_name for place in communes},
        },
    }
