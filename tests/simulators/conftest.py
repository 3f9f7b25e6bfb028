"""A provider of its own for every test, and a browser and a client that talk to it over HTTP."""

import base64
import contextlib
import hashlib
import html
import os
import re
import secrets
import subprocess
import sys
import time
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import jwt
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from dev.postgres import free_port
from simulators.thainguyen_id.app import create_app

ISSUER = "http://127.0.0.1:8001"
APP, ADMIN = "c-thainguyen-app", "c-thainguyen-admin"
SECRETS = {APP: "app secret", ADMIN: "admin secret"}
CALLBACK = "vn.gov.thainguyen.c:/oauth2redirect"


class Clock:
    """A clock that tests may move."""

    def __init__(self):
        self.now = 1_790_000_000.0

    def __call__(self):
        return self.now


@dataclass
class Journey:
    """One person at one browser, and the client behind its callback."""

    http: FlaskClient
    client_id: str = APP
    redirect_uri: str = CALLBACK
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    def request(self, **changes):
        """The usual authorization request; a parameter changed to None is left out."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        usual = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": "openid profile phone citizen_id",
            "state": "a state",
            "nonce": "a nonce",
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        asked = {name: value for name, value in (usual | changes).items() if value is not None}
        return self.http.get(f"/authorize?{urlencode(asked, doseq=True)}")

    def log_in(self, page, username="dan01", password=None):
        """Fill in the login form of `page`; the answer to a success is the way on."""
        fields = {"username": username, "password": password or f"matkhau-{username}"}
        return self.submit(page, **fields)

    def submit(self, page, **fields):
        """Post the form of `page` as a browser would, with changes and additions."""
        return self.http.post(action_of(page), data={"csrf_token": token_of(page), **fields})

    def consent_page(self, username="dan01", **changes):
        answer = self.log_in(self.request(**changes), username)
        return self.http.get(answer.location)

    def code(self, username="dan01", **changes):
        """The whole way through the browser, to the code at the callback."""
        page = self.consent_page(username, **changes)
        return self.allow(page)

    def code_again(self):
        """The same for somebody who is still signed in."""
        return self.allow(self.request())

    def allow(self, page):
        return sent_back(self.submit(page, decision="allow"))["code"]

    def exchange(self, code, /, **changes):
        usual = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": self.verifier,
            "client_id": self.client_id,
            "client_secret": SECRETS[self.client_id],
        }
        asked = {name: value for name, value in (usual | changes).items() if value is not None}
        return self.http.post("/token", data=asked)

    def userinfo(self, access_token):
        return self.http.get("/userinfo", headers={"Authorization": f"Bearer {access_token}"})

    def verified(self, id_token, **options):
        """The claims, checked by another library than the one that made them."""
        keys = jwt.PyJWKSet.from_dict(self.http.get("/jwks").json)
        key = keys[jwt.get_unverified_header(id_token)["kid"]]
        return jwt.decode(
            id_token,
            key,
            algorithms=["ES256"],
            audience=self.client_id,
            issuer=ISSUER,
            options={"verify_exp": False, "verify_iat": False} | options,
        )

    def ask_for_fault(self, fault, **more):
        asked = {"client_id": self.client_id, "fault": fault, **more}
        assert self.http.post("/demo/faults", json=asked).status_code == 201


def action_of(page):
    return html.unescape(re.search(r'action="([^"]+)"', page.text)[1])


def token_of(page):
    return re.search(r'name="csrf_token" value="([^"]+)"', page.text)[1]


def sent_back(response: TestResponse) -> dict[str, str]:
    """What the redirect tells the client."""
    query = parse_qs(urlsplit(response.location).query)
    return {name: values[0] for name, values in query.items()}


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def provider(clock):
    return create_app(ISSUER, SECRETS, [], clock)


@pytest.fixture
def journey(provider):
    return Journey(provider.test_client())


@pytest.fixture
def sent_to_client():
    return sent_back


@pytest.fixture
def form_token():
    return token_of


@pytest.fixture
def start(tmp_path):
    """Start a simulator as people do, wait until it is healthy, and stop it after the test."""
    processes = []

    def start_one(module, **environment):
        port = free_port()
        command = [sys.executable, "-m", module, "--port", str(port)]
        with (tmp_path / f"{module}.log").open("wb") as log:
            process = subprocess.Popen(
                command, env=os.environ | environment, stdout=log, stderr=log
            )
        processes.append(process)
        url = f"http://127.0.0.1:{port}"
        wait_until_healthy(url)
        return url

    yield start_one
    for process in processes:
        process.terminate()
        process.wait(10)


class OverHttp(httpx.Client):
    """A real connection that answers to what the journey asks of Flask's test client."""

    def get(self, url, **options):
        return with_location(super().get(url, **options))

    def post(self, url, **options):
        return with_location(super().post(url, **options))


def with_location(response):
    response.location = response.headers.get("location")
    return response


@pytest.fixture
def over_http():
    with contextlib.ExitStack() as open_clients:
        yield lambda url: open_clients.enter_context(OverHttp(base_url=url))


def wait_until_healthy(url):
    deadline = time.monotonic() + 20
    while True:
        try:
            assert httpx.get(f"{url}/healthz").json() == {"status": "ok"}
        except httpx.TransportError:
            assert time.monotonic() < deadline, "It did not start."
            time.sleep(0.05)
        else:
            return
