"""Somebody who signs in through the provider's own pages, over HTTP."""

import base64
import hashlib
import secrets
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from api.app import create_app
from dev.journey import browse
from settings import Settings

CALLBACK = "vn.gov.thainguyen.c:/oauth2redirect"


@dataclass
class Phone:
    """One app on one phone; `code` comes from the provider, the rest is the app's own."""

    settings: Settings
    redirect_uri: str = CALLBACK
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    installation_id: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    def code(self, username: str = "dan01") -> str:
        digest = hashlib.sha256(self.verifier.encode()).digest()
        asked = {
            "response_type": "code",
            "client_id": self.settings.oidc_client_id,
            "redirect_uri": self.redirect_uri,
            "scope": " ".join(self.settings.oidc_scopes),
            "state": "a state",
            "nonce": self.nonce,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        address = f"{self.settings.oidc_issuer}/authorize?{urlencode(asked)}"
        return parse_qs(urlsplit(browse(address, username)).query)["code"][0]

    def login(self, username: str = "dan01", **changes: object) -> dict[str, object]:
        """What the app posts to /auth/login."""
        usual = {
            "code": changes.get("code") or self.code(username),
            "code_verifier": self.verifier,
            "nonce": self.nonce,
            "redirect_uri": self.redirect_uri,
            "device": {"installation_id": self.installation_id, "platform": "android"},
        }
        return usual | changes

    def with_fault(self, fault: str, **more: object) -> None:
        """Have the provider do one thing wrong at the next exchange."""
        asked = {"client_id": self.settings.oidc_client_id, "fault": fault, **more}
        httpx.post(f"{self.settings.oidc_issuer}/demo/faults", json=asked).raise_for_status()


@pytest.fixture
def phone(settings):
    yield Phone(settings)
    httpx.delete(f"{settings.oidc_issuer}/demo/faults")


@pytest.fixture
def now_app(settings, database):
    """The application by the clock on the wall, as access tokens are checked by it."""
    return create_app(settings, db=database)


@pytest.fixture
def now_client(now_app):
    return now_app.test_client()


@pytest.fixture
def behind(settings, database):
    """The application on the same database, with another provider."""

    def make(issuer: str):
        return create_app(replace(settings, oidc_issuer=issuer), db=database).test_client()

    return make
