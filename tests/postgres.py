"""The PostgreSQL server that the tests run on: an embedded one, or that of DATABASE_URL.

DATABASE_URL must then name a role that may create databases and roles; the tests make their own
and leave nothing behind.
"""

import contextlib
import os
import secrets
from collections.abc import Iterator
from typing import Protocol
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from dev import postgres
from tests import canaries


class Server(Protocol):
    """Where databases for tests are made."""

    def url(self, role: str, database: str) -> str:
        """The address by which "owner" or "app" reaches `database`."""

    def create_database(self, name: str, *, template: str = "template1") -> None:
        """A database of the owner's, copied from `template`."""


class Foreign:
    """A server that somebody else runs."""

    def __init__(self, url: str) -> None:
        self.admin_url = url
        self.suffix = secrets.token_hex(4)
        self.password = secrets.token_urlsafe(16)
        self.databases: list[str] = []

    def url(self, role: str, database: str) -> str:
        parts = urlsplit(self.admin_url)
        port = f":{parts.port}" if parts.port else ""
        account = f"{role}_{self.suffix}:{self.password}"
        return f"postgresql://{account}@{parts.hostname}{port}/{database}_{self.suffix}"

    def create_database(self, name: str, *, template: str = "template1") -> None:
        own = f"{name}_{self.suffix}"
        source = template if template == "template1" else f"{template}_{self.suffix}"
        self._run("CREATE DATABASE {} OWNER {} TEMPLATE {}", own, f"owner_{self.suffix}", source)
        self._run("REVOKE ALL ON DATABASE {} FROM PUBLIC", own)
        self._run("GRANT CONNECT ON DATABASE {} TO {}", own, f"app_{self.suffix}")
        self.databases.append(own)

    @contextlib.contextmanager
    def running(self) -> Iterator["Foreign"]:
        for role in ("owner", "app"):
            self._run("CREATE ROLE {} LOGIN PASSWORD {}", f"{role}_{self.suffix}", literal=True)
        try:
            # A role that may create databases must be a member of the owner to give them away.
            self._run("GRANT {} TO CURRENT_USER", f"owner_{self.suffix}")
            yield self
        finally:
            for name in self.databases:
                self._run("DROP DATABASE {} WITH (FORCE)", name)
            for role in ("owner", "app"):
                self._run("DROP ROLE {}", f"{role}_{self.suffix}")

    def _run(self, statement: str, *names: str, literal: bool = False) -> None:
        values = [sql.Identifier(name) for name in names]
        if literal:
            values.append(sql.Literal(self.password))
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*values))


@contextlib.contextmanager
def server() -> Iterator[Server]:
    if url := os.environ.get("DATABASE_URL"):
        with Foreign(url).running() as foreign:
            yield foreign
    else:
        with postgres.temporary() as cluster:
            compress_nothing(cluster)
            yield cluster


def compress_nothing(cluster: postgres.Cluster) -> None:
    """Let every table and index that is made from now on keep its values as they are.

    PostgreSQL compresses what is longer than 2 KB, and nobody finds a number in that by looking
    through files. How a column is kept follows from its type, so the types are told.
    """
    with psycopg.connect(cluster.url(postgres.SUPERUSER, "template1")) as connection:
        connection.execute("UPDATE pg_type SET typstorage = 'e' WHERE typstorage IN ('x', 'm')")


def leaks(running: Server) -> str:
    """Where a canary lies open on this server, and which; empty when none does."""
    if isinstance(running, Foreign):
        names = (name.removesuffix(f"_{running.suffix}") for name in running.databases)
        found = {word for name in names for word in canaries.in_tables(running.url("owner", name))}
        return " ".join(sorted(found))
    assert isinstance(running, postgres.Cluster)
    with psycopg.connect(running.url(postgres.SUPERUSER), autocommit=True) as connection:
        connection.execute("CHECKPOINT")
    return canaries.in_folder(running.home)
