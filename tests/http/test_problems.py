"""Every error is a problem document (RFC 9457), and none says more than it should."""

import ast
import json
import string
import time
from pathlib import Path

import pytest
from sqlalchemy import select, text

import admin
from api.app import create_app
from api.current import current
from models import Citizen, RateLimit
from services.errors import DomainError
from tests import factories

ROOT = Path(__file__).parents[2]
CANARY = "Nông Thị Canary"
REFRESH = "/api/v1/auth/refresh"
LOGIN = {
    "code": "a code",
    "code_verifier": "v" * 43,
    "nonce": "a nonce of ours",
    "redirect_uri": "https://elsewhere.test/",
    "device": {"installation_id": "i" * 32, "platform": "android"},
}
PROVOKED = {
    (400, "malformed_json"): lambda api: api.post(REFRESH, data="{", content_type=JSON),
    (400, "unreadable_address"): lambda api: api.get("/api/v1/places?q=%00"),
    (401, "token_invalid"): lambda api: api.get("/api/v1/me"),
    (401, "invalid_grant"): lambda api: api.post(REFRESH, json={"refresh_token": "x"}),
    (404, "not_found"): lambda api: api.get("/api/v1/nothing"),
    (404, "place_not_found"): lambda api: api.get("/api/v1/places/00000"),
    (405, "method_not_allowed"): lambda api: api.delete("/api/v1/config"),
    (413, "body_too_large"): lambda api: api.post(REFRESH, json={"refresh_token": "x" * 65536}),
    (415, "not_json"): lambda api: api.post(REFRESH, data="{}", content_type="text/plain"),
    (422, "invalid"): lambda api: api.post(REFRESH, json={"refresh_token": "x", "more": 1}),
    (422, "redirect_uri_unknown"): lambda api: api.post("/api/v1/auth/login", json=LOGIN),
}
JSON = "application/json"


def subclasses(kind: type) -> set[type]:
    return {kind, *(below for child in kind.__subclasses__() for below in subclasses(child))}


def facts_named_in(kind: type[DomainError], locale: str) -> set[str]:
    template = kind.vi if locale == "vi" else kind.__doc__ or ""
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def log_lines(capsys) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.fixture
def failing(settings, database, clock):
    """The application as it runs in production, with views that do something wrong."""
    app = create_app(settings, db=database, now=clock)

    @app.get("/crash")
    def crash():
        raise ValueError(f"{CANARY} 019099000001")

    @app.post("/execute")
    def execute():
        with current.db.transaction() as session:
            session.execute(text(BROKEN[app.config["statement"]]), {"name": CANARY})

    return app


@pytest.mark.parametrize(("status", "code"), PROVOKED)
@pytest.mark.parametrize("language", ["vi", "en"])
def test_an_error_is_a_problem_document_in_the_readers_language(client, status, code, language):
    client.environ_base["HTTP_ACCEPT_LANGUAGE"] = language

    answer = PROVOKED[status, code](client)

    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert answer.mimetype == "application/problem+json"
    assert answer.json["status"] == status
    assert answer.json["type"] == f"/problems/{code}"
    assert answer.json["request_id"] == answer.headers["X-Request-Id"]
    assert answer.json["title"].isascii() is (language == "en")
    assert answer.json["detail"].isascii() is (language == "en")


@pytest.mark.parametrize(
    ("asked", "language"),
    [
        (None, "vi"),
        ("fr", "vi"),
        ("*", "vi"),
        ("en-US,en;q=0.9", "en"),
        ("vi-VN,vi;q=0.9,en;q=0.8", "vi"),
        ("vi;q=0.3,en;q=0.9", "en"),
        (";;;q=x", "vi"),
    ],
)
def test_english_is_for_those_who_prefer_it(client, asked, language):
    headers = {} if asked is None else {"Accept-Language": asked}

    answer = client.get("/api/v1/nothing", headers=headers)

    assert answer.json["detail"].isascii() is (language == "en")
    assert "Accept-Language" in answer.headers["Vary"]


def test_a_refused_token_names_the_scheme_that_is_wanted(client):
    answer = client.get("/api/v1/me", headers={"Authorization": "Basic eDp4"})

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "TRACE", "FOO"])
def test_another_method_is_refused_with_the_right_ones(client, method):
    overridden = {"X-HTTP-Method-Override": "GET"}

    answer = client.open("/api/v1/config", method=method, headers=overridden)

    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, {"/code", "/code_verifier", "/nonce", "/redirect_uri", "/device"}),
        (LOGIN | {"device": {"platform": "android"}}, {"/device/installation_id"}),
        (LOGIN | {"a/b~c": 1}, {"/a~1b~0c"}),
        (LOGIN | {"code": ["a list"]}, {"/code"}),
        ([], {""}),
    ],
)
def test_a_wrong_field_is_pointed_at(client, body, pointers):
    answer = client.post("/api/v1/auth/login", json=body)

    assert answer.status_code == 422
    assert {error["pointer"] for error in answer.json["errors"]} == pointers
    assert not any(error["detail"].isascii() for error in answer.json["errors"])


def test_a_wrong_parameter_is_pointed_at(client):
    answer = client.get("/api/v1/places?level=7")

    (error,) = answer.json["errors"]
    assert error == {"pointer": "/query/level", "detail": "Phải là một trong: 1, 2."}


def test_a_body_of_64_kib_is_read_and_one_byte_more_is_not(client):
    largest = json.dumps({"refresh_token": "x" * (65536 - 21)})
    assert len(largest) == 65536

    fits = client.post(REFRESH, data=largest, content_type=JSON)
    is_larger = client.post(REFRESH, data=largest + " ", content_type=JSON)

    assert fits.json["code"] == "invalid"
    assert is_larger.json["code"] == "body_too_large"


def test_more_than_256_kib_are_refused_by_their_announced_length(client):
    answer = client.post(REFRESH, data=b"[" * (256 * 1024 + 1), content_type=JSON)

    assert (answer.status_code, answer.json["code"]) == (413, "body_too_large")


def test_too_many_attempts_are_told_when_to_come_back(client, session):
    ends = factories.NOON.replace(second=17)
    session.add(RateLimit(bucket="login:127.0.0.1", window_ends_at=ends, used=300))
    session.commit()

    answer = client.post("/api/v1/auth/login", json=LOGIN)

    assert (answer.status_code, answer.json["code"]) == (429, "rate_limited")
    assert answer.headers["Retry-After"] == "17"
    assert answer.headers["RateLimit-Policy"] == '"default";q=300;w=60'
    assert answer.headers["RateLimit"] == '"default";r=0;t=17'


def test_a_crash_says_nothing_of_its_cause(capsys, failing):
    answer = failing.test_client().get("/crash")

    written = capsys.readouterr()
    assert (answer.status_code, answer.json["code"]) == (500, "internal_server_error")
    assert answer.mimetype == "application/problem+json"
    for told in (answer.text, written.out, written.err):
        assert "Canary" not in told
        assert "019099000001" not in told
        assert "Traceback" not in told


def test_a_crash_leaves_its_kind_and_place_in_the_log(capsys, failing):
    failing.test_client().get("/crash", headers={"X-Request-Id": "a-crash-of-ours"})

    (error,) = [line for line in log_lines(capsys) if line["event"] == "unhandled_error"]
    assert error["kind"] == "ValueError"
    assert error["where"].startswith("test_problems.py:")
    assert error["request_id"] == "a-crash-of-ours"


INSERT = "INSERT INTO citizens (id, issuer, subject, name, locale, created_at) VALUES "
BROKEN = {
    ("23505", "uq_citizens_issuer_subject"): (
        INSERT + "(gen_random_uuid(), 'i', 's', :name, 'vi', now()),"
        "(gen_random_uuid(), 'i', 's', :name, 'vi', now())"
    ),
    ("23514", "ck_citizens_locale"): INSERT + "(gen_random_uuid(), 'i', 's', :name, 'xx', now())",
    ("22001", None): INSERT + "(gen_random_uuid(), 'i', repeat(:name, 99), '', 'vi', now())",
    ("23502", None): INSERT + "(gen_random_uuid(), NULL, 's', :name, 'vi', now())",
    ("23503", "fk_devices_citizen_id_citizens"): (
        "INSERT INTO devices (id, installation_hash, citizen_id, session_id, platform, kind, value,"
        " locale, last_seen_at) SELECT gen_random_uuid(), 'h', gen_random_uuid(), session.id,"
        " 'web', 'fid', :name, 'vi', now() FROM device_sessions AS session"
    ),
    ("22P02", None): "SELECT CAST(:name AS uuid)",
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_refused_row_shows_neither_in_the_answer_nor_in_the_log(capsys, failing, session, fault):
    factories.bearer(failing, session, factories.a_citizen(session))
    failing.config["statement"] = fault

    answer = failing.test_client().post("/execute")

    lines = log_lines(capsys)
    assert (answer.status_code, answer.json["code"]) == (500, "internal_server_error")
    assert "Canary" not in answer.text + str(lines)
    (error,) = [line for line in lines if line["event"] == "database_error"]
    assert (error["sqlstate"], error["constraint"]) == fault


@pytest.mark.alone
def test_a_locked_row_is_a_matter_of_waiting(committed, settings):
    app = create_app(settings, db=committed)
    with committed.sessions() as session:
        citizen = factories.a_citizen(session)
        headers = factories.bearer(app, session, citizen)
    with committed.transaction() as holder:
        holder.execute(select(Citizen).where(Citizen.id == citizen.id).with_for_update())

        began = time.monotonic()
        answer = app.test_client().patch("/api/v1/me", json={"locale": "en"}, headers=headers)

    assert (answer.status_code, answer.json["code"]) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) >= 1
    assert time.monotonic() - began < 2


def test_a_database_that_is_away_is_a_matter_of_waiting(settings):
    answer = create_app(settings).test_client().get("/api/v1/config")

    assert (answer.status_code, answer.json["code"]) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) >= 1


def test_a_pool_in_use_is_a_matter_of_waiting(committed, settings):
    small = type(committed).at(
        committed.sessions.kw["bind"].url.render_as_string(hide_password=False),
        pool_size=1,
        max_overflow=0,
        pool_timeout=0.2,
    )
    app = create_app(settings, db=small)
    with small.reading() as holder:
        holder.execute(select(1))

        answer = app.test_client().get("/api/v1/config")

    small.close()
    assert (answer.status_code, answer.json["code"]) == (503, "unavailable")


def our_errors() -> list[type[DomainError]]:
    """Those of the API and of the staff view, which is imported for them."""
    assert admin.init_app
    return sorted(subclasses(DomainError), key=lambda kind: kind.__qualname__)


@pytest.mark.parametrize("kind", our_errors())
def test_an_error_speaks_both_languages(kind):
    english, vietnamese = vars(kind)["__doc__"], vars(kind)["vi"]

    assert english != vietnamese
    assert not set("ăâđêôơư") & set(english.replace("Nguyên", ""))
    assert facts_named_in(kind, "vi") == facts_named_in(kind, "en")
    facts = dict.fromkeys(facts_named_in(kind, "en"), "7")
    assert "{" not in kind(**facts).message("vi") + kind(**facts).message("en")


def test_every_code_belongs_to_one_error():
    codes = [kind.__new__(kind).code for kind in our_errors()]

    assert len(codes) == len(set(codes))


def test_every_error_is_raised_with_the_facts_that_its_words_name():
    wanted = {kind.__name__: facts_named_in(kind, "en") for kind in our_errors()}

    seen = {name for name, facts in wanted.items() if not facts}
    for path in (
        path for part in ("admin", "api", "services") for path in (ROOT / part).rglob("*.py")
    ):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Name):
                assert not wanted.get(node.exc.id), f"{path.name}:{node.lineno}"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                facts = wanted.get(node.func.id, set())
                assert facts <= {keyword.arg for keyword in node.keywords}, path.name
                seen.add(node.func.id)

    assert set(wanted) <= seen
