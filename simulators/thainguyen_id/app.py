"""The application: settings in, a Flask application out, nothing kept at module level."""

import logging
import os
import secrets
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from authlib.oauth2 import OAuth2Error
from flask import Flask, Response, render_template, request
from joserfc.jwk import Key
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix

from simulators.thainguyen_id.clients import ADMIN, APP, public_key, registered_clients
from simulators.thainguyen_id.demo import demo
from simulators.thainguyen_id.endpoints import endpoints
from simulators.thainguyen_id.pages import pages, protect
from simulators.thainguyen_id.provider import Provider
from simulators.thainguyen_id.sessions import csrf_token
from simulators.thainguyen_id.store import TOKEN_SECONDS, Clock

ISSUER_VARIABLE = "ID_ISSUER"
EXTRA_REDIRECTS_VARIABLE = "OIDC_EXTRA_REDIRECT_URIS"
SECRET_VARIABLES = {APP: "OIDC_CLIENT_SECRET", ADMIN: "OIDC_ADMIN_CLIENT_SECRET"}
# Files in PEM; a client with a key has no secret.
KEY_VARIABLES = {APP: "OIDC_CLIENT_PUBLIC_KEY_FILE", ADMIN: "OIDC_ADMIN_CLIENT_PUBLIC_KEY_FILE"}

LARGEST_REQUEST = 64 * 1024


def create_app(
    issuer: str | None = None,
    client_secrets: Mapping[str, str] | None = None,
    extra_redirect_uris: Iterable[str] | None = None,
    clock: Clock = time.time,
    public_keys: Mapping[str, Key] | None = None,
) -> Flask:
    """What is not given comes from the environment, where the command has put it."""
    # Authlib writes issued tokens into its log at debug level.
    logging.getLogger("authlib").setLevel(logging.INFO)
    issuer = (issuer or os.environ[ISSUER_VARIABLE]).rstrip("/")
    app = Flask(__name__)
    _configure(app, https=issuer.startswith("https:"))
    if client_secrets is None:
        client_secrets = {name: os.environ.get(key, "") for name, key in SECRET_VARIABLES.items()}
    if public_keys is None:
        paths = {name: os.environ.get(key, "") for name, key in KEY_VARIABLES.items()}
        public_keys = {
            name: public_key(Path(path).read_bytes()) for name, path in paths.items() if path
        }
    if extra_redirect_uris is None:
        extra_redirect_uris = os.environ.get(EXTRA_REDIRECTS_VARIABLE, "").split()
    clients = registered_clients(client_secrets, extra_redirect_uris, public_keys)
    Provider(app, issuer, clients, clock)
    for blueprint in (pages, endpoints, demo):
        app.register_blueprint(blueprint)
    app.add_template_global(csrf_token)
    app.register_error_handler(HTTPException, _explain)
    app.register_error_handler(OAuth2Error, _refuse)
    app.after_request(_keep_content_type)
    return app


def _configure(app: Flask, *, https: bool) -> None:
    app.config.update(
        SECRET_KEY=secrets.token_bytes(32),
        # Cookies do not know ports, so the name keeps ours apart from other local programs'.
        SESSION_COOKIE_NAME="thainguyen_id",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=https,
        MAX_CONTENT_LENGTH=LARGEST_REQUEST,
        OAUTH2_TOKEN_EXPIRES_IN={"authorization_code": TOKEN_SECONDS},
    )
    if https:
        # TLS ends at a proxy then, and Authlib refuses what does not look like https.
        app.wsgi_app = ProxyFix(app.wsgi_app, x_proto=1, x_host=1)


def _explain(error: HTTPException) -> tuple[object, int] | Response:
    """A page for people under /authorize and /end-session, JSON for programs elsewhere."""
    status = error.code or 500
    if request.path.startswith(("/authorize", "/end-session")):
        page = render_template("error.html", message=error.description, code=None)
        return protect(Response(page, status))
    code = "server_error" if status >= 500 else "invalid_request"  # noqa: PLR2004
    return {"error": code, "error_description": error.description}, status


def _refuse(error: OAuth2Error) -> tuple[dict[str, str], int]:
    """What Authlib refuses before it looks at the request, such as http from another machine."""
    return dict(error.get_body()), error.status_code


def _keep_content_type(response: Response) -> Response:
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
