"""The adapter against the simulator, over real HTTP: every row of FCM's table of answers."""

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from notifications.fcm import MAX_PAYLOAD_BYTES, encode
from notifications.fcm_answers import parse_retry_after
from notifications.push import Address, Outcome
from simulators.fcm.service_account import write_service_account

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def outcomes(results):
    return [result.outcome for result in results]


@pytest.mark.parametrize("kind", ["fid", "token", "topic"])
def test_a_message_reaches_every_kind_of_address(simulator, push, make_message, kind):
    message = make_message(address=Address(kind, f"{kind}-1"))

    results = push.send([message])

    assert outcomes(results) == [Outcome.DELIVERED_TO_FCM]
    (received,) = simulator.received(f"{kind}-1")
    assert received["notification_id"] == str(message.notification_id)
    assert received["body"] == message.body


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ({"status": 400}, Outcome.INVALID),
        ({"status": 401}, Outcome.AUTH),
        ({"status": 401, "error_code": "THIRD_PARTY_AUTH_ERROR"}, Outcome.AUTH),
        ({"status": 403}, Outcome.SENDER_MISMATCH),
        ({"status": 403, "error_code": "PERMISSION_DENIED"}, Outcome.AUTH),
        ({"status": 404}, Outcome.UNREGISTERED),
        ({"status": 404, "error_code": "NOT_FOUND"}, Outcome.UNAVAILABLE),
        ({"status": 429}, Outcome.QUOTA),
        ({"status": 500}, Outcome.UNAVAILABLE),
        ({"status": 503}, Outcome.UNAVAILABLE),
        ({"status": "html"}, Outcome.UNAVAILABLE),
        ({"status": "hang", "seconds": 5}, Outcome.UNAVAILABLE),
    ],
)
def test_each_answer_of_fcm_has_one_meaning(simulator, push, make_message, fault, outcome):
    simulator.fault(pattern="^phone-1$", **fault)

    results = push.send([make_message("phone-1")])

    assert outcomes(results) == [outcome]
    assert results[0].detail
    assert simulator.received("phone-1") == []


def test_a_connection_reset_after_acceptance_counts_as_not_handed_over(
    simulator, push, make_message
):
    simulator.fault(pattern="^phone-1$", status="reset_after_accept")

    results = push.send([make_message("phone-1")])

    assert outcomes(results) == [Outcome.UNAVAILABLE]
    assert len(simulator.received("phone-1")) == 1


@pytest.mark.parametrize(("status", "outcome"), [(429, Outcome.QUOTA), (503, Outcome.UNAVAILABLE)])
@pytest.mark.parametrize(("asked", "seconds"), [(120, 120), ("date", 30)])
def test_retry_after_is_passed_on(simulator, push, make_message, status, outcome, asked, seconds):
    simulator.fault(pattern="^phone-1$", status=status, retry_after=asked)

    (result,) = push.send([make_message("phone-1")])

    assert result.outcome is outcome
    assert result.retry_after.total_seconds() == pytest.approx(seconds, abs=2)


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        (None, None),
        ("soon", None),
        ("-5", None),
        ("0", timedelta(0)),
        ("999999999999999999", timedelta(days=1)),
        ("Fri, 02 Jan 2026 03:05:05 GMT", timedelta(minutes=1)),
        ("Fri, 02 Jan 2026 03:05:05 -0000", timedelta(minutes=1)),
        ("Thu, 01 Jan 2026 00:00:00 GMT", timedelta(0)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", timedelta(days=1)),
    ],
)
def test_retry_after_is_read_with_care(header, wait):
    assert parse_retry_after(header, now=NOW) == wait


def test_a_revoked_access_token_is_renewed_once_without_the_caller_noticing(
    simulator, push, make_message
):
    push.send([make_message("phone-1")])
    simulator.delete("/demo/tokens")

    results = push.send([make_message("phone-1"), make_message("phone-2")])

    assert outcomes(results) == [Outcome.DELIVERED_TO_FCM] * 2


def test_a_401_is_retried_exactly_once(simulator, push, make_message):
    simulator.fault(pattern="^phone-1$", status=401, times=2)

    first, second = push.send([make_message("phone-1")]), push.send([make_message("phone-1")])

    assert outcomes(first + second) == [Outcome.AUTH, Outcome.DELIVERED_TO_FCM]


def test_a_server_error_is_not_retried_in_secret(simulator, push, make_message):
    simulator.fault(pattern="^phone-1$", status=503, times=1)

    first, second = push.send([make_message("phone-1")]), push.send([make_message("phone-1")])

    assert outcomes(first + second) == [Outcome.UNAVAILABLE, Outcome.DELIVERED_TO_FCM]


def test_fcm_being_down_is_no_exception(make_push, make_message, dead_url):
    push = make_push(url=dead_url)

    results = push.send([make_message("phone-1"), make_message("phone-2")])

    assert outcomes(results) == [Outcome.UNAVAILABLE] * 2


def test_a_token_endpoint_that_is_down_makes_the_whole_batch_unavailable(
    make_push, make_message, dead_url, tmp_path
):
    write_service_account(tmp_path / "account.json", f"{dead_url}/token")
    push = make_push(account=tmp_path / "account.json")

    results = push.send([make_message("phone-1"), make_message("phone-2")])

    assert outcomes(results) == [Outcome.UNAVAILABLE] * 2


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(503, Outcome.UNAVAILABLE), ("html", Outcome.UNAVAILABLE), (403, Outcome.AUTH)],
)
def test_a_failing_token_endpoint_is_asked_once_without_sleeping(
    simulator, push, make_message, status, outcome
):
    simulator.fault(at="token", status=status, times=1)

    first, second = push.send([make_message()]), push.send([make_message()])

    assert outcomes(first + second) == [outcome, Outcome.DELIVERED_TO_FCM]


def test_a_token_endpoint_that_fails_during_a_batch_is_asked_once_for_all(
    simulator, push, make_message
):
    push.send([make_message()])
    simulator.delete("/demo/tokens")
    simulator.fault(at="token", status=503, times=1)

    results = push.send([make_message() for _ in range(50)])

    assert set(outcomes(results)) == {Outcome.UNAVAILABLE}


def test_an_unknown_key_is_refused_as_our_own_mistake(make_push, make_message, simulator, tmp_path):
    write_service_account(tmp_path / "account.json", f"{simulator.url}/token")
    push = make_push(account=tmp_path / "account.json")

    (result,) = push.send([make_message()])

    assert result.outcome is Outcome.AUTH
    assert "invalid_grant" in result.detail


def test_one_poison_message_spoils_no_other(simulator, push, make_message):
    simulator.fault(pattern="^phone-7$", status=404)
    simulator.fault(pattern="^phone-8$", status="html")
    messages = [make_message(f"phone-{number}") for number in range(100)]
    messages[9] = make_message("phone-9", body="ă" * 4096)

    results = push.send(messages)

    assert outcomes(results[7:10]) == [Outcome.UNREGISTERED, Outcome.UNAVAILABLE, Outcome.INVALID]
    others = results[:7] + results[10:]
    assert {result.outcome for result in others} == {Outcome.DELIVERED_TO_FCM}
    assert all(len(simulator.received(f"phone-{number}")) == 1 for number in (0, 6, 10, 99))


def test_nothing_to_send_is_nothing_sent(push):
    assert push.send([]) == []


def test_several_threads_may_share_the_adapter(simulator, push, make_message):
    batches = [[make_message(f"phone-{batch}") for _ in range(20)] for batch in range(4)]

    with ThreadPoolExecutor(4) as threads:
        results = [result for batch in threads.map(push.send, batches) for result in batch]

    assert set(outcomes(results)) == {Outcome.DELIVERED_TO_FCM}
    assert [len(simulator.received(f"phone-{batch}")) for batch in range(4)] == [20] * 4


@pytest.mark.parametrize(
    "changes",
    [
        {"body": "ă" * 2048},
        {"ttl": timedelta(weeks=5)},
        {"ttl": timedelta(seconds=-1)},
        {"collapse_key": "đ" * 33},
        {"data": {"count": 1}},
        {"title": "\ud800"},
        {"address": Address("fid", "")},
        {"address": Address("topic", "hai từ")},
    ],
)
def test_what_fcm_would_refuse_is_not_sent(push, make_message, changes):
    (result,) = push.send([make_message(**changes)])

    assert result.outcome is Outcome.INVALID
    assert result.detail


def test_a_payload_just_under_the_limit_is_taken(push, make_message):
    room = MAX_PAYLOAD_BYTES - len(encode(make_message(body=""))) - 1
    message = make_message(body="a" * room)

    assert len(encode(message)) == MAX_PAYLOAD_BYTES - 1
    assert outcomes(push.send([message])) == [Outcome.DELIVERED_TO_FCM]


@pytest.mark.parametrize(
    ("urgent", "android", "apns"), [(True, "high", "10"), (False, "normal", "5")]
)
def test_urgency_lifetime_and_collapse_key_are_told_to_both_systems(
    make_message, urgent, android, apns
):
    before = datetime.now(UTC).timestamp()

    message = json.loads(encode(make_message(urgent=urgent)))["message"]

    assert message["android"]["priority"] == android
    assert message["android"]["ttl"] == "86400s"
    assert message["android"]["collapse_key"] == "reports"
    headers = message["apns"]["headers"]
    assert (headers["apns-priority"], headers["apns-collapse-id"]) == (apns, "reports")
    assert int(headers["apns-expiration"]) == pytest.approx(before + 86400, abs=5)


def test_data_cannot_replace_the_id_that_the_app_drops_repeats_by(make_message):
    message = make_message(data={"notification_id": "another"})

    data = json.loads(encode(message))["message"]["data"]

    assert data == {"notification_id": str(message.notification_id)}


def test_the_address_stays_out_of_what_is_logged(simulator, push, make_message):
    simulator.fault(pattern="secret", status=400, error_code="address secret-address is bad")

    (result,) = push.send([make_message("secret-address")])

    assert "secret" not in result.detail
    assert "secret" not in repr(make_message("secret-address"))


def test_a_server_out_of_its_mind_does_no_harm(make_push, make_message, mad_url):
    push = make_push(url=mad_url)

    results = push.send([make_message(), make_message()])

    assert outcomes(results) == [Outcome.UNAVAILABLE] * 2


@pytest.fixture
def dead_url() -> Iterator[str]:
    """An address at which nobody listens, taken so that nobody begins to."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


class MadAnswer(BaseHTTPRequestHandler):
    """Hangs up without a word, or sends a body that never ends."""

    endless = False

    def do_POST(self) -> None:
        self.close_connection = True
        if not self.endless:
            return
        self.send_response(200)
        self.send_header("Content-Length", str(10**12))
        self.end_headers()
        with suppress(ConnectionError):
            while True:
                self.wfile.write(b" " * 65536)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture(params=[False, True], ids=["hangs up", "never ends"])
def mad_url(request) -> Iterator[str]:
    handler = type("Handler", (MadAnswer,), {"endless": request.param})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
