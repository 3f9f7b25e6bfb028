"""What a request needs of its application, under one name: `current.db`, `current.now()` …"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from flask import current_app
from werkzeug.local import LocalProxy

from api.oidc import Client, RelyingParty
from api.readiness import Readiness
from api.revocations import Revocations
from models import Database
from services.storage import Storage
from services.tokens import Keys
from services.vault import Vault
from settings import Settings

EXTENSION = "c_thainguyen"


@dataclass(frozen=True, slots=True)
class State:
    """One application's parts; made once in create_app and never changed."""

    settings: Settings
    db: Database
    keys: Keys
    vault: Vault
    storage: Storage
    provider: RelyingParty
    app_client: Client
    admin_client: Client
    revocations: Revocations
    now: Callable[[], dt.datetime]
    readiness: Readiness


current = cast("State", LocalProxy(lambda: current_app.extensions[EXTENSION]))
