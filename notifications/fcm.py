"""Firebase Cloud Messaging, HTTP v1.

This is the only module that imports firebase-admin: its credentials and its message encoder, both
pinned by tests/notifications/test_firebase_contract.py. Sending is ours, because its `send_each`
makes a thread a message, sleeps and retries where nobody sees it, loses the results of a batch on
one 401 and costs several times the processor time of a keep-alive pool. Retries belong to the
jobs, which can wait without holding a worker; the one retry here is a 401 with a renewed token.

The answers and their meaning: https://firebase.google.com/docs/cloud-messaging/error-codes
"""

import contextvars
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import urllib3
from firebase_admin import credentials, messaging
from firebase_admin._messaging_encoder import MessageEncoder

import logs
from notifications.fcm_answers import Answer, classify, needs_new_token
from notifications.fcm_tokens import BatchToken, TokenRefused, TokenSource, TokenUnavailable
from notifications.push import Message, Outcome, Result

MAX_PAYLOAD_BYTES = 4096
MAX_TTL = timedelta(weeks=4)
MAX_COLLAPSE_BYTES = 64  # What APNs allows for apns-collapse-id.
MAX_ANSWER_BYTES = 64 * 1024
SPARE_CONNECTIONS = 4  # For single messages beside a running batch.
POOL_TIMEOUT = 5  # Seconds that a single message waits when even those are taken.


class FcmPush:
    """Sends to FCM over a pool of kept-alive connections. Safe to share between threads.

    A single message is sent in the calling thread; a batch by up to `connections` threads that
    the adapter keeps. Batches wait for one another, so each lane wants an instance of its own. The
    project is the one the credentials file names.
    """

    def __init__(
        self,
        credentials_file: Path,
        url: str = "https://fcm.googleapis.com",
        *,
        timeout: timedelta = timedelta(seconds=5),
        connections: int = 64,
    ) -> None:
        certificate = credentials.Certificate(str(credentials_file))
        self._tokens = TokenSource(certificate.get_credential(), timeout=timeout)
        self._path = f"/v1/projects/{certificate.project_id}/messages:send"
        seconds = timeout.total_seconds()
        self._pool = urllib3.connection_from_url(
            url,
            maxsize=connections + SPARE_CONNECTIONS,
            block=True,
            timeout=urllib3.Timeout(connect=min(seconds, 2), read=seconds),
            retries=False,
        )
        self._connections = connections
        self._threads = ThreadPoolExecutor(connections, thread_name_prefix="fcm")

    def close(self) -> None:
        """Finish what is under way and close the connections."""
        self._threads.shutdown()
        self._pool.close()
        self._tokens.close()

    def send(self, messages: Sequence[Message]) -> list[Result]:
        """Answer one result per message, in order; a failed delivery never raises."""
        if not messages:
            return []
        try:
            token = BatchToken(self._tokens)
        except TokenUnavailable as error:
            return [Result(Outcome.UNAVAILABLE, detail=str(error))] * len(messages)
        except TokenRefused as error:
            return [Result(Outcome.AUTH, detail=str(error))] * len(messages)
        if len(messages) == 1:
            return [self._send_one(messages[0], token)]
        return self._send_many(messages, token)

    def _send_many(self, messages: Sequence[Message], token: BatchToken) -> list[Result]:
        """Let a few threads empty one queue: a future per message would cost more than it."""
        waiting = deque(enumerate(messages))
        results: list[Result] = [Result(Outcome.UNAVAILABLE)] * len(messages)

        def work() -> None:
            while True:
                try:
                    index, message = waiting.popleft()
                except IndexError:
                    return
                results[index] = self._send_one(message, token)

        workers = min(len(messages), self._connections)
        # With the context of this call, which names the request behind it; each thread has a copy.
        started = [
            self._threads.submit(contextvars.copy_context().run, work) for _ in range(workers)
        ]
        for done in started:
            done.result()
        return results

    def _send_one(self, message: Message, token: BatchToken) -> Result:
        try:
            payload = encode(message)
        except (ValueError, TypeError) as error:
            return Result(Outcome.INVALID, detail=_without_address(str(error), message))
        try:
            result = self._post_authorised(payload, token)
        except urllib3.exceptions.HTTPError as error:
            # The name of the class says enough, and the text may hold the address of a proxy.
            result = Result(Outcome.UNAVAILABLE, detail=type(error).__name__)
        except TokenUnavailable as error:
            result = Result(Outcome.UNAVAILABLE, detail=str(error))
        except TokenRefused as error:
            result = Result(Outcome.AUTH, detail=str(error))
        if not result.detail:
            return result
        return Result(result.outcome, result.retry_after, _without_address(result.detail, message))

    def _post_authorised(self, payload: bytes, token: BatchToken) -> Result:
        used = token.current
        answer = self._post(payload, used)
        if needs_new_token(answer) and token.renew(used):
            answer = self._post(payload, token.current)
        return classify(answer)

    def _post(self, payload: bytes, token: str) -> Answer:
        response = self._pool.urlopen(
            "POST",
            self._path,
            body=payload,
            headers={
                "Authorization": f"Bearer {token}",
                "Content-Type": "application/json; charset=utf-8",
                **logs.request_headers(),
            },
            retries=False,
            redirect=False,
            pool_timeout=POOL_TIMEOUT,
            preload_content=False,
            decode_content=False,
        )
        try:
            body = response.read(MAX_ANSWER_BYTES)
            if response.length_remaining and len(body) < MAX_ANSWER_BYTES:
                raise urllib3.exceptions.ProtocolError("the connection broke within the answer")
            return Answer(response.status, body, response.headers.get("Retry-After"))
        finally:
            # A connection goes back into the pool only with its answer read to the end.
            if response.length_remaining:
                response.close()
            response.release_conn()


def encode(message: Message) -> bytes:
    """Write the request body.

    Raises:
        ValueError: FCM or APNs would refuse this message.
        TypeError: A text is not text.
    """
    if message.ttl > MAX_TTL:
        raise ValueError(f"time to live is over {MAX_TTL.days} days")
    if len(message.collapse_key.encode()) > MAX_COLLAPSE_BYTES:
        raise ValueError(f"collapse key is over {MAX_COLLAPSE_BYTES} bytes")
    encoded: dict[str, Any] = MessageEncoder().default(_firebase_message(message))
    body = orjson.dumps({"message": encoded})
    if len(body) >= MAX_PAYLOAD_BYTES:
        raise ValueError(f"payload of {len(body)} bytes is not under {MAX_PAYLOAD_BYTES}")
    return body


def _firebase_message(message: Message) -> messaging.Message:
    built = messaging.Message(
        data={**message.data, "notification_id": str(message.notification_id)},
        notification=messaging.Notification(title=message.title, body=message.body),
        android=_android(message),
        apns=_apns(message),
    )
    # Set afterwards, because `Message(token=…)` warns of its deprecation in 7.7 while FCM itself
    # still takes tokens; our address kinds are named after the attributes.
    setattr(built, message.address.kind, message.address.value)
    return built


def _android(message: Message) -> messaging.AndroidConfig:
    return messaging.AndroidConfig(
        collapse_key=message.collapse_key,
        priority="high" if message.urgent else "normal",
        ttl=message.ttl,
        # The collapse key replaces a message still waiting; the tag, one already on the screen.
        notification=messaging.AndroidNotification(tag=message.collapse_key),
    )


def _apns(message: Message) -> messaging.APNSConfig:
    expires = int(time.time() + message.ttl.total_seconds()) if message.ttl else 0
    return messaging.APNSConfig(
        headers={
            "apns-priority": "10" if message.urgent else "5",
            "apns-expiration": str(expires),
            "apns-collapse-id": message.collapse_key,
        },
    )


def _without_address(detail: str, message: Message) -> str:
    """Keep the device's address out of what is stored and logged, should an answer repeat it."""
    return detail.replace(message.address.value, "…") if message.address.value else detail
