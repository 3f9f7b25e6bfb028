"""The two registered clients, both of one backend and both confidential."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hmac import compare_digest

from authlib.oauth2.rfc6749 import ClientMixin
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from joserfc.jwk import ECKey, Key, RSAKey

from simulators.thainguyen_id.claims import SCOPES

APP = "c-thainguyen-app"
ADMIN = "c-thainguyen-admin"

SECRET_METHODS = ("client_secret_basic", "client_secret_post")
PRIVATE_KEY_JWT = "private_key_jwt"
AUTH_METHODS = (*SECRET_METHODS, PRIVATE_KEY_JWT)
ASSERTION_ALGORITHMS = ("ES256", "PS256", "RS256")

LOOPBACK_WITH_PORT = re.compile(r"(http://(?:127\.0\.0\.1|\[::1\])):[0-9]{1,5}(/[^#]*)")


@dataclass(frozen=True, kw_only=True)
class Client(ClientMixin):
    client_id: str
    name: str
    secret: str = field(repr=False)
    public_key: Key | None = None
    redirect_uris: frozenset[str]
    post_logout_redirect_uris: frozenset[str]
    # Authlib reads userinfo's signing from here; ours is plain JSON.
    client_metadata: Mapping[str, object] = field(default_factory=dict)

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> None:
        """None, because an OpenID request must name its redirect URI (OIDC Core 3.1.2.1)."""

    def get_allowed_scope(self, scope: str | None) -> str | None:
        """Unknown scopes are ignored (OIDC Core 3.1.2.1); without `openid` nothing is given."""
        asked = (scope or "").split()
        return " ".join(name for name in SCOPES if name in asked) if "openid" in asked else None

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return is_registered(redirect_uri, self.redirect_uris)

    def check_post_logout_redirect_uri(self, redirect_uri: str) -> bool:
        return is_registered(redirect_uri, self.post_logout_redirect_uris)

    def check_client_secret(self, client_secret: str) -> bool:
        return bool(self.secret) and compare_digest(self.secret.encode(), client_secret.encode())

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:  # noqa: ARG002 - Authlib's.
        """Who registered a key uses nothing weaker any more."""
        return method in ((PRIVATE_KEY_JWT,) if self.public_key else SECRET_METHODS)

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "authorization_code"


def is_registered(uri: str, registered: frozenset[str]) -> bool:
    """Exact comparison (RFC 9700 2.1), but any port on a loopback address (RFC 8252 7.3)."""
    # The pattern must cover the whole URI, or `http://127.0.0.1:80@elsewhere/` would pass.
    loopback = LOOPBACK_WITH_PORT.fullmatch(uri)
    return uri in registered or (loopback is not None and "".join(loopback.groups()) in registered)


def public_key(pem: bytes) -> Key:
    """A client's key, EC P-256 or RSA.

    Raises:
        ValueError: it is neither of them, or no public key at all.
    """
    key = load_pem_public_key(pem)
    if isinstance(key, rsa.RSAPublicKey):
        return RSAKey.import_key(pem)
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == "secp256r1":
        return ECKey.import_key(pem)
    raise ValueError("a client's key must be EC P-256 or RSA")


def registered_clients(
    secrets: Mapping[str, str],
    extra_redirect_uris: Iterable[str] = (),
    public_keys: Mapping[str, Key] | None = None,
) -> dict[str, Client]:
    """Each client with its secret or its key.

    `extra_redirect_uris` are accepted for both clients, at sign-in and at sign-out.
    """
    extra = frozenset(extra_redirect_uris)
    keys = public_keys or {}
    app = Client(
        client_id=APP,
        name="Ứng dụng C-Thái Nguyên",
        secret=secrets.get(APP, ""),
        public_key=keys.get(APP),
        redirect_uris=extra | {"vn.gov.thainguyen.c:/oauth2redirect", "http://127.0.0.1/callback"},
        post_logout_redirect_uris=extra | {"vn.gov.thainguyen.c:/oauth2redirect"},
    )
    admin = Client(
        client_id=ADMIN,
        name="Trang cán bộ C-Thái Nguyên",
        secret=secrets.get(ADMIN, ""),
        public_key=keys.get(ADMIN),
        redirect_uris=extra | {"http://127.0.0.1/admin/callback"},
        post_logout_redirect_uris=extra | {"http://127.0.0.1/admin/"},
    )
    return {client.client_id: client for client in (app, admin)}
