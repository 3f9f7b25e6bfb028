"""Who asks. Every view needs an access token unless it is marked public."""

import datetime as dt
import re
from collections.abc import Callable, Collection
from typing import Any, TypeVar, cast

from flask import Flask, current_app, g, request

from api.blueprint import Blueprint
from api.current import current
from api.openapi import fails
from models import Audience
from services import identity, permissions
from services.permissions import LEVEL_2, Actor, ActorKind, RecentSignInNeeded
from services.tokens import AccessClaims, TokenInvalid

View = TypeVar("View", bound=Callable[..., Any])
# The whole address, or `http://127.0.0.1:80@elsewhere/` would pass.
LOOPBACK = re.compile(r"(http://(?:127\.0\.0\.1|\[::1\])):[0-9]{1,5}(/.*)")


def init_app(app: Flask) -> None:
    app.before_request(authenticate)


def authenticate() -> None:
    """Set the actor of this request, or refuse it.

    Views of plain Flask blueprints (the staff view, files of the documentation) have their own
    door; only this API's blueprints are guarded here.
    """
    blueprint = current_app.blueprints.get(request.blueprint or "")
    view = current_app.view_functions.get(request.endpoint or "")
    if not isinstance(blueprint, Blueprint) or getattr(view, "is_public", False):
        return
    claims = _claims()
    fits = claims.audience is blueprint.audience or getattr(view, "takes_any_audience", False)
    if not fits or current.revocations.refuse(claims):
        raise TokenInvalid
    g.claims = claims
    g.actor = _staff(claims) if claims.audience is Audience.STAFF else _citizen(claims)
    max_age, level = getattr(view, "needed_sign_in", (None, None))
    if max_age is not None and not permissions.is_recent(
        claims.acr, claims.auth_time, max_age=max_age, level=level, at=current.now()
    ):
        seconds = int(max_age.total_seconds())
        raise RecentSignInNeeded(minutes=seconds // 60, max_age=seconds, acr_values=level)


def needs_recent_sign_in(
    max_age: dt.timedelta, *, level: str | None = LEVEL_2
) -> Callable[[View], View]:
    """Mark a view that wants a sign-in not longer than `max_age` ago (RFC 9470).

    It has to be at `level`; None is for what citizens may do at any level.

    The app then sends the person to the provider again, with max_age, and comes back with tokens
    of a new session.
    """

    def mark(view: View) -> View:
        view.needed_sign_in = (max_age, level)  # type: ignore[attr-defined]
        return fails(TokenInvalid, RecentSignInNeeded)(view)

    return mark


def actor() -> Actor:
    """Whoever asks, in a view that is not public."""
    return cast("Actor", g.actor)


def claims() -> AccessClaims:
    return cast("AccessClaims", g.claims)


def is_registered(redirect_uri: str, registered: Collection[str]) -> bool:
    """Whether a redirect URI is one of ours; on loopback the port is the app's choice.

    RFC 8252 section 7.3; anything else is compared exactly.
    """
    if loopback := LOOPBACK.fullmatch(redirect_uri):
        redirect_uri = "".join(loopback.groups())
    return redirect_uri in registered


def _claims() -> AccessClaims:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise TokenInvalid
    return current.keys.verify(token.strip())


def _citizen(claims: AccessClaims) -> Actor:
    return Actor(ActorKind.CITIZEN, claims.citizen_id, session_id=claims.session_id, acr=claims.acr)


def _staff(claims: AccessClaims) -> Actor:
    """Roles are read at each request, so that a change counts at once."""
    with current.db.reading() as session:
        found = identity.staff_actor(session, claims.citizen_id, session_id=claims.session_id)
    if found is None:
        raise identity.NotStaff
    return found
