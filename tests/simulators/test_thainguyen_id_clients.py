"""Thái Nguyên ID is driven by the OpenID clients of others, unchanged; and refuses them too."""

import contextlib
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from joserfc.jwk import ECKey

from dev.journey import browse
from simulators.thainguyen_id.app import create_app
from simulators.thainguyen_id.clients import public_key
from tests.conftest import serving
from tests.node import Program, needs_node
from tests.simulators.conftest import ADMIN, APP

SCOPE = "openid profile phone citizen_id"
SECRETS = {APP: secrets.token_urlsafe(32), ADMIN: secrets.token_urlsafe(32)}
KEY = ec.generate_private_key(ec.SECP256R1())
REDIRECTS = {
    APP: ["vn.gov.thainguyen.c:/oauth2redirect", "http://127.0.0.1:53121/callback"],
    ADMIN: ["http://127.0.0.1:53121/admin/callback"],
}
SIGN_INS = [
    pytest.param(client, redirect, method, id=f"{client} by {method} to {redirect}")
    for client, redirects in REDIRECTS.items()
    for redirect in redirects
    for method in ("client_secret_basic", "client_secret_post", "private_key_jwt")
]
BY_SECRET = [each for each in SIGN_INS if each.values[2] != "private_key_jwt"]


@dataclass
class Registered:
    """A provider, and how a client is known to it."""

    issuer: str
    client: str
    redirect: str
    method: str
    key_file: str

    def task(self) -> dict[str, Any]:
        """What a program has to know."""
        how = {"key": self.key_file} if self.method == "private_key_jwt" else {}
        how = how or {"secret": SECRETS[self.client]}
        about = {"client": self.client, "redirect": self.redirect, "method": self.method}
        return {"issuer": self.issuer, "scope": SCOPE, **about, **how}


@pytest.fixture(scope="module")
def issuers():
    """Two providers: with secrets, and with a key that both clients have registered."""
    pem = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    keys = dict.fromkeys(SECRETS, public_key(pem))
    with (
        serving(lambda url: create_app(url, SECRETS, [])) as with_secrets,
        serving(lambda url: create_app(url, {}, [], public_keys=keys)) as with_keys,
    ):
        yield {"private_key_jwt": with_keys} | dict.fromkeys(
            ("client_secret_basic", "client_secret_post"), with_secrets
        )


@pytest.fixture(scope="module")
def key_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("key") / "client.pem"
    path.write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return str(path)


@pytest.fixture
def registered(issuers, key_file):
    def make(client=APP, redirect=REDIRECTS[APP][0], method="client_secret_basic"):
        return Registered(issuers[method], client, redirect, method, key_file)

    return make


def visit(address: str) -> str | None:
    """Where the browser is sent at the end: to the client, or nowhere from a page of refusal."""
    answer = httpx.get(address)
    if answer.status_code == httpx.codes.OK:
        return browse(address, "dan01")
    return answer.headers.get("location")


def run(name: str, client: Registered, *, callback=None, **changes) -> dict[str, Any]:
    """One sign-in by a program in node: what it made of the answer, and of a second try."""
    with Program(name, **client.task(), **changes) as program:
        came = visit(program.hear()["url"])
        if came is None:
            return {"error": "a page of refusal"}
        program.tell(callback(came) if callback else came)
        heard = program.hear()
        return heard if "error" in heard else heard | program.hear()


def check(claims: dict[str, Any], client: Registered) -> None:
    assert claims["acr"] == "urn:thainguyen:loa:2"
    assert claims["phone_number"] == "0900000001"
    assert len(claims["citizen_number"]) == 12
    assert claims.get("aud", client.client) == client.client


# What is sent otherwise than it should be, and the word that the provider refuses it with.
REFUSALS = {
    "no challenge": (
        {"request": {"code_challenge": None, "code_challenge_method": None}},
        "invalid_request",
    ),
    "a challenge without its method": (
        {"request": {"code_challenge_method": None}},
        "invalid_request",
    ),
    "plain PKCE": ({"request": {"code_challenge_method": "plain"}}, "invalid_request"),
    "a wrong verifier": ({"verifier": "w" * 43}, "invalid_grant"),
    "a short verifier": ({"verifier": "w" * 42}, "invalid_request"),
    "a long verifier": ({"verifier": "w" * 129}, "invalid_request"),
    "no verifier": ({"verifier": None}, "invalid_request"),
    "no nonce": ({"request": {"nonce": None}}, "invalid_request"),
    "another redirect address": (
        {"request": {"redirect_uri": "https://elsewhere.example/callback"}},
        "a page of refusal",
    ),
}


@needs_node("openid-client")
class TestOpenidClient:
    @pytest.mark.parametrize(("client", "redirect", "method"), SIGN_INS)
    def test_it_signs_in_and_a_second_use_of_the_code_takes_everything_back(
        self, registered, client, redirect, method
    ):
        known = registered(client, redirect, method)

        heard = run("openid_client.mjs", known)

        check(heard["claims"], known)
        check(heard["userinfo"] | {"acr": heard["claims"]["acr"]}, known)
        assert (heard["again"], heard["status"]) == ("invalid_grant", 401)

    @pytest.mark.parametrize("wrong", REFUSALS)
    def test_it_is_refused(self, registered, wrong):
        changes, word = REFUSALS[wrong]

        assert run("openid_client.mjs", registered(), **changes) == {"error": word}

    def test_another_address_at_the_exchange_is_refused(self, registered):
        known = registered(redirect=REDIRECTS[APP][1])

        heard = run("openid_client.mjs", known, callback=lambda url: url.replace(":53121", ""))

        assert heard == {"error": "invalid_grant"}

    @pytest.mark.parametrize("fault", ["bad_signature", "expired_id_token", "wrong_nonce"])
    def test_it_notices_a_spoilt_id_token(self, registered, fault):
        heard = run("openid_client.mjs", registered(), request={"fault": fault})

        assert "claims" not in heard
        assert heard["error"].startswith("OAUTH_")

    def test_without_its_secret_it_is_refused(self, registered, monkeypatch):
        monkeypatch.setitem(SECRETS, APP, "another secret")

        # As the library calls a 401 that says how to authenticate.
        word = "OAUTH_WWW_AUTHENTICATE_CHALLENGE"
        assert run("openid_client.mjs", registered()) == {"error": word}


IN_ITS_WORDS = {
    "no challenge": ({"settings": {"disablePKCE": True}}, "invalid_request"),
    "plain PKCE": (
        {
            "settings": {
                "disablePKCE": True,
                "extraQueryParams": {"code_challenge": "w" * 43, "code_challenge_method": "plain"},
            },
            "remembered": {"code_verifier": "w" * 43},
        },
        "invalid_request",
    ),
    "a wrong verifier": ({"remembered": {"code_verifier": "w" * 43}}, "invalid_grant"),
    "no verifier": ({"remembered": {"code_verifier": ""}}, "invalid_request"),
    "no nonce": ({"nonce": None}, "invalid_request"),
    "another redirect address at the exchange": (
        {"remembered": {"redirect_uri": "http://127.0.0.1/callback"}},
        "invalid_grant",
    ),
}


@needs_node("oidc-client-ts")
class TestOidcClientTs:
    @pytest.mark.parametrize(("client", "redirect", "method"), BY_SECRET)
    def test_it_signs_in_and_a_second_use_of_the_code_takes_everything_back(
        self, registered, client, redirect, method
    ):
        known = registered(client, redirect, method)

        heard = run("oidc_client_ts.mjs", known)

        check(heard["claims"], known)
        assert (heard["again"], heard["status"]) == ("invalid_grant", 401)

    @pytest.mark.parametrize("wrong", IN_ITS_WORDS)
    def test_it_is_refused(self, registered, wrong):
        changes, word = IN_ITS_WORDS[wrong]

        assert run("oidc_client_ts.mjs", registered(), **changes) == {"error": word}

    def test_it_notices_a_wrong_nonce(self, registered):
        spoilt = {"settings": {"extraQueryParams": {"fault": "wrong_nonce"}}}

        heard = run("oidc_client_ts.mjs", registered(), **spoilt)

        assert heard == {"error": "nonce in id_token does not match nonce in client storage"}


@dataclass
class Authlib:
    """A sign-in with Authlib's client, step by step."""

    client: Registered
    session: OAuth2Session
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(16))

    def __post_init__(self) -> None:
        self.known = httpx.get(f"{self.client.issuer}/.well-known/openid-configuration").json()

    def begin(self, **changes) -> str | None:
        asked = {"nonce": self.nonce, "code_verifier": self.verifier} | changes
        asked = {name: value for name, value in asked.items() if value is not None}
        endpoint = self.known["authorization_endpoint"]
        url, _ = self.session.create_authorization_url(endpoint, **asked)
        return visit(url)

    def end(self, callback: str, **changes) -> dict[str, Any]:
        asked = {"code_verifier": self.verifier} | changes
        asked = {name: value for name, value in asked.items() if value is not None}
        tokens = self.session.fetch_token(
            self.known["token_endpoint"], authorization_response=callback, **asked
        )
        keys = jwt.PyJWKSet.from_dict(httpx.get(self.known["jwks_uri"]).json())
        key = keys[jwt.get_unverified_header(tokens["id_token"])["kid"]]
        return jwt.decode(
            tokens["id_token"],
            key,
            algorithms=["ES256"],
            audience=self.client.client,
            issuer=self.client.issuer,
        )

    def userinfo(self) -> Any:
        return self.session.get(self.known["userinfo_endpoint"])


@pytest.fixture
def authlib():
    with contextlib.ExitStack() as sessions:

        def begin(client: Registered) -> Authlib:
            with_key = client.method == "private_key_jwt"
            secret = SECRETS[client.client]
            if with_key:
                secret = ECKey.import_key(Path(client.key_file).read_bytes())
            session = sessions.enter_context(
                OAuth2Session(
                    client.client,
                    secret,
                    token_endpoint_auth_method=client.method,
                    redirect_uri=client.redirect,
                    scope=SCOPE,
                    code_challenge_method="S256",
                )
            )
            if with_key:
                endpoint = f"{client.issuer}/token"
                session.register_client_auth_method(PrivateKeyJWT(endpoint, alg="ES256"))
            return Authlib(client, session)

        yield begin


def refused(attempt) -> str:
    with pytest.raises(OAuthError) as refusal:
        attempt()
    return refusal.value.error


class TestAuthlib:
    @pytest.mark.parametrize(("client", "redirect", "method"), SIGN_INS)
    def test_it_signs_in_and_a_second_use_of_the_code_takes_everything_back(
        self, registered, authlib, client, redirect, method
    ):
        known = registered(client, redirect, method)
        signing_in = authlib(known)
        callback = signing_in.begin()

        claims = signing_in.end(callback)

        check(claims, known)
        assert claims["nonce"] == signing_in.nonce
        assert signing_in.userinfo().json()["sub"] == claims["sub"]
        assert refused(lambda: signing_in.end(callback)) == "invalid_grant"
        assert signing_in.userinfo().status_code == 401

    @pytest.mark.parametrize(
        ("changes", "word"),
        [
            ({"code_verifier": "w" * 43}, "invalid_grant"),
            ({"code_verifier": "w" * 42}, "invalid_request"),
            ({"code_verifier": None}, "invalid_request"),
            ({"redirect_uri": "http://127.0.0.1/callback"}, "invalid_grant"),
        ],
    )
    def test_a_wrong_exchange_is_refused(self, registered, authlib, changes, word):
        signing_in = authlib(registered())
        callback = signing_in.begin()

        assert refused(lambda: signing_in.end(callback, **changes)) == word

    @pytest.mark.parametrize(
        "changes",
        [
            {"code_verifier": None},
            {"code_verifier": None, "code_challenge": "w" * 43, "code_challenge_method": "plain"},
            {"nonce": None},
        ],
    )
    def test_a_wrong_request_is_refused(self, registered, authlib, changes):
        signing_in = authlib(registered())
        callback = signing_in.begin(**changes)

        assert parse_qs(urlsplit(callback).query)["error"] == ["invalid_request"]

    def test_another_redirect_address_gets_a_page(self, registered, authlib):
        client = registered(redirect="https://elsewhere.example/callback")

        assert authlib(client).begin() is None
