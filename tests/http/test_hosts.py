"""By which names the system is reached, and that nothing is made of any other."""

from dataclasses import replace

import pytest
from flask import Response
from werkzeug.test import EnvironBuilder, run_wsgi_app

import admin
from api.app import create_app

OURS = "c.thainguyen.test"
FOREIGN = [
    "evil.test",
    "c.thainguyen.test.evil.test",
    "evil.test:443",
    "xc.thainguyen.test",
    ".c.thainguyen.test",
    "c.thainguyen.test.",
    "c.thainguyen.test:",
    "c.thainguyen.test:99999999",
    "c.thainguyen.test:80:80",
    "c.thainguyen.test@evil.test",
    "c.thainguyen.test/evil",
    "c.thainguyen.test evil.test",
    "c.thainguyen.test, evil.test",
    "' OR 1=1 --",
    "c.tháinguyên.test",
    "xn--c",
    "[::1]",
    "[::ffff:7f00:1]",
    "localhost",
    "127.0.0.1",
    "10.0.0.7",
    "c.thainguyen.test\t",
    "x" * 10_000,
    "",
]
PAGES = ("/api/v1/config", "/api/v1/me", "/admin", "/admin/", "/admin/login", "/nothing")


@pytest.fixture
def app(settings, database, clock):
    """The system as it is deployed, without proxies that may speak for their clients."""
    return made(settings, database, clock)


def made(settings, database, clock, **changes):
    own = replace(settings, public_url=f"https://{OURS}", **changes)
    app = create_app(own, db=database, now=clock)
    admin.init_app(app)
    return app


def ask(app, path, host, **headers):
    """Straight at the WSGI application, since clients refuse to send some of these names."""
    environ = EnvironBuilder(path).get_environ()
    environ["HTTP_HOST"] = host.encode().decode("latin-1")
    environ |= {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    return Response(*run_wsgi_app(app.wsgi_app, environ))


@pytest.mark.parametrize("host", FOREIGN)
def test_a_foreign_name_is_refused_and_repeated_nowhere(app, host):
    for path in PAGES:
        answer = ask(app, path, host)

        assert answer.status_code == 400
        assert "Location" not in answer.headers
        assert not any("Set-Cookie" in name for name, _ in answer.headers)
        if "evil" in host or len(host) > 100:
            assert host not in answer.get_data(as_text=True) + str(answer.headers)


def test_the_api_says_so_in_a_problem_document_and_the_staff_view_in_a_page(app):
    api, page = ask(app, "/api/v1/config", "evil.test"), ask(app, "/admin/", "evil.test")

    assert (api.mimetype, api.json["code"]) == ("application/problem+json", "host_unknown")
    assert page.mimetype == "text/html"
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]


@pytest.mark.parametrize("host", [OURS, OURS.upper(), f"{OURS}:443", f"{OURS}:8443"])
def test_the_own_name_is_known_in_any_case_and_at_any_port(app, host):
    assert ask(app, "/api/v1/config", host).status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1:8000", "[::1]", "10.0.0.7:8080", "", OURS]
)
def test_machines_may_ask_for_health_by_address(app, path, host):
    assert ask(app, path, host).status_code in {200, 503}


@pytest.mark.parametrize("host", ["evil.test", "a b", "c.tháinguyên.test"])
def test_health_is_told_by_no_foreign_name(app, host):
    assert ask(app, "/healthz", host).status_code == 400


@pytest.mark.parametrize("host", ["localhost", "localhost:5000", "127.0.0.1", "[::1]:8000"])
def test_at_home_all_names_of_the_own_machine_are_known(settings, database, host):
    home = create_app(settings, db=database)

    assert ask(home, "/api/v1/config", host).status_code == 200
    assert ask(home, "/api/v1/config", "evil.test").status_code == 400


def test_a_forwarded_name_is_believed_from_trusted_proxies_only(settings, database, clock, app):
    behind = made(settings, database, clock, trusted_proxies=1)

    alone = ask(app, "/api/v1/config", OURS, x_forwarded_host="evil.test")
    passed_on = ask(behind, "/api/v1/config", "10.0.0.7", x_forwarded_host=OURS)
    foreign = ask(behind, "/api/v1/config", OURS, x_forwarded_host="evil.test")
    last_of_two = ask(behind, "/api/v1/config", OURS, x_forwarded_host=f"{OURS}, evil.test")

    assert (alone.status_code, passed_on.status_code) == (200, 200)
    assert (foreign.status_code, last_of_two.status_code) == (400, 400)
    assert "evil" not in alone.get_data(as_text=True) + str(alone.headers)


def test_without_its_slash_the_staff_view_redirects_within_itself(app):
    answer = ask(app, "/admin", OURS)

    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/admin/login?")
