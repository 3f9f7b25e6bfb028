"""The signing keys: one in use, the next one published ahead, the last one still published."""

import threading

from joserfc.jwk import ECKey, KeySet


class SigningKeys:
    """ES256 keys with roll-over (OIDC Core 10.1.1): clients know the next key before it signs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys = [new_key(), new_key()]

    @property
    def current(self) -> ECKey:
        return self._keys[0]

    def roll(self) -> None:
        """The next key signs; the last one stays published, for tokens it signed a moment ago."""
        with self._lock:
            last, following = self._keys[:2]
            self._keys = [following, new_key(), last]

    def key_set(self) -> KeySet:
        return KeySet(list(self._keys))

    def public(self) -> dict[str, object]:
        """The JWK Set (RFC 7517 5) without private parts."""
        return dict(self.key_set().as_dict(private=False, use="sig", alg="ES256"))


def new_key() -> ECKey:
    return ECKey.generate_key("P-256", auto_kid=True)
