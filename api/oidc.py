"""The relying party: turning an authorization code into a person (OpenID Connect Core 1.0).

The one kind of outgoing call that web processes make. Everything about the provider comes from
its discovery document, so another issuer is a matter of settings.
"""

import datetime as dt
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
import jwt
import structlog

import logs
from services.errors import Invalid, Unavailable
from services.identity import PersonClaims

log = structlog.get_logger()

LEEWAY = dt.timedelta(seconds=60)
METADATA_LIFE_S = 3600.0
# A stranger's token with an invented key id must not make us hammer the provider.
FORCED_REFRESH_EVERY_S = 30.0
TURN_S = 1.0
# For everything that is asked on behalf of one request together.
PATIENCE_S = 5.0
CONNECT_S = 2.0
MAX_ANSWER = 256 * 1024
ASYMMETRIC = ("ES256", "ES384", "RS256", "PS256", "EdDSA")
SCOPES = ("openid", "profile", "phone", "citizen_id")
CITIZEN_NUMBER = re.compile(r"[0-9]{12}")
# A year alone where no more is known (OpenID Connect Core 5.1).
BIRTH_DATE = re.compile(r"[0-9]{4}(-[0-9]{2}-[0-9]{2})?")


class CodeRefused(Invalid):
    """The identity provider refused this code; please sign in again."""

    vi = "Nhà cung cấp định danh từ chối mã này; vui lòng đăng nhập lại."


class ProviderUnavailable(Unavailable):
    """The identity provider does not answer at the moment; please try again shortly."""

    vi = "Hệ thống định danh tạm thời không trả lời; vui lòng thử lại sau ít phút."


class ProviderAnswerInvalid(Exception):
    """The provider's answer breaks the protocol; the log says how."""


# What libraries raise when an answer holds something else than the protocol promises.
ODD_CONTENT = (
    ProviderAnswerInvalid,
    jwt.PyJWTError,
    AttributeError,
    KeyError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class Client:
    """How this system is known to the provider."""

    client_id: str
    client_secret: str = field(repr=False)


@dataclass(slots=True)
class _Cached:
    value: dict[str, Any]
    read_at: float


class RelyingParty:
    """Exchanges codes; one at a time in each process, so a slow provider holds one thread."""

    def __init__(self, issuer: str, http: httpx.Client | None = None) -> None:
        self.issuer = issuer
        self._http = http or httpx.Client(follow_redirects=False)
        self._turn = threading.Semaphore(1)
        self._until = 0.0
        self._metadata: _Cached | None = None
        self._jwks: _Cached | None = None

    def authorization_endpoint(self) -> str:
        """Where a browser is sent to sign in.

        Raises:
            ProviderUnavailable
        """
        with self._guarded():
            return str(self._discovered()["authorization_endpoint"])

    def names_itself_in(self, issuer: str | None) -> bool:
        """Whether the `iss` of an authorization response is right (RFC 9207 section 2.4).

        Raises:
            ProviderUnavailable
        """
        with self._guarded():
            metadata = self._discovered()
        if issuer is None:
            return not metadata.get("authorization_response_iss_parameter_supported", False)
        return issuer == self.issuer

    def exchange(
        self, client: Client, *, code: str, code_verifier: str, nonce: str, redirect_uri: str
    ) -> PersonClaims:
        """The person who signed in.

        Raises:
            CodeRefused: the provider said no, or its ID token is not for us.
            ProviderUnavailable: it did not answer in time, or another exchange has the turn.
        """
        with self._guarded():
            answer = self._ask(
                "POST",
                self._discovered()["token_endpoint"],
                data={
                    "grant_type": "authorization_code",
                    "code": code,
                    "code_verifier": code_verifier,
                    "redirect_uri": redirect_uri,
                },
                auth=(client.client_id, client.client_secret),
            )
            if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
                raise ProviderUnavailable(retry_after=5)
            if answer.status_code != httpx.codes.OK:
                log.info("code_refused", status=answer.status_code)
                raise CodeRefused
            try:
                payload = self._verified(_object(answer)["id_token"], client, nonce)
                return self._person(payload)
            except ODD_CONTENT as error:
                log.warning("id_token_refused", kind=type(error).__name__)
                raise CodeRefused from error

    def _verified(self, token: str, client: Client, nonce: str) -> dict[str, Any]:
        supported = self._discovered().get("id_token_signing_alg_values_supported", ["RS256"])
        payload: dict[str, Any] = jwt.decode(
            token,
            self._key(jwt.get_unverified_header(token).get("kid")),
            algorithms=[name for name in supported if name in ASYMMETRIC],
            audience=client.client_id,
            issuer=self.issuer,
            leeway=LEEWAY,
            options={"require": ["iss", "aud", "sub", "exp", "iat", "nonce"]},
        )
        if payload["nonce"] != nonce or payload.get("azp", client.client_id) != client.client_id:
            raise ProviderAnswerInvalid("nonce or azp")
        return payload

    def _person(self, payload: dict[str, Any]) -> PersonClaims:
        number, birth_date = payload.get("citizen_number"), payload.get("birthdate")
        if number is not None and not CITIZEN_NUMBER.fullmatch(number):
            raise ProviderAnswerInvalid("citizen_number")
        if birth_date is not None and not BIRTH_DATE.fullmatch(birth_date):
            raise ProviderAnswerInvalid("birthdate")
        return PersonClaims(
            issuer=self.issuer,
            subject=str(payload["sub"]),
            name=str(payload.get("name", "")),
            acr=str(payload.get("acr", "")),
            auth_time=dt.datetime.fromtimestamp(
                payload.get("auth_time", payload["iat"]), tz=dt.UTC
            ),
            citizen_number=number,
            phone=payload.get("phone_number"),
            birth_date=birth_date,
        )

    def _key(self, kid: str | None) -> jwt.PyJWK:
        for forced in (False, True):
            for key in jwt.PyJWKSet.from_dict(self._keys(forced=forced)).keys:
                if key.key_id == kid:
                    return key
        raise ProviderAnswerInvalid("kid")

    def _keys(self, *, forced: bool) -> dict[str, Any]:
        age = time.monotonic() - self._jwks.read_at if self._jwks else float("inf")
        if self._jwks is None or age > (FORCED_REFRESH_EVERY_S if forced else METADATA_LIFE_S):
            uri = self._discovered()["jwks_uri"]
            self._jwks = _Cached(self._fetched(uri), time.monotonic())
        return self._jwks.value

    def _discovered(self) -> dict[str, Any]:
        """The provider's metadata (OpenID Connect Discovery 1.0), an hour old at most."""
        cached = self._metadata
        if cached is not None and time.monotonic() - cached.read_at < METADATA_LIFE_S:
            return cached.value
        address = self.issuer.rstrip("/") + "/.well-known/openid-configuration"
        metadata = self._fetched(address)
        if metadata.get("issuer") != self.issuer:
            raise ProviderAnswerInvalid("issuer")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            _check_address(str(metadata.get(name, "")), self.issuer)
        self._metadata = _Cached(metadata, time.monotonic())
        return metadata

    def _fetched(self, address: str) -> dict[str, Any]:
        """A document of the provider's; one that cannot be had is its fault, not the code's."""
        try:
            return _object(self._ask("GET", address))
        except ProviderAnswerInvalid as error:
            log.warning("provider_unavailable", kind=type(error).__name__)
            raise ProviderUnavailable(retry_after=5) from error

    def _ask(self, method: str, address: str, **options: Any) -> httpx.Response:
        """The whole answer in time; httpx's own timeouts begin anew with every piece of it."""
        left = max(0.01, self._until - time.monotonic())
        timeout = httpx.Timeout(left, connect=min(left, CONNECT_S))
        body = bytearray()
        with self._http.stream(
            method, address, timeout=timeout, headers=logs.request_headers(), **options
        ) as answer:
            for piece in answer.iter_bytes():
                body += piece
                if len(body) > MAX_ANSWER or time.monotonic() > self._until:
                    raise ProviderAnswerInvalid("too long")
        return httpx.Response(answer.status_code, content=bytes(body))

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """One exchange at a time; what goes wrong on the way becomes ProviderUnavailable."""
        if not self._turn.acquire(timeout=TURN_S):
            raise ProviderUnavailable(retry_after=2)
        self._until = time.monotonic() + PATIENCE_S
        try:
            yield
        except (httpx.HTTPError, ProviderAnswerInvalid) as error:
            log.warning("provider_unavailable", kind=type(error).__name__)
            raise ProviderUnavailable(retry_after=5) from error
        finally:
            self._turn.release()


def _check_address(address: str, issuer: str) -> None:
    """Metadata may not send us to another scheme or, over plain http, to another machine."""
    parts = urlsplit(address)
    home = urlsplit(issuer)
    if parts.scheme not in {home.scheme, "https"} or not parts.hostname:
        raise ProviderAnswerInvalid("address")
    if parts.scheme == "http" and parts.hostname != home.hostname:
        raise ProviderAnswerInvalid("address")


def _object(answer: httpx.Response) -> dict[str, Any]:
    if answer.status_code != httpx.codes.OK:
        raise ProviderAnswerInvalid(f"status {answer.status_code}")
    try:
        value = answer.json()
    except (ValueError, RecursionError) as error:
        raise ProviderAnswerInvalid("no JSON") from error
    if not isinstance(value, dict):
        raise ProviderAnswerInvalid("no object")
    return value
