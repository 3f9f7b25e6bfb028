"""Faults on demand: what a provider does wrong on a bad day, so that clients can be tried."""

import secrets
import threading
from collections import defaultdict, deque
from dataclasses import dataclass

from joserfc import jwt
from joserfc.jwk import ECKey

from simulators.thainguyen_id.keys import SigningKeys, new_key

TRANSPORT_FAULTS = frozenset({"slow_token", "http_500"})
ID_TOKEN_FAULTS = frozenset({"bad_signature", "expired_id_token", "wrong_nonce", "unknown_kid"})
FAULTS = TRANSPORT_FAULTS | ID_TOKEN_FAULTS


SLOW_SECONDS = 5.0


@dataclass
class Fault:
    name: str
    times: int = 1
    seconds: float = SLOW_SECONDS  # How long `slow_token` waits.


class FaultScript:
    """Faults waiting per client, played in the order in which they were asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: defaultdict[str, deque[Fault]] = defaultdict(deque)

    def add(self, client_id: str, fault: Fault) -> None:
        with self._lock:
            self._waiting[client_id].append(fault)

    def clear(self) -> None:
        with self._lock:
            self._waiting.clear()

    def take(self, client_id: str, among: frozenset[str]) -> Fault | None:
        """The client's next fault if this is the place where it happens, counted down by one."""
        with self._lock:
            waiting = self._waiting.get(client_id)
            if not waiting or waiting[0].name not in among:
                return None
            fault = waiting[0]
            fault.times -= 1
            if fault.times <= 0:
                waiting.popleft()
            return fault


def spoil(id_token: str, fault: str, keys: SigningKeys) -> str:
    """The same ID token with one thing wrong; everything else stays right."""
    original = jwt.decode(id_token, keys.current, algorithms=["ES256"])
    claims, header, key = dict(original.claims), dict(original.header), keys.current
    if fault == "expired_id_token":
        claims |= {"iat": claims["iat"] - 7200, "exp": claims["iat"] - 3600}
    elif fault == "wrong_nonce":
        claims["nonce"] = secrets.token_urlsafe(16)
    else:
        key = new_key()
        header["kid"] = key.kid if fault == "unknown_kid" else header["kid"]
    return _sign(header, claims, key)


def _sign(header: dict[str, object], claims: dict[str, object], key: ECKey) -> str:
    return jwt.encode(header, claims, key, algorithms=["ES256"])
