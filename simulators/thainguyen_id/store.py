"""What the provider remembers while it runs: codes, tokens, consents and failed sign-ins."""

import hashlib
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from authlib.oauth2.rfc6749 import TokenMixin
from authlib.oidc.core import AuthorizationCodeMixin

from simulators.thainguyen_id.clients import Client
from simulators.thainguyen_id.people import Person

Clock = Callable[[], float]

CODE_SECONDS = 60
TOKEN_SECONDS = 600
ATTEMPTS = 5
ATTEMPT_SECONDS = 60


@dataclass(frozen=True)
class Login:
    """Who sits at the browser, and since when."""

    person: Person
    auth_time: int


@dataclass(kw_only=True)
class Code(AuthorizationCodeMixin):
    client_id: str
    redirect_uri: str
    scope: str
    login: Login
    nonce: str = field(repr=False)
    code_challenge: str = field(repr=False)
    code_challenge_method: str
    expires_at: float
    fault: str | None = None
    used: bool = False
    replayed: bool = False
    token_key: str | None = field(default=None, repr=False)

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope

    def get_nonce(self) -> str:
        return self.nonce

    def get_auth_time(self) -> int:
        return self.login.auth_time

    def get_acr(self) -> str:
        """The level the person has: `acr_values` is a wish, not a demand (OIDC Core 3.1.2.1)."""
        return self.login.person.acr

    def get_amr(self) -> list[str]:
        return ["pwd"]


@dataclass(kw_only=True)
class Token(TokenMixin):
    client: Client
    person: Person
    scope: str
    expires_at: float
    revoked: bool = False

    def check_client(self, client: Client) -> bool:
        return client.client_id == self.client.client_id

    def get_scope(self) -> str:
        return self.scope

    def get_expires_in(self) -> int:
        return TOKEN_SECONDS

    def is_expired(self) -> bool:
        """Never, because the store hands out no token after its time."""
        return False

    def is_revoked(self) -> bool:
        return self.revoked

    def get_user(self) -> Person:
        return self.person

    def get_client(self) -> Client:
        return self.client


class Store:
    """One lock around everything: a simulator is never so busy that it would matter."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._lock = threading.Lock()
        self._codes: dict[str, Code] = {}
        self._tokens: dict[str, Token] = {}
        self._consents: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._used: dict[str, float] = {}

    def add_code(self, value: str, code: Code) -> None:
        with self._lock:
            self._forget_old_records()
            self._codes[_key(value)] = code

    def redeem_code(self, value: str, client_id: str) -> Code | None:
        """Give a code to the first who asks; a second one takes the token back (RFC 6749 4.1.2).

        The code is spent before the verifier is looked at, so nobody can try verifiers one by one.
        """
        with self._lock:
            code = self._codes.get(_key(value))
            if code is None or code.client_id != client_id:
                return None
            if code.used:
                self._take_back(code)
                return None
            code.used = True
            return code if self.clock() < code.expires_at else None

    def take_fault(self, value: str, among: frozenset[str]) -> str | None:
        """The fault that this code is to meet if this is the place where it happens, once."""
        with self._lock:
            code = self._codes.get(_key(value))
            if code is None or code.fault not in among:
                return None
            fault, code.fault = code.fault, None
            return fault

    def use_once(self, value: str, until: float) -> bool:
        """False for what was used before; it is remembered until the moment `until`."""
        with self._lock:
            now = self.clock()
            self._used = {key: end for key, end in self._used.items() if now < end}
            if _key(value) in self._used:
                return False
            self._used[_key(value)] = until
            return True

    def add_token(self, value: str, token: Token, code: Code) -> None:
        """A token is born dead if its code was presented again while it was being made."""
        with self._lock:
            token.revoked = code.replayed
            code.token_key = _key(value)
            self._tokens[_key(value)] = token

    def find_token(self, value: str) -> Token | None:
        with self._lock:
            token = self._tokens.get(_key(value))
            return token if token and self.clock() < token.expires_at else None

    def remember_consent(self, person: Person, client: Client, scope: str) -> None:
        with self._lock:
            self._consents[person.username, client.client_id].update(scope.split())

    def has_consented(self, person: Person, client: Client, scope: str) -> bool:
        with self._lock:
            return set(scope.split()) <= self._consents[person.username, client.client_id]

    def _take_back(self, code: Code) -> None:
        code.replayed = True
        if token := self._tokens.get(code.token_key or ""):
            token.revoked = True

    def _forget_old_records(self) -> None:
        """A spent code is remembered as long as the token it gave, to notice its second use."""
        now = self.clock()
        self._tokens = {k: t for k, t in self._tokens.items() if now < t.expires_at}
        self._codes = {k: c for k, c in self._codes.items() if now < c.expires_at + TOKEN_SECONDS}


class Attempts:
    """Failed sign-ins per account: a few a minute, which slows guessing and locks nobody out."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: dict[str, list[float]] = {}

    def fail(self, login: str) -> None:
        with self._lock:
            self._failures = {k: f for k in self._failures if (f := self._recent(k))}
            self._failures[login] = [*self._recent(login), self._clock()]

    def too_many(self, login: str) -> bool:
        with self._lock:
            return len(self._recent(login)) >= ATTEMPTS

    def _recent(self, login: str) -> list[float]:
        since = self._clock() - ATTEMPT_SECONDS
        return [at for at in self._failures.get(login, []) if at > since]


def _key(value: str) -> str:
    """Codes and tokens are kept as hashes only, like a provider with a database would."""
    return hashlib.sha256(value.encode()).hexdigest()
