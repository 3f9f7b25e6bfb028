"""What surrounds every request: its id, its headers, its one line in the log, its figures."""

import io
import json
import re
import uuid
from dataclasses import replace

import pytest
import structlog
from werkzeug.test import EnvironBuilder, run_wsgi_app

from api.app import create_app
from api.requests import client_address
from tests import factories

REFRESH = "/api/v1/auth/refresh"
UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


class Zeros(io.RawIOBase):
    """A body without end that knows how much of it was read."""

    count = 0

    def read(self, size: int = -1) -> bytes:
        assert size >= 0, "A body without end was to be read to its end."
        self.count += size
        return bytes(size)

    def readable(self) -> bool:
        return True


def log_lines(capsys) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.fixture
def headers(app, session):
    return factories.bearer(app, session, factories.a_citizen(session))


@pytest.mark.parametrize(
    "offered", ["12345678", "an-id-of-the-app", "A" * 64, str(uuid.UUID(int=0))]
)
def test_a_well_formed_request_id_is_kept(client, offered):
    answer = client.get("/healthz", headers={"X-Request-Id": offered})

    assert answer.status_code == 200
    assert answer.headers["X-Request-Id"] == offered


@pytest.mark.parametrize(
    "offered",
    [
        "",
        "short",
        "B" * 65,
        "C" * 10_240,
        "an id with blanks",
        "an_id_of_mine",
        "mã-yêu-cầu-này",
        "12345678\r\nSet-Cookie: a=b",
        "12345678\n",
        '12345678"}',
        "\x1b[31m12345678",
        "a,b,c,d,e",
    ],
)
def test_any_other_request_id_is_replaced(client, offered):
    raw = offered.encode().decode("latin-1")

    answer = client.get("/healthz", environ_overrides={"HTTP_X_REQUEST_ID": raw})

    assert UUID4.fullmatch(answer.headers["X-Request-Id"])
    assert "Set-Cookie" not in answer.headers


def test_one_id_stands_in_the_header_the_problem_and_the_log(capsys, client):
    answer = client.get("/api/v1/places/00000", headers={"X-Request-Id": "the-id-of-this-test"})

    (line,) = log_lines(capsys)
    assert answer.headers["X-Request-Id"] == "the-id-of-this-test"
    assert answer.json["request_id"] == "the-id-of-this-test"
    assert line["request_id"] == "the-id-of-this-test"


def test_a_made_id_stands_there_too_and_is_another_each_time(capsys, client):
    answers = [client.get("/api/v1/places/00000") for _ in range(2)]

    lines = log_lines(capsys)
    ids = [answer.headers["X-Request-Id"] for answer in answers]
    assert ids == [line["request_id"] for line in lines]
    assert ids == [answer.json["request_id"] for answer in answers]
    assert len(set(ids)) == 2


def test_a_line_names_the_route_and_never_the_address_or_a_token(capsys, client, headers):
    client.get("/api/v1/places/19999?q=canary-query", headers=headers)
    client.put(f"/api/v1/me/devices/canary-{'i' * 22}", json={"value": "canary"}, headers=headers)
    client.get("/canary-path")

    written = capsys.readouterr().out
    lines = [json.loads(line) for line in written.splitlines()]
    assert [line["route"] for line in lines] == [
        "/api/v1/places/<code>",
        "/api/v1/me/devices/<installation_id>",
        "(none)",
    ]
    for secret in ("canary", "19999", headers["Authorization"].split()[1], "127.0.0.1"):
        assert secret not in written


def test_a_line_has_these_fields_and_no_more(capsys, client):
    client.get("/api/v1/config", headers={"User-Agent": "canary\x1b[31m", "Cookie": "canary=1"})

    (line,) = log_lines(capsys)
    assert line.keys() == {
        *("event", "level", "timestamp", "request_id"),
        *("method", "route", "status", "ms"),
    }
    assert (line["method"], line["status"]) == ("GET", 200)


def test_health_checks_leave_no_lines(capsys, client):
    answer = client.get("/healthz")

    assert answer.status_code == 200
    assert log_lines(capsys) == []


@pytest.mark.usefixtures("app")
def test_only_listed_fields_reach_the_log(capsys):
    structlog.contextvars.clear_contextvars()

    structlog.get_logger().info("seen", status=200, name="Nông Thị Canary", token="a token")

    (line,) = log_lines(capsys)
    assert line.keys() - {"timestamp"} == {"event", "level", "status"}


@pytest.mark.usefixtures("app")
def test_what_a_line_holds_cannot_break_it(capsys):
    structlog.get_logger().info('seen\r\n{"event": "forged"}', kind="\x1b[31m\u2028\x00")

    line, rest = capsys.readouterr().out.split("\n")
    assert rest == ""
    assert json.loads(line)["kind"] == "\x1b[31m\u2028\x00"


KINDS_OF_ANSWERS = {
    "200": ("GET", "/api/v1/config", {}),
    "200 to somebody": ("GET", "/api/v1/me", {"own": True}),
    "204": ("POST", "/api/v1/me/inbox/read-all", {"own": True}),
    "a page": ("GET", "/api/docs", {}),
    "a static file": ("GET", "/api/static/docs.css", {}),
    "the contract": ("GET", "/api/openapi.json", {}),
    "keys": ("GET", "/.well-known/jwks.json", {}),
    "options": ("OPTIONS", "/api/v1/config", {}),
    "head": ("HEAD", "/api/v1/config", {}),
    "400": ("GET", "/api/v1/places/%00", {}),
    "401": ("GET", "/api/v1/me", {}),
    "404": ("GET", "/nothing", {}),
    "405": ("DELETE", "/api/v1/config", {}),
    "415": ("POST", REFRESH, {"data": "x"}),
    "422": ("POST", REFRESH, {"json": {}}),
    "500": ("GET", "/crash", {}),
}


@pytest.mark.parametrize("kind", KINDS_OF_ANSWERS)
def test_every_kind_of_answer_carries_the_security_headers(settings, database, session, kind):
    app = create_app(settings, db=database)
    app.add_url_rule("/crash", view_func=lambda: 1 / 0)
    method, path, options = KINDS_OF_ANSWERS[kind]
    if options.get("own"):
        signed_in = factories.bearer(app, session, factories.a_citizen(session))
        options = {"headers": signed_in}

    answer = app.test_client().open(path, method=method, buffered=True, **options)

    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    hsts = re.fullmatch(
        r"max-age=(\d+); includeSubDomains", answer.headers["Strict-Transport-Security"]
    )
    assert int(hsts[1]) >= 31_536_000
    policy = answer.headers["Content-Security-Policy"].split("; ")
    assert {"default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"} <= set(policy)
    assert not {"Server", "X-Powered-By", "Access-Control-Allow-Origin"} & set(answer.headers)


def test_an_unchanged_list_carries_the_security_headers(client):
    first = client.get("/api/v1/public/reports")

    again = client.get("/api/v1/public/reports", headers={"If-None-Match": first.headers["ETag"]})

    assert again.status_code == 304
    assert again.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/me"),
        ("GET", "/api/v1/me/inbox"),
        ("GET", "/api/v1/reports"),
        ("GET", f"/api/v1/reports/{uuid.UUID(int=0)}"),
        ("PATCH", "/api/v1/me"),
        ("POST", REFRESH),
        ("POST", "/api/v1/auth/login"),
    ],
)
def test_no_cache_keeps_what_is_personal(client, headers, method, path):
    with_token = client.open(path, method=method, json={}, headers=headers)
    without = client.open(path, method=method, json={})

    assert "no-store" in with_token.headers["Cache-Control"]
    assert "no-store" in without.headers["Cache-Control"]
    assert "ETag" not in without.headers


def test_tokens_are_kept_by_no_cache(app, client, session, clock):
    citizen = factories.a_citizen(session)
    pair = factories.signed_in(app, session, citizen, at=clock())

    answer = client.post(REFRESH, json={"refresh_token": pair.refresh_token})

    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "private, no-store"


@pytest.mark.parametrize("suffix", [".css", "/x.css", ";x.js", "%2e.css"])
def test_an_address_dressed_up_as_a_file_finds_nothing(client, headers, suffix):
    answer = client.get(f"/api/v1/me{suffix}", headers=headers)

    assert answer.status_code == 404


def test_a_cookie_is_never_set(client, headers):
    answers = [client.get(path, headers=headers) for path in ("/api/v1/me", "/nothing", "/healthz")]

    assert not any("Set-Cookie" in answer.headers for answer in answers)


def call(app, body, length: object):
    """One request straight to the WSGI application, as a server makes it."""
    environ = EnvironBuilder(REFRESH, method="POST", content_type="application/json").get_environ()
    return run_wsgi_app(app.wsgi_app, environ | {"CONTENT_LENGTH": str(length), "wsgi.input": body})


def test_a_refused_body_is_read_to_its_end(app):
    body = Zeros()

    _, status, _ = call(app, body, 1_000_000)

    assert status.startswith("413")
    assert body.count == 1_000_000


def test_a_body_without_end_is_not(app):
    body = Zeros()

    _, status, _ = call(app, body, 10 * 1024**3)

    assert status.startswith("413")
    assert body.count == 32 * 1024 * 1024


def test_a_body_that_breaks_off_is_waited_for_no_longer(app):
    _, status, _ = call(app, io.BytesIO(b"[" * 1000), 1_000_000)

    assert status.startswith("413")


@pytest.mark.parametrize("length", ["abc", "-1", "²", "9" * 30, ""])
def test_a_length_that_is_no_number_does_no_harm(app, length):
    _, status, _ = call(app, io.BytesIO(b"{}"), length)

    assert status.startswith(("400", "413", "422"))


def series(app) -> set[str]:
    """The names and labels of all figures."""
    lines = app.extensions["metrics"].exposition().decode().splitlines()
    return {line.rpartition(" ")[0] for line in lines if not line.startswith("#")}


def test_addresses_that_do_not_exist_make_no_new_figures(app, client):
    client.get("/nothing")
    client.open("/nothing", method="FOO")
    before = series(app)

    for number in range(1000):
        client.open(f"/nothing/{number}", method="GET" if number % 2 else f"FOO{number}")

    assert series(app) == before


def test_figures_count_every_answer_by_route_and_status(app, client):
    for code in ("00000", "00001", "00002"):
        client.get(f"/api/v1/places/{code}")

    figures = app.extensions["metrics"].exposition().decode()
    labels = '{method="GET",route="/api/v1/places/<code>",status="404"}'
    assert f"http_requests_total{labels} 3.0" in figures


def test_an_unknown_method_is_counted_as_other(app, client):
    client.open("/api/v1/config", method="FOO")

    assert any('method="other"' in line for line in series(app))
    assert not any("FOO" in line for line in series(app))


def test_figures_hold_nothing_of_whoever_asks(app, client, headers):
    client.get("/api/v1/me?q=canary", headers=headers | {"User-Agent": "canary"})

    assert not re.search("canary|127.0.0.1", str(series(app)))


@pytest.mark.parametrize(("proxies", "seen"), [(0, "127.0.0.1"), (1, "9.9.9.9")])
def test_only_trusted_proxies_tell_whom_a_request_comes_from(settings, database, proxies, seen):
    app = create_app(replace(settings, trusted_proxies=proxies), db=database)
    app.add_url_rule("/address", view_func=client_address)

    answer = app.test_client().get("/address", headers={"X-Forwarded-For": "8.8.8.8, 9.9.9.9"})

    assert answer.text == seen
