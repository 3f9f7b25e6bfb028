"""The FCM simulator refuses what Google refuses and fails when told to."""

import json
import stat
import time
from threading import Thread

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from simulators.fcm.app import create_app
from simulators.fcm.oauth import GOOGLE_TOKEN_URI, GRANT_TYPE
from simulators.fcm.rules import MAX_PAYLOAD_BYTES
from simulators.fcm.service_account import write_service_account

EMAIL = "push@a-project.iam.gserviceaccount.com"
TOKEN_URI = "http://fcm.test/token"
SEND = "/v1/projects/a-project/messages:send"
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def make_client(key):
    def make(**settings):
        app = create_app(
            public_key=key.public_key(),
            client_email=EMAIL,
            token_uri=TOKEN_URI,
            project_id="a-project",
            **settings,
        )
        return app.test_client()

    return make


@pytest.fixture
def client(make_client):
    return make_client()


@pytest.fixture
def grant(key):
    def ask(client, signed_with=key, **changes):
        now = int(time.time())
        claims = {"iss": EMAIL, "aud": TOKEN_URI, "iat": now, "exp": now + 3600, "scope": SCOPE}
        assertion = jwt.encode(claims | changes, signed_with, algorithm="RS256")
        return client.post("/token", data={"grant_type": GRANT_TYPE, "assertion": assertion})

    return ask


@pytest.fixture
def send(grant):
    def post(client, message=None, *, path=SEND, **body):
        bearer = grant(client).json["access_token"]
        body = {"message": {"token": "phone-1"} | (message or {})} | body
        return client.post(path, json=body, headers={"Authorization": f"Bearer {bearer}"})

    return post


def test_a_message_is_on_the_phone_it_was_sent_to(client, send):
    message = {
        "token": "phone/1:é",
        "notification": {"title": "Tiêu đề", "body": "Nội dung"},
        "data": {"notification_id": "n-1"},
    }

    answer = send(client, message)

    assert answer.json["name"].startswith("projects/a-project/messages/")
    (received,) = client.get("/demo/phones/phone%2F1%3A%C3%A9").json
    assert received.pop("accepted_at")
    assert received == {
        "notification_id": "n-1",
        "title": "Tiêu đề",
        "body": "Nội dung",
        "data": {"notification_id": "n-1"},
    }


def test_an_unknown_phone_has_no_messages(client):
    assert client.get("/demo/phones/nobody").json == []


@pytest.mark.parametrize(
    "message",
    [
        {"topic": "and-a-topic"},
        {"token": ""},
        {"token": 5},
        {"data": {"count": 12}},
        {"data": {"from": "me"}},
        {"data": {"google.a": "b"}},
        {"data": []},
        {"unknown": "field"},
        {"notification": {"titel": "typo"}},
        {"notification": "text"},
        {"android": {"ttl": "60"}},
        {"android": {"ttl": 60}},
        {"android": {"ttl": "2419201s"}},
        {"android": {"priority": "urgent"}},
        {"android": {"notification": {"tag": 1}}},
        {"apns": {"headers": {"apns-collapse-id": "c" * 65}}},
        {"apns": {"headers": {"apns-priority": "7"}}},
        {"apns": {"headers": {"apns-expiration": "tomorrow"}}},
        {"notification": {"body": "ă" * (MAX_PAYLOAD_BYTES // 2)}},
    ],
)
def test_a_message_that_google_refuses_is_refused(client, send, message):
    answer = send(client, message)

    assert answer.status_code == 400
    assert answer.json["error"]["status"] == "INVALID_ARGUMENT"
    assert client.get("/demo/phones").json == []


def test_a_message_without_a_target_and_a_malformed_topic_are_refused(client, grant):
    bearer = {"Authorization": f"Bearer {grant(client).json['access_token']}"}

    answers = [
        client.post(SEND, data=body, headers=bearer)
        for body in ("", "[]", "{}", '{"message": {}}', '{"message": {"topic": "a b"}}')
    ]

    assert [answer.status_code for answer in answers] == [400] * 5


def test_both_spellings_of_protobuf_json_are_read(client, send):
    answer = send(client, {"android": {"collapseKey": "a", "ttl": "1.5s"}}, validateOnly=False)

    assert answer.status_code == 200


def test_validate_only_validates_and_delivers_nothing(client, send):
    good = send(client, validate_only=True)
    bad = send(client, {"data": {"a": 1}}, validate_only=True)

    assert (good.status_code, bad.status_code) == (200, 400)
    assert client.get("/demo/phones").json == []


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer made-up"}])
def test_sending_wants_a_token_that_was_handed_out(client, headers):
    answer = client.post(SEND, json={"message": {"token": "phone-1"}}, headers=headers)

    assert answer.status_code == 401
    assert answer.json["error"]["status"] == "UNAUTHENTICATED"


def test_an_access_token_expires(make_client, send):
    assert send(make_client(token_seconds=0)).status_code == 401


def test_a_token_is_for_its_own_project_only(client, send):
    assert send(client, path="/v1/projects/another/messages:send").status_code == 403


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "somebody@else"},
        {"aud": "https://elsewhere/token"},
        {"exp": 1_000_000_000},
        {"exp": int(time.time()) + 86_400},
        {"scope": "https://www.googleapis.com/auth/datastore"},
    ],
)
def test_a_wrong_assertion_earns_no_token(client, grant, changes):
    answer = grant(client, **changes)

    assert answer.status_code == 400
    assert answer.json["error"] in {"invalid_grant", "invalid_scope"}


def test_an_assertion_signed_by_another_key_earns_no_token(client, grant):
    another = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    assert grant(client, signed_with=another).json["error"] == "invalid_grant"


def test_an_assertion_for_googles_own_endpoint_is_taken_as_google_auth_writes_no_other(
    client, grant
):
    assert grant(client, aud=GOOGLE_TOKEN_URI).status_code == 200


def test_another_grant_type_is_refused(client):
    answer = client.post("/token", data={"grant_type": "password"})

    assert (answer.status_code, answer.json["error"]) == (400, "unsupported_grant_type")


@pytest.mark.parametrize(
    ("status", "name", "code"),
    [
        (400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        (403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"),
        (404, "NOT_FOUND", "UNREGISTERED"),
        (429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"),
        (500, "INTERNAL", "INTERNAL"),
        (503, "UNAVAILABLE", "UNAVAILABLE"),
    ],
)
def test_a_scripted_error_has_googles_shape(client, send, status, name, code):
    client.post("/demo/faults", json={"pattern": "phone-1", "status": status})

    error = send(client).json["error"]

    assert (error["code"], error["status"]) == (status, name)
    assert error["details"][0]["errorCode"] == code


def test_a_fault_hits_its_pattern_its_number_of_times_and_can_be_taken_back(client, send):
    client.post("/demo/faults", json={"pattern": "^phone", "status": 404, "times": 1})
    client.post("/demo/faults", json={"pattern": "other", "status": 500})

    first = [send(client).status_code, send(client).status_code]
    hit = send(client, {"token": "other"}).status_code
    client.delete("/demo/faults")

    assert (first, hit) == ([404, 200], 500)
    assert send(client, {"token": "other"}).status_code == 200


def test_a_pattern_that_is_no_regular_expression_is_meant_literally(client, send):
    client.post("/demo/faults", json={"pattern": "a[b", "status": 404})

    assert send(client, {"token": "xa[bx"}).status_code == 404


@pytest.mark.parametrize("asked", [7, "date"])
def test_retry_after_comes_as_a_number_or_as_a_date(client, send, asked):
    client.post("/demo/faults", json={"pattern": "", "status": 429, "retry_after": asked})

    header = send(client).headers["Retry-After"]

    assert header == "7" if asked == 7 else header.endswith("GMT")


def test_html_is_a_200_that_delivers_nothing(client, send):
    client.post("/demo/faults", json={"pattern": "", "status": "html"})

    answer = send(client)

    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    assert client.get("/demo/phones").json == []


def test_reset_after_accept_delivers_and_breaks_its_answer_off(client, send):
    client.post("/demo/faults", json={"pattern": "", "status": "reset_after_accept"})

    answer = send(client)

    assert len(answer.data) < answer.content_length
    assert client.get("/demo/phones").json[0]["count"] == 1


def test_slow_delivers_after_its_time(client, send):
    client.post("/demo/faults", json={"pattern": "", "status": "slow", "seconds": 0.05})
    began = time.monotonic()

    answer = send(client)

    assert answer.status_code == 200
    assert time.monotonic() - began >= 0.05


def test_taking_faults_back_lets_go_of_what_hangs(make_client, send):
    client = make_client()
    client.post("/demo/faults", json={"pattern": "", "status": "hang", "times": 1})
    (fault,) = client.application.extensions["fcm_state"]._faults
    answers = []
    hanging = Thread(target=lambda: answers.append(send(client.application.test_client())))
    hanging.start()
    while fault.left:
        time.sleep(0.01)

    client.delete("/demo/faults")
    hanging.join(5)

    assert [answer.status_code for answer in answers] == [503]
    assert client.get("/demo/phones").json == []


def test_a_fault_of_the_token_endpoint_leaves_sending_alone(client, grant):
    client.post("/demo/faults", json={"at": "token", "status": 503, "times": 1})

    assert [grant(client).status_code, grant(client).status_code] == [503, 200]


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 418},
        {"pattern": "a"},
        {"status": 429, "retry_after": "soon"},
        {"status": 404, "times": "often"},
        {"status": 404, "seconds": "long"},
        {"status": 404, "at": "home"},
        {"status": 404, "typo": 1},
    ],
)
def test_a_malformed_fault_is_refused_rather_than_ignored(client, fault):
    assert client.post("/demo/faults", json=fault).status_code == 400


def test_the_same_notification_twice_on_a_phone_counts_as_a_duplicate(client, send):
    for notification_id in ("n-1", "n-1", "n-2"):
        send(client, {"data": {"notification_id": notification_id}})

    assert client.get("/demo/phones").json == [{"value": "phone-1", "count": 3, "duplicates": 1}]


def test_a_topic_reaches_those_who_joined_it_until_they_leave(client, grant):
    bearer = {"Authorization": f"Bearer {grant(client).json['access_token']}"}
    joined = "/v1/projects/a-project/registrations/phone%201/topicSubscriptions"
    message = {"message": {"topic": "province-must", "data": {"notification_id": "n-1"}}}

    join = [client.post(f"{joined}?topic_name=province-must", headers=bearer) for _ in range(2)]
    client.post(SEND, json=message, headers=bearer)
    leave = client.delete(f"{joined}/province-must?allow_missing=true", headers=bearer)
    client.post(SEND, json=message, headers=bearer)

    assert [answer.status_code for answer in [*join, leave]] == [200, 409, 200]
    assert client.delete(f"{joined}/province-must", headers=bearer).status_code == 404
    assert len(client.get("/demo/phones/phone%201").json) == 1
    assert len(client.get("/demo/phones/province-must").json) == 2


def test_the_page_shows_the_phones_and_escapes_what_they_were_sent(client, send):
    send(client, {"notification": {"title": "Chào", "body": "<script>"}})

    page = client.get("/")

    assert "<h1>Điện thoại mô phỏng</h1>" in page.text
    assert "phone-1" in page.text
    assert "&lt;script&gt;" in page.text
    assert "<style" not in page.text
    assert "style-src 'self'" in page.headers["Content-Security-Policy"]
    with client.get("/static/phones.css") as css:
        assert css.mimetype == "text/css"


def test_it_says_that_it_is_healthy(client):
    assert client.get("/healthz").status_code == 200


def test_a_service_account_file_is_private_and_kept_as_long_as_it_fits(tmp_path):
    path = tmp_path / "new" / "account.json"

    write_service_account(path, TOKEN_URI)
    first = path.read_text()
    write_service_account(path, TOKEN_URI)
    kept = path.read_text()
    write_service_account(path, "http://127.0.0.1:1/token")

    assert first == kept != path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]
    assert json.loads(first)["project_id"] == "c-thainguyen-demo"
