"""The secrets of a local installation: made once, kept in files that only their owner reads."""

import base64
import secrets
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from simulators.fcm.service_account import write_service_account


def provide(directory: Path, *, token_uri: str) -> dict[str, str]:
    """Return the variables that hold a secret or name a file of one, making what is missing."""
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o700)
    values = {
        name: _kept(directory / name.lower(), _key).read_text()
        for name in ("SECRET_KEY", "OIDC_CLIENT_SECRET", "OIDC_ADMIN_CLIENT_SECRET")
    } | {
        name: _kept(directory / name.lower(), lambda: f"1:{_key()}").read_text()
        for name in ("DATA_KEYS", "INDEX_KEYS")
    }
    firebase = directory / "firebase.json"
    write_service_account(firebase, token_uri)
    token_key = _kept(directory / "access_token_key.pem", _private_key)
    audit_key = _kept(directory / "audit_key.pem", _signing_key)
    return {
        **values,
        "ACCESS_TOKEN_KEY_FILE": str(token_key),
        "AUDIT_KEY_FILE": str(audit_key),
        "FIREBASE_CREDENTIALS_FILE": str(firebase),
    }


def _kept(path: Path, make: Callable[[], str]) -> Path:
    if not path.exists():
        unfinished = path.with_name(f"{path.name}.new")
        unfinished.unlink(missing_ok=True)
        unfinished.touch(mode=0o600)
        unfinished.write_text(make())
        unfinished.rename(path)
    return path


def _key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def _private_key() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _signing_key() -> str:
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
