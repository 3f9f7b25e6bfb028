"""Keys, access tokens, and hashes of secrets."""

import base64
import datetime as dt
import functools
import hashlib
import hmac
import json
import re
import secrets
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from models import Audience
from services.errors import Unauthenticated

ACCESS_LIFE = dt.timedelta(minutes=10)
ALGORITHM = "ES256"
# Ours have some 500 characters; and base64url without padding is their only spelling.
_MAX_TOKEN = 2048
_PEM = re.compile(rb"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.+?-----END \1-----", re.DOTALL)
_FORM = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{86}")
# A process that knows its last two thousand tokens holds some 3 MB for it.
KNOWN_TOKENS = 2048
_ODD_CONTENT = (
    jwt.InvalidTokenError,
    AttributeError,
    KeyError,
    OSError,
    OverflowError,
    TypeError,
    ValueError,
)
_CLAIMS = ["iss", "aud", "sub", "sid", "acr", "auth_time", "iat", "exp", "jti"]


class TokenInvalid(Unauthenticated):
    """The access token is missing, expired or not ours."""

    vi = "Thiếu mã truy cập, hoặc mã đã hết hạn hay không hợp lệ."


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """What a valid access token says; times are in whole seconds."""

    citizen_id: uuid.UUID
    session_id: uuid.UUID
    audience: Audience
    acr: str
    auth_time: dt.datetime
    issued_at: dt.datetime


class Keys:
    """The keys of the web processes.

    Each purpose of `secret` has its own, derived by HKDF (RFC 5869). The file `access_key` holds
    the keys of access tokens: the first signs, and tokens of all of them are good, so that one can
    be changed without a token being refused.
    """

    def __init__(self, *, secret: str, access_key: Path, issuer: str) -> None:
        # Deriving costs more than the hash it is for, and the purposes are few.
        self._derived = functools.cache(functools.partial(_derive, secret.encode()))
        self.issuer = issuer
        pairs = [*_key_pairs(access_key.read_bytes())]
        self._private = pairs[0]
        self._public = {_thumbprint(pair.public_key()): pair.public_key() for pair in pairs}
        self.key_id = next(iter(self._public))
        # An app that is opened shows the same token several times, and checking a signature is a
        # sixth of a small request. Only good tokens are kept; their end is looked at each time.
        self._known = functools.lru_cache(KNOWN_TOKENS)(self._checked)

    def mac(self, purpose: str, message: bytes) -> bytes:
        """A keyed hash of 32 bytes; MACs of different purposes never match."""
        return hmac.digest(self._derived(purpose), message, "sha256")

    def jwks(self) -> dict[str, Any]:
        """The public keys as a JWK set (RFC 7517), for whoever wants to check our tokens."""
        return {
            "keys": [
                _jwk(key) | {"kid": key_id, "use": "sig", "alg": ALGORITHM}
                for key_id, key in self._public.items()
            ]
        }

    def mint(self, claims: AccessClaims, *, until: dt.datetime | None = None) -> str:
        """An access token (RFC 9068) of ten minutes, or less where its session ends at `until`."""
        end = claims.issued_at + ACCESS_LIFE
        payload = {
            "iss": self.issuer,
            "aud": claims.audience.value,
            "sub": str(claims.citizen_id),
            "sid": str(claims.session_id),
            "acr": claims.acr,
            "auth_time": int(claims.auth_time.timestamp()),
            "iat": int(claims.issued_at.timestamp()),
            "exp": int(min(end, until or end).timestamp()),
            "jti": secrets.token_urlsafe(12),
        }
        headers = {"kid": self.key_id, "typ": "at+jwt"}
        return jwt.encode(payload, self._private, ALGORITHM, headers)

    def verify(self, token: str) -> AccessClaims:
        """Check an access token without the database.

        Raises:
            TokenInvalid: for every fault alike, so that a forger learns nothing.
        """
        claims, expires = self._known(token)
        if expires <= time.time():
            raise TokenInvalid
        return claims

    def _checked(self, token: str) -> tuple[AccessClaims, float]:
        """What a good token says, and the moment of its end."""
        if len(token) > _MAX_TOKEN or not _FORM.fullmatch(token):
            raise TokenInvalid
        try:
            read = jwt.decode_complete(
                token,
                self._public[jwt.get_unverified_header(token)["kid"]],
                algorithms=[ALGORITHM],
                audience=[audience.value for audience in Audience],
                issuer=self.issuer,
                options={"require": _CLAIMS, "strict_aud": False},
            )
            header, payload = read["header"], read["payload"]
            if header.get("typ") != "at+jwt":
                raise TokenInvalid
            claims = AccessClaims(
                citizen_id=uuid.UUID(payload["sub"]),
                session_id=uuid.UUID(payload["sid"]),
                audience=Audience(payload["aud"]),
                acr=str(payload["acr"]),
                auth_time=_moment(payload["auth_time"]),
                issued_at=_moment(payload["iat"]),
            )
            return claims, float(payload["exp"])
        except _ODD_CONTENT as error:
            raise TokenInvalid from error


def _key_pairs(pem: bytes) -> Iterator[ec.EllipticCurvePrivateKey]:
    found = [block[0] for block in _PEM.finditer(pem)]
    for block in found or [pem]:
        key = load_pem_private_key(block, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
            raise TypeError("ACCESS_TOKEN_KEY_FILE must hold EC P-256 private keys")
        yield key


def _jwk(key: ec.EllipticCurvePublicKey) -> dict[str, Any]:
    return jwt.algorithms.ECAlgorithm.to_jwk(key, as_dict=True)


def _thumbprint(key: ec.EllipticCurvePublicKey) -> str:
    """The id of a key, which follows from it (RFC 7638)."""
    needed = {name: value for name, value in _jwk(key).items() if name in {"crv", "kty", "x", "y"}}
    text = json.dumps(needed, sort_keys=True, separators=(",", ":"))
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def _moment(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


def _derive(secret: bytes, purpose: str) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=purpose.encode()).derive(secret)


def hashed(secret: str) -> bytes:
    """How a random secret of 128 bits or more is stored; nobody can try them all."""
    return hashlib.sha256(secret.encode()).digest()


def new_secret() -> str:
    """256 random bits, for a cookie or a token."""
    return secrets.token_urlsafe(32)
