"""Everything that differs between two installations, read once from the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
# Containers are handed secrets as files, since whoever may inspect one sees its environment.
SECRETS = frozenset(
    {
        "DATABASE_URL",
        "MIGRATION_DATABASE_URL",
        "SECRET_KEY",
        "DATA_KEYS",
        "INDEX_KEYS",
        "OIDC_CLIENT_SECRET",
        "OIDC_ADMIN_CLIENT_SECRET",
    }
)


class SettingsError(Exception):
    """The environment does not describe a system that can start; the message names every fault."""


def variable(name: str, env: Mapping[str, str] = os.environ) -> str:
    """What a variable holds; where it is a secret, NAME_FILE may name a file that holds it instead.

    Raises:
        SettingsError: there is no such file, or it is not ours to read.
    """
    value, path = env.get(name, ""), env.get(f"{name}_FILE", "")
    if value or not path or name not in SECRETS:
        return value
    try:
        return Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise SettingsError(f"{name}_FILE names no file that can be read") from None


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one installation; docs and README list the variables one by one."""

    database_url: str = field(repr=False)
    public_url: str
    secret_key: str = field(repr=False)
    data_keys: Mapping[int, str] = field(repr=False)
    index_keys: Mapping[int, str] = field(repr=False)
    access_token_key_file: Path
    oidc_issuer: str
    oidc_client_id: str
    oidc_client_secret: str = field(repr=False)
    oidc_admin_client_id: str
    oidc_admin_client_secret: str = field(repr=False)
    oidc_redirect_uris: tuple[str, ...]
    storage_url: str
    oidc_client_key_file: Path | None = None
    oidc_admin_client_key_file: Path | None = None
    oidc_scopes: tuple[str, ...] = ("openid", "profile", "phone", "citizen_id")
    oidc_citizen_number_claim: str = "citizen_number"
    oidc_level_2: str = "urn:thainguyen:loa:2"
    fcm_url: str = "https://fcm.googleapis.com"
    firebase_credentials_file: Path | None = None
    accel_redirect: str = ""
    trusted_proxies: int = 0
    metrics_port: int = 0
    audit_key_file: Path | None = None
    allow_unsafe_database: bool = False
    log_level: str = "INFO"

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> "Settings":
        """Read the variables of the same names in upper case.

        Raises:
            SettingsError: naming all that is missing or malformed at once.
        """
        reader = _Reader(env)
        values = {
            "database_url": reader.text("DATABASE_URL"),
            "public_url": reader.url("PUBLIC_URL").rstrip("/"),
            "secret_key": reader.secret("SECRET_KEY"),
            "data_keys": reader.keys("DATA_KEYS"),
            "index_keys": reader.keys("INDEX_KEYS"),
            "access_token_key_file": reader.file("ACCESS_TOKEN_KEY_FILE"),
            "oidc_issuer": reader.url("OIDC_ISSUER"),
            "oidc_client_id": reader.text("OIDC_CLIENT_ID"),
            "oidc_client_secret": reader.text_unless_file(
                "OIDC_CLIENT_SECRET", "OIDC_CLIENT_KEY_FILE"
            ),
            "oidc_client_key_file": reader.optional_file("OIDC_CLIENT_KEY_FILE"),
            "oidc_admin_client_id": reader.text("OIDC_ADMIN_CLIENT_ID"),
            "oidc_admin_client_secret": reader.text_unless_file(
                "OIDC_ADMIN_CLIENT_SECRET", "OIDC_ADMIN_CLIENT_KEY_FILE"
            ),
            "oidc_admin_client_key_file": reader.optional_file("OIDC_ADMIN_CLIENT_KEY_FILE"),
            "oidc_redirect_uris": tuple(reader.text("OIDC_REDIRECT_URIS").split()),
            "oidc_scopes": reader.scopes(),
            "oidc_citizen_number_claim": env.get("OIDC_CITIZEN_NUMBER_CLAIM") or "citizen_number",
            "oidc_level_2": env.get("OIDC_LEVEL_2") or "urn:thainguyen:loa:2",
            "storage_url": reader.text("STORAGE_URL"),
            "fcm_url": env.get("FCM_URL") or "https://fcm.googleapis.com",
            "firebase_credentials_file": reader.optional_file("FIREBASE_CREDENTIALS_FILE"),
            "accel_redirect": env.get("ACCEL_REDIRECT", ""),
            "trusted_proxies": reader.number("TRUSTED_PROXIES", 0),
            "metrics_port": reader.number("METRICS_PORT", 0),
            "audit_key_file": reader.optional_file("AUDIT_KEY_FILE"),
            "allow_unsafe_database": bool(reader.number("ALLOW_UNSAFE_DATABASE", 0)),
            "log_level": reader.log_level(),
        }
        if reader.faults:
            raise SettingsError("Settings: " + "; ".join(reader.faults))
        return cls(**values)  # type: ignore[arg-type]  # the reader yields each field's own type


class _Reader:
    """Reads one variable at a time and remembers what is wrong, to tell it all at once."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = env
        self.faults: list[str] = []

    def text(self, name: str) -> str:
        try:
            value = variable(name, self.env)
        except SettingsError as error:
            self.faults.append(str(error))
            return ""
        if not value:
            self.faults.append(f"{name} is missing")
        return value

    def text_unless_file(self, name: str, key_file: str) -> str:
        """A secret that is not needed, nor used, where the file of a key stands for it."""
        return "" if self.env.get(key_file) else self.text(name)

    def scopes(self) -> tuple[str, ...]:
        scopes = tuple((self.env.get("OIDC_SCOPES") or "openid profile phone citizen_id").split())
        if "openid" not in scopes:
            self.faults.append("OIDC_SCOPES lacks openid")
        return scopes

    def url(self, name: str) -> str:
        value = self.text(name)
        if value and urlsplit(value).scheme not in {"http", "https"}:
            self.faults.append(f"{name} is no http(s) address")
        return value

    def secret(self, name: str) -> str:
        value = self.text(name)
        if value and len(value) < 32:  # noqa: PLR2004 - 32 characters carry at least 128 bits
            self.faults.append(f"{name} is shorter than 32 characters")
        return value

    def keys(self, name: str) -> dict[int, str]:
        """Numbered keys, the current one first: `2:SECRET 1:SECRET`."""
        keys: dict[int, str] = {}
        for word in self.text(name).split():
            number, _, secret = word.partition(":")
            if not (number.isdecimal() and 0 < int(number) < 256) or int(number) in keys:  # noqa: PLR2004 - the number takes one byte
                self.faults.append(f"{name} is no list of NUMBER:SECRET, numbers from 1 to 255")
                break
            if len(secret) < 32:  # noqa: PLR2004 - 32 characters carry at least 128 bits
                self.faults.append(f"{name} has a key shorter than 32 characters")
                break
            keys[int(number)] = secret
        return keys

    def file(self, name: str) -> Path:
        path = Path(self.text(name))
        if self.env.get(name) and not path.is_file():
            self.faults.append(f"{name} names no file")
        return path

    def optional_file(self, name: str) -> Path | None:
        return self.file(name) if self.env.get(name) else None

    def log_level(self) -> str:
        value = (self.env.get("LOG_LEVEL") or "INFO").upper()
        if value not in LOG_LEVELS:
            self.faults.append(f"LOG_LEVEL is none of {', '.join(LOG_LEVELS)}")
        return value

    def number(self, name: str, default: int) -> int:
        value = self.env.get(name) or str(default)
        if not value.isdecimal():
            self.faults.append(f"{name} is no whole number")
            return default
        return int(value)
