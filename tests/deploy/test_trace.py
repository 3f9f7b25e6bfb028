"""One id leads from a citizen's request through every log to what was sent outwards."""

import json

import httpx
import pytest

from simulators.fcm.app import SERVICE_ACCOUNT_VARIABLE
from simulators.fcm.app import create_app as create_fcm
from simulators.fcm.service_account import write_service_account
from tests import factories
from tests.conftest import serving
from tests.deploy.conftest import needs_nginx
from tests.processes import wait_for

pytestmark = needs_nginx

ID = "the-id-of-one-report"
TOKEN = "a-token-of-the-phone"


class Heard:
    """An FCM that notes the id of each request to it."""

    def __init__(self) -> None:
        self.ids: list[tuple[str, str | None]] = []

    def around(self, app):
        def heard(environ, start_response):
            self.ids.append((environ["PATH_INFO"], environ.get("HTTP_X_REQUEST_ID")))
            return app(environ, start_response)

        return heard


@pytest.fixture
def fcm(stack, monkeypatch):
    heard = Heard()
    account = stack.directory / "secrets" / "traced.json"
    write_service_account(account, "http://127.0.0.1:1/token")
    monkeypatch.setenv(SERVICE_ACCOUNT_VARIABLE, str(account))

    def make(url):
        write_service_account(account, f"{url}/token")
        return heard.around(create_fcm())

    with serving(make) as url:
        heard.variables = {"FCM_URL": url, "FIREBASE_CREDENTIALS_FILE": str(account)}
        yield heard


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def of(path, request_id=ID):
    return [line for line in lines(path) if line.get("request_id") == request_id]


def test_one_id_stands_in_every_log_and_in_the_push(stack, fcm):
    with stack.database.sessions() as session:
        citizen = factories.a_citizen(session)
        factories.a_phone(session, citizen, TOKEN)
    draft = {"category": "giao-thong", "description": "Ổ gà.", **factories.CITY}
    headers = {"Authorization": stack.bearer(citizen), "Idempotency-Key": "one-report"}
    stack.environment.update(fcm.variables)
    stack.start_worker("worker", "normal")

    answer = httpx.post(
        f"{stack.url}/api/v1/reports",
        json=draft,
        headers=headers | {"X-Request-Id": ID},
        trust_env=False,
    )

    wait_for("the push", lambda: of(stack.log("worker")))
    stack.stop("worker")
    assert (answer.status_code, answer.headers["X-Request-Id"]) == (201, ID)
    web = [line for name in ("a", "b") for line in of(stack.log(name))]
    assert [line["route"] for line in web] == ["/api/v1/reports"]
    front = of(stack.directory / "nginx" / "access.log")
    assert [(line["path"], line["status"]) for line in front] == [("/api/v1/reports", 201)]
    assert [line["outcome"] for line in of(stack.log("worker"))] == ["delivered_to_fcm"]
    sent = [request_id for path, request_id in fcm.ids if path.endswith("messages:send")]
    assert sent == [ID]


def test_every_line_of_every_program_is_one_object(stack):
    httpx.get(f"{stack.url}/api/v1/places?q=%0d%0a%22%7b", trust_env=False)
    httpx.get(f"{stack.url}/no/where", headers={"User-Agent": '"\x1b[31m'}, trust_env=False)

    for path in (stack.log("a"), stack.log("b"), stack.directory / "nginx" / "access.log"):
        assert all(isinstance(line, dict) for line in lines(path))
