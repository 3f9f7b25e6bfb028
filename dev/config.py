"""Where `make run` puts things: ports, directories and the variables of the programs."""

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
SERVICES = (
    "the front door",
    "Thái Nguyên ID",
    "the BHXH gateway",
    "FCM",
    "the bank",
    "the metrics",
    "the database",
)
UNCONFINED = {"ALLOW_UNSAFE_DATABASE": "1"}
HIGHEST_PORT = 65535 - len(SERVICES) + 1


class Problem(Exception):
    """Why the system cannot start or go on, in words for whoever typed `make run`."""


@dataclass(frozen=True)
class Config:
    """What the caller's environment asks for."""

    given: Mapping[str, str]
    port: int
    data_dir: Path

    @classmethod
    def from_env(cls, given: Mapping[str, str] = os.environ) -> "Config":
        """Read PORT and DATA_DIR.

        Raises:
            Problem: when PORT is no port with room for the others above it.
        """
        text = given.get("PORT") or "8000"
        if not text.isdecimal() or not 0 < int(text) <= HIGHEST_PORT:
            raise Problem(f"PORT={text} is not a number from 1 to {HIGHEST_PORT}.")
        return cls(given, int(text), Path(given.get("DATA_DIR") or ".data").resolve())

    @property
    def embedded(self) -> bool:
        return not self.given.get("DATABASE_URL")

    @property
    def ports(self) -> dict[int, str]:
        """The ports to listen on, with the names of who will."""
        services = SERVICES if self.embedded else SERVICES[:-1]
        return {self.port + step: name for step, name in enumerate(services)}

    @property
    def database_port(self) -> int:
        return self.port + SERVICES.index("the database")

    @cached_property
    def nginx(self) -> str | None:
        """The nginx program; NGINX_PROGRAM names another, and left empty does without."""
        if "NGINX_PROGRAM" in self.given:
            return self.given["NGINX_PROGRAM"] or None
        # The PATH of ordinary users often lacks its directory.
        path = os.pathsep.join([self.given.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
        return shutil.which("nginx", path=path)

    def url(self, step: int = 0) -> str:
        return f"http://127.0.0.1:{self.port + step}"

    def environment(
        self, *, database_url: str, credentials: Mapping[str, str], socket: Path
    ) -> dict[str, str]:
        """Return the variables of the programs: the caller's, before the defaults for this machine.

        MIGRATION_DATABASE_URL is not among them: only the migrations may change the schema.
        """
        defaults = {
            "DATABASE_URL": database_url,
            "PUBLIC_URL": self.url(),
            "OIDC_ISSUER": self.url(1),
            "OIDC_CLIENT_ID": "c-thainguyen-app",
            "OIDC_ADMIN_CLIENT_ID": "c-thainguyen-admin",
            "OIDC_REDIRECT_URIS": "vn.gov.thainguyen.c:/oauth2redirect http://127.0.0.1/callback",
            "STORAGE_URL": (self.data_dir / "files").as_uri(),
            "FCM_URL": self.url(3),
            "TRUSTED_PROXIES": "1" if self.nginx else "0",
            "METRICS_PORT": str(self.port + 5),
            "PROMETHEUS_MULTIPROC_DIR": str(self.data_dir / "metrics"),
            "PYTHONUNBUFFERED": "1",
            # The owner's own address is not that of a confined role.
            **({} if self.embedded or self.given.get("MIGRATION_DATABASE_URL") else UNCONFINED),
            **({"ACCEL_REDIRECT": "/_files/"} if self.nginx else {}),
            **credentials,
        }
        given = {name: value for name, value in self.given.items() if value}
        given.pop("MIGRATION_DATABASE_URL", None)
        return {**defaults, **given, **self._procfile_variables(socket)}

    def _procfile_variables(self, socket: Path) -> dict[str, str]:
        return {
            "PYTHON": sys.executable,
            "ID_PORT": str(self.port + 1),
            "INSURANCE_PORT": str(self.port + 2),
            "FCM_PORT": str(self.port + 3),
            "BANK_PORT": str(self.port + 4),
            "NGINX_PROGRAM": self.nginx or "",
            "NGINX_PREFIX": str(self.data_dir / "nginx"),
            "DIED": str(self.data_dir / "died"),
            "LISTEN": f"unix:{socket}" if self.nginx else f"127.0.0.1:{self.port}",
            "WEB_PROCESSES": "2",
        }
