"""How a client proves who it is: by its secret, or by its private key; never by both at once."""

from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from authlib.oauth2.rfc6749 import InvalidClientError, InvalidRequestError, OAuth2Request
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion
from flask import request as http
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import Key

from simulators.thainguyen_id.clients import ASSERTION_ALGORITHMS, PRIVATE_KEY_JWT, Client

if TYPE_CHECKING:
    from simulators.thainguyen_id.provider import Provider

LEEWAY_SECONDS = 60
# What was used once has to be remembered until it expires, so nothing may live for ever.
LONGEST_ASSERTION_SECONDS = 3600

QueryClient = Callable[[str], Client | None]


def by_basic(query_client: QueryClient, _request: OAuth2Request) -> Client | None:
    """client_secret_basic (RFC 6749 2.3.1): both halves are form-encoded, a blank is a plus.

    Authlib reads a plus as a plus, so the secrets of exact clients would be wrong now and then.
    """
    given = http.authorization
    if given is None or not given.username or not given.password:
        return None
    client = query_client(unquote_plus(given.username))
    return client if client and client.check_client_secret(unquote_plus(given.password)) else None


class PrivateKeyJWT(JWTBearerClientAssertion):
    """private_key_jwt (RFC 7523 3, OIDC Core 9); Authlib leaves clock, keys and replays to us."""

    CLIENT_AUTH_METHOD = PRIVATE_KEY_JWT

    def __init__(self, provider: "Provider") -> None:
        super().__init__()
        self.provider = provider

    def resolve_client_public_key(self, client: Client) -> Key:
        if client.public_key is None:
            raise InvalidClientError(description="The client has registered no key.")
        return client.public_key

    def get_audiences(self) -> list[str]:
        """The issuer, as is advised today, or the token endpoint, as it was in the beginning."""
        return [self.provider.issuer, f"{self.provider.issuer}/token"]

    def process_assertion_claims(self, assertion: str, resolve_key: Key) -> jwt.Claims:
        try:
            token = jwt.decode(assertion, resolve_key, algorithms=ASSERTION_ALGORITHMS)
        except (JoseError, ValueError) as error:
            raise InvalidClientError(description="The assertion cannot be verified.") from error
        self.verify_claims(token.claims)
        return token.claims

    def verify_claims(self, claims: jwt.Claims) -> None:
        now = int(self.provider.clock())
        rules = jwt.JWTClaimsRegistry(
            now=now,
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": claims["sub"]},
            sub={"essential": True},
            aud={"essential": True, "values": self.get_audiences()},
            exp={"essential": True},
            jti={"essential": True},
        )
        try:
            rules.validate(claims)
        except JoseError as error:
            raise InvalidClientError(description="A claim of the assertion is wrong.") from error
        if claims["exp"] > now + LONGEST_ASSERTION_SECONDS + LEEWAY_SECONDS:
            raise InvalidClientError(description="The assertion lives too long.")
        used = f"{claims['sub']}|{claims['jti']}"
        if not self.provider.store.use_once(used, claims["exp"] + LEEWAY_SECONDS):
            raise InvalidClientError(description="The assertion was used before.")


def require_one_way(request: OAuth2Request) -> None:
    """A client may authenticate in one way per request, and only as itself (RFC 6749 2.3).

    Raises:
        InvalidRequestError
    """
    ways = (
        "Authorization" in request.headers,
        "client_secret" in request.form,
        "client_assertion" in request.form,
    )
    if sum(ways) > 1:
        raise InvalidRequestError("More than one way of client authentication")


def require_same_client(request: OAuth2Request, client: Client) -> None:
    """A `client_id` beside other credentials must be theirs (RFC 7521 4.2).

    Raises:
        InvalidClientError
    """
    if request.form.get("client_id", client.client_id) != client.client_id:
        raise InvalidClientError(description="client_id is another client's.")
