"""Getting in: through the provider, and by nothing else."""

import base64
import datetime as dt
import hashlib
import re
import time
from dataclasses import replace
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from sqlalchemy import func, select

import admin
from admin.sign_in import safe_next
from api.app import create_app
from models import AdminSession, AuditEvent, Citizen
from services import limits
from services.permissions import LEVEL_1, LEVEL_2
from tests import factories
from tests.conftest import serving
from tests.identity.a_provider import AProvider


def sessions(session):
    return session.scalar(select(func.count()).select_from(AdminSession))


def cookie_of(answer, name):
    found = [
        line for line in answer.headers.getlist("Set-Cookie") if line.partition("=")[0] == name
    ]
    return found[0] if found else None


def test_staff_sign_in_and_come_back_to_where_they_wanted_to_go(client, provider, session):
    provider.invite("dieuphoi1")
    asked = client.get("/admin/?state=received")
    callback = provider.send_back(client, "dieuphoi1", asked.headers["Location"])

    answer = client.get(callback)

    assert (answer.status_code, answer.headers["Location"]) == (303, "/admin/?state=received")
    page = client.get("/admin/")
    assert page.status_code == 200
    assert "Điều phối" in page.text
    kinds = session.scalars(select(AuditEvent.action)).all()
    assert "admin_session:start" in kinds


def test_that_somebody_was_refused_is_recorded_and_makes_them_no_citizen(client, provider, session):
    answer = client.get(provider.send_back(client, "dan07"))

    assert answer.status_code == 403
    (event,) = session.scalars(select(AuditEvent))
    assert (event.action, event.actor_kind, event.detail) == (
        *("staff:refuse_entry", "system"),
        {"door": "view"},
    )
    assert session.scalar(select(func.count()).select_from(Citizen)) == 0


def test_the_request_to_the_provider_has_pkce_state_nonce_and_level_2(client):
    answer = client.get("/admin/login")

    asked = parse_qs(urlsplit(answer.headers["Location"]).query)
    assert asked["scope"] == ["openid profile phone citizen_id"]
    assert asked["acr_values"] == ["urn:thainguyen:loa:2"]
    assert asked["redirect_uri"] == ["http://127.0.0.1/admin/callback"]
    assert asked["code_challenge_method"] == ["S256"]
    assert (asked["prompt"], asked["max_age"]) == (["login"], ["0"])
    assert len(asked["state"][0]) >= 32
    assert len(asked["nonce"][0]) >= 32
    challenge = base64.urlsafe_b64encode(hashlib.sha256(b"").digest()).rstrip(b"=")
    assert len(asked["code_challenge"][0]) == len(challenge)


def test_the_session_cookie_is_closed_to_scripts_and_to_other_paths(client, provider):
    provider.invite("dieuphoi1")

    answer = client.get(provider.send_back(client, "dieuphoi1"))

    attributes = cookie_of(answer, "admin").split("; ")[1:]
    assert sorted(attributes) == ["HttpOnly", "Path=/admin", "SameSite=Lax"]


def test_over_https_the_cookies_are_bound_to_the_host(settings, database, clock):
    app = create_app(replace(settings, public_url="https://c.example.vn"), db=database, now=clock)
    admin.init_app(app)

    answer = app.test_client().get("/admin/login", base_url="https://c.example.vn")

    attributes = cookie_of(answer, "__Host-admin-login").split("; ")
    assert {"Secure", "Path=/", "HttpOnly", "SameSite=Lax"} <= set(attributes)
    assert not any(attribute.startswith("Domain") for attribute in attributes)


@pytest.mark.parametrize("state", ["", "state=", "state=wrong", "state=%F0%9F%98%80"])
def test_another_state_is_refused(client, provider, session, state):
    provider.invite("dieuphoi1")
    callback = provider.send_back(client, "dieuphoi1")

    answer = client.get(re.sub(r"state=[^&]*", state, callback))

    assert answer.status_code == 400
    assert "đăng nhập lại" in answer.text
    assert sessions(session) == 0


def test_an_answer_is_good_once(client, provider, session):
    provider.invite("dieuphoi1")
    callback = provider.send_back(client, "dieuphoi1")
    client.get(callback)

    assert client.get(callback).status_code == 400
    assert sessions(session) == 1


def test_a_kept_cookie_does_not_make_a_code_good_twice(client, provider, session):
    provider.invite("dieuphoi1")
    callback = provider.send_back(client, "dieuphoi1")
    kept = client.get_cookie("admin-login", path="/admin").value
    client.get(callback)
    client.set_cookie("admin-login", kept, path="/admin")

    assert client.get(callback).status_code == 422
    assert sessions(session) == 1


def test_another_browser_cannot_finish_the_sign_in(app, client, provider, session):
    provider.invite("dieuphoi1")
    callback = provider.send_back(client, "dieuphoi1")

    assert app.test_client().get(callback).status_code == 400
    assert sessions(session) == 0


def test_a_changed_cookie_is_no_cookie(client, provider, session):
    callback = provider.send_back(client, "dieuphoi1")
    *kept, changed, last = client.get_cookie("admin-login", path="/admin").value
    # Not the last character: it holds fewer bits than others, so another one can mean the same.
    kept += ["y" if changed == "x" else "x", last]
    client.set_cookie("admin-login", "".join(kept), path="/admin")

    assert client.get(callback).status_code == 400
    assert sessions(session) == 0


def test_a_sign_in_must_be_finished_within_a_quarter_of_an_hour(client, provider, clock):
    provider.invite("dieuphoi1")
    callback = provider.send_back(client, "dieuphoi1")
    clock.forward(minutes=16)

    assert client.get(callback).status_code == 400


@pytest.mark.parametrize("change", [(r"&?iss=[^&]*", ""), (r"iss=[^&]*", "iss=https://evil.test")])
def test_an_answer_of_another_provider_is_refused(client, provider, session, change):
    provider.invite("dieuphoi1")
    callback = provider.send_back(client, "dieuphoi1")

    assert client.get(re.sub(*change, callback)).status_code == 400
    assert sessions(session) == 0


def test_who_declines_reads_so(client, provider_url, session):
    begun = parse_qs(urlsplit(client.get("/admin/login").headers["Location"]).query)

    answer = client.get(
        "/admin/callback",
        query_string={"error": "access_denied", "state": begun["state"], "iss": provider_url},
    )

    assert answer.status_code == 403
    assert "chưa đồng ý" in answer.text
    assert sessions(session) == 0


@pytest.mark.parametrize("username", ["dan01", "dan30"])
def test_a_citizen_reads_that_only_invited_staff_may_enter(client, provider, session, username):
    answer = client.get(provider.send_back(client, username))

    assert answer.status_code == 403
    assert "Chỉ cán bộ đã được mời" in answer.text
    assert cookie_of(answer, "admin") is None
    assert sessions(session) == 0


@pytest.mark.parametrize("fault", ["bad_signature", "expired_id_token", "wrong_nonce"])
def test_a_spoilt_id_token_opens_nothing(client, provider, provider_url, session, fault):
    provider.invite("dieuphoi1")
    callback = provider.send_back(client, "dieuphoi1")
    ask = {"fault": fault, "client_id": "c-thainguyen-admin"}
    httpx.post(f"{provider_url}/demo/faults", json=ask).raise_for_status()

    assert client.get(callback).status_code == 422
    assert sessions(session) == 0


def test_when_the_provider_fails_the_page_says_to_wait(client, provider, provider_url):
    provider.invite("dieuphoi1")
    callback = provider.send_back(client, "dieuphoi1")
    ask = {"fault": "http_500", "client_id": "c-thainguyen-admin"}
    httpx.post(f"{provider_url}/demo/faults", json=ask).raise_for_status()

    answer = client.get(callback)

    assert answer.status_code == 503
    assert answer.mimetype == "text/html"
    assert int(answer.headers["Retry-After"]) > 0


def test_without_a_provider_the_door_says_to_wait(settings, database, clock):
    away = replace(settings, oidc_issuer="http://127.0.0.1:1")
    app = create_app(away, db=database, now=clock)
    admin.init_app(app)

    answer = app.test_client().get("/admin/login")

    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0


def test_too_many_attempts_have_to_wait(client, session, provider_url, clock):
    bucket = {"limit": 300, "window": dt.timedelta(minutes=1), "at": clock.now}
    for _ in range(300):
        limits.take(session, "login:127.0.0.1", **bucket)
    session.commit()
    begun = parse_qs(urlsplit(client.get("/admin/login").headers["Location"]).query)
    query = {"code": "any", "state": begun["state"], "iss": provider_url}

    answer = client.get("/admin/callback", query_string=query)

    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0


ELSEWHERE = [
    "//evil.test",
    "///evil.test",
    "////evil.test/admin/",
    "/\\evil.test",
    "\\\\evil.test",
    "\\/evil.test",
    "/\\/evil.test",
    "/\t/evil.test",
    "\t//evil.test",
    " //evil.test",
    "https://evil.test/admin/",
    "https:evil.test",
    "https:/evil.test",
    "https:///evil.test",
    "HTTPS://evil.test",
    "http://127.0.0.1@evil.test/admin/",
    "//evil.test@127.0.0.1/admin/",
    "//127.0.0.1:80@evil.test",
    "@evil.test",
    ".evil.test",
    "%2f%2fevil.test",
    "/%2f%2fevil.test",
    "/%5cevil.test",
    "%68ttps://evil.test",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)//admin/",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:x",
    "blob:http://127.0.0.1/admin/",
    "/admin//evil.test",
    "/admin/..//evil.test",
    "/admin/../..//evil.test",
    "/admin/%2e%2e//evil.test",
    "/admin/;//evil.test",
    "/admin/\\evil.test",
    "/admin/@evil.test",
    "/admin/?a=b#//evil.test",
    "/admin/?next=//evil.test",
    "/admin/\r\nSet-Cookie: a=b",
    "/admin/?a=b\r\n",
    "/admin/%0d%0aLocation:%20//evil.test",
    "/admin/\n",
    "/admin/\0",
    "//evil。test",
    "//evil．test/admin/",
    "／／evil.test",
    "/admin／",
    "/ADMIN/",
    "/administrator",
    "/admin",
    "/admin/logout",
    "/admin/callback",
    "/admin/breaches/../../evil.test",
    "/admin/data-requests//evil.test",
    "/api/docs",
    "",
]


@pytest.mark.parametrize("wanted", ELSEWHERE)
def test_after_signing_in_nobody_is_sent_elsewhere(wanted):
    assert safe_next(wanted) == "/admin/"


@pytest.mark.parametrize(
    "wanted",
    [
        "/admin/",
        "/admin/?state=received&code=TN-26-000001",
        "/admin/reports/0193b3c4-0000-7000-8000-000000000000",
        "/admin/data-requests?state=ended",
        "/admin/guardians/0193b3c4-0000-7000-8000-000000000000",
        "/admin/breaches",
        "/admin/people",
        "/admin/people?state=all",
        "/admin/people/new",
        "/admin/people/0193b3c4-0000-7000-8000-000000000000",
    ],
)
def test_pages_of_the_staff_view_are_returned_to(wanted):
    assert safe_next(wanted) == wanted


# What is asked for in the background is no page, and /admin leads on to the queue.
NO_PAGES = {"/admin", "/admin/new", "/admin/login", "/admin/callback", "/admin/signed-out"}


def test_no_page_of_the_staff_view_is_forgotten(app):
    rules = {
        rule.rule
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/admin") and "GET" in rule.methods and "static" not in rule.rule
    }
    some_id = "0193b3c4-0000-7000-8000-000000000000"
    pages = {re.sub(r"<uuid:\w+>", some_id, rule) for rule in rules - NO_PAGES}
    # Without the stroke at the end, as links have it.
    pages = {page if page == "/admin/" else page.rstrip("/") for page in pages}

    assert {page for page in pages if safe_next(page) != page} == set()
    assert len(pages) > 10


def test_next_is_kept_safe_through_the_whole_sign_in(client, provider):
    provider.invite("dieuphoi1")
    callback = provider.send_back(client, "dieuphoi1", "/admin/login?next=//evil.test")

    assert client.get(callback).headers["Location"] == "/admin/"


class Brief:
    """A provider that shows no page and lets everybody in, as one member of staff."""

    def __init__(self, app, provider):
        self.app = app
        self.provider = provider
        self.client = app.test_client()

    def come_back(self, path="/admin/login"):
        """The answer of the callback to a browser that comes back at once."""
        begun = parse_qs(urlsplit(self.client.get(path).headers["Location"]).query)
        self.provider.claims["nonce"] = begun["nonce"][0]
        query = {"code": "a code", "state": begun["state"]}
        return self.client.get("/admin/callback", query_string=query)

    def cookie(self):
        return self.client.get_cookie("admin", path="/admin").value

    def holder(self, cookie):
        """The status of the queue for a browser with this cookie."""
        browser = self.app.test_client()
        browser.set_cookie("admin", cookie, path="/admin")
        return browser.get("/admin/").status_code


@pytest.fixture
def brief(settings, database, session):
    made = []

    def make(url):
        made.append(AProvider(url))
        return made[0].app

    with serving(make) as url:
        (provider,) = made
        provider.claims = {"aud": settings.oidc_admin_client_id, "acr": LEVEL_2}
        app = create_app(replace(settings, oidc_issuer=url), db=database)
        admin.init_app(app)
        factories.invited(session, "019190000001")
        session.commit()
        yield Brief(app, provider)


def test_no_spelling_of_next_leads_elsewhere_through_a_whole_sign_in(brief):
    # A NUL in an address is refused before anybody looks at it.
    spellings = [wanted for wanted in ELSEWHERE if "\0" not in wanted]

    led = {
        wanted: brief.come_back(f"/admin/login?{urlencode({'next': wanted})}").headers["Location"]
        for wanted in spellings
    }

    assert led == dict.fromkeys(spellings, "/admin/")


def test_a_provider_that_takes_an_old_session_for_a_sign_in_lets_nobody_in(brief, session):
    brief.provider.claims["auth_time"] = int(time.time()) - 120

    answer = brief.come_back()

    assert answer.status_code == 403
    assert "Hãy đăng nhập lại bằng mật khẩu" in answer.text
    assert sessions(session) == 0


@pytest.mark.parametrize(
    ("claim", "status"), [("auth_time", 422), ("acr", 403), ("citizen_number", 403)]
)
def test_what_the_provider_does_not_say_of_staff_is_not_assumed(brief, session, claim, status):
    brief.provider.claims[claim] = None
    brief.provider.metadata = {"userinfo_endpoint": f"{brief.provider.issuer}/userinfo"}

    assert brief.come_back().status_code == status
    assert sessions(session) == 0


def test_an_id_token_for_the_app_opens_no_desk(brief, session, settings):
    brief.provider.claims["aud"] = settings.oidc_client_id

    assert brief.come_back().status_code == 422
    assert sessions(session) == 0


def test_a_planted_cookie_is_worth_nothing_after_the_sign_in(brief):
    brief.client.set_cookie("admin", "planted", path="/admin")
    brief.client.set_cookie("admin-login", "planted", path="/admin")

    assert brief.come_back().status_code == 303
    assert brief.cookie() != "planted"
    assert (brief.holder("planted"), brief.holder(brief.cookie())) == (303, 200)


def test_whoever_signs_in_again_ends_the_session_of_before(brief):
    brief.come_back()
    first = brief.cookie()
    brief.come_back()

    assert first != brief.cookie()
    assert (brief.holder(first), brief.holder(brief.cookie())) == (303, 200)


def test_another_refused_sign_in_leaves_the_session_as_it_is(brief):
    brief.come_back()
    first = brief.cookie()
    brief.provider.claims["acr"] = LEVEL_1

    assert brief.come_back().status_code == 403
    assert brief.holder(first) == 200


def test_the_verifier_is_new_each_time_long_enough_and_in_no_log(brief, capsys):
    for _ in range(2):
        brief.come_back()

    verifiers = {form["code_verifier"] for form in brief.provider.forms}
    log = capsys.readouterr()
    assert len(verifiers) == 2
    assert all(43 <= len(verifier) <= 128 for verifier in verifiers)
    assert "/admin/callback" in log.out
    assert not any(verifier in log.out + log.err for verifier in verifiers)
    assert "a code" not in log.out + log.err
