"""Who asks. Every view needs an access token unless it is marked public."""

import re
from collections.abc import Collection
from typing import cast

from flask import Flask, current_app, g, request

from api.blueprint import Blueprint
from api.current import current
from models import Audience
from services import identity
from services.permissions import Actor, ActorKind
from services.tokens import AccessClaims, TokenInvalid

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
    if not fits or claims.session_id in current.revocations:
        raise TokenInvalid
    g.claims = claims
    g.actor = _staff(claims) if claims.audience is Audience.STAFF else _citizen(claims)


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
