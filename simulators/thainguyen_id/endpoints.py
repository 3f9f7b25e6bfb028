"""What clients call: discovery, keys, token, userinfo, revocation."""

import time
from urllib.parse import unquote_plus

from authlib.oauth2.rfc6749 import InvalidRequestError
from flask import Blueprint, Response, request
from werkzeug.exceptions import InternalServerError

from simulators.thainguyen_id.claims import DATA_BY_SCOPE, SCOPES
from simulators.thainguyen_id.clients import ASSERTION_ALGORITHMS, AUTH_METHODS
from simulators.thainguyen_id.faults import TRANSPORT_FAULTS
from simulators.thainguyen_id.people import LEVEL_1, LEVEL_2
from simulators.thainguyen_id.provider import current_provider

endpoints = Blueprint("endpoints", __name__)

PROTOCOL_CLAIMS = ("iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash")


@endpoints.get("/.well-known/openid-configuration")
def discovery() -> dict[str, object]:
    """OIDC Discovery 4.2, RFC 8414 2, RFC 9207 3."""
    issuer = current_provider().issuer
    own_claims = [datum.claim for data in DATA_BY_SCOPE.values() for datum in data]
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "userinfo_endpoint": f"{issuer}/userinfo",
        "jwks_uri": f"{issuer}/jwks",
        "revocation_endpoint": f"{issuer}/revoke",
        "end_session_endpoint": f"{issuer}/end-session",
        "scopes_supported": SCOPES,
        "claims_supported": [*PROTOCOL_CLAIMS, *own_claims],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "token_endpoint_auth_methods_supported": AUTH_METHODS,
        "token_endpoint_auth_signing_alg_values_supported": ASSERTION_ALGORITHMS,
        "revocation_endpoint_auth_methods_supported": AUTH_METHODS,
        "revocation_endpoint_auth_signing_alg_values_supported": ASSERTION_ALGORITHMS,
        "code_challenge_methods_supported": ["S256"],
        "acr_values_supported": [LEVEL_1, LEVEL_2],
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "ui_locales_supported": ["vi"],
        "authorization_response_iss_parameter_supported": True,
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
    }


@endpoints.get("/jwks")
def jwks() -> dict[str, object]:
    return current_provider().keys.public()


@endpoints.post("/token")
def token() -> Response:
    """RFC 6749 3.2, with the faults that happen before the request is even read."""
    provider = current_provider()
    if any(len(values) > 1 for _, values in request.form.lists()):
        raise InvalidRequestError("A parameter stands more than once")
    fault = provider.next_fault(
        _presented_client_id(), request.form.get("code", ""), TRANSPORT_FAULTS
    )
    if fault and fault.name == "slow_token":
        time.sleep(fault.seconds)
    if fault and fault.name == "http_500":
        raise InternalServerError
    return provider.create_token_response()


@endpoints.route("/userinfo", methods=["GET", "POST"])
def userinfo() -> Response:
    return current_provider().create_endpoint_response("userinfo")


@endpoints.post("/revoke")
def revoke() -> Response:
    return current_provider().create_endpoint_response("revocation")


@endpoints.get("/healthz")
def health() -> dict[str, str]:
    return {"status": "ok"}


@endpoints.after_request
def keep_out_of_caches(response: Response) -> Response:
    """Tokens and personal data (RFC 6749 5.1); the public documents may be kept a while."""
    public = request.endpoint in {"endpoints.discovery", "endpoints.jwks"}
    response.headers["Cache-Control"] = "public, max-age=60" if public else "no-store"
    return response


def _presented_client_id() -> str:
    """Whose fault script to play, before anybody is authenticated."""
    basic = request.authorization
    name = basic and basic.username
    return unquote_plus(name) if name else request.form.get("client_id", "")
