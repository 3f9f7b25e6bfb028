"""Signing in: the code, its exchange with the provider, and who is let in."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from flask import Flask
from sqlalchemy import func, select

from api.app import create_app
from models import AuditEvent, Citizen, DeviceSession, RefreshToken
from simulators.thainguyen_id.app import create_app as create_provider
from simulators.thainguyen_id.clients import public_key
from tests import factories
from tests.conftest import serving
from tests.identity.a_provider import NONCE, AProvider
from tests.identity.conftest import CALLBACK, Phone

LOGIN = "/api/v1/auth/login"


def counted(session) -> tuple[int, ...]:
    """What signing in leaves behind."""
    tables = (Citizen, DeviceSession, RefreshToken, AuditEvent)
    return tuple(session.scalar(select(func.count()).select_from(table)) for table in tables)


def demo_person(phone: Phone, username: str) -> dict:
    people = httpx.get(f"{phone.settings.oidc_issuer}/demo/people").json()
    return next(person for person in people if person["username"] == username)


def invited(session, phone: Phone, username: str) -> None:
    number = demo_person(phone, username)["citizen_number"]
    factories.invited(session, number)
    session.commit()


def test_somebody_signs_in_and_is_known(now_client, phone):
    answer = now_client.post(LOGIN, json=phone.login("dan02"))

    told = answer.json
    headers = {"Authorization": f"Bearer {told['access_token']}"}
    assert (answer.status_code, told["token_type"], told["expires_in"]) == (200, "Bearer", 600)
    assert told["refresh_expires_in"] == 60 * 24 * 3600
    assert told["citizen"]["name"] == demo_person(phone, "dan02")["name"]
    assert told["citizen"]["roles"] == []
    assert now_client.get("/api/v1/me", headers=headers).json["id"] == told["citizen"]["id"]


def test_who_comes_back_is_the_same_person(now_client, phone):
    first, again = (
        now_client.post(LOGIN, json=Phone(phone.settings).login("dan03")).json for _ in range(2)
    )

    assert first["citizen"]["id"] == again["citizen"]["id"]
    assert first["access_token"] != again["access_token"]


def test_the_provider_is_told_the_id_of_the_request(settings, database):
    heard = set()

    def listening(url):
        provider = create_provider(url, client_secrets=factories.CLIENTS)

        def app(environ, start_response):
            heard.add(environ.get("HTTP_X_REQUEST_ID"))
            return provider(environ, start_response)

        return app

    with serving(listening) as url:
        own = replace(settings, oidc_issuer=url)
        asked = Phone(own).login()
        heard.clear()
        client = create_app(own, db=database).test_client()
        answer = client.post(LOGIN, json=asked, headers={"X-Request-Id": "one-sign-in"})

    assert answer.status_code == 200
    assert heard == {"one-sign-in"}


def test_the_app_signs_in_by_a_key_where_the_provider_knows_that(settings, database, access_key):
    pem = load_pem_private_key(access_key.read_bytes(), password=None).public_key()
    pem = pem.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    keys = {settings.oidc_client_id: public_key(pem)}
    with serving(lambda url: create_provider(url, {}, [], public_keys=keys)) as url:
        own = replace(
            settings, oidc_issuer=url, oidc_client_secret="", oidc_client_key_file=access_key
        )
        client = create_app(own, db=database).test_client()

        answers = [client.post(LOGIN, json=Phone(own).login()) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]


def test_two_people_are_two(now_client, phone):
    first, second = (
        now_client.post(LOGIN, json=Phone(phone.settings).login(username)).json
        for username in ("dan04", "dan05")
    )

    assert first["citizen"]["id"] != second["citizen"]["id"]


@contextmanager
def a_provider(settings, **claims) -> Iterator[AProvider]:
    """Another provider, which knows our app and says this of whoever signs in."""
    made = []

    def make(url):
        made.append(AProvider(url))
        made[0].claims = {"aud": settings.oidc_client_id, **claims}
        return made[0].app

    with serving(make):
        yield made[0]


def test_the_same_subject_of_another_issuer_is_another_person(behind, phone):
    known = []
    for _ in range(2):
        with a_provider(phone.settings, sub="one") as provider:
            client = behind(provider.issuer)
            asked = phone.login(code="x", nonce=NONCE)
            known += [client.post(LOGIN, json=asked).json["citizen"]["id"] for _ in range(2)]

    first, first_again, other, other_again = known
    assert (first, other) == (first_again, other_again)
    assert first != other


def test_nobody_is_known_by_name_phone_or_number(behind, phone):
    known = set()
    with a_provider(phone.settings) as provider:
        client = behind(provider.issuer)
        for subject in ("one", "two", "One", "one "):
            provider.claims["sub"] = subject
            told = client.post(LOGIN, json=phone.login(code="x", nonce=NONCE)).json
            known.add(told["citizen"]["id"])

    assert len(known) == 4


def test_number_phone_and_date_of_birth_are_stored_sealed(now_client, phone, session):
    person = demo_person(phone, "dan06")

    now_client.post(LOGIN, json=phone.login("dan06"))

    (citizen,) = session.scalars(select(Citizen))
    opened = {name: factories.VAULT.read(citizen, name) for name in ("number", "phone")}
    assert opened["number"] == person["citizen_number"]
    assert not any(value in str(vars(citizen)) for value in opened.values())
    assert factories.VAULT.read(citizen, "birth_date").startswith("19")
    assert citizen.number_index == factories.VAULT.index(person["citizen_number"])


WRONG = {
    "nonce": lambda _: {"nonce": "another nonce"},
    "verifier": lambda _: {"code_verifier": "w" * 43},
    "code": lambda _: {"code": "no code of theirs"},
    "redirect_uri": lambda _: {"redirect_uri": "http://127.0.0.1:5000/callback"},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_part_is_refused_and_leaves_nothing(now_client, phone, session, wrong):
    before = counted(session)

    answer = now_client.post(LOGIN, json=phone.login() | WRONG[wrong](phone))

    assert (answer.status_code, answer.json["code"]) == (422, "code_refused")
    assert counted(session) == before


def test_a_code_is_good_once(now_client, phone, session):
    asked = phone.login()
    now_client.post(LOGIN, json=asked)
    before = counted(session)

    answer = now_client.post(LOGIN, json=asked)

    assert (answer.status_code, answer.json["code"]) == (422, "code_refused")
    assert counted(session) == before


@pytest.mark.parametrize(
    "redirect_uri",
    [
        "https://elsewhere.test/",
        "vn.gov.thainguyen.c:/oauth2redirect/more",
        "vn.gov.thainguyen.c:/oauth2redirect?a=b",
        "http://127.0.0.1/elsewhere",
        "http://127.0.0.1:80@elsewhere.test/callback",
        "http://localhost/callback",
        "https://127.0.0.1/callback",
        "http://127.0.0.1.elsewhere.test/callback",
        "http://127.0.0.1:999999/callback",
        "http://[::1/callback",
    ],
)
def test_a_foreign_redirect_uri_is_refused_before_the_provider_is_asked(
    behind, phone, redirect_uri
):
    nobody = behind("http://127.0.0.1:1")

    answer = nobody.post(LOGIN, json=phone.login(code="x", redirect_uri=redirect_uri))

    assert (answer.status_code, answer.json["code"]) == (422, "redirect_uri_unknown")


def test_on_loopback_the_port_is_the_apps_choice(now_client, settings):
    phone = Phone(settings, redirect_uri="http://127.0.0.1:54321/callback")

    answer = now_client.post(LOGIN, json=phone.login())

    assert answer.status_code == 200


def test_the_app_is_told_how_to_begin(now_client, settings):
    told = now_client.get("/api/v1/auth/config").json

    assert told["issuer"] == settings.oidc_issuer
    assert told["client_id"] == settings.oidc_client_id
    assert CALLBACK in told["redirect_uris"]
    assert settings.oidc_client_secret not in str(told)


def test_staff_get_a_token_for_the_staff_operations(now_client, session, phone):
    invited(session, phone, "dieuphoi1")

    told = now_client.post(LOGIN, json=phone.login("dieuphoi1", audience="staff")).json

    headers = {"Authorization": f"Bearer {told['access_token']}"}
    assert told["citizen"]["roles"] == ["dispatcher"]
    assert told["refresh_expires_in"] == 30 * 60
    assert now_client.get("/api/v1/staff/reports", headers=headers).status_code == 200


def test_who_is_no_staff_gets_no_staff_token(now_client, phone, session):
    before = counted(session)

    answer = now_client.post(LOGIN, json=phone.login("dan07", audience="staff"))

    assert (answer.status_code, answer.json["code"]) == (403, "not_staff")
    *kept, events = before
    assert counted(session) == (*kept, events + 1)


def test_who_is_refused_as_staff_is_recorded_and_named_where_they_are_a_citizen(
    now_client, phone, session
):
    now_client.post(LOGIN, json=phone.login("dan07", audience="staff"))
    citizen = now_client.post(LOGIN, json=phone.login("dan07")).json["citizen"]

    now_client.post(LOGIN, json=phone.login("dan07", audience="staff"))

    query = select(AuditEvent).where(AuditEvent.action == "staff:refuse_entry")
    unknown, known = session.scalars(query.order_by(AuditEvent.at)).all()
    assert (unknown.actor_kind, unknown.actor_id, unknown.detail) == (
        "system",
        None,
        {"door": "api"},
    )
    assert (known.actor_kind, str(known.actor_id)) == ("citizen", citizen["id"])


def test_staff_at_level_1_get_no_staff_token(now_client, session, phone):
    invited(session, phone, "dan30")
    assert demo_person(phone, "dan30")["acr"].endswith(":1")

    answer = now_client.post(LOGIN, json=phone.login("dan30", audience="staff"))

    assert (answer.status_code, answer.json["code"]) == (403, "not_staff")


def test_staff_signed_in_as_citizens_hold_no_staff_token(now_client, session, phone):
    invited(session, phone, "dieuphoi2")

    told = now_client.post(LOGIN, json=phone.login("dieuphoi2")).json

    headers = {"Authorization": f"Bearer {told['access_token']}"}
    assert told["citizen"]["roles"] == []
    assert now_client.get("/api/v1/staff/reports", headers=headers).status_code == 401


@pytest.mark.parametrize(
    "fault", ["bad_signature", "expired_id_token", "wrong_nonce", "unknown_kid"]
)
def test_a_wrong_id_token_is_refused(now_client, phone, session, fault):
    before = counted(session)
    asked = phone.login()
    phone.with_fault(fault)

    answer = now_client.post(LOGIN, json=asked)

    assert (answer.status_code, answer.json["code"]) == (422, "code_refused")
    assert counted(session) == before


def test_a_crash_of_the_provider_is_a_matter_of_waiting(now_client, phone):
    asked = phone.login()
    phone.with_fault("http_500")

    answer = now_client.post(LOGIN, json=asked)

    assert (answer.status_code, answer.json["code"]) == (503, "provider_unavailable")
    assert int(answer.headers["Retry-After"]) >= 1


@pytest.fixture
def silent():
    """A provider that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def dripping():
    """A provider that answers for ever, a byte at a time."""
    ended = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def drip() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while not ended.wait(0.2):
                connection.sendall(b" ")

    with listener, ThreadPoolExecutor() as pool:
        pool.submit(drip)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        ended.set()


@pytest.mark.alone
@pytest.mark.parametrize("kind", ["away", "silent", "dripping"])
def test_a_provider_that_does_not_answer_is_waited_for_five_seconds(request, behind, phone, kind):
    issuer = "http://127.0.0.1:1" if kind == "away" else request.getfixturevalue(kind)
    client = behind(issuer)

    began = time.monotonic()
    answer = client.post(LOGIN, json=phone.login(code="x"))

    assert (answer.status_code, answer.json["code"]) == (503, "provider_unavailable")
    assert int(answer.headers["Retry-After"]) >= 1
    assert time.monotonic() - began < 5.5


def test_without_the_provider_the_signed_in_go_on(now_client, behind, phone):
    told = now_client.post(LOGIN, json=phone.login()).json
    without = behind("http://127.0.0.1:1")

    me = without.get("/api/v1/me", headers={"Authorization": f"Bearer {told['access_token']}"})
    tokens = without.post("/api/v1/auth/refresh", json={"refresh_token": told["refresh_token"]})

    assert (me.status_code, tokens.status_code) == (200, 200)


def odd_provider(url: str, **changes) -> Flask:
    """A provider whose documents have something odd about them."""
    app = Flask("odd")
    metadata = {
        "issuer": url,
        "authorization_endpoint": f"{url}/authorize",
        "token_endpoint": f"{url}/token",
        "jwks_uri": f"{url}/jwks",
        "id_token_signing_alg_values_supported": ["ES256"],
    }
    told = {"/.well-known/openid-configuration": metadata, "/jwks": {"keys": []}} | {
        "/token": {"id_token": "eyJhbGciOiJFUzI1NiIsImtpZCI6IngifQ.e30." + "A" * 86}
    }
    for path, document in told.items():
        spoiled = changes.get(path.rpartition("/")[2].replace("-", "_"), document)
        if isinstance(spoiled, dict) and path.startswith("/.well"):
            spoiled = metadata | spoiled
        view = lambda spoiled=spoiled: spoiled  # noqa: E731 - Flask wants a new function for each route
        app.add_url_rule(path, path, view, methods=["GET", "POST"])
    return app


ODD = {
    "metadata of another issuer": ({"openid_configuration": {"issuer": "http://x.test"}}, 503),
    "an address elsewhere": ({"openid_configuration": {"token_endpoint": "http://x.test/"}}, 503),
    "a local file": ({"openid_configuration": {"jwks_uri": "file:///etc/passwd"}}, 503),
    "metadata that is no object": ({"openid_configuration": "[]"}, 503),
    "metadata of a megabyte": ({"openid_configuration": '{"a":"' + "x" * 10**6 + '"}'}, 503),
    "no keys": ({}, 422),
    "keys that are none": ({"jwks": {"keys": [{"kty": "?", "kid": "x"}]}}, 422),
    "a page instead of keys": ({"jwks": "<html>", "token": {"id_token": "e30.e30.e30"}}, 503),
    "keys in no list": ({"jwks": {"keys": 7}}, 422),
    "a key that is a number": ({"jwks": {"keys": [7]}}, 422),
    "no ID token": ({"token": {}}, 422),
    "an ID token that is a number": ({"token": {"id_token": 7}}, 422),
    "an ID token that is no token": ({"token": {"id_token": "[" * 5000}}, 422),
    "a page": ({"token": "<html>"}, 422),
}


@pytest.mark.parametrize("kind", ODD)
def test_a_provider_with_odd_documents_lets_nobody_in(behind, phone, kind):
    changes, status = ODD[kind]
    with serving(lambda url: odd_provider(url, **changes)) as url:
        answer = behind(url).post(LOGIN, json=phone.login(code="x"))

    code = {422: "code_refused", 503: "provider_unavailable"}[status]
    assert (answer.status_code, answer.json["code"]) == (status, code)


@pytest.mark.alone
def test_a_second_exchange_waits_a_second_for_its_turn(live):
    slow, second = Phone(live.settings), Phone(live.settings)
    first_login, second_login = slow.login("dan08"), second.login("dan09")
    slow.with_fault("slow_token", seconds=3)
    with ThreadPoolExecutor() as pool:
        patient = pool.submit(httpx.post, live.url + LOGIN, json=first_login, timeout=10)
        time.sleep(0.5)

        began = time.monotonic()
        refused = httpx.post(live.url + LOGIN, json=second_login, timeout=10)
        took = time.monotonic() - began

    assert (refused.status_code, refused.json()["code"]) == (503, "provider_unavailable")
    assert int(refused.headers["Retry-After"]) >= 1
    assert 0.8 < took < 2
    assert patient.result().status_code == 200


def test_signing_in_is_audited_by_ids_only(now_client, phone, session):
    told = now_client.post(LOGIN, json=phone.login("dan10")).json

    (event,) = session.scalars(select(AuditEvent))
    assert (event.action, str(event.actor_id)) == ("session:start", told["citizen"]["id"])
    assert demo_person(phone, "dan10")["name"] not in str(event.detail)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("installation_id", "short"),
        ("installation_id", "i" * 129),
        ("platform", "toaster"),
        ("is_admin", True),
    ],
)
def test_a_device_that_is_not_described_rightly_is_refused(now_client, phone, field, value):
    asked = phone.login(code="x")

    answer = now_client.post(LOGIN, json=asked | {"device": asked["device"] | {field: value}})

    assert answer.status_code == 422
    assert answer.json["errors"][0]["pointer"] == f"/device/{field}"
