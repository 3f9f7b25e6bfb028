"""The relying party: turning an authorization code into a person (OpenID Connect Core 1.0)."""

import datetime as dt
import re
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import httpx
import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from api.provider import (
    Provider,
    ProviderAnswerInvalid,
    ProviderUnavailable,
    object_in,
)
from services.errors import Forbidden, Invalid
from services.identity import PersonClaims
from services.permissions import LEVEL_1, LEVEL_2
from services.text import tidy

log = structlog.get_logger()

LEEWAY = dt.timedelta(seconds=60)
ASYMMETRIC = ("ES256", "ES384", "RS256", "PS256", "EdDSA")
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_LIFE_S = 60
CURVES = {"secp256r1": "ES256", "secp384r1": "ES384"}
# OpenID Connect Core section 2; a longer one would find no place in the database.
LONGEST_SUBJECT = LONGEST_TEXT = 255
SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


class CodeRefused(Invalid):
    """The identity provider refused this code; please sign in again."""

    vi = "Nhà cung cấp định danh từ chối mã này; vui lòng đăng nhập lại."


class SignInTooOld(Forbidden):
    """The identity provider took an earlier sign-in for a new one; please sign in again."""

    vi = "Hệ thống định danh đã dùng lại lần đăng nhập cũ. Hãy đăng nhập lại bằng mật khẩu."


# What libraries raise when an answer holds something else than the protocol promises.
ODD_CONTENT = (
    ProviderAnswerInvalid,
    jwt.PyJWTError,
    AttributeError,
    KeyError,
    OverflowError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class Client:
    """How this system is known to the provider: by a secret, or by a key of which it has a half."""

    client_id: str
    secret: str = field(default="", repr=False)
    key: SigningKey | None = field(default=None, repr=False)
    algorithm: str = ""

    @classmethod
    def known_by(cls, client_id: str, secret: str, key_file: Path | None) -> "Client":
        """A key in PEM where there is one: EC P-256 or P-384, RSA or Ed25519.

        Raises:
            TypeError, ValueError: the file holds nothing of the kind.
        """
        if key_file is None:
            return cls(client_id, secret)
        key = load_pem_private_key(key_file.read_bytes(), password=None)
        if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in CURVES:
            return cls(client_id, key=key, algorithm=CURVES[key.curve.name])
        if isinstance(key, rsa.RSAPrivateKey):
            return cls(client_id, key=key, algorithm="RS256")
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return cls(client_id, key=key, algorithm="EdDSA")
        raise TypeError("a client's key must be EC P-256 or P-384, RSA or Ed25519")

    def proof(self, metadata: dict[str, Any]) -> tuple[dict[str, str], tuple[str, str] | None]:
        """What proves to the token endpoint who we are: fields of the form, or a header's halves.

        Raises:
            ProviderAnswerInvalid: the provider takes secrets in no way that we know.
        """
        if self.key:
            return self._assertion(self.key, metadata["issuer"]), None
        # OpenID Connect Discovery section 3 says what a provider means that says nothing.
        ways = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        if "client_secret_basic" in ways:
            # Both halves are form-encoded first (RFC 6749 section 2.3.1).
            return {}, (quote_plus(self.client_id), quote_plus(self.secret))
        if "client_secret_post" in ways:
            return {"client_id": self.client_id, "client_secret": self.secret}, None
        raise ProviderAnswerInvalid("client authentication")

    def _assertion(self, key: SigningKey, issuer: str) -> dict[str, str]:
        """private_key_jwt (OpenID Connect Core section 9, RFC 7523)."""
        now = int(time.time())
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            # Not an endpoint, or one provider could use at another what we sent it.
            "aud": issuer,
            "jti": secrets.token_urlsafe(16),
            "iat": now,
            "exp": now + ASSERTION_LIFE_S,
        }
        return {
            "client_id": self.client_id,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": jwt.encode(claims, key, self.algorithm),
        }


class RelyingParty:
    """Exchanges codes for what the provider says of a person."""

    def __init__(
        self,
        provider: Provider,
        *,
        level_2: str = LEVEL_2,
        citizen_number_claim: str = "citizen_number",
    ) -> None:
        """`level_2` is what the provider calls our level 2."""
        self._provider = provider
        self._level_2 = level_2
        self._number = citizen_number_claim
        self._facts = {"name", "birthdate", "phone_number", citizen_number_claim}

    def authorization_endpoint(self) -> str:
        """Where a browser is sent to sign in.

        Raises:
            ProviderUnavailable
        """
        return str(self._metadata()["authorization_endpoint"])

    def where_browsers_go(self) -> str:
        """The same as far as is known without asking, else the issuer."""
        known = self._provider.known()
        return str(known["authorization_endpoint"]) if known else self._provider.issuer

    def names_itself_in(self, issuer: str | None) -> bool:
        """Whether the `iss` of an authorization response is right (RFC 9207 section 2.4).

        Raises:
            ProviderUnavailable
        """
        if issuer is None:
            return not self._metadata().get("authorization_response_iss_parameter_supported", False)
        return issuer == self._provider.issuer

    def exchange(
        self,
        client: Client,
        *,
        code: str,
        code_verifier: str,
        nonce: str,
        redirect_uri: str,
        since: float | None = None,
    ) -> PersonClaims:
        """The person who signed in, and did so after `since` (Unix time) where that is given.

        Raises:
            CodeRefused: the provider said no, or its ID token is not for us.
            SignInTooOld: it let an older sign-in count, whatever it had been asked for.
            ProviderUnavailable: it did not answer in time, or another exchange has the turn.
        """
        with self._provider.turn():
            metadata = self._provider.metadata()
            proof, basic = client.proof(metadata)
            form = {
                "grant_type": "authorization_code",
                "code": code,
                "code_verifier": code_verifier,
                "redirect_uri": redirect_uri,
            }
            answer = self._provider.ask(
                "POST", metadata["token_endpoint"], data=form | proof, auth=basic
            )
            if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
                log.warning("provider_unavailable", status=answer.status_code)
                raise ProviderUnavailable(retry_after=5)
            if answer.status_code != httpx.codes.OK:
                log.info("code_refused", status=answer.status_code)
                raise CodeRefused
            try:
                tokens = object_in(answer)
                claims = self._verified(tokens["id_token"], client, nonce)
                _require_recent(claims, since)
                return self._person(self._completed(claims, tokens))
            except ODD_CONTENT as error:
                log.warning("id_token_refused", kind=type(error).__name__)
                raise CodeRefused from error

    def _metadata(self) -> dict[str, Any]:
        """What is known needs no turn, which somebody may hold for seconds."""
        if (known := self._provider.known()) is not None:
            return known
        with self._provider.turn():
            return self._provider.metadata()

    def _verified(self, token: str, client: Client, nonce: str) -> dict[str, Any]:
        """The claims of an ID token that is for us (OpenID Connect Core section 3.1.3.7)."""
        metadata = self._provider.metadata()
        supported = metadata.get("id_token_signing_alg_values_supported", ["RS256"])
        claims: dict[str, Any] = jwt.decode(
            token,
            self._provider.key(jwt.get_unverified_header(token).get("kid")),
            algorithms=[name for name in supported if name in ASYMMETRIC],
            audience=client.client_id,
            issuer=self._provider.issuer,
            leeway=LEEWAY,
            options={"require": ["iss", "aud", "sub", "exp", "iat", "nonce"]},
        )
        # We trust no other audience, and who is trusted by others may be deceived by them.
        if claims["aud"] not in (client.client_id, [client.client_id]):
            raise ProviderAnswerInvalid("aud")
        if claims["nonce"] != nonce or claims.get("azp", client.client_id) != client.client_id:
            raise ProviderAnswerInvalid("nonce or azp")
        return claims

    def _completed(self, claims: dict[str, Any], tokens: dict[str, Any]) -> dict[str, Any]:
        """The claims, with facts from the userinfo endpoint that the ID token lacks (5.3)."""
        metadata = self._provider.metadata()
        lacking = self._facts - claims.keys()
        if not lacking or "userinfo_endpoint" not in metadata or "access_token" not in tokens:
            return claims
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
        told = self._provider.document(metadata["userinfo_endpoint"], headers=bearer)
        if told.get("sub") != claims["sub"]:
            raise ProviderAnswerInvalid("userinfo of somebody else")
        return claims | {name: told[name] for name in lacking & told.keys()}

    def _person(self, claims: dict[str, Any]) -> PersonClaims:
        subject = claims["sub"]
        if not (
            0 < len(subject) <= LONGEST_SUBJECT and subject.isascii() and subject.isprintable()
        ):
            raise ProviderAnswerInvalid("sub")
        number = claims.get(self._number) or None
        if number is not None and not re.fullmatch(r"[0-9]{1,20}", number):
            raise ProviderAnswerInvalid("citizen number")
        # Where nothing is told, the person may have been signed in there for weeks.
        at = claims.get("auth_time", 0)
        return PersonClaims(
            issuer=self._provider.issuer,
            subject=subject,
            name=_text(claims.get("name")),
            acr=LEVEL_2 if claims.get("acr") == self._level_2 else LEVEL_1,
            auth_time=dt.datetime.fromtimestamp(at, tz=dt.UTC),
            citizen_number=number,
            phone=_text(claims.get("phone_number")) or None,
            birth_date=_date(claims.get("birthdate")),
        )


def _require_recent(claims: dict[str, Any], since: float | None) -> None:
    """A provider that was asked for a new sign-in has to say when that was (section 2)."""
    if since is not None and claims["auth_time"] < since - LEEWAY.total_seconds():
        raise SignInTooOld


def _text(value: str | None) -> str:
    """A line that can be stored: a lone surrogate is a ValueError, what nobody sees goes."""
    text = " ".join(tidy(value or "").split())
    text.encode()
    if len(text) > LONGEST_TEXT:
        raise ProviderAnswerInvalid("too long a text")
    return text


def _date(value: str | None) -> str | None:
    """A date, or a year alone where no more is known; 0000 is an unknown year (section 5.1)."""
    text = value or ""
    if re.fullmatch(r"[12][0-9]{3}", text):
        return text
    try:
        return dt.date.fromisoformat(text).isoformat()
    except ValueError:
        return None
