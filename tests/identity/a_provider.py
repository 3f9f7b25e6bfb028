"""A provider over HTTP that says whatever a test wants, and keeps a ledger of what it was asked."""

import base64
import time
from collections import Counter
from typing import Any
from urllib.parse import unquote_plus

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from flask import Flask, Response, request

NONCE = "a nonce of theirs"
ALGORITHM = "ES256"


class AProvider:
    """Signs with the key named `signing`; publishes `keys`. Paths in `down` answer 500."""

    def __init__(self, url: str, path: str = "") -> None:
        self.issuer = f"{url}{path}"
        self.keys = {"a": ec.generate_private_key(ec.SECP256R1())}
        self.signing = "a"
        self.asked: Counter[str] = Counter()
        self.forms: list[dict[str, str]] = []
        self.down: set[str] = set()
        self.metadata: dict[str, Any] = {}
        self.claims: dict[str, Any] = {}
        self.userinfo: dict[str, Any] = {}
        self.id_token: str | None = None
        self.app = Flask("a provider")
        self.app.add_url_rule(
            f"{path}/.well-known/openid-configuration", "discovery", self._discovery
        )
        self.app.add_url_rule(f"{path}/jwks", "jwks", self._jwks)
        self.app.add_url_rule(f"{path}/token", "token", self._token, methods=["POST"])
        self.app.add_url_rule(f"{path}/userinfo", "userinfo", self._userinfo)
        self.app.before_request(self._note)

    def mint(self, kid: str | None = None, header: dict | None = None, **changes: Any) -> str:
        """An ID token; a claim changed to None is left out."""
        now = int(time.time())
        usual = {
            "iss": self.issuer,
            "aud": "app",
            "sub": "somebody",
            "iat": now,
            "exp": now + 600,
            "auth_time": now,
            "nonce": NONCE,
            "name": "Nguyễn Thị Thử",
            "birthdate": "1990-02-28",
            "phone_number": "0900000001",
            "citizen_number": "019190000001",
        }
        claims = usual | self.claims | changes
        claims = {name: value for name, value in claims.items() if value is not None}
        kid = kid or self.signing
        key = self.keys.get(kid) or ec.generate_private_key(ec.SECP256R1())
        return jwt.encode(claims, key, ALGORITHM, {"kid": kid} | (header or {}))

    def _note(self) -> Response | None:
        name = request.endpoint or "elsewhere"
        self.asked[name] += 1
        return Response("broken", 500) if name in self.down else None

    def _discovery(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "id_token_signing_alg_values_supported": [ALGORITHM],
        } | self.metadata

    def _jwks(self) -> dict[str, Any]:
        to_jwk = jwt.algorithms.ECAlgorithm.to_jwk
        keys = {kid: to_jwk(key.public_key(), as_dict=True) for kid, key in self.keys.items()}
        return {"keys": [jwk | {"kid": kid, "use": "sig"} for kid, jwk in keys.items()]}

    def _token(self) -> dict[str, str]:
        form = request.form.to_dict()
        if authorization := request.headers.get("Authorization"):
            halves = base64.b64decode(authorization.removeprefix("Basic ")).decode().split(":")
            form["basic"] = " ".join(unquote_plus(half) for half in halves)
        self.forms.append(form)
        return {"access_token": "an access token", "id_token": self.id_token or self.mint()}

    def _userinfo(self) -> dict[str, Any] | Response:
        if request.headers.get("Authorization") != "Bearer an access token":
            return Response(status=401)
        return {"sub": "somebody"} | self.userinfo
