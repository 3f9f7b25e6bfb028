"""The schema: one head, no drift, and rights that keep the application in its place."""

import hashlib
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from procrastinate import SyncPsycopgConnector
from procrastinate.schema import SchemaManager
from sqlalchemy import CheckConstraint

from models import Base
from tests.conftest import TEMPLATE, a_database

ROOT = Path(__file__).parent.parent
ADVISORY_LOCK = 6_411_901
# Of procrastinate 3.10. When a newer one is installed, a revision has to bring its changes, which
# stand in the package under sql/migrations, before this is brought up to date.
QUEUE_SCHEMA = "c70ec4b400a60ad9592787653aae5ae77ae41bf801d56b5bd2712751a07f2009"


def alembic(postgres, database: str, *command: str) -> subprocess.Popen:
    environment = os.environ | {
        "DATABASE_URL": postgres.url("app", database),
        "MIGRATION_DATABASE_URL": postgres.url("owner", database),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "alembic", *command],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finished(process: subprocess.Popen) -> tuple[int, str]:
    output, _ = process.communicate(timeout=60)
    return process.returncode, output


@pytest.fixture
def as_app(postgres):
    with a_database(postgres) as url, psycopg.connect(url, autocommit=True) as connection:
        yield connection


def test_there_is_one_head_and_the_file_names_it():
    config = Config()
    config.set_main_option("script_location", str(ROOT / "migrations"))

    (head,) = ScriptDirectory.from_config(config).get_heads()

    assert (ROOT / "migrations" / "HEAD").read_text("utf-8") == f"{head}\n"


def test_revisions_are_numbered_in_their_order():
    names = sorted(path.name for path in (ROOT / "migrations" / "versions").glob("*.py"))

    assert all(
        re.match(rf"{number:04}_[a-z_0-9]+\.py", name) for number, name in enumerate(names, 1)
    )


def test_the_models_and_the_schema_agree(postgres):
    code, output = finished(alembic(postgres, TEMPLATE, "check"))

    assert code == 0, output


def test_the_database_names_its_checks_as_the_models_do(as_app):
    rows = as_app.execute(
        "SELECT conname FROM pg_constraint"
        " WHERE contype = 'c' AND connamespace = 'public'::regnamespace"
        " AND conrelid::regclass::text NOT LIKE 'procrastinate%'"
    ).fetchall()

    modelled = {
        str(constraint.name)
        for table in Base.metadata.tables.values()
        for constraint in table.constraints
        if isinstance(constraint, CheckConstraint)
    }
    assert {name for (name,) in rows} == modelled


def test_the_queue_has_the_schema_of_the_installed_procrastinate():
    schema = SchemaManager(connector=SyncPsycopgConnector()).get_schema()

    assert hashlib.sha256(schema.encode()).hexdigest() == QUEUE_SCHEMA


def test_migrating_again_changes_nothing(postgres):
    code, output = finished(alembic(postgres, TEMPLATE, "upgrade", "head"))

    assert code == 0, output
    assert "Running upgrade" not in output


FORBIDDEN = {
    "make a table": "CREATE TABLE mine (id int)",
    "make a schema": "CREATE SCHEMA mine",
    "make a function": "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "make a language": "CREATE LANGUAGE mine HANDLER plpgsql_call_handler",
    "make a role": "CREATE ROLE mine",
    "drop a table": "DROP TABLE audit_events",
    "add a column": "ALTER TABLE citizens ADD COLUMN number text",
    "drop a constraint": "ALTER TABLE citizens DROP CONSTRAINT ck_citizens_locale",
    "make an index": "CREATE INDEX mine ON audit_events (at)",
    "switch triggers off": "ALTER TABLE audit_events DISABLE TRIGGER ALL",
    "make a trigger": (
        "CREATE TRIGGER mine BEFORE INSERT ON audit_events"
        " EXECUTE FUNCTION procrastinate_notify_queue_job_inserted_v1()"
    ),
    "change the record": "UPDATE audit_events SET action = 'nothing'",
    "remove from the record": "DELETE FROM audit_events",
    "empty the record": "TRUNCATE audit_events",
    "empty a table": "TRUNCATE citizens CASCADE",
    "say that it migrated": "UPDATE alembic_version SET version_num = '9999'",
    "read others' passwords": "SELECT * FROM pg_authid",
    "read a file": "SELECT pg_read_file('/etc/hostname')",
    "run a program": "COPY citizens FROM PROGRAM 'true'",
    "become the owner": "SET ROLE postgres",
    "switch durability off": "ALTER SYSTEM SET fsync = off",
}


@pytest.mark.parametrize("deed", FORBIDDEN)
def test_the_application_may_not(as_app, deed):
    with pytest.raises(psycopg.Error) as refusal:
        as_app.execute(FORBIDDEN[deed])

    assert refusal.value.sqlstate == "42501"


def test_the_application_may_add_to_the_record_and_read_it(as_app):
    as_app.execute(
        "INSERT INTO audit_events (id, at, actor_kind, action, subject_type, detail)"
        " VALUES (gen_random_uuid(), now(), 'system', 'test:add', 'test', '{}')"
    )

    assert as_app.execute("SELECT action FROM audit_events").fetchall() == [("test:add",)]


def test_a_second_migrator_waits_for_its_turn(postgres):
    postgres.create_database("ctn_waiting")
    owner = psycopg.connect(postgres.url("owner", "ctn_waiting"), autocommit=True)
    with owner:
        owner.execute("SELECT pg_advisory_lock(%s)", [ADVISORY_LOCK])
        migrator = alembic(postgres, "ctn_waiting", "upgrade", "head")
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        while owner.execute(waiting).fetchone() == (0,):
            assert migrator.poll() is None, migrator.communicate()
            time.sleep(0.05)
        tables = owner.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        assert tables.fetchone() == (0,)
        owner.execute("SELECT pg_advisory_unlock(%s)", [ADVISORY_LOCK])

        code, output = finished(migrator)

    assert code == 0, output


def test_two_migrators_at_once_both_succeed(postgres):
    postgres.create_database("ctn_twice")

    both = [alembic(postgres, "ctn_twice", "upgrade", "head") for _ in range(2)]

    ends = [finished(process) for process in both]
    assert [code for code, _ in ends] == [0, 0], ends
    with psycopg.connect(postgres.url("app", "ctn_twice")) as connection:
        assert connection.execute("SELECT count(*) FROM citizens").fetchone() == (0,)
