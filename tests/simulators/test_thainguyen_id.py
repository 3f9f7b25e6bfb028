"""Thái Nguyên ID says yes to a right request, and no, properly, to every wrong one."""

import logging
import re
import time

import jwt
import pytest

from simulators.thainguyen_id.app import create_app
from tests.simulators.conftest import ISSUER, SECRETS, Journey

ADMIN = "c-thainguyen-admin"
ADMIN_CALLBACK = "http://127.0.0.1:53121/admin/callback"


def test_the_whole_way_gives_verified_claims(journey):
    answer = journey.exchange(journey.code())

    claims = journey.verified(answer.json["id_token"])
    assert answer.status_code == 200
    assert claims["nonce"] == "a nonce"
    assert claims["acr"] == "urn:thainguyen:loa:2"
    assert re.fullmatch(r"\d{12}", claims["citizen_number"])
    assert {"name", "birthdate", "gender", "phone_number", "auth_time", "amr", "at_hash"} <= set(
        claims
    )


def test_the_answer_to_the_browser_is_a_303_with_state_and_issuer(journey, sent_to_client):
    answer = journey.submit(journey.consent_page(), decision="allow")

    assert answer.status_code == 303
    assert answer.location.startswith("vn.gov.thainguyen.c:/oauth2redirect?")
    assert sent_to_client(answer)["state"] == "a state"
    assert sent_to_client(answer)["iss"] == "http://127.0.0.1:8001"


def test_the_admin_client_signs_in_by_basic_authentication_on_any_loopback_port(journey):
    journey.client_id, journey.redirect_uri = ADMIN, ADMIN_CALLBACK
    code = journey.code("quantri1")

    answer = journey.http.post(
        "/token",
        auth=(ADMIN, "admin secret"),
        data={
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": ADMIN_CALLBACK,
            "code_verifier": journey.verifier,
        },
    )

    assert journey.verified(answer.json["id_token"])["aud"] == ADMIN


def test_both_clients_see_the_same_opaque_subject(journey):
    first = journey.verified(journey.exchange(journey.code()).json["id_token"])
    journey.client_id, journey.redirect_uri = ADMIN, ADMIN_CALLBACK
    journey.http.delete_cookie("thainguyen_id")

    second = journey.verified(journey.exchange(journey.code()).json["id_token"])

    assert first["sub"] == second["sub"]
    assert "dan01" not in first["sub"]


def test_claims_and_consent_page_follow_the_scope(journey):
    page = journey.consent_page(scope="openid phone")

    claims = journey.verified(journey.exchange(journey.allow(page)).json["id_token"])

    assert claims["phone_number"] == "0900000001"
    assert not {"name", "citizen_number"} & set(claims)
    assert "Số điện thoại" in page.text
    assert "Số định danh cá nhân" not in page.text


def test_userinfo_repeats_the_subject(journey):
    tokens = journey.exchange(journey.code()).json

    info = journey.userinfo(tokens["access_token"])

    assert info.json["sub"] == journey.verified(tokens["id_token"])["sub"]
    assert info.json["phone_number"] == "0900000001"


@pytest.mark.parametrize("username", ["0900000001", "+84 900 000 001", "dan01"])
def test_people_sign_in_by_phone_or_name(journey, username):
    answer = journey.log_in(journey.request(), username, "matkhau-dan01")

    assert answer.status_code == 303


def test_people_sign_in_by_citizen_number(journey):
    number = journey.http.get("/demo/people").json[0]["citizen_number"]

    assert journey.log_in(journey.request(), number, "matkhau-dan01").status_code == 303


@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge": None},
        {"code_challenge": None, "code_challenge_method": None},
        {"code_challenge_method": None},
        {"code_challenge_method": "plain"},
        {"code_challenge": "too-short"},
        {"code_challenge": "c" * 44},
        {"nonce": None},
        {"nonce": ""},
        {"nonce": ["one", "another"]},
        {"response_mode": "fragment"},
        {"fault": "of nobody"},
        {"max_age": "soon"},
        {"prompt": "none login"},
    ],
)
def test_a_wrong_request_is_refused_at_the_callback(journey, sent_to_client, changes):
    answer = journey.request(**changes)

    assert answer.status_code == 303
    assert answer.location.startswith("vn.gov.thainguyen.c:/oauth2redirect?")
    assert sent_to_client(answer)["error"] == "invalid_request"
    assert sent_to_client(answer)["iss"] == "http://127.0.0.1:8001"
    assert sent_to_client(answer)["state"] == "a state"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"scope": None}, "invalid_scope"),
        ({"request": "a.b.c"}, "request_not_supported"),
        ({"request_uri": "https://example.org/"}, "request_uri_not_supported"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(journey, sent_to_client, changes, error):
    assert sent_to_client(journey.request(**changes))["error"] == error


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "somebody-else"},
        {"client_id": None},
        {"redirect_uri": None},
        {"redirect_uri": "https://elsewhere.example/callback"},
        {"redirect_uri": "vn.gov.thainguyen.c:/oauth2redirect/more"},
        {"redirect_uri": "vn.gov.thainguyen.c:/oauth2redirect?more=1"},
        {"redirect_uri": "http://127.0.0.1:80@elsewhere.example/callback"},
        {"redirect_uri": "http://127.0.0.1:53121/callback/more"},
        {"redirect_uri": "http://127.0.0.1:53121/callback#fragment"},
        {"redirect_uri": "http://localhost:53121/callback"},
        {"redirect_uri": "http://127.0.0.1:53121/admin/callback"},
        {"redirect_uri": "https://elsewhere.example/", "response_type": "token"},
        {"redirect_uri": ["vn.gov.thainguyen.c:/oauth2redirect", "https://elsewhere.example/"]},
        {"client_id": ["c-thainguyen-app", "c-thainguyen-admin"]},
        {"state": ["a state", "another"]},
    ],
)
def test_an_unknown_client_or_address_gets_a_page_and_no_redirect(journey, changes):
    answer = journey.request(**changes)

    assert answer.status_code == 400
    assert answer.location is None
    assert "Không thực hiện được" in answer.text


def test_the_app_may_use_any_loopback_port(journey):
    journey.redirect_uri = "http://127.0.0.1:53121/callback"

    assert journey.exchange(journey.code()).status_code == 200


@pytest.mark.parametrize("more", ["", "/", "?a=b", ".evil.example", ":444", "#a"])
def test_a_link_of_the_app_over_https_is_compared_whole(clock, more):
    link = "https://c.example.vn/oauth2redirect"
    journey = Journey(create_app(ISSUER, SECRETS, [link], clock).test_client())

    page = journey.request(redirect_uri=link + more)

    assert page.status_code == (400 if more else 200)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_verifier": None}, "invalid_request"),
        ({"code_verifier": "short"}, "invalid_request"),
        ({"code_verifier": "v" * 129}, "invalid_request"),
        ({"code_verifier": "v" * 43}, "invalid_grant"),
        ({"redirect_uri": "http://127.0.0.1/callback"}, "invalid_grant"),
        ({"redirect_uri": None}, "invalid_grant"),
        ({"code": "unknown"}, "invalid_grant"),
        ({"code": None}, "invalid_request"),
        ({"code_verifier": ["v" * 43, "v" * 43]}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
    ],
)
def test_a_wrong_exchange_is_refused(journey, changes, error):
    answer = journey.exchange(journey.code(), **changes)

    assert answer.status_code == 400
    assert answer.json["error"] == error


def test_a_code_does_not_survive_a_wrong_verifier(journey):
    code = journey.code()
    journey.exchange(code, code_verifier="v" * 43)

    assert journey.exchange(code).json["error"] == "invalid_grant"


@pytest.mark.parametrize("secret", ["wrong", None])
def test_a_client_without_its_secret_is_refused(journey, secret):
    answer = journey.exchange(journey.code(), client_secret=secret)

    assert answer.status_code == 401
    assert answer.json["error"] == "invalid_client"


def test_a_code_of_another_client_is_refused(journey):
    answer = journey.exchange(journey.code(), client_id=ADMIN, client_secret="admin secret")

    assert answer.json["error"] == "invalid_grant"


def test_a_second_use_of_a_code_takes_back_what_the_first_gave(journey):
    code = journey.code()
    token = journey.exchange(code).json["access_token"]
    assert journey.userinfo(token).status_code == 200

    again = journey.exchange(code)

    assert again.json["error"] == "invalid_grant"
    assert journey.userinfo(token).status_code == 401


def test_a_code_is_good_for_a_minute(journey, clock):
    code = journey.code()
    clock.now += 60

    assert journey.exchange(code).json["error"] == "invalid_grant"


def test_an_access_token_is_good_for_ten_minutes(journey, clock):
    token = journey.exchange(journey.code()).json["access_token"]
    clock.now += 600

    assert journey.userinfo(token).status_code == 401


def test_a_revoked_token_is_dead(journey):
    token = journey.exchange(journey.code()).json["access_token"]

    journey.http.post("/revoke", auth=("c-thainguyen-app", "app secret"), data={"token": token})

    assert journey.userinfo(token).status_code == 401


def test_a_token_is_not_revoked_by_another_client(journey):
    token = journey.exchange(journey.code()).json["access_token"]

    answer = journey.http.post("/revoke", auth=(ADMIN, "admin secret"), data={"token": token})

    assert answer.status_code == 400
    assert journey.userinfo(token).status_code == 200


@pytest.mark.parametrize("token", ["", "wrong", "é"])
def test_a_form_without_its_token_is_refused(journey, token):
    login_page, consent_page = journey.request(), journey.consent_page()

    answers = [
        journey.submit(login_page, username="dan01", password="matkhau-dan01", csrf_token=token),
        journey.submit(consent_page, decision="allow", csrf_token=token),
    ]

    assert [answer.status_code for answer in answers] == [400, 400]
    assert all("hết hạn" in answer.text for answer in answers)


def test_the_token_of_the_forms_changes_with_the_sign_in(journey, form_token):
    before = journey.request()

    after = journey.http.get(journey.log_in(before).location)

    assert form_token(before) != form_token(after)


def test_a_wrong_password_gets_a_clear_message(journey):
    answer = journey.log_in(journey.request(), "dan01", "wrong")

    assert answer.status_code == 401
    assert "chưa đúng" in answer.text
    assert 'role="alert"' in answer.text


def test_guessing_is_slowed_down(journey, clock):
    page = journey.request()
    for _ in range(5):
        journey.log_in(page, "0900000001", "wrong")

    assert journey.log_in(page, "dan01").status_code == 429
    clock.now += 60
    assert journey.log_in(page, "dan01").status_code == 303


def test_a_refused_consent_tells_the_client(journey, sent_to_client):
    answer = journey.submit(journey.consent_page(), decision="deny")

    assert answer.status_code == 303
    assert sent_to_client(answer)["error"] == "access_denied"
    assert sent_to_client(answer)["iss"] == "http://127.0.0.1:8001"


def test_consent_cannot_be_given_by_nobody(journey, form_token):
    page = journey.consent_page()
    journey.submit(journey.http.get("/end-session"))

    token = form_token(journey.request())
    answer = journey.submit(page, decision="allow", csrf_token=token)

    assert answer.location.startswith("/authorize?")


def test_prompt_none_needs_a_session(journey, sent_to_client):
    assert sent_to_client(journey.request(prompt="none"))["error"] == "login_required"


def test_prompt_none_needs_a_consent_given_before(journey, sent_to_client):
    page = journey.consent_page()
    assert sent_to_client(journey.request(prompt="none"))["error"] == "consent_required"

    journey.submit(page, decision="allow")

    assert "code" in sent_to_client(journey.request(prompt="none"))


def test_a_session_spares_the_password(journey):
    journey.code()

    assert "Chia sẻ thông tin" in journey.request().text


def test_prompt_login_asks_once_more_and_only_once(journey):
    journey.code()
    page = journey.request(prompt="login")
    assert "Mật khẩu</label>" in page.text

    answer = journey.http.get(journey.log_in(page).location)

    assert "Chia sẻ thông tin" in answer.text
    journey.submit(answer, decision="allow")
    assert "Mật khẩu</label>" in journey.request(prompt="login").text


@pytest.mark.parametrize("prompt", ["consent", None])
def test_consent_is_asked_each_time(journey, prompt):
    journey.code()

    assert "Chia sẻ thông tin" in journey.request(prompt=prompt).text


@pytest.mark.parametrize("changes", [{"prompt": "select_account"}, {"max_age": "0"}])
def test_what_asks_for_a_new_sign_in_gets_one(journey, clock, changes):
    journey.code()
    clock.now += 1
    page = journey.request(**changes)
    assert "Mật khẩu</label>" in page.text

    claims = journey.verified(
        journey.exchange(journey.allow(journey.http.get(journey.log_in(page).location))).json[
            "id_token"
        ]
    )

    assert claims["auth_time"] == int(clock.now)


def test_a_long_request_fits_through_the_sign_in(journey, sent_to_client):
    page = journey.consent_page(prompt="login", state="s" * 6000)

    assert sent_to_client(journey.submit(page, decision="allow"))["state"] == "s" * 6000


def test_max_age_asks_again_after_its_time(journey, clock):
    journey.code()
    clock.now += 100

    assert "Mật khẩu</label>" in journey.request(max_age="99").text
    assert "Chia sẻ thông tin" in journey.request(max_age="100").text


def test_auth_time_is_the_time_of_the_password(journey, clock):
    journey.code()
    signed_in = int(clock.now)
    clock.now += 100

    claims = journey.verified(journey.exchange(journey.code_again()).json["id_token"])

    assert claims["auth_time"] == signed_in
    assert claims["iat"] == signed_in + 100


def test_asking_for_a_level_the_person_lacks_gives_the_level_they_have(journey):
    code = journey.code("dan30", acr_values="urn:thainguyen:loa:2")

    claims = journey.verified(journey.exchange(code).json["id_token"])

    assert claims["acr"] == "urn:thainguyen:loa:1"


def test_a_rolled_key_was_published_before_it_signs(journey):
    before = {key["kid"] for key in journey.http.get("/jwks").json["keys"]}
    old = journey.exchange(journey.code()).json["id_token"]
    journey.http.post("/demo/keys/roll")

    new = journey.exchange(journey.code_again()).json["id_token"]

    kids = [jwt.get_unverified_header(token)["kid"] for token in (old, new)]
    assert len(set(kids)) == 2
    assert before == set(kids)
    assert journey.verified(old)
    assert len(journey.http.get("/jwks").json["keys"]) == 3


def test_a_key_is_forgotten_when_the_one_after_it_is_rolled_too(journey):
    old = journey.exchange(journey.code()).json["id_token"]
    for _ in range(2):
        journey.http.post("/demo/keys/roll")

    published = {key["kid"] for key in journey.http.get("/jwks").json["keys"]}

    assert jwt.get_unverified_header(old)["kid"] not in published


def test_no_private_key_is_published(journey):
    keys = journey.http.get("/jwks").json["keys"]

    assert len(keys) == 2
    assert all("d" not in key and key["alg"] == "ES256" for key in keys)


def test_discovery_leads_to_endpoints_that_answer(journey):
    document = journey.http.get("/.well-known/openid-configuration").json

    issuer = document["issuer"]
    urls = [document[name] for name in document if name.endswith("_endpoint")]
    answers = [journey.http.options(url.removeprefix(issuer)) for url in urls]
    assert [answer.status_code for answer in answers] == [200] * 5
    assert document["code_challenge_methods_supported"] == ["S256"]


def test_pages_forbid_scripts_and_frames(journey):
    page = journey.request()

    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "form-action 'self' vn.gov.thainguyen.c:" in policy
    assert "<script" not in page.text
    assert "style=" not in page.text


def test_the_session_cookie_is_out_of_reach_of_scripts_and_other_sites(journey):
    cookie = journey.request().headers["Set-Cookie"]

    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


def test_an_authorization_request_may_come_as_a_form(journey):
    answer = journey.http.post("/authorize", data={"client_id": "c-thainguyen-app"})

    assert answer.status_code == 303
    assert answer.location == "/authorize?client_id=c-thainguyen-app"


def test_end_session_with_an_id_token_signs_out_and_goes_back(journey):
    hint = journey.exchange(journey.code()).json["id_token"]
    back = {"post_logout_redirect_uri": "vn.gov.thainguyen.c:/oauth2redirect", "state": "s"}

    answer = journey.http.get("/end-session", query_string={"id_token_hint": hint, **back})

    assert answer.location == "vn.gov.thainguyen.c:/oauth2redirect?state=s"
    assert "Mật khẩu</label>" in journey.request().text


def test_end_session_takes_an_id_token_that_has_expired(journey, clock):
    clock.now = time.time() - 3600
    hint = journey.exchange(journey.code()).json["id_token"]

    answer = journey.http.get("/end-session", query_string={"id_token_hint": hint})

    assert "Đã đăng xuất" in answer.text
    assert "Mật khẩu</label>" in journey.request().text


@pytest.mark.parametrize("hint", ["nonsense", "a.b.c", '"', "é"])
def test_end_session_with_an_unreadable_id_token_is_refused(journey, hint):
    answer = journey.http.get("/end-session", query_string={"id_token_hint": hint})

    assert answer.status_code == 400


def test_the_demo_people_are_all_different_and_well_formed(journey):
    people = journey.http.get("/demo/people").json

    assert len(people) == 43
    for name in ("username", "name", "citizen_number", "phone"):
        assert len({person[name] for person in people}) == 43
    assert sum(person["acr"].endswith(":2") for person in people) == 37
    assert all(len(person["password"]) >= 12 for person in people)


def test_a_citizen_number_tells_province_sex_century_and_year(journey):
    for person in journey.http.get("/demo/people").json:
        year = int(person["birthdate"][:4])
        digit = (year // 100 - 19) * 2 + (person["gender"] == "female")

        assert person["citizen_number"][:3] in {"019", "006"}
        assert person["citizen_number"][3:6] == f"{digit}{year % 100:02}"
        assert len(person["citizen_number"]) == 12


def test_fault_bad_signature(journey):
    journey.ask_for_fault("bad_signature")

    token = journey.exchange(journey.code()).json["id_token"]

    with pytest.raises(jwt.InvalidSignatureError):
        journey.verified(token)


def test_fault_expired_id_token(journey, clock):
    clock.now = time.time()
    journey.ask_for_fault("expired_id_token")

    token = journey.exchange(journey.code()).json["id_token"]

    with pytest.raises(jwt.ExpiredSignatureError):
        journey.verified(token, verify_exp=True)


def test_fault_wrong_nonce(journey):
    journey.ask_for_fault("wrong_nonce")

    claims = journey.verified(journey.exchange(journey.code()).json["id_token"])

    assert claims["nonce"] != "a nonce"


def test_fault_unknown_kid(journey):
    journey.ask_for_fault("unknown_kid")

    token = journey.exchange(journey.code()).json["id_token"]

    kid = jwt.get_unverified_header(token)["kid"]
    assert kid not in {key["kid"] for key in journey.http.get("/jwks").json["keys"]}


def test_fault_http_500_leaves_the_code_alone_and_counts_down(journey):
    journey.ask_for_fault("http_500", times=2)
    code = journey.code()

    assert [journey.exchange(code).status_code for _ in range(3)] == [500, 500, 200]


def test_fault_slow_token(journey):
    journey.ask_for_fault("slow_token", seconds=0.2)
    code = journey.code()
    started = time.monotonic()

    assert journey.exchange(code).status_code == 200
    assert time.monotonic() - started >= 0.2


@pytest.mark.parametrize("fault", ["bad_signature", "expired_id_token", "unknown_kid"])
def test_a_fault_asked_for_with_one_sign_in_meets_that_one_alone(journey, clock, fault):
    clock.now = time.time()
    spoilt, sound = journey.code(fault=fault), journey.code_again()

    good = journey.exchange(sound).json["id_token"]
    bad = journey.exchange(spoilt).json["id_token"]

    assert journey.verified(good, verify_exp=True)
    with pytest.raises((jwt.PyJWTError, KeyError)):
        journey.verified(bad, verify_exp=True)


def test_a_wrong_nonce_can_be_asked_for_with_a_sign_in(journey):
    claims = journey.verified(journey.exchange(journey.code(fault="wrong_nonce")).json["id_token"])

    assert claims["nonce"] != "a nonce"


def test_http_500_asked_for_with_a_sign_in_happens_once(journey):
    code = journey.code(fault="http_500")

    assert [journey.exchange(code).status_code for _ in range(2)] == [500, 200]


def test_slow_token_asked_for_with_a_sign_in_waits(journey, monkeypatch):
    waited = []
    monkeypatch.setattr("simulators.thainguyen_id.endpoints.time.sleep", waited.append)

    assert journey.exchange(journey.code(fault="slow_token")).status_code == 200
    assert waited == [5.0]


def test_faults_can_be_taken_back(journey):
    journey.ask_for_fault("http_500", times=9)
    journey.http.delete("/demo/faults")

    assert journey.exchange(journey.code()).status_code == 200


@pytest.mark.parametrize(
    "asked",
    [
        {"client_id": "c-thainguyen-app", "fault": "other"},
        {"client_id": "somebody-else", "fault": "http_500"},
        {"client_id": "c-thainguyen-app", "fault": "http_500", "times": 0},
        {"client_id": "c-thainguyen-app", "fault": "slow_token", "seconds": 1e9},
        [],
    ],
)
def test_a_fault_nobody_knows_is_refused(journey, asked):
    assert journey.http.post("/demo/faults", json=asked).status_code == 422


def test_neither_tokens_nor_passwords_are_logged(journey, caplog):
    caplog.set_level(logging.DEBUG)

    tokens = journey.exchange(journey.code()).json

    assert tokens["access_token"] not in caplog.text
    assert tokens["id_token"] not in caplog.text
    assert "matkhau-dan01" not in caplog.text
