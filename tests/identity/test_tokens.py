"""Access tokens: one is good, and every other is refused in the same words."""

import base64
import hashlib
import itertools
import json
import time
import uuid
from dataclasses import replace

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from api.app import create_app
from api.current import EXTENSION
from tests import factories


def b64(content: bytes | dict | str) -> str:
    if isinstance(content, dict):
        content = json.dumps(content).encode()
    raw = content.encode() if isinstance(content, str) else content
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Forger:
    """Makes tokens out of a good one: by others' keys, or by ours as nobody but we could."""

    def __init__(self, good: str, key: ec.EllipticCurvePrivateKey) -> None:
        self.good = good
        self.key = key
        self.claims = jwt.decode(good, options={"verify_signature": False})
        self.header = jwt.get_unverified_header(good)
        self.theirs = ec.generate_private_key(ec.SECP256R1())

    def ours(self, header: dict | None = None, drop: str = "", **claims) -> str:
        payload = {name: value for name, value in (self.claims | claims).items() if name != drop}
        return jwt.encode(payload, self.key, "ES256", self.header | (header or {}))

    def without(self, name: str) -> str:
        """Our signature under a header that lacks `name`."""
        header = {key: value for key, value in self.header.items() if key != name}
        return self.signed(header | ({} if name == "alg" else {"alg": "ES256"}))

    def signed(self, header: dict | str, payload: dict | str | None = None) -> str:
        """A true signature over any header and payload."""
        content = f"{b64(header)}.{b64(self.claims if payload is None else payload)}"
        der = self.key.sign(content.encode(), ec.ECDSA(SHA256()))
        return f"{content}.{b64(jwt.utils.der_to_raw_signature(der, self.key.curve))}"

    def unsigned(self, alg: str, signature: str = "") -> str:
        return f"{b64(self.header | {'alg': alg})}.{b64(self.claims)}.{signature}"

    def hmac(self, encoding: Encoding) -> str:
        """HS256 with the public key as its secret."""
        secret = self.key.public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
        content = f"{b64(self.header | {'alg': 'HS256'})}.{b64(self.claims)}"
        mac = jwt.get_algorithm_by_name("HS256").sign(content.encode(), secret)
        return f"{content}.{b64(mac)}"

    def rsa(self) -> str:
        key = rsa.generate_private_key(65537, 2048)
        return jwt.encode(self.claims, key, "RS256", self.header | {"alg": "RS256"})

    def stranger(self, **header) -> str:
        return jwt.encode(self.claims, self.theirs, "ES256", self.header | header)

    def embedded(self) -> str:
        """Signed with a key that the token brings along (RFC 7515 section 4.1.3)."""
        jwk = jwt.algorithms.ECAlgorithm.to_jwk(self.theirs.public_key(), as_dict=True)
        return self.stranger(jwk=jwk)

    def tampered(self, **claims) -> str:
        header, _, signature = self.good.split(".")
        return f"{header}.{b64(self.claims | claims)}.{signature}"

    def same_bits(self) -> str:
        """The good token spelled otherwise: the last letter has bits that stand for nothing."""
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        last = alphabet.index(self.good[-1])
        return self.good[:-1] + alphabet[last ^ 1]


NOW = int(time.time())
HOSTILE = {
    "none": lambda of: of.unsigned("none"),
    "None": lambda of: of.unsigned("None"),
    "nOnE": lambda of: of.unsigned("nOnE", "AAAA"),
    "no signature": lambda of: of.unsigned("ES256"),
    "r = s = 0": lambda of: of.unsigned("ES256", b64(bytes(64))),
    "a signature in DER": lambda of: of.unsigned("ES256", b64(b"0\x06\x02\x01\x00\x02\x01\x00")),
    "HS256 with the public key in PEM": lambda of: of.hmac(Encoding.PEM),
    "HS256 with the public key in DER": lambda of: of.hmac(Encoding.DER),
    "RS256": lambda of: of.rsa(),
    "another key under our id": lambda of: of.stranger(),
    "an embedded key": lambda of: of.embedded(),
    "a key by address": lambda of: of.stranger(jku="http://127.0.0.1:1/jwks"),
    "a certificate by address": lambda of: of.stranger(x5u="http://127.0.0.1:1/x.pem"),
    "another subject": lambda of: of.tampered(sub=str(uuid.UUID(int=7))),
    "audience staff written over": lambda of: of.tampered(aud="staff"),
    "type of an ID token": lambda of: of.ours({"typ": "JWT"}),
    "no type": lambda of: of.without("typ"),
    "a type in a list": lambda of: of.signed(of.header | {"typ": ["at+jwt"]}),
    "another key id": lambda of: of.ours({"kid": "0123456789abcdef"}),
    "no key id": lambda of: of.without("kid"),
    "a key id that is a path": lambda of: of.ours({"kid": "../../../../dev/null"}),
    "a key id that is SQL": lambda of: of.ours({"kid": "' OR 1=1 --"}),
    "a key id in a list": lambda of: of.signed(of.header | {"kid": [of.header["kid"]]}),
    "no algorithm": lambda of: of.without("alg"),
    "an unknown extension": lambda of: of.signed(of.header | {"crit": ["exp"], "exp": 1}),
    "no audience": lambda of: of.ours(drop="aud"),
    "another audience": lambda of: of.ours(aud="admin"),
    "several audiences": lambda of: of.ours(aud=["citizen", "other"]),
    "no issuer": lambda of: of.ours(drop="iss"),
    "another issuer": lambda of: of.ours(iss="https://elsewhere.test"),
    "the issuer with a slash": lambda of: of.ours(iss=of.claims["iss"] + "/"),
    "no expiry": lambda of: of.ours(drop="exp"),
    "expired": lambda of: of.ours(exp=NOW - 1),
    "a negative expiry": lambda of: of.ours(exp=-1),
    "an expiry in words": lambda of: of.ours(exp="tomorrow"),
    "an expiry that is no number": lambda of: of.ours(exp=float("nan")),
    "an endless expiry": lambda of: of.signed(of.header, '{"exp": 1e400}'),
    "not yet made": lambda of: of.ours(iat=NOW + 3600),
    "no time of making": lambda of: of.ours(drop="iat"),
    "not yet valid": lambda of: of.ours(nbf=NOW + 3600),
    "no subject": lambda of: of.ours(drop="sub"),
    "a subject that is a number": lambda of: of.signed(of.header, of.claims | {"sub": 7}),
    "a subject that is no id": lambda of: of.ours(sub="\x00"),
    "no session": lambda of: of.ours(drop="sid"),
    "a session that is no id": lambda of: of.ours(sid="me"),
    "no level": lambda of: of.ours(drop="acr"),
    "no token id": lambda of: of.ours(drop="jti"),
    "no time of signing in": lambda of: of.ours(drop="auth_time"),
    "four parts": lambda of: f"{of.good}.{of.good.split('.')[2]}",
    "five parts": lambda _: ".".join(["e30"] * 5),
    "two parts": lambda of: ".".join(of.good.split(".")[:2]),
    "an empty payload": lambda of: of.signed(of.header, ""),
    "a payload that is a list": lambda of: of.signed(of.header, "[]"),
    "a header that is a list": lambda of: of.signed("[]"),
    "a header of 3,000 lists": lambda of: of.signed("[" * 3000),
    "a payload of 3,000 lists": lambda of: of.signed(of.header, "[" * 3000),
    "a header that is no UTF-8": lambda of: b64(b"\xff\xfe") + "." + of.good.partition(".")[2],
    "100 KB": lambda of: of.ours(more="x" * 75_000),
    "100 KB of dots": lambda _: "." * 100_000,
    "100 KB of garbage": lambda _: "A" * 100_000,
    "the last letter otherwise": lambda of: of.same_bits(),
    "padded": lambda of: of.good + "==",
    "with a blank": lambda of: of.good.replace(".", " .", 1),
    "Vietnamese": lambda _: "mã",
    "nothing": lambda _: "",
    "a word": lambda _: "null",
}


@pytest.fixture
def forger(app, session, access_key) -> Forger:
    citizen = factories.a_citizen(session)
    good = factories.signed_in(app, session, citizen).access_token
    return Forger(good, load_pem_private_key(access_key.read_bytes(), None))


def me(client, token: str):
    header = f"Bearer {token}".encode().decode("latin-1")
    return client.get("/api/v1/me", environ_overrides={"HTTP_AUTHORIZATION": header})


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_token_is_refused_like_any_other(client, forger, kind):
    token = HOSTILE[kind](forger)

    began = time.perf_counter()
    refused, garbage = me(client, token), me(client, "garbage")

    assert time.perf_counter() - began < 0.5
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"] == "Bearer"
    assert refused.json | {"request_id": ""} == garbage.json | {"request_id": ""}


def test_the_token_that_all_of_these_are_made_of_is_good(client, forger):
    assert me(client, forger.good).status_code == 200
    assert me(client, forger.ours()).status_code == 200
    assert me(client, forger.signed(forger.header)).status_code == 200


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_is_read_in_any_case(client, forger, scheme):
    answer = client.get("/api/v1/me", headers={"Authorization": f"{scheme} {forger.good}"})

    assert answer.status_code == 200


@pytest.mark.parametrize("scheme", ["Basic", "Token", "DPoP", ""])
def test_another_scheme_is_refused(client, forger, scheme):
    answer = client.get("/api/v1/me", headers={"Authorization": f"{scheme} {forger.good}"})

    assert (answer.status_code, answer.json["code"]) == (401, "token_invalid")


def test_a_token_stands_in_its_header_only(client, forger):
    client.set_cookie("access_token", forger.good)

    answer = client.get(f"/api/v1/me?access_token={forger.good}")

    assert answer.status_code == 401


def test_a_citizens_token_opens_no_staff_operation(app, client, session):
    staff = factories.a_staff(session)
    citizen = session.get_one(factories.Citizen, staff.citizen_id)

    private = factories.bearer(app, session, citizen)
    office = factories.bearer(app, session, staff)

    assert client.get("/api/v1/staff/reports", headers=private).status_code == 401
    assert client.get("/api/v1/staff/reports", headers=office).status_code == 200


def test_a_staff_token_opens_no_citizens_operation(app, client, session):
    headers = factories.bearer(app, session, factories.a_staff(session))

    answer = client.get("/api/v1/me", headers=headers)

    assert (answer.status_code, answer.json["code"]) == (401, "token_invalid")


def test_a_disabled_member_of_staff_is_refused_at_the_next_request(app, client, session, clock):
    staff = factories.a_staff(session)
    headers = factories.bearer(app, session, staff)
    staff.disabled_at = clock()
    session.commit()

    answer = client.get("/api/v1/staff/reports", headers=headers)

    assert (answer.status_code, answer.json["code"]) == (403, "not_staff")


def test_a_token_says_who_and_for_whom_and_nothing_personal(app, forger):
    state = app.extensions[EXTENSION]

    assert forger.header == {"alg": "ES256", "typ": "at+jwt", "kid": state.keys.key_id}
    assert forger.claims["iss"] == state.settings.public_url
    assert forger.claims["exp"] - forger.claims["iat"] == 600
    assert forger.claims.keys() == {
        *("iss", "aud", "sub", "sid", "acr"),
        *("auth_time", "iat", "exp", "jti"),
    }


def test_the_published_keys_check_our_tokens_and_hold_no_secret(client, forger):
    published = client.get("/.well-known/jwks.json").json

    key = jwt.PyJWKSet.from_dict(published)[forger.header["kid"]]
    assert jwt.decode(forger.good, key, algorithms=["ES256"], audience="citizen")
    assert not {"d", "p", "q", "k"} & set(published["keys"][0])


def test_the_published_keys_may_be_kept_for_five_minutes(client):
    answer = client.get("/.well-known/jwks.json")

    assert answer.headers["Cache-Control"] == "public, max-age=300"


def test_the_id_of_a_key_follows_from_it(client):
    """RFC 7638: anybody computes the same one."""
    (key,) = client.get("/.well-known/jwks.json").json["keys"]

    text = f'{{"crv":"P-256","kty":"EC","x":"{key["x"]}","y":"{key["y"]}"}}'
    assert key["kid"] == b64(hashlib.sha256(text.encode()).digest())


def pem(key, form=PrivateFormat.PKCS8) -> bytes:
    return key.private_bytes(Encoding.PEM, form, NoEncryption())


FORMER, LATTER = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))


@pytest.fixture
def with_keys(settings, database, tmp_path):
    """An application whose file of token keys holds these."""
    numbers = itertools.count()

    def make(*blocks: bytes):
        file = tmp_path / f"keys{next(numbers)}.pem"
        file.write_bytes(b"".join(blocks))
        return create_app(replace(settings, access_token_key_file=file), db=database)

    return make


def test_a_key_is_changed_without_a_token_being_refused(with_keys, session):
    """Instances are exchanged one after the other, so each step has to bear the one before it."""
    citizen = factories.a_citizen(session)
    steps = [
        with_keys(pem(FORMER)),
        with_keys(pem(FORMER), pem(LATTER)),
        with_keys(pem(LATTER), pem(FORMER)),
        with_keys(pem(LATTER)),
    ]

    for before, after in itertools.pairwise(steps):
        for signing, asked in ((before, after), (after, before)):
            token = factories.signed_in(signing, session, citizen).access_token
            for _ in range(2):  # The second time it is known.
                assert me(asked.test_client(), token).status_code == 200


def test_a_token_of_a_former_key_is_refused_when_the_key_is_gone(with_keys, session):
    citizen = factories.a_citizen(session)
    token = factories.signed_in(with_keys(pem(FORMER)), session, citizen).access_token

    changing, changed = with_keys(pem(LATTER), pem(FORMER)), with_keys(pem(LATTER))

    assert me(changing.test_client(), token).status_code == 200
    refused = me(changed.test_client(), token)
    assert (refused.status_code, refused.json["code"]) == (401, "token_invalid")


def test_a_session_survives_the_change_of_the_key(with_keys, session):
    citizen = factories.a_citizen(session)
    pair = factories.signed_in(with_keys(pem(FORMER)), session, citizen)
    changed = with_keys(pem(LATTER)).test_client()

    fresh = changed.post("/api/v1/auth/refresh", json={"refresh_token": pair.refresh_token}).json

    assert me(changed, fresh["access_token"]).status_code == 200


def test_the_first_key_signs_and_all_are_published(with_keys, session):
    app = with_keys(pem(LATTER), pem(FORMER))
    token = factories.signed_in(app, session, factories.a_citizen(session)).access_token

    published = app.test_client().get("/.well-known/jwks.json").json["keys"]

    assert len(published) == 2
    assert jwt.get_unverified_header(token)["kid"] == published[0]["kid"]
    assert jwt.PyJWK(published[0]).key.public_numbers() == LATTER.public_key().public_numbers()
    shown = {"x", "y", "kty", "crv", "kid", "use", "alg"}
    assert [key.keys() for key in published] == [shown, shown]


def test_a_token_is_checked_by_the_key_that_it_names(with_keys, session):
    app = with_keys(pem(LATTER), pem(FORMER))
    good = factories.signed_in(app, session, factories.a_citizen(session)).access_token
    header = jwt.get_unverified_header(good)
    claims = jwt.decode(good, options={"verify_signature": False})

    crossed = jwt.encode(claims, FORMER, "ES256", header)

    assert me(app.test_client(), crossed).status_code == 401


def test_keys_as_openssl_writes_them_are_taken(with_keys, session):
    """Parameters before the key, words around it, the older form."""
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    older = PrivateFormat.TraditionalOpenSSL
    app = with_keys(parameters, pem(LATTER, older), b"the former one\n", pem(FORMER))
    token = factories.signed_in(app, session, factories.a_citizen(session)).access_token

    assert me(app.test_client(), token).status_code == 200
    assert len(app.test_client().get("/.well-known/jwks.json").json["keys"]) == 2


UNFIT = {
    "nothing": b"",
    "words": b"no key at all",
    "a public key": FORMER.public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    ),
    "another curve": pem(ec.generate_private_key(ec.SECP384R1())),
    "a good one and another curve": pem(FORMER) + pem(ec.generate_private_key(ec.SECP384R1())),
    "RSA": pem(rsa.generate_private_key(65537, 2048)),
}


@pytest.mark.parametrize("content", UNFIT)
def test_other_keys_are_refused_at_the_start(with_keys, content):
    with pytest.raises((TypeError, ValueError)):
        with_keys(UNFIT[content])


def test_a_token_that_was_good_ends_all_the_same(client, forger):
    short = {"Authorization": f"Bearer {forger.ours(exp=int(time.time()) + 2)}"}

    before = client.get("/api/v1/me", headers=short)
    time.sleep(2.1)
    after = client.get("/api/v1/me", headers=short)

    assert (before.status_code, after.status_code) == (200, 401)
