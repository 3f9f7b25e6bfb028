"""The relying party believes a provider what it may, and asks it no more than it must."""

import math
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from flask import Flask, redirect

from api.oidc import Client, CodeRefused, RelyingParty, SignInTooOld
from api.provider import Provider, ProviderUnavailable
from services.permissions import LEVEL_1, LEVEL_2
from tests.conftest import serving
from tests.identity.a_provider import NONCE, AProvider

CLIENT = Client("app", "a secret")
EXCHANGE = {
    "code": "a code",
    "code_verifier": "v" * 43,
    "nonce": NONCE,
    "redirect_uri": "a.b:/c",
}


class Seconds:
    """A clock that counts when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds():
    return Seconds()


@pytest.fixture
def provider():
    made = []

    def make(url):
        made.append(AProvider(url))
        return made[0].app

    with serving(make):
        yield made[0]


@pytest.fixture
def party(provider, seconds):
    return RelyingParty(Provider(provider.issuer, seconds))


def sign_in(party, client=CLIENT, **changes):
    return party.exchange(client, **EXCHANGE | changes)


def attempt(party):
    """How an exchange ends, by name."""
    try:
        sign_in(party)
    except (CodeRefused, ProviderUnavailable) as refusal:
        return type(refusal).__name__
    return "signed in"


def test_what_the_provider_says_becomes_a_person(provider, party):
    person = sign_in(party)

    assert (person.issuer, person.subject) == (provider.issuer, "somebody")
    assert (person.name, person.phone) == ("Nguyễn Thị Thử", "0900000001")
    assert (person.citizen_number, person.birth_date) == ("019190000001", "1990-02-28")
    assert abs(person.auth_time.timestamp() - time.time()) < 5
    assert provider.asked == Counter(discovery=1, token=1, jwks=1)


def test_a_person_that_is_printed_shows_no_number(party):
    assert not {"019190000001", "0900000001", "1990"} & set(repr(sign_in(party)).split("'"))


def test_the_documents_of_the_provider_are_kept(provider, party):
    for _ in range(5):
        sign_in(party)

    assert provider.asked == Counter(discovery=1, token=5, jwks=1)


# Keys


def test_a_storm_of_unknown_keys_costs_one_fetch_in_half_a_minute(provider, party, seconds):
    """A thousand, as many at a time as have a turn; some of the twenty are told to come later."""
    assert attempt(party) == "signed in"
    tokens = [provider.mint(kid=f"invented-{number}") for number in range(1000)]

    def try_one(token):
        provider.id_token = token
        return attempt(party)

    with ThreadPoolExecutor(20) as threads:
        ended = Counter(threads.map(try_one, tokens))
    assert ended.keys() <= {"CodeRefused", "ProviderUnavailable"}
    assert ended["CodeRefused"] > 100
    assert provider.asked["jwks"] == 1

    seconds.now += 31
    with ThreadPoolExecutor(20) as threads:
        list(threads.map(try_one, tokens[:100]))
    assert provider.asked["jwks"] == 2
    provider.id_token = None
    assert attempt(party) == "signed in"


def test_a_new_key_is_taken_at_its_first_use_by_one_fetch(provider, party, seconds):
    sign_in(party)
    provider.keys["b"] = ec.generate_private_key(ec.SECP256R1())
    provider.signing = "b"
    seconds.now += 31

    assert [attempt(party) for _ in range(3)] == ["signed in"] * 3
    assert provider.asked["jwks"] == 2


def test_a_key_that_was_withdrawn_is_good_for_nothing_after_five_minutes(provider, party, seconds):
    sign_in(party)
    old = provider.keys["a"]
    provider.keys = {"b": ec.generate_private_key(ec.SECP256R1())}
    provider.id_token = jwt.encode(
        jwt.decode(provider.mint("b"), options={"verify_signature": False}),
        old,
        "ES256",
        {"kid": "a"},
    )

    seconds.now = 299
    before = attempt(party)
    seconds.now = 300
    after = attempt(party)

    assert (before, after) == ("signed in", "CodeRefused")


def test_without_the_keys_endpoint_known_keys_go_on_and_unknown_ones_are_refused(
    provider, party, seconds
):
    sign_in(party)
    provider.down = {"jwks"}
    seconds.now = 301

    assert [attempt(party) for _ in range(10)] == ["signed in"] * 10
    assert provider.asked["jwks"] == 2
    provider.id_token = provider.mint(kid="unknown")
    assert [attempt(party) for _ in range(10)] == ["CodeRefused"] * 10
    assert provider.asked["jwks"] == 2


def test_keys_that_could_not_be_asked_for_serve_no_longer_than_an_hour(provider, party, seconds):
    sign_in(party)
    provider.down = {"jwks"}

    seconds.now = 3599
    assert attempt(party) == "signed in"
    seconds.now = 3601
    assert attempt(party) == "ProviderUnavailable"
    provider.down = set()
    seconds.now += 30
    assert attempt(party) == "signed in"


def test_a_document_without_keys_does_not_displace_those_we_have(provider, party, seconds):
    sign_in(party)
    provider.metadata = {"jwks_uri": f"{provider.issuer}/userinfo"}
    seconds.now = 3601  # The metadata are read anew.
    provider.userinfo = {"keys": "none"}

    assert attempt(party) == "ProviderUnavailable"


def test_a_key_for_secrets_signs_nothing(provider, party):
    encrypting = provider._jwks()
    encrypting["keys"][0]["use"] = "enc"
    provider.app.view_functions["jwks"] = lambda: encrypting

    assert attempt(party) == "CodeRefused"


# The ID token


def on_the_second() -> int:
    """The time now, at the beginning of a second, so that a second more or less can be told."""
    time.sleep(math.ceil(time.time()) - time.time())
    return int(time.time())


@pytest.mark.parametrize(
    ("claim", "accepted", "refused"),
    [("exp", -59, -60), ("iat", 60, 61), ("nbf", 60, 61)],
)
def test_clocks_may_differ_by_sixty_seconds_and_no_more(provider, party, claim, accepted, refused):
    sign_in(party)

    now = on_the_second()
    provider.claims = {claim: now + accepted}
    good = attempt(party)
    now = on_the_second()
    provider.claims = {claim: now + refused}
    bad = attempt(party)

    assert (good, bad) == ("signed in", "CodeRefused")


@pytest.mark.parametrize("claim", ["iss", "aud", "sub", "exp", "iat", "nonce"])
def test_a_claim_that_is_needed_may_not_be_missing(provider, party, claim):
    provider.claims = {claim: None}

    assert attempt(party) == "CodeRefused"


WRONG = {
    "another client's": {"aud": "another"},
    "ours among others": {"aud": ["app", "another"]},
    "nobody's": {"aud": []},
    "authorized for another": {"azp": "another"},
    "another issuer's": {"iss": "https://elsewhere.test"},
    "of an issuer with a slash": {"iss": "slash"},
    "another nonce": {"nonce": "another nonce"},
    "no name for a person": {"sub": ""},
    "a name with a NUL": {"sub": "some\0body"},
    "a name too long": {"sub": "s" * 256},
    "a name that is a number": {"sub": 7},
    "expired in words": {"exp": "soon"},
    "expired at no time": {"exp": float("nan")},
    "signed in at no time": {"auth_time": 1e20},
    "signed in in words": {"auth_time": "now"},
    "a number that is none": {"citizen_number": "01919000000x"},
    "a number in other figures": {"citizen_number": "٠١٢٣٤٥٦٧٨٩٠١"},
    "a number as a number": {"citizen_number": 19190000001},
    "a list of names": {"name": ["Nguyễn"]},
    "half a character": {"name": "\ud800"},
    "a name of a thousand letters": {"name": "n" * 1000},
    "a phone that is an object": {"phone_number": {"a": 1}},
    "a date that is a number": {"birthdate": 1990},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_an_id_token_that_is_not_for_us_signs_nobody_in(provider, party, wrong):
    changes = dict(WRONG[wrong])
    if changes.get("iss") == "slash":
        changes["iss"] = provider.issuer + "/"
    provider.claims = changes

    assert attempt(party) == "CodeRefused"


@pytest.mark.parametrize("audience", ["app", ["app"]])
def test_the_audience_is_us_alone_in_either_spelling(provider, party, audience):
    provider.claims = {"aud": audience, "azp": "app"}

    assert attempt(party) == "signed in"


def forged(provider):
    """ID tokens whose signature is not the provider's."""
    claims = jwt.decode(provider.mint(), options={"verify_signature": False})
    public = provider.keys["a"].public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    hmac = jwt.get_algorithm_by_name("HS256")
    head, body, _ = jwt.encode(claims, b"k" * 32, "HS256", {"kid": "a"}).split(".")
    mac = jwt.utils.base64url_encode(hmac.sign(f"{head}.{body}".encode(), pem)).decode()
    other = ec.generate_private_key(ec.SECP256R1())
    embedded = jwt.algorithms.ECAlgorithm.to_jwk(other.public_key(), as_dict=True)
    good = provider.mint()
    return {
        "none": jwt.encode(claims, None, "none", {"kid": "a"}),
        "the public key as a secret": f"{head}.{body}.{mac}",
        "another key": jwt.encode(claims, other, "ES256", {"kid": "a"}),
        "a key it brings along": jwt.encode(claims, other, "ES256", {"jwk": embedded}),
        "no signature": good.rpartition(".")[0] + ".",
        "an extension that must be understood": provider.mint(header={"crit": ["x"], "x": 1}),
        "no token": "a.b.c",
    }


@pytest.mark.parametrize("kind", forged(AProvider("http://x.test")))
def test_a_forged_id_token_signs_nobody_in(provider, party, kind):
    provider.id_token = forged(provider)[kind]

    assert attempt(party) == "CodeRefused"


def test_an_algorithm_that_the_provider_does_not_name_is_refused(provider, party):
    provider.metadata = {"id_token_signing_alg_values_supported": ["RS256", "HS256"]}

    assert attempt(party) == "CodeRefused"


# How old a sign-in may be


def test_a_sign_in_must_be_as_new_as_was_asked(provider, party):
    now = time.time()
    provider.claims = {"auth_time": int(now) - 58}
    assert sign_in(party, since=now)

    provider.claims = {"auth_time": int(now) - 62}
    with pytest.raises(SignInTooOld):
        sign_in(party, since=now)
    assert sign_in(party)


def test_a_provider_that_does_not_say_when_is_not_believed_that_it_was_now(provider, party):
    provider.claims = {"auth_time": None}

    assert sign_in(party)
    with pytest.raises(CodeRefused):
        sign_in(party, since=time.time())


# Levels and facts


@pytest.mark.parametrize(
    ("level_2", "acr", "ours"),
    [
        (LEVEL_2, LEVEL_2, LEVEL_2),
        (LEVEL_2, LEVEL_1, LEVEL_1),
        (LEVEL_2, None, LEVEL_1),
        (LEVEL_2, [LEVEL_2], LEVEL_1),
        ("level:high", "level:high", LEVEL_2),
        # What another provider calls by our name is nothing to us.
        ("level:high", LEVEL_2, LEVEL_1),
    ],
)
def test_the_setting_decides_what_level_2_is(provider, level_2, acr, ours):
    provider.claims = {"acr": acr}
    party = RelyingParty(Provider(provider.issuer), level_2=level_2)

    assert sign_in(party).acr == ours


@pytest.mark.parametrize("date", ["0000", "0000-02-28", "1990-02-30", "", "28/02/1990"])
def test_a_date_of_birth_that_is_none_is_left_out(provider, party, date):
    provider.claims = {"birthdate": date}

    assert sign_in(party).birth_date is None


def test_of_a_date_of_birth_the_year_alone_may_be_known(provider, party):
    provider.claims = {"birthdate": "1990"}

    assert sign_in(party).birth_date == "1990"


def test_what_nobody_sees_in_a_name_goes(provider, party):
    provider.claims = {"name": "Nguyễn\0 \u202eThị\n Thử ", "phone_number": "\0"}

    person = sign_in(party)

    assert (person.name, person.phone) == ("Nguyễn Thị Thử", None)


def test_what_the_id_token_lacks_is_asked_of_userinfo(provider, party):
    provider.claims = {"name": None, "phone_number": None}
    provider.userinfo = {"name": "Trần Văn Thử", "phone_number": "0911111111"}

    person = sign_in(party)

    assert (person.name, person.phone) == ("Trần Văn Thử", "0911111111")
    assert provider.asked["userinfo"] == 1


def test_userinfo_of_somebody_else_is_refused(provider, party):
    provider.claims = {"name": None}
    provider.userinfo = {"sub": "somebody else", "name": "Kẻ Khác"}

    assert attempt(party) == "CodeRefused"


def test_userinfo_changes_nothing_that_was_signed(provider, party):
    provider.claims = {"phone_number": None, "acr": LEVEL_1}
    provider.userinfo = {
        "name": "Kẻ Khác",
        "citizen_number": "019190000009",
        "acr": LEVEL_2,
        "auth_time": int(time.time()),
        "phone_number": "0911111111",
    }

    person = sign_in(party)

    assert (person.name, person.citizen_number) == ("Nguyễn Thị Thử", "019190000001")
    assert (person.acr, person.phone) == (LEVEL_1, "0911111111")


def test_without_userinfo_somebody_comes_back_later_rather_than_half(provider, party):
    provider.claims = {"citizen_number": None}
    provider.down = {"userinfo"}

    assert attempt(party) == "ProviderUnavailable"


def test_a_provider_without_userinfo_leaves_out_what_it_does_not_say(provider, party):
    provider.claims = {"citizen_number": None, "birthdate": None}
    provider.app.view_functions["discovery"] = lambda: {
        name: value for name, value in provider._discovery().items() if name != "userinfo_endpoint"
    }

    person = sign_in(party)

    assert (person.citizen_number, person.birth_date, person.phone) == (None, None, "0900000001")


def test_the_number_may_go_by_another_name(provider):
    provider.claims = {"citizen_number": None}
    provider.userinfo = {"national_id": "019190000002", "citizen_number": "019190000003"}
    party = RelyingParty(Provider(provider.issuer), citizen_number_claim="national_id")

    assert sign_in(party).citizen_number == "019190000002"


# How we prove who we are


@pytest.mark.parametrize(
    "ways",
    [None, ["client_secret_basic"], ["client_secret_post", "client_secret_basic"]],
)
def test_the_secret_goes_into_the_header_form_encoded(provider, party, ways):
    provider.metadata = {"token_endpoint_auth_methods_supported": ways} if ways else {}
    provider.claims = {"aud": "a:b"}

    sign_in(party, Client("a:b", "50% +ü&"))

    (form,) = provider.forms
    assert form["basic"] == "a:b 50% +ü&"
    assert "client_secret" not in form


def test_the_secret_goes_into_the_form_where_no_header_is_taken(provider, party):
    ways = ["private_key_jwt", "client_secret_post"]
    provider.metadata = {"token_endpoint_auth_methods_supported": ways}

    sign_in(party)

    (form,) = provider.forms
    assert (form["client_id"], form["client_secret"]) == ("app", "a secret")
    assert "basic" not in form


def test_a_provider_that_takes_no_secret_gets_none(provider, party):
    ways = ["client_secret_jwt", "tls_client_auth"]
    provider.metadata = {"token_endpoint_auth_methods_supported": ways}

    assert attempt(party) == "ProviderUnavailable"
    assert provider.asked["token"] == 0


KEYS = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "RS256": rsa.generate_private_key(65537, 2048),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


def key_file(folder, key):
    path = folder / "client.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_key_signs_a_proof_for_this_provider_for_a_minute_and_once(
    provider, party, tmp_path, algorithm
):
    key = KEYS[algorithm]
    client = Client.known_by("app", "", key_file(tmp_path, key))

    for _ in range(2):
        sign_in(party, client)

    proofs = [
        jwt.decode(
            form["client_assertion"],
            key.public_key(),
            algorithms=[algorithm],
            audience=provider.issuer,
            issuer="app",
            options={"require": ["iss", "sub", "aud", "exp", "iat", "jti"]},
        )
        for form in provider.forms
    ]
    assert all(proof["sub"] == "app" for proof in proofs)
    assert all(proof["exp"] - proof["iat"] == 60 for proof in proofs)
    assert len({proof["jti"] for proof in proofs}) == 2
    assert all("client_secret" not in form and "basic" not in form for form in provider.forms)


def test_a_client_that_is_printed_shows_neither_secret_nor_key(tmp_path):
    path = key_file(tmp_path, KEYS["ES256"])

    shown = repr([Client("app", "a secret"), Client.known_by("app", "", path)])

    assert "a secret" not in shown
    assert "Key" not in shown


def test_a_key_of_another_kind_is_refused_at_the_start(tmp_path):
    path = key_file(tmp_path, ec.generate_private_key(ec.SECP521R1()))

    with pytest.raises(TypeError, match="EC P-256"):
        Client.known_by("app", "", path)


# What discovery may say


ELSEWHERE = [
    "http://169.254.169.254/latest",
    "https://169.254.169.254/latest",
    "https://169.254.169.254./",
    "https://2852039166/",
    "https://0xa9fea9fe/",
    "https://0xa9.0xfe.0xa9.0xfe/",
    "https://0251.0376.0251.0376/",
    "https://[::ffff:169.254.169.254]/",
    "https://[fe80::1]/",
    "https://①⑥⑨.②⑤④.①⑥⑨.②⑤④/",
    "https://10.0.0.1/",
    "https://127.0.0.2/",
    "https://localhost/",
    "https://metadata/",
    "http://elsewhere.test/",
    "http://127.0.0.2/",
    "https://somebody@elsewhere.test/",
    "https://elsewhere.test/#a",
    "//elsewhere.test/",
    "/token",
    "file:///etc/passwd",
    "ftp://elsewhere.test/",
    "https://",
    "https://[::1",
    "https://else where.test/",
    "https://elsewhere.test:99999/",
    "",
    None,
    7,
    ["https://elsewhere.test/"],
]
ENDPOINTS = ["authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("address", ELSEWHERE, ids=str)
def test_metadata_lead_nowhere_but_to_the_provider(provider, party, endpoint, address):
    provider.metadata = {endpoint: address}

    with pytest.raises(ProviderUnavailable):
        party.authorization_endpoint()
    assert attempt(party) == "ProviderUnavailable"
    assert set(provider.asked) == {"discovery"}


@pytest.mark.parametrize("issuer", ["https://elsewhere.test", "slash", None, 7, ""])
def test_metadata_of_another_issuer_are_refused(provider, party, issuer):
    provider.metadata = {"issuer": provider.issuer + "/" if issuer == "slash" else issuer}

    assert attempt(party) == "ProviderUnavailable"
    assert set(provider.asked) == {"discovery"}


@pytest.mark.parametrize("name", ["token_endpoint_auth_methods_supported", "userinfo_endpoint"])
def test_metadata_of_the_wrong_kind_are_refused(provider, party, name):
    provider.metadata = {name: {"client_secret_basic": 1}}

    assert attempt(party) == "ProviderUnavailable"


@pytest.mark.parametrize("endpoint", ["discovery", "jwks", "token", "userinfo"])
def test_nobody_is_followed_elsewhere(provider, party, endpoint):
    reached = []
    elsewhere = Flask("elsewhere")
    elsewhere.before_request(lambda: reached.append(1))
    provider.claims = {"name": None}
    with serving(lambda _: elsewhere) as url:
        provider.app.view_functions[endpoint] = lambda: redirect(url, 307)

        ended = attempt(party)

    assert ended in {"ProviderUnavailable", "CodeRefused"}
    assert reached == []


def test_an_issuer_may_have_a_path():
    made = []

    def make(url):
        made.append(AProvider(url, "/realms/tinh"))
        return made[0].app

    with serving(make):
        person = sign_in(RelyingParty(Provider(made[0].issuer)))

    assert person.issuer.endswith("/realms/tinh")


# A provider that takes its time


@pytest.mark.alone
def test_a_provider_that_kept_somebody_waiting_is_left_alone_for_a_while(provider, party, seconds):
    sign_in(party)
    token = provider.app.view_functions["token"]

    def crawl():
        time.sleep(1.1)
        return "broken", 500

    provider.app.view_functions["token"] = crawl
    began = time.monotonic()
    assert [attempt(party) for _ in range(10)] == ["ProviderUnavailable"] * 10
    assert time.monotonic() - began < 2
    assert provider.asked["token"] == 2

    provider.app.view_functions["token"] = token
    seconds.now += 5
    assert attempt(party) == "signed in"


@pytest.mark.alone
def test_what_is_known_of_the_provider_can_be_told_while_it_keeps_somebody_waiting(provider, party):
    sign_in(party)
    began = time.monotonic()
    with ThreadPoolExecutor() as pool:
        provider.app.view_functions["token"] = lambda: time.sleep(1.5) or ("broken", 500)
        waiting = pool.submit(attempt, party)
        time.sleep(0.2)

        assert party.authorization_endpoint() == f"{provider.issuer}/authorize"
        assert party.names_itself_in(provider.issuer)
        assert time.monotonic() - began < 1
        assert waiting.result() == "ProviderUnavailable"
