"""docs/openapi.json: the contract, as the code has it."""

import json
import tempfile
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from api.app import create_app
from settings import Settings


def document() -> dict[str, Any]:
    """The contract; it depends on the code alone, so any settings do, and no database is asked."""
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder) / "access.pem"
        key.write_bytes(
            ec.generate_private_key(ec.SECP256R1()).private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
            )
        )
        app = create_app(
            Settings(
                database_url="postgresql://nobody@127.0.0.1:1/none",
                public_url="http://127.0.0.1",
                secret_key="x" * 32,
                data_keys={1: "x" * 32},
                index_keys={1: "x" * 32},
                access_token_key_file=key,
                oidc_issuer="http://127.0.0.1",
                oidc_client_id="x",
                oidc_client_secret="x",  # noqa: S106 - nobody is asked for it
                oidc_admin_client_id="x",
                oidc_admin_client_secret="x",  # noqa: S106
                oidc_redirect_uris=(),
                storage_url=f"file://{folder}",
                log_level="ERROR",
            )
        )
        answer = app.test_client().get("/api/openapi.json")
        return dict(json.loads(answer.data))


def text() -> str:
    return json.dumps(document(), ensure_ascii=False, indent=1, sort_keys=True) + "\n"
