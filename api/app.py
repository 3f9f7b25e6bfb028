"""The application factory."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

import logs
from api import auth, cli, errors, openapi, requests
from api.clock import utc_now
from api.current import EXTENSION, State
from api.hosts import OwnNames
from api.instruments import Metrics
from api.json import OrjsonProvider
from api.oidc import Client, RelyingParty
from api.provider import Provider
from api.readiness import Readiness
from api.revocations import Revocations
from api.routes import (
    audit,
    feedback,
    identity,
    my_data,
    notifications,
    places,
    platform,
    privacy,
    staff,
)
from models import Database
from services.storage import open_storage
from services.tokens import Keys
from services.vault import Vault
from settings import Settings

BLUEPRINTS = [
    identity.blp,
    identity.keys,
    places.blp,
    *feedback.blueprints,
    notifications.blp,
    audit.blp,
    audit.staff,
    *privacy.blueprints,
    my_data.blp,
    staff.blp,
    platform.blp,
]
# A file, since Alembic itself costs a second and 15 MB that a web process has no use for.
HEAD_FILE = Path(__file__).parent.parent / "migrations" / "HEAD"
# Two threads work in each process; one more connection lets a health check through.
POOL = {"pool_size": 3, "max_overflow": 0, "pool_timeout": 2}


class Application(Flask):
    """Flask that looks for coroutines nowhere, instead of a dozen times a request."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return func


def create_app(
    settings: Settings,
    *,
    db: Database | None = None,
    now: Callable[[], dt.datetime] = utc_now,
) -> Flask:
    """The JSON API of one installation; tests hand in their own database and clock."""
    logs.configure(settings.log_level)
    app = Application("api", static_url_path="/api/static")
    app.json = OrjsonProvider(app)
    app.config["PROPAGATE_EXCEPTIONS"] = False
    # A doubled slash finds nothing, instead of a redirect to whatever host the client named.
    app.url_map.merge_slashes = False
    app.extensions[EXTENSION] = make_state(settings, db, now)
    app.extensions["metrics"] = Metrics()
    app.wsgi_app = OwnNames(app.wsgi_app, settings.public_url)  # type: ignore[method-assign]
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    errors.init_app(app)
    requests.init_app(app)
    auth.init_app(app)
    cli.init_app(app)
    openapi.init_app(app, BLUEPRINTS)
    return app


def make_state(settings: Settings, db: Database | None, now: Callable[[], dt.datetime]) -> State:
    keys = Keys(
        secret=settings.secret_key,
        access_key=settings.access_token_key_file,
        issuer=settings.public_url,
    )
    vault = Vault(data_keys=settings.data_keys, index_keys=settings.index_keys)
    db = db or Database.at(settings.database_url, **POOL)
    # One call at a time in each process, so that a slow store holds one thread.
    storage = open_storage(settings.storage_url, at_once=1)
    readiness = Readiness(
        db,
        storage,
        vault,
        schema_head=schema_head(),
        allow_unsafe=settings.allow_unsafe_database,
        now=now,
    )
    return State(
        settings=settings,
        db=db,
        keys=keys,
        vault=vault,
        storage=storage,
        provider=RelyingParty(
            Provider(settings.oidc_issuer),
            level_2=settings.oidc_level_2,
            citizen_number_claim=settings.oidc_citizen_number_claim,
        ),
        app_client=Client.known_by(
            settings.oidc_client_id, settings.oidc_client_secret, settings.oidc_client_key_file
        ),
        admin_client=Client.known_by(
            settings.oidc_admin_client_id,
            settings.oidc_admin_client_secret,
            settings.oidc_admin_client_key_file,
        ),
        revocations=Revocations(db),
        now=now,
        readiness=readiness,
    )


def schema_head() -> str:
    """The revision that this code was written for."""
    return HEAD_FILE.read_text("utf-8").strip()
