"""Another provider is a matter of settings: oidc-provider, which is certified, and not ours."""

import base64
import hashlib
import json
import secrets
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy import func, select

import admin
from api.app import create_app
from models import AdminSession
from settings import Settings
from tests import factories
from tests.node import Program, needs_node

pytestmark = [pytest.mark.slow, needs_node("oidc-provider")]

APP, DESK = "their-name-of-the-app", "their-name-of-the-desk"
REDIRECTS = {
    APP: "vn.gov.thainguyen.c:/oauth2redirect",
    DESK: "http://127.0.0.1/admin/callback",
}
SECRETS = {APP: "an app's secret, 50 % +?&", DESK: "a desk's secret: =/~"}
HIGH, LOW = "urn:elsewhere:high", "urn:elsewhere:low"
PEOPLE = {
    "an": {
        "name": "Nguyễn Văn An",
        "birthdate": "1980-05-17",
        "phone_number": "+84900000001",
        "national_number": "019080000001",
    }
}
METHODS = ["client_secret_basic", "client_secret_post", "private_key_jwt"]


@pytest.fixture(params=METHODS)
def method(request):
    return request.param


@pytest.fixture
def key_files(tmp_path):
    """The private keys of both clients, in PEM."""
    files = {}
    for name in (APP, DESK):
        key = ec.generate_private_key(ec.SECP256R1())
        files[name] = tmp_path / f"{name}.pem"
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        files[name].write_bytes(pem)
    return files


@pytest.fixture
def issuer(method, key_files):
    clients = [client(name, method, key_files[name]) for name in (APP, DESK)]
    task = {"clients": clients, "methods": [method], "levels": [HIGH, LOW], "people": PEOPLE}
    with Program("oidc_provider.mjs", **task) as program:
        yield program.hear()["issuer"]


def client(name, method, key_file):
    """As their administrator would register us; one of us takes ID tokens of each kind of key."""
    known_by = {"client_secret": SECRETS[name]}
    if method == "private_key_jwt":
        key = jwt.algorithms.ECAlgorithm(jwt.algorithms.hashes.SHA256).prepare_key(
            key_file.read_bytes()
        )
        public = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
        known_by = {"jwks": {"keys": [public]}}
    return {
        "client_id": name,
        "token_endpoint_auth_method": method,
        "redirect_uris": [REDIRECTS[name]],
        "application_type": "native",
        "response_types": ["code"],
        "grant_types": ["authorization_code"],
        "id_token_signed_response_alg": "ES256" if name == APP else "RS256",
        **known_by,
    }


@pytest.fixture
def app(issuer, method, key_files, access_key, database, tmp_path):
    """The application, told of the other provider by variables and by nothing else."""
    how = {"OIDC_CLIENT_SECRET": SECRETS[APP], "OIDC_ADMIN_CLIENT_SECRET": SECRETS[DESK]}
    if method == "private_key_jwt":
        how = {
            "OIDC_CLIENT_KEY_FILE": str(key_files[APP]),
            "OIDC_ADMIN_CLIENT_KEY_FILE": str(key_files[DESK]),
        }
    settings = Settings.from_env(
        {
            "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
            "PUBLIC_URL": "http://127.0.0.1",
            "SECRET_KEY": secrets.token_urlsafe(32),
            **factories.KEYS,
            "ACCESS_TOKEN_KEY_FILE": str(access_key),
            "STORAGE_URL": f"file://{tmp_path}/files",
            "ALLOW_UNSAFE_DATABASE": "1",
            "OIDC_ISSUER": issuer,
            "OIDC_CLIENT_ID": APP,
            "OIDC_ADMIN_CLIENT_ID": DESK,
            "OIDC_REDIRECT_URIS": REDIRECTS[APP],
            "OIDC_SCOPES": "openid profile phone national_id",
            "OIDC_CITIZEN_NUMBER_CLAIM": "national_number",
            "OIDC_LEVEL_2": HIGH,
            **how,
        }
    )
    app = create_app(settings, db=database)
    admin.init_app(app)
    return app


def sign_in_there(address, redirect_uri, *, acr):
    """Be the browser: answer the one question of the provider, end where it sends us at last."""
    with httpx.Client() as browser:
        answer = browser.get(address)
        for _ in range(10):
            if not answer.is_redirect:
                break
            address = urljoin(str(answer.url), answer.headers["Location"])
            if address.startswith(redirect_uri):
                return address
            if "/interaction/" in address:
                answer = browser.post(address, json={"account": "an", "acr": acr})
            else:
                answer = browser.get(address)
    raise AssertionError(f"{answer.status_code}: {answer.text[-500:]}")


def sign_in_on_a_phone(app, issuer):
    """The app's part: it begins with what GET /auth/config says, and ends with POST /auth/login."""
    http = app.test_client()
    config = http.get("/api/v1/auth/config").json
    verifier, nonce = secrets.token_urlsafe(32), secrets.token_urlsafe(16)
    digest = hashlib.sha256(verifier.encode()).digest()
    asked = {
        "response_type": "code",
        "client_id": config["client_id"],
        "redirect_uri": config["redirect_uris"][0],
        "scope": " ".join(config["scopes"]),
        "acr_values": " ".join(config["acr_values"]),
        "state": "a state",
        "nonce": nonce,
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    found = httpx.get(f"{issuer}/.well-known/openid-configuration").json()
    address = f"{found['authorization_endpoint']}?{urlencode(asked)}"
    came = parse_qs(urlsplit(sign_in_there(address, REDIRECTS[APP], acr=HIGH)).query)
    told = {
        "code": came["code"][0],
        "code_verifier": verifier,
        "nonce": nonce,
        "redirect_uri": REDIRECTS[APP],
        "device": {"installation_id": secrets.token_urlsafe(24), "platform": "android"},
    }
    return http.post("/api/v1/auth/login", json=told)


def sign_in_at_a_desk(app, acr):
    http = app.test_client()
    begun = http.get("/admin/login")
    came = sign_in_there(begun.headers["Location"], REDIRECTS[DESK], acr=acr)
    return http, http.get(came.removeprefix("http://127.0.0.1"))


def test_citizens_sign_in(app, issuer):
    answer = sign_in_on_a_phone(app, issuer)

    told = answer.json
    assert answer.status_code == 200, json.dumps(told)
    assert told["citizen"]["name"] == "Nguyễn Văn An"
    headers = {"Authorization": f"Bearer {told['access_token']}"}
    me = app.test_client().get("/api/v1/me", headers=headers).json
    assert (me["name"], me["acr"]) == ("Nguyễn Văn An", "urn:thainguyen:loa:2")


def test_who_comes_back_is_the_same_person(app, issuer):
    first, again = (sign_in_on_a_phone(app, issuer).json for _ in range(2))

    assert first["citizen"]["id"] == again["citizen"]["id"]


def test_staff_sign_in_at_the_level_that_the_setting_names(app, session):
    factories.invited(session, PEOPLE["an"]["national_number"])
    session.commit()

    _, too_low = sign_in_at_a_desk(app, LOW)
    browser, entered = sign_in_at_a_desk(app, HIGH)

    assert too_low.status_code == 403
    assert (entered.status_code, entered.headers["Location"]) == (303, "/admin/")
    assert "Điều phối" in browser.get("/admin/").text
    assert session.scalar(select(func.count()).select_from(AdminSession)) == 1
