"""The identity provider as we ask it: by its own documents, one at a time, never for long.

Everything about it comes from its discovery document (OpenID Connect Discovery 1.0), so another
issuer is a matter of settings. What the document says is believed only so far: it sends us to no
other scheme, to no number of a machine, and not on to somebody else.
"""

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import jwt
import structlog

import logs
from services.errors import Unavailable

log = structlog.get_logger()

METADATA_LIFE_S = 3600.0
# A key that the provider has withdrawn is good for nothing after this.
KEYS_LIFE_S = 300.0
# While the keys cannot be had, those we know sign people in; but not for ever.
KEYS_LONGEST_S = 3600.0
# A stranger's token with an invented key id must not make us hammer the provider.
KEYS_EVERY_S = 30.0
TURN_S = 1.0
# For everything that is asked on behalf of one request together.
PATIENCE_S = 5.0
CONNECT_S = 2.0
# A connection that the provider closes just when we use it again would cost somebody their sign-in.
NO_KEEPALIVE = httpx.Limits(max_keepalive_connections=0)
# A provider that has kept one thread waiting is left alone for a while: all others need it more.
REST_S = 5.0
MAX_ANSWER = 256 * 1024
HIGHEST_PORT = 65535
ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")
OPTIONAL_ENDPOINTS = ("userinfo_endpoint",)
LISTS = ("token_endpoint_auth_methods_supported", "id_token_signing_alg_values_supported")
# Labels, the last of them no number: neither 169.254.169.254 in any spelling nor localhost.
NAME = re.compile(r"([a-z0-9_-]+\.)+[a-z][a-z0-9-]*")


class ProviderUnavailable(Unavailable):
    """The identity provider does not answer at the moment; please try again shortly."""

    vi = "Hệ thống định danh tạm thời không trả lời; vui lòng thử lại sau ít phút."


class ProviderAnswerInvalid(Exception):
    """The provider's answer breaks the protocol; the log says how."""


@dataclass(slots=True)
class _Cached:
    value: Any
    read_at: float


class Provider:
    """One identity provider; asked by one request at a time, so that it holds one thread."""

    def __init__(self, issuer: str, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` counts seconds, for how old the documents are."""
        self.issuer = issuer
        self._http = httpx.Client(follow_redirects=False, limits=NO_KEEPALIVE)
        self._clock = clock
        self._turn = threading.Semaphore(1)
        self._began = self._until = 0.0
        self._rest_until = float("-inf")
        self._metadata: _Cached | None = None
        self._keys: _Cached | None = None
        self._keys_asked_at = float("-inf")

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Around everything that is asked for one request.

        Raises:
            ProviderUnavailable: it does not answer as it should, or others are before us.
        """
        self._take_turn()
        self._began = time.monotonic()
        self._until = self._began + PATIENCE_S
        try:
            yield
        except ProviderUnavailable:
            self._rest()
            raise
        except (httpx.HTTPError, ProviderAnswerInvalid) as error:
            self._rest()
            log.warning("provider_unavailable", kind=type(error).__name__)
            raise ProviderUnavailable(retry_after=5) from error
        finally:
            self._turn.release()

    def known(self) -> dict[str, Any] | None:
        """The provider's metadata where it need not be asked for them: an hour old at most."""
        cached = self._metadata
        fresh = cached is not None and self._clock() - cached.read_at < METADATA_LIFE_S
        return cached.value if cached is not None and fresh else None

    def metadata(self) -> dict[str, Any]:
        """The same, asked for if need be; in a turn."""
        if (known := self.known()) is not None:
            return known
        metadata = self.document(self.issuer.rstrip("/") + "/.well-known/openid-configuration")
        if metadata.get("issuer") != self.issuer:
            raise ProviderAnswerInvalid("issuer")
        for name in ENDPOINTS:
            self._check_address(metadata.get(name))
        for name in OPTIONAL_ENDPOINTS:
            if name in metadata:
                self._check_address(metadata[name])
        if not all(isinstance(metadata.get(name, []), list) for name in LISTS):
            raise ProviderAnswerInvalid("no list")
        self._metadata = _Cached(metadata, self._clock())
        return metadata

    def key(self, kid: str | None) -> jwt.PyJWK:
        """The signing key of this id; one that is not known yet is looked for, now and then.

        Raises:
            ProviderAnswerInvalid: the provider has no such key.
        """
        for age in (KEYS_LIFE_S, KEYS_EVERY_S):
            for key in self._key_set(age).keys:
                if key.key_id == kid and key.public_key_use in {None, "sig"}:
                    return key
        raise ProviderAnswerInvalid("kid")

    def document(self, address: str, **options: Any) -> dict[str, Any]:
        """A document of the provider's; one that cannot be had is its fault, not the code's.

        Raises:
            ProviderUnavailable
        """
        try:
            return object_in(self.ask("GET", address, **options))
        except ProviderAnswerInvalid as error:
            log.warning("provider_unavailable", kind=type(error).__name__)
            raise ProviderUnavailable(retry_after=5) from error

    def ask(
        self, method: str, address: str, headers: dict[str, str] | None = None, **options: Any
    ) -> httpx.Response:
        """The whole answer in time; httpx's own timeouts begin anew with every piece of it."""
        left = max(0.01, self._until - time.monotonic())
        timeout = httpx.Timeout(left, connect=min(left, CONNECT_S))
        headers = logs.request_headers() | (headers or {})
        body = bytearray()
        with self._http.stream(
            method, address, timeout=timeout, headers=headers, **options
        ) as answer:
            for piece in answer.iter_bytes():
                body += piece
                if len(body) > MAX_ANSWER or time.monotonic() > self._until:
                    raise ProviderAnswerInvalid("too long")
        return httpx.Response(answer.status_code, content=bytes(body))

    def _take_turn(self) -> None:
        """Wait for whoever is before us, unless that one has been waiting for long already."""
        if self._clock() < self._rest_until:
            raise ProviderUnavailable(retry_after=int(REST_S))
        if self._turn.acquire(blocking=False):
            return
        slow = time.monotonic() - self._began > TURN_S
        if slow or not self._turn.acquire(timeout=TURN_S):
            raise ProviderUnavailable(retry_after=2)

    def _rest(self) -> None:
        """What fails at once costs nobody anything and may be asked again at once."""
        if time.monotonic() - self._began > TURN_S:
            self._rest_until = self._clock() + REST_S

    def _key_set(self, age: float) -> jwt.PyJWKSet:
        """The provider's keys, no older than `age` in seconds where they can be had."""
        cached, now = self._keys, self._clock()
        if cached is None:
            return self._fetch_keys(now)
        if now - cached.read_at < age:
            return cached.value
        if now - self._keys_asked_at >= KEYS_EVERY_S:
            try:
                return self._fetch_keys(now)
            except (httpx.HTTPError, ProviderUnavailable, ProviderAnswerInvalid) as error:
                log.warning("provider_keys_kept", kind=type(error).__name__)
        if now - cached.read_at >= KEYS_LONGEST_S:
            raise ProviderUnavailable(retry_after=int(KEYS_EVERY_S))
        return cached.value

    def _fetch_keys(self, now: float) -> jwt.PyJWKSet:
        self._keys_asked_at = now
        document = self.document(self.metadata()["jwks_uri"])
        try:
            keys = jwt.PyJWKSet.from_dict(document)
        except (jwt.PyJWTError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise ProviderAnswerInvalid("keys") from error
        self._keys = _Cached(keys, now)
        return keys

    def _check_address(self, address: Any) -> None:
        """Metadata may lead to the issuer's own host, and over TLS to another one that has a name.

        Raises:
            ProviderAnswerInvalid
        """
        try:
            url, home = httpx.URL(address), httpx.URL(self.issuer)
        except (TypeError, ValueError, httpx.InvalidURL) as error:
            raise ProviderAnswerInvalid("address") from error
        own = url.raw_host == home.raw_host and url.scheme in {home.scheme, "https"}
        other = url.scheme == "https" and NAME.fullmatch(url.raw_host.decode())
        odd = url.userinfo or url.fragment or (url.port or 0) > HIGHEST_PORT
        if odd or not (own or other):
            raise ProviderAnswerInvalid("address")


def object_in(answer: httpx.Response) -> dict[str, Any]:
    """The JSON object of a good answer.

    Raises:
        ProviderAnswerInvalid
    """
    if answer.status_code != httpx.codes.OK:
        raise ProviderAnswerInvalid(f"status {answer.status_code}")
    try:
        value = answer.json()
    except (ValueError, RecursionError) as error:
        raise ProviderAnswerInvalid("no JSON") from error
    if not isinstance(value, dict):
        raise ProviderAnswerInvalid("no object")
    return value
