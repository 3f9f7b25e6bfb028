"""Signing in and out, and the person signed in."""

import uuid
from typing import Any

from api import auth
from api.blueprint import Blueprint, any_audience, public
from api.current import current
from api.oidc import CodeRefused
from api.openapi import fails
from api.provider import ProviderUnavailable
from api.requests import client_address
from api.schemas.identity import (
    AuthConfigOut,
    LoginIn,
    LoginOut,
    MeIn,
    MeOut,
    RefreshIn,
    SessionOut,
    SessionPatch,
    SessionsOut,
    TokensOut,
)
from services import identity
from services.errors import Invalid
from services.identity.people import PhoneUnlikely, UnknownHomePlace
from services.keyring import KeysUnfit
from services.limits import RateLimited
from services.tokens import TokenInvalid
from services.vault import Unreadable

blp = Blueprint("identity", __name__, url_prefix="/api/v1", description="Signing in")
keys = Blueprint("keys", __name__, description="Keys of our tokens")

# A new key is published for longer than this before it signs (docs/backup.md).
JWKS_AGE_S = 300


class RedirectUriUnknown(Invalid):
    """redirect_uri is not one of this app's; see GET /auth/config."""

    vi = "redirect_uri không thuộc ứng dụng này; xem GET /auth/config."


@blp.get("/auth/config")
@public
@blp.response(200, AuthConfigOut)
def auth_config() -> Any:
    """What the app must know to open the sign-in page"""
    settings = current.settings
    return {
        "issuer": settings.oidc_issuer,
        "client_id": settings.oidc_client_id,
        "scopes": settings.oidc_scopes,
        "redirect_uris": settings.oidc_redirect_uris,
        "acr_values": [settings.oidc_level_2],
    }


@blp.post("/auth/login")
@public
@blp.arguments(LoginIn)
@blp.response(200, LoginOut)
@fails(
    CodeRefused,
    RedirectUriUnknown,
    identity.NotStaff,
    ProviderUnavailable,
    RateLimited,
    KeysUnfit,
    Unreadable,
)
def login(asked: dict[str, Any]) -> Any:
    """Exchange the provider's code for tokens"""
    settings = current.settings
    with current.db.transaction() as session:
        identity.count_attempt(session, client_address(), at=current.now())
    if not auth.is_registered(asked["redirect_uri"], settings.oidc_redirect_uris):
        raise RedirectUriUnknown
    # Outside of any transaction: a slow provider must not hold a connection.
    claims = current.provider.exchange(
        current.app_client,
        code=asked["code"],
        code_verifier=asked["code_verifier"],
        nonce=asked["nonce"],
        redirect_uri=asked["redirect_uri"],
    )
    try:
        with current.db.transaction() as session:
            return identity.sign_in(
                session,
                claims,
                keys=current.keys,
                vault=current.vault,
                audience=asked["audience"],
                device=identity.DeviceFacts(**asked["device"]),
                at=current.now(),
            )
    except identity.NotStaff:
        with current.db.transaction() as session:
            identity.note_refusal(session, claims, "api", at=current.now())
        raise


@blp.post("/auth/refresh")
@public
@blp.arguments(RefreshIn)
@blp.response(200, TokensOut)
@fails(identity.InvalidGrant, RateLimited)
def refresh(asked: dict[str, Any]) -> Any:
    """Get the next tokens of a session"""
    # By itself, so that a refused attempt counts and uses no token.
    with current.db.transaction() as session:
        identity.count_refresh(session, asked["refresh_token"], client_address(), at=current.now())
    with current.db.transaction() as session:
        pair = identity.refresh(
            session, asked["refresh_token"], keys=current.keys, at=current.now()
        )
    if pair is None:
        raise identity.InvalidGrant
    return pair


@blp.post("/auth/logout")
@any_audience
@blp.response(204)
def logout() -> None:
    """End this session, on this device only"""
    claims = auth.claims()
    with current.db.transaction() as session:
        identity.sign_out(session, claims.session_id, at=current.now())


@blp.get("/me")
@blp.response(200, MeOut)
@fails(Unreadable)
def me() -> Any:
    """The person signed in"""
    with current.db.reading() as session:
        return _me(identity.get_citizen(session, auth.actor()))


@blp.patch("/me")
@blp.arguments(MeIn)
@blp.response(200, MeOut)
@fails(UnknownHomePlace, PhoneUnlikely, KeysUnfit, Unreadable)
def update_me(changes: dict[str, Any]) -> Any:
    """Change the phone number, the language or the home place"""
    with current.db.transaction() as session:
        changed = identity.update_me(
            session, auth.actor(), vault=current.vault, at=current.now(), **changes
        )
        return _me(changed)


@blp.get("/me/sessions")
@blp.response(200, SessionsOut)
def my_sessions() -> Any:
    """Where I am signed in, the device used last first"""
    with current.db.reading() as session:
        found = identity.live_sessions(session, auth.actor(), at=current.now())
    return {"items": [_session(each) for each in found]}


@blp.patch("/me/sessions/<uuid:session_id>")
@blp.arguments(SessionPatch)
@blp.response(200, SessionOut)
@fails(identity.SessionNotFound, TokenInvalid)
def rename_session(asked: dict[str, Any], session_id: uuid.UUID) -> Any:
    """Give a device a name of my own; null takes it away"""
    with current.db.transaction() as session:
        renamed = identity.rename_session(
            session, auth.actor(), session_id, name=asked["name"], at=current.now()
        )
    return _session(renamed)


@blp.delete("/me/sessions/<uuid:session_id>")
@blp.response(204)
@fails(identity.SessionNotFound, TokenInvalid)
def end_session(session_id: uuid.UUID) -> None:
    """Sign out on one device; on this one too"""
    with current.db.transaction() as session:
        identity.end_session(session, auth.actor(), session_id, at=current.now())


@blp.delete("/me/sessions")
@blp.response(204)
@fails(TokenInvalid)
def end_other_sessions() -> None:
    """Sign out everywhere but here"""
    with current.db.transaction() as session:
        identity.end_other_sessions(session, auth.actor(), at=current.now())


@keys.get("/.well-known/jwks.json")
@public
@keys.response(200)
def jwks() -> Any:
    """The public keys of our access tokens (RFC 7517), the one that signs first"""
    return current.keys.jwks(), {"Cache-Control": f"public, max-age={JWKS_AGE_S}"}


def _session(row: Any) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "audience": row.audience,
        "platform": row.platform,
        "model": row.model,
        "app_version": row.app_version,
        "created_at": row.created_at,
        "last_used_at": row.last_used_at,
        "current": row.id == auth.claims().session_id,
    }


def _me(citizen: Any) -> dict[str, Any]:
    return {
        "id": citizen.id,
        "name": citizen.name,
        "phone": current.vault.read(citizen, "phone"),
        "locale": citizen.locale,
        "home_place_code": citizen.home_place_code,
        "acr": auth.actor().acr,
        "deletion_due_at": citizen.deletion_due_at,
    }
