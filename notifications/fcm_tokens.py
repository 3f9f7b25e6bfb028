"""OAuth access tokens of the service account, renewed by one thread at a time.

google-auth would retry a failing token endpoint with sleeps and, used through its sessions, start
look-ups of its own; here it signs the grant and reads the answer, nothing more.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from threading import Lock
from typing import Protocol

import urllib3
from google.auth.exceptions import GoogleAuthError, RefreshError

RETRYABLE = frozenset({408, 429})
SERVER_ERROR = 500


class TokenUnavailable(Exception):
    """The token endpoint cannot be reached or is out of order."""


class TokenRefused(Exception):
    """The token endpoint refuses our credentials."""


@dataclass(frozen=True, slots=True)
class TokenResponse:
    """The answer in the shape google-auth reads (google.auth.transport.Response)."""

    status: int
    headers: Mapping[str, str]
    data: bytes


class Credential(Protocol):
    """What is used of google.auth.credentials.Credentials."""

    token: str | None

    @property
    def valid(self) -> bool: ...

    def refresh(self, request: Callable[..., TokenResponse]) -> None: ...


class TokenSource:
    """The access token that is good now."""

    def __init__(self, credential: Credential, *, timeout: timedelta) -> None:
        self._credential = credential
        self._lock = Lock()
        seconds = timeout.total_seconds()
        self._http = urllib3.PoolManager(
            maxsize=2,
            timeout=urllib3.Timeout(connect=min(seconds, 2), read=seconds),
            retries=False,
        )

    def close(self) -> None:
        self._http.clear()

    def current(self) -> str:
        """Give a token that is not about to expire.

        Raises:
            TokenUnavailable: Try again later.
            TokenRefused: A person has to look at the credentials.
        """
        with self._lock:
            return str(self._credential.token) if self._credential.valid else self._refresh()

    def renewed(self, refused: str) -> str:
        """Give another token than the one FCM just refused; raises as `current` does."""
        with self._lock:
            if self._credential.valid and self._credential.token != refused:
                return str(self._credential.token)
            return self._refresh()

    def _refresh(self) -> str:
        try:
            self._credential.refresh(self._post)
        except RefreshError as error:
            raise TokenRefused(f"token endpoint: {error.args[0]}"[:200]) from error
        except (GoogleAuthError, ValueError, TypeError, AttributeError) as error:
            # google-auth reads an answer that is not a JSON object in several surprising ways.
            raise TokenUnavailable("token endpoint: malformed answer") from error
        return str(self._credential.token)

    def _post(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        **_: object,
    ) -> TokenResponse:
        """Be the transport of google-auth; what raises here is not slept on and retried there."""
        try:
            response = self._http.request(
                method, url, body=body, headers=headers, retries=False, redirect=False
            )
        except urllib3.exceptions.HTTPError as error:
            raise TokenUnavailable(f"token endpoint: {type(error).__name__}") from error
        if response.status >= SERVER_ERROR or response.status in RETRYABLE:
            raise TokenUnavailable(f"token endpoint: {response.status}")
        return TokenResponse(response.status, response.headers, response.data)


class BatchToken:
    """The token of one call of `send`, renewed at most once for all its messages.

    Otherwise 500 messages would ask for 500 tokens when FCM refuses every one, or wait 500 times
    for a token endpoint that is down.
    """

    def __init__(self, source: TokenSource) -> None:
        self._source = source
        self._lock = Lock()
        self._first = self.current = source.current()
        self._failure: TokenUnavailable | TokenRefused | None = None

    def renew(self, refused: str) -> bool:
        """Say whether `current` is now worth another try; raises as `TokenSource.current` does."""
        with self._lock:
            if self._failure:
                raise self._failure
            if refused != self._first:
                return False
            if self.current == self._first:
                try:
                    self.current = self._source.renewed(refused)
                except (TokenUnavailable, TokenRefused) as error:
                    self._failure = error
                    raise
            return True
