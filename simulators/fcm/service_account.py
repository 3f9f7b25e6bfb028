"""A service account file of the shape that Google's console hands out."""

import json
import os
from pathlib import Path
from secrets import token_hex

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


def write_service_account(
    path: Path, token_uri: str, project_id: str = "c-thainguyen-demo"
) -> None:
    """Write an account with a new key, unless the file already is one for this token URI."""
    if path.exists() and json.loads(path.read_text()).get("token_uri") == token_uri:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{token_hex(4)}")
    # The key is private from its first byte on, and nobody ever reads half a file.
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(_account(token_uri, project_id), file, indent=2)
    unfinished.replace(path)


def _account(token_uri: str, project_id: str) -> dict[str, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    email = f"push@{project_id}.iam.gserviceaccount.com"
    return {
        "type": "service_account",
        "project_id": project_id,
        "private_key_id": token_hex(20),
        "private_key": pem,
        "client_email": email,
        "client_id": "100000000000000000000",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": token_uri,
        "universe_domain": "googleapis.com",
    }
