"""Clients of Thái Nguyên ID prove who they are: by a secret or by a key, and once per proof."""

import base64
import uuid
from urllib.parse import quote_plus

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from simulators.thainguyen_id.app import create_app
from simulators.thainguyen_id.clients import public_key
from tests.simulators.conftest import ADMIN, APP, ISSUER, SECRETS, Journey

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
EC_KEY, OTHER_KEY = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
RSA_KEY = rsa.generate_private_key(65537, 2048)


def pem(key) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture
def with_key(clock):
    """`with_key(key)`: a provider with which the app's client has registered this key."""

    def make(key=EC_KEY):
        keys = {APP: public_key(pem(key))}
        return Journey(create_app(ISSUER, SECRETS, [], clock, keys).test_client())

    return make


def assertion(clock, *, key=EC_KEY, algorithm="ES256", drop=None, **changes):
    now = int(clock.now)
    claims = {
        "iss": APP,
        "sub": APP,
        "aud": ISSUER,
        "jti": str(uuid.uuid4()),
        "iat": now,
        "exp": now + 60,
    } | changes
    claims.pop(drop, None)
    return jwt.encode(claims, key, algorithm)


def proof(signed, **more):
    """What a client sends instead of its secret."""
    return {
        "client_secret": None,
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": signed,
    } | more


@pytest.mark.parametrize("audience", [ISSUER, f"{ISSUER}/token", [ISSUER]])
def test_a_client_signs_in_by_its_key(with_key, clock, audience):
    journey = with_key()

    answer = journey.exchange(journey.code(), **proof(assertion(clock, aud=audience)))

    assert journey.verified(answer.json["id_token"])["aud"] == APP


@pytest.mark.parametrize("algorithm", ["RS256", "PS256"])
def test_a_key_may_be_rsa(with_key, clock, algorithm):
    journey = with_key(RSA_KEY)
    signed = assertion(clock, key=RSA_KEY, algorithm=algorithm)

    assert journey.exchange(journey.code(), **proof(signed)).status_code == 200


def test_who_is_named_by_the_proof_need_not_be_named_again(with_key, clock):
    journey = with_key()

    answer = journey.exchange(journey.code(), **proof(assertion(clock), client_id=None))

    assert answer.status_code == 200


WRONG = {
    "another key": {"key": OTHER_KEY},
    "another algorithm": {"key": RSA_KEY, "algorithm": "RS256"},
    "the public key as a secret": {"key": base64.b64encode(pem(EC_KEY)), "algorithm": "HS256"},
    "no signature": {"key": None, "algorithm": "none"},
    "another audience": {"aud": "https://elsewhere.example"},
    "another issuer": {"iss": ADMIN},
    "no such client": {"iss": "somebody", "sub": "somebody"},
    "a client without a key": {"iss": ADMIN, "sub": ADMIN},
    "a subject that is none": {"iss": 1, "sub": 1},
    "expired": {"exp": 1_790_000_000 - 61},
    "for ever": {"exp": 1_790_000_000 + 2 * 3600},
    "an end in words": {"exp": "soon"},
    "from the future": {"iat": 1_790_000_000 + 120},
    "not yet": {"nbf": 1_790_000_000 + 120},
    **{f"without {name}": {"drop": name} for name in ("iss", "sub", "aud", "exp", "jti")},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_proof_is_refused(with_key, clock, wrong):
    journey = with_key()
    changes = WRONG[wrong]
    if isinstance(changes.get("iss"), int):
        signed = jwt.api_jws.encode(b'{"iss":1,"sub":1}', EC_KEY, "ES256")
    else:
        signed = assertion(clock, **changes)

    answer = journey.exchange(journey.code(), **proof(signed))

    assert answer.status_code in {400, 401}
    assert answer.json["error"] == "invalid_client"


@pytest.mark.parametrize("signed", ["", "a.b.c", "é", "e30.e30.", "e30"])
def test_what_is_no_proof_is_refused(with_key, signed):
    journey = with_key()

    answer = journey.exchange(journey.code(), **proof(signed))

    assert answer.json["error"] == "invalid_client"


def test_a_proof_is_good_once(with_key, clock):
    journey = with_key()
    codes, signed = [journey.code(), journey.code_again()], assertion(clock)
    assert journey.exchange(codes[0], **proof(signed)).status_code == 200

    clock.now += 30
    answer = journey.exchange(codes[1], **proof(signed))

    assert answer.json["error"] == "invalid_client"
    assert journey.exchange(codes[1], **proof(assertion(clock))).status_code == 200


def test_a_client_with_a_key_has_no_use_for_its_secret(with_key):
    journey = with_key()
    by_header = {"grant_type": "authorization_code", "code": journey.code()}

    answers = [
        journey.exchange(journey.code_again()),
        journey.http.post("/token", auth=(APP, SECRETS[APP]), data=by_header),
    ]

    assert [answer.json["error"] for answer in answers] == ["invalid_client"] * 2


def test_one_way_of_authentication_at_a_time(with_key, clock):
    journey = with_key()
    both = proof(assertion(clock), client_secret="app secret")

    assert journey.exchange(journey.code(), **both).json["error"] == "invalid_request"


def test_a_proof_is_not_sent_in_the_name_of_another(with_key, clock):
    journey = with_key()

    answer = journey.exchange(journey.code(), **proof(assertion(clock), client_id=ADMIN))

    assert answer.json["error"] == "invalid_client"


def test_a_token_is_revoked_by_key(with_key, clock):
    journey = with_key()
    tokens = journey.exchange(journey.code(), **proof(assertion(clock))).json
    asked = proof(assertion(clock), token=tokens["access_token"])
    del asked["client_secret"]

    assert journey.http.post("/revoke", data=asked).status_code == 200
    assert journey.userinfo(tokens["access_token"]).status_code == 401


@pytest.mark.parametrize("secret", ["a secret", "a+b", "50%25", "ü:=&"])
def test_secrets_are_form_encoded_in_basic_authentication(clock, secret):
    journey = Journey(create_app(ISSUER, {APP: secret, ADMIN: "x"}, [], clock).test_client())
    form = {
        "grant_type": "authorization_code",
        "code": journey.code(),
        "redirect_uri": journey.redirect_uri,
        "code_verifier": journey.verifier,
    }

    answer = journey.http.post("/token", auth=(APP, quote_plus(secret)), data=form)

    assert answer.status_code == 200


@pytest.mark.parametrize("header", ["Basic", "Basic !", "Basic /w==", "Basic YQ==", "Bearer x"])
def test_a_header_that_says_nothing_is_refused(journey, header):
    answer = journey.http.post("/token", headers={"Authorization": header}, data={"code": "x"})

    assert answer.status_code in {400, 401}


def test_nobody_signs_in_by_an_empty_secret(clock):
    journey = Journey(create_app(ISSUER, {ADMIN: "x"}, [], clock).test_client())

    assert journey.exchange(journey.code(), client_secret="").json["error"] == "invalid_client"


def test_discovery_names_the_ways_and_their_algorithms(journey):
    document = journey.http.get("/.well-known/openid-configuration").json

    ways = ["client_secret_basic", "client_secret_post", "private_key_jwt"]
    for endpoint in ("token", "revocation"):
        assert document[f"{endpoint}_endpoint_auth_methods_supported"] == ways
        algorithms = document[f"{endpoint}_endpoint_auth_signing_alg_values_supported"]
        assert algorithms == ["ES256", "PS256", "RS256"]


@pytest.mark.parametrize("curve", [ec.SECP384R1(), None])
def test_a_key_of_another_kind_is_no_key(curve):
    other = pem(ec.generate_private_key(curve)) if curve else b"no key"

    with pytest.raises(ValueError):  # noqa: PT011 - the library's own words differ.
        public_key(other)
