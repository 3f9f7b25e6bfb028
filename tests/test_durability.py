"""A database that would lose or expose what it is given is refused at the start."""

import os
import subprocess
import sys

import httpx
import psycopg
import pytest

from dev import postgres
from services import durability
from services.durability import UnsafeDatabase
from tests.conftest import migrate
from tests.processes import ROOT, free_port, healthy, running, wait_for


@pytest.fixture(scope="module")
def cluster():
    """A server as it should be: durable, on loopback, with a confined role."""
    with postgres.temporary(durable=True) as cluster:
        migrate(cluster, postgres.DATABASE)
        yield cluster


@pytest.fixture(scope="module")
def environment(cluster, access_key, tmp_path_factory):
    """What the programs need; nobody signs in."""
    directory = tmp_path_factory.mktemp("settings")
    names = ("OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET", "OIDC_REDIRECT_URIS")
    names += ("OIDC_ADMIN_CLIENT_ID", "OIDC_ADMIN_CLIENT_SECRET")
    return {
        **os.environ,
        **dict.fromkeys(names, "x"),
        "ALLOW_UNSAFE_DATABASE": "",
        "DATABASE_URL": cluster.url(),
        "PUBLIC_URL": "http://localhost",
        "SECRET_KEY": "x" * 32,
        "DATA_KEYS": "1:" + "x" * 32,
        "INDEX_KEYS": "1:" + "x" * 32,
        "ACCESS_TOKEN_KEY_FILE": str(access_key),
        "OIDC_ISSUER": "http://127.0.0.1:1",
        "STORAGE_URL": f"file://{directory}/files",
    }


def start(program, environment):
    command = [sys.executable, "-m", *program]
    return subprocess.run(
        command,
        check=False,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
    )


def alter(cluster, statement):
    with psycopg.connect(cluster.url("postgres"), autocommit=True) as connection:
        connection.execute(statement)


def test_a_database_as_it_should_be_is_taken(cluster):
    durability.require(cluster.url())


ROLES = {
    "ALTER ROLE app SET synchronous_commit = off": ("synchronous_commit is off", "RESET ALL"),
    "ALTER ROLE app SUPERUSER": ("the role is a superuser", "NOSUPERUSER"),
}


@pytest.mark.parametrize("statement", ROLES)
def test_what_a_role_should_not_be_is_named(cluster, statement):
    fault, undoing = ROLES[statement]
    alter(cluster, statement)
    try:
        with pytest.raises(UnsafeDatabase, match=fault):
            durability.require(cluster.url())
    finally:
        alter(cluster, f"ALTER ROLE app {undoing}")
    durability.require(cluster.url())


def test_the_owner_is_no_role_for_the_application(cluster):
    with pytest.raises(UnsafeDatabase) as refusal:
        durability.require(cluster.url("owner"))

    assert "the role may create things" in str(refusal.value)
    assert "the role may rewrite the audit log" in str(refusal.value)


@pytest.mark.parametrize(
    "right",
    [
        *(
            f"{right} ON {table}"
            for right in ("UPDATE", "DELETE", "TRUNCATE")
            for table in ("audit_events", "audit_chain", "audit_checkpoints")
        ),
        "UPDATE (detail) ON audit_events",
        "INSERT (xid) ON audit_events",
    ],
)
def test_one_right_on_the_record_is_too_much(cluster, right):
    grant = f"GRANT {right} TO app"
    with psycopg.connect(cluster.url("owner"), autocommit=True) as owner:
        owner.execute(grant)
        try:
            with pytest.raises(UnsafeDatabase, match="rewrite the audit log"):
                durability.require(cluster.url())
        finally:
            owner.execute(grant.replace("GRANT", "REVOKE").replace(" TO ", " FROM "))


def test_a_server_that_does_not_write_to_its_disk_is_refused():
    with postgres.temporary(durable=False) as cluster, pytest.raises(UnsafeDatabase) as refusal:
        durability.require(cluster.url())

    assert "fsync is off; full_page_writes is off; synchronous_commit is off" in str(refusal.value)


def test_every_fact_has_words_for_its_absence():
    good = dict.fromkeys(durability.FAULTS, True)

    assert durability.faults(good) == []
    for name, words in durability.FAULTS.items():
        assert durability.faults(good | {name: False}) == [words]


@pytest.mark.parametrize("program", [["api.server"], ["jobs.worker", "normal"]])
def test_no_program_starts_on_an_unsafe_database(cluster, environment, program):
    done = start(program, environment | {"DATABASE_URL": cluster.url("owner")})

    assert done.returncode == 1
    assert done.stderr.startswith("DATABASE_URL: the role may create things")
    password = cluster.url("owner").split(":")[2].partition("@")[0]
    assert password not in done.stdout + done.stderr


@pytest.mark.parametrize("program", [["api.server"], ["jobs.worker", "normal"]])
def test_what_is_missing_is_said_in_words(environment, program):
    done = start(program, environment | {"SECRET_KEY": ""})

    assert done.returncode == 1
    assert done.stderr == "Settings: SECRET_KEY is missing\n"


def test_a_database_that_comes_later_keeps_nobody_from_starting(environment, tmp_path):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    alone = environment | {
        "DATABASE_URL": "postgresql://app@127.0.0.1:1/none",
        "LISTEN": f"127.0.0.1:{port}",
    }
    with running("api.server", log=tmp_path / "log", **alone):
        wait_for("its answer", lambda: healthy(url))
        alive, ready = (httpx.get(f"{url}{path}") for path in ("/healthz", "/readyz"))

    assert (alive.status_code, ready.status_code) == (200, 503)
    assert ready.json()["reasons"] == ["database_unreachable"]
