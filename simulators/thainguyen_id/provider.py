"""The protocol, on Authlib: its grants and endpoints with what it leaves open filled in."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from authlib.integrations.flask_oauth2 import AuthorizationServer, ResourceProtector
from authlib.oauth2.rfc6749 import InvalidRequestError, OAuth2Request
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oauth2.rfc6750 import BearerTokenValidator
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc9207 import IssuerParameter
from authlib.oidc.core import OpenIDCode, UserInfo, UserInfoEndpoint
from authlib.oidc.core.errors import RequestNotSupportedError, RequestURINotSupportedError
from authlib.oidc.rpinitiated import EndSessionEndpoint, EndSessionRequest
from flask import Flask, current_app, session
from joserfc.jwk import ECKey, KeySet

from simulators.thainguyen_id import authentication
from simulators.thainguyen_id.claims import claims_for
from simulators.thainguyen_id.clients import AUTH_METHODS, PRIVATE_KEY_JWT, Client
from simulators.thainguyen_id.faults import FAULTS, ID_TOKEN_FAULTS, Fault, FaultScript, spoil
from simulators.thainguyen_id.keys import SigningKeys
from simulators.thainguyen_id.people import Directory, Person, demo_people
from simulators.thainguyen_id.store import (
    CODE_SECONDS,
    TOKEN_SECONDS,
    Attempts,
    Clock,
    Code,
    Store,
    Token,
)

EXTENSION = "thainguyen_id"
S256_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")  # Unpadded base64url of a SHA-256 digest.


class Provider(AuthorizationServer):
    """The authorization server together with everything it knows; one per application."""

    def __init__(
        self, app: Flask, issuer: str, clients: Mapping[str, Client], clock: Clock
    ) -> None:
        super().__init__(app)
        app.extensions[EXTENSION] = self
        self.issuer = issuer
        self.clients = clients
        self.clock = clock
        self.directory = Directory(demo_people())
        self.keys = SigningKeys()
        self.store = Store(clock)
        self.attempts = Attempts(clock)
        self.faults = FaultScript()
        self.register_client_auth_method("client_secret_basic", authentication.by_basic)
        self.register_client_auth_method(PRIVATE_KEY_JWT, authentication.PrivateKeyJWT(self))
        self.register_grant(CodeGrant, [S256(), RequestRules(), IDToken(self)])
        self.issuer_parameter = Issuer(issuer)
        self.register_extension(self.issuer_parameter)
        self.register_endpoint(Revocation)
        self.register_endpoint(EndSession)
        self.register_endpoint(UserInformation(resource_protector=_bearer_protector(self.store)))

    def query_client(self, client_id: str) -> Client | None:
        return self.clients.get(client_id)

    def authenticate_client(
        self, request: OAuth2Request, methods: Iterable[str], endpoint: str = "token"
    ) -> Client:
        authentication.require_one_way(request)
        client = super().authenticate_client(request, methods, endpoint)
        authentication.require_same_client(request, client)
        return client

    def next_fault(self, client_id: str, code: str, among: frozenset[str]) -> Fault | None:
        """The fault that was asked for this code, or else for this client; each happens once."""
        if name := self.store.take_fault(code, among):
            return Fault(name)
        return self.faults.take(client_id, among)

    def save_token(self, token: dict[str, Any], request: OAuth2Request) -> None:
        record = Token(
            client=request.client,
            person=request.user,
            scope=token["scope"],
            expires_at=self.clock() + TOKEN_SECONDS,
        )
        self.store.add_token(token["access_token"], record, request.authorization_code)


def current_provider() -> Provider:
    return current_app.extensions[EXTENSION]


class CodeGrant(AuthorizationCodeGrant):
    """RFC 6749 4.1, with codes that are spent at the first use."""

    TOKEN_ENDPOINT_AUTH_METHODS = AUTH_METHODS

    def save_authorization_code(self, code: str, request: OAuth2Request) -> None:
        asked = request.payload.data
        record = Code(
            client_id=request.client.client_id,
            redirect_uri=request.payload.redirect_uri,
            scope=request.scope,
            login=request.user,
            nonce=asked["nonce"],
            code_challenge=asked["code_challenge"],
            code_challenge_method=asked["code_challenge_method"],
            expires_at=self.server.clock() + CODE_SECONDS,
            fault=asked.get("fault"),
        )
        self.server.store.add_code(code, record)

    def query_authorization_code(self, code: str, client: Client) -> Code | None:
        return self.server.store.redeem_code(code, client.client_id)

    def delete_authorization_code(self, authorization_code: Code) -> None:
        """Done already: redeeming spends it, and the spent code is kept to notice a second use."""

    def authenticate_user(self, authorization_code: Code) -> Person:
        return authorization_code.login.person


class S256(CodeChallenge):
    """PKCE for every client and by S256 only (RFC 7636, RFC 9700 2.1.1).

    Authlib's own extension asks nobody for a challenge and takes `plain`. With a challenge in
    every code, its check of the verifier has no way around it left.
    """

    DEFAULT_CODE_CHALLENGE_METHOD = None
    SUPPORTED_CODE_CHALLENGE_METHOD = ("S256",)

    def validate_code_challenge(self, grant: CodeGrant, redirect_uri: str) -> None:
        asked = grant.request.payload.data
        if asked.get("code_challenge_method") != "S256":
            raise InvalidRequestError("code_challenge_method must be S256")
        if not S256_CHALLENGE.fullmatch(asked.get("code_challenge", "")):
            raise InvalidRequestError("code_challenge must be 43 characters of base64url")
        super().validate_code_challenge(grant, redirect_uri)


class RequestRules:
    """What this provider does not do is refused by name, not ignored (OIDC Core 3.1.2.6)."""

    def __call__(self, grant: CodeGrant) -> None:
        grant.register_hook("after_validate_authorization_request_payload", self.check)

    def check(self, grant: CodeGrant, redirect_uri: str) -> None:  # noqa: ARG002 - a hook's signature.
        asked = grant.request.payload.data
        if any(len(values) > 1 for values in grant.request.payload.datalist.values()):
            raise InvalidRequestError("A parameter stands more than once")
        if "request" in asked:
            raise RequestNotSupportedError
        if "request_uri" in asked:
            raise RequestURINotSupportedError
        if asked.get("response_mode", "query") != "query":
            raise InvalidRequestError("Only response_mode=query is supported")
        if not re.fullmatch(r"[0-9]{1,9}", asked.get("max_age", "0")):
            raise InvalidRequestError("max_age must be a number of seconds")
        if asked.get("fault", "http_500") not in FAULTS:
            raise InvalidRequestError(f"fault must be one of {', '.join(sorted(FAULTS))}")


class IDToken(OpenIDCode):
    """The ID token (OIDC Core 2), signed with ES256 by the key in use."""

    def __init__(self, provider: Provider) -> None:
        # It costs a client nothing, and ties the ID token to this browser (OIDC Core 15.5.2).
        super().__init__(require_nonce=True)
        self.provider = provider

    def exists_nonce(self, nonce: str, request: OAuth2Request) -> bool:  # noqa: ARG002 - Authlib's.
        """That no nonce comes twice is the client's to see to."""
        return False

    def get_client_algorithm(self, client: Client) -> str:  # noqa: ARG002 - Authlib's.
        return "ES256"

    def get_encode_header(self, client: Client) -> dict[str, str]:  # noqa: ARG002 - Authlib's.
        return {"alg": "ES256", "typ": "JWT", "kid": self.provider.keys.current.kid}

    def resolve_client_private_key(self, client: Client) -> ECKey:  # noqa: ARG002 - Authlib's.
        return self.provider.keys.current

    def get_client_claims(self, client: Client) -> dict[str, object]:
        now = int(self.provider.clock())
        return {
            "iss": self.provider.issuer,
            "aud": client.client_id,
            "iat": now,
            "exp": now + TOKEN_SECONDS,
        }

    def generate_user_info(self, user: Person, scope: str) -> UserInfo:
        return UserInfo(claims_for(user, scope))

    def encode_id_token(self, token: dict[str, Any], request: OAuth2Request) -> str:
        id_token = super().encode_id_token(token, request)
        fault = self.provider.next_fault(
            request.client.client_id, request.form["code"], ID_TOKEN_FAULTS
        )
        return spoil(id_token, fault.name, self.provider.keys) if fault else id_token


class Issuer(IssuerParameter):
    """`iss` in the authorization response, against mix-up of providers (RFC 9207)."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer

    def get_issuer(self) -> str:
        return self.issuer


class UserInformation(UserInfoEndpoint):
    """OIDC Core 5.3."""

    def generate_user_info(self, user: Person, scope: str) -> UserInfo:
        return UserInfo(claims_for(user, scope))


class Revocation(RevocationEndpoint):
    """RFC 7009."""

    CLIENT_AUTH_METHODS = AUTH_METHODS

    def query_token(self, token_string: str, token_type_hint: str | None) -> Token | None:  # noqa: ARG002
        return self.server.store.find_token(token_string)

    def revoke_token(self, token: Token, request: OAuth2Request) -> None:  # noqa: ARG002 - Authlib's.
        token.revoked = True


class EndSession(EndSessionEndpoint):
    """OIDC RP-Initiated Logout 1.0."""

    def get_server_jwks(self) -> KeySet:
        return self.server.keys.key_set()

    def get_algorithms(self) -> list[str]:
        return ["ES256"]

    def end_session(self, end_session_request: EndSessionRequest) -> None:  # noqa: ARG002 - Authlib's.
        session.clear()

    def _is_valid_post_logout_redirect_uri(
        self, client: Client, post_logout_redirect_uri: str
    ) -> bool:
        return client.check_post_logout_redirect_uri(post_logout_redirect_uri)


class StoredTokenValidator(BearerTokenValidator):
    """RFC 6750."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.store = store

    def authenticate_token(self, token_string: str) -> Token | None:
        return self.store.find_token(token_string)


def _bearer_protector(store: Store) -> ResourceProtector:
    protector = ResourceProtector()
    protector.register_token_validator(StoredTokenValidator(store))
    return protector
