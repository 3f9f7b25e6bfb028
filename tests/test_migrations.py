"""The schema: one head, no drift, and rights that keep the application in its place."""

import contextlib
import hashlib
import itertools
import json
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
from sqlalchemy import CheckConstraint, create_engine, text
from sqlalchemy.exc import OperationalError

from dev.postgres import Cluster
from migrations import online
from models import Base
from tests import revisions
from tests.conftest import TEMPLATE, a_database
from tests.processes import ROOT, wait_for
from tests.revisions import NOWHERE, alembic, environment, finished

SQUAWK = Path(sys.executable).with_name("squawk")
OWNERS_URL = "MIGRATION_DATABASE_URL"
ADVISORY_LOCK = 6_411_901
# Of procrastinate 3.10. When a newer one is installed, a revision has to bring its changes, which
# stand in the package under sql/migrations, before this is brought up to date.
QUEUE_SCHEMA = "c70ec4b400a60ad9592787653aae5ae77ae41bf801d56b5bd2712751a07f2009"


@pytest.fixture(autouse=True)
def no_migrator_outlives_its_test():
    yield
    revisions.end_all()


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
    code, output = finished(alembic(environment(postgres, TEMPLATE), "check"))

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
    code, output = finished(alembic(environment(postgres, TEMPLATE), "upgrade", "head"))

    assert (code, output) == (0, "")


def test_an_older_release_leaves_the_schema_of_a_newer_one_as_it_is(postgres, fresh):
    database, owner = fresh
    owner.execute("UPDATE alembic_version SET version_num = '9999'")

    ended = finished(alembic(environment(postgres, database), "upgrade", "head"))

    assert ended == (0, "The schema is at 9999, made by a newer release; it stays as it is.\n")
    assert owner.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]


def test_a_schema_that_nobody_knows_is_refused(postgres, fresh):
    database, owner = fresh
    owner.execute("UPDATE alembic_version SET version_num = '0000'")

    code, output = finished(alembic(environment(postgres, database), "upgrade", "head"))

    assert code != 0
    assert "The schema is at 0000, which nobody knows." in output


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
    "change a consent": "UPDATE consents SET version = 2",
    "move a consent": "UPDATE consents SET citizen_id = gen_random_uuid()",
    "remove a consent": "DELETE FROM consents",
    "empty the consents": "TRUNCATE consents",
    "remove a breach": "DELETE FROM breaches",
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


@pytest.fixture
def fresh(postgres):
    """A migrated database of its own, with the owner on one connection."""
    name = next(_names)
    postgres.create_database(name, template=TEMPLATE)
    with psycopg.connect(postgres.url("owner", name), autocommit=True) as owner:
        yield name, owner


_names = (f"ctn_migrated_{number}" for number in itertools.count())


def waiting(owner) -> bool:
    """Whether a migrator is between two questions for its turn."""
    query = """
        SELECT EXISTS (SELECT FROM pg_stat_activity
         WHERE application_name = 'alembic' AND state = 'idle' AND datname = current_database())
    """
    return owner.execute(query).fetchone() == (True,)


def test_a_second_migrator_waits_for_its_turn(postgres):
    postgres.create_database("ctn_waiting")
    owner = psycopg.connect(postgres.url("owner", "ctn_waiting"), autocommit=True)
    with owner:
        owner.execute("SELECT pg_advisory_lock(%s)", [ADVISORY_LOCK])
        migrator = alembic(environment(postgres, "ctn_waiting"), "upgrade", "head")
        wait_for("the migrator", lambda: waiting(owner))
        time.sleep(0.5)  # Long enough to make tables, if it did not wait.
        tables = owner.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        assert tables.fetchone() == (0,)
        owner.execute("SELECT pg_advisory_unlock(%s)", [ADVISORY_LOCK])

        code, output = finished(migrator)

    assert code == 0, output


def test_two_migrators_at_once_both_succeed(postgres):
    postgres.create_database("ctn_twice")

    both = [alembic(environment(postgres, "ctn_twice"), "upgrade", "head") for _ in range(2)]

    ends = [finished(process) for process in both]
    assert [code for code, _ in ends] == [0, 0], ends
    with psycopg.connect(postgres.url("app", "ctn_twice")) as connection:
        assert connection.execute("SELECT count(*) FROM citizens").fetchone() == (0,)


INDEX = 'online.create_index("ix_reports_source", "reports", ["source"])'
COLUMN = 'op.add_column("reports", sa.Column("weather", sa.Text()), if_not_exists=True)'


def valid(owner) -> list[bool]:
    query = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('ix_reports_source')"
    return [value for (value,) in owner.execute(query)]


@contextlib.contextmanager
def an_old_view(postgres, database):
    """A transaction whose view of the database an index that is built has to wait for."""
    with psycopg.connect(postgres.url("app", database)) as reader:
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        reader.execute("SELECT count(*) FROM places")
        yield


def test_a_waiting_migrator_does_not_hold_up_the_one_that_builds_an_index(
    postgres, fresh, tmp_path
):
    database, owner = fresh
    ini = revisions.write(tmp_path, INDEX)
    with an_old_view(postgres, database):
        first = alembic(environment(postgres, database), "upgrade", "head", ini=ini)
        wait_for("the index", lambda: valid(owner))
        second = alembic(environment(postgres, database), "upgrade", "head", ini=ini)
        wait_for("the second migrator", lambda: waiting(owner))
        time.sleep(1.5)  # Longer than PostgreSQL takes to see a deadlock.

    assert [finished(each) for each in (first, second)] == [(0, "extra is applied.\n"), (0, "")]
    assert valid(owner) == [True]


@pytest.mark.alone
def test_a_revision_gives_way_to_requests_while_its_lock_is_taken(postgres, fresh, tmp_path):
    database, _ = fresh
    ini = revisions.write(tmp_path, COLUMN)
    waits = []
    with (
        psycopg.connect(postgres.url("app", database)) as holder,
        psycopg.connect(postgres.url("app", database), autocommit=True) as requests,
    ):
        holder.execute("SELECT count(*) FROM reports")
        migrator = alembic(environment(postgres, database), "upgrade", "head", ini=ini)
        until = time.monotonic() + 5
        while time.monotonic() < until:
            began = time.monotonic()
            requests.execute("SELECT count(*) FROM reports")
            waits.append(time.monotonic() - began)
            time.sleep(0.01)
        holder.rollback()
        code, output = finished(migrator)

    assert code == 0, output
    assert output.count("trying again") >= 2
    assert output.endswith("extra is applied.\n")
    # The revision did stand in the way, so this test can tell; but never for long.
    assert 0.1 < max(waits) < 0.8


def test_a_revision_that_never_gets_its_lock_fails_with_a_word(fresh, postgres, monkeypatch):
    database, owner = fresh
    monkeypatch.setattr(online, "PAUSES_S", (0, 0))
    said = []
    engine = create_engine(postgres.url("owner", database).replace("://", "+psycopg://", 1))

    def attempt():
        with engine.begin() as connection:
            connection.execute(text("SET LOCAL lock_timeout = 50"))
            connection.execute(text("LOCK TABLE reports"))

    with owner.transaction():
        owner.execute("LOCK TABLE reports IN ACCESS SHARE MODE")
        with pytest.raises(OperationalError, match="lock timeout"):
            online.until_unlocked(attempt, said.append)
    engine.dispose()

    assert len(said) == 2
    assert "trying again" in said[0]


def test_what_fails_for_another_reason_is_not_tried_again(fresh, postgres, tmp_path):
    ini = revisions.write(tmp_path, 'op.execute("SELECT pg_sleep(9)")')

    code, output = finished(alembic(environment(postgres, fresh[0]), "upgrade", "head", ini=ini))

    assert code == 1
    assert "statement timeout" in output
    assert "trying again" not in output


def test_an_index_may_take_longer_than_any_statement(postgres, fresh, tmp_path):
    database, owner = fresh
    ini = revisions.write(tmp_path, INDEX)
    with an_old_view(postgres, database):
        migrator = alembic(environment(postgres, database), "upgrade", "head", ini=ini)
        wait_for("the index", lambda: valid(owner))
        time.sleep(online.STATEMENT_MS / 1000 + 0.5)
        assert valid(owner) == [False]

    assert finished(migrator) == (0, "extra is applied.\n")
    assert valid(owner) == [True]


def test_what_an_interrupted_index_left_is_built_anew(postgres, fresh, tmp_path):
    database, owner = fresh
    ini = revisions.write(tmp_path, COLUMN, INDEX)
    with an_old_view(postgres, database):
        migrator = alembic(environment(postgres, database), "upgrade", "head", ini=ini)
        wait_for("the index", lambda: valid(owner))
        owner.execute(
            """SELECT pg_cancel_backend(pid) FROM pg_stat_activity
                WHERE query LIKE 'CREATE INDEX%' AND datname = current_database()"""
        )
        code, output = finished(migrator)
    assert code == 1, output
    assert valid(owner) == [False]

    again = alembic(environment(postgres, database), "upgrade", "head", ini=ini)

    assert finished(again) == (0, "extra is applied.\n")
    assert valid(owner) == [True]


def test_an_index_that_is_there_is_left_alone(postgres, fresh, tmp_path):
    database, owner = fresh
    ini = revisions.write(tmp_path, INDEX)
    owner.execute("CREATE INDEX ix_reports_source ON reports (source)")
    before = owner.execute("SELECT 'ix_reports_source'::regclass::oid").fetchall()

    migrator = alembic(environment(postgres, database), "upgrade", "head", ini=ini)

    assert finished(migrator)[0] == 0
    assert owner.execute("SELECT 'ix_reports_source'::regclass::oid").fetchall() == before


def test_after_an_index_the_haste_is_back(postgres, fresh, tmp_path):
    ini = revisions.write(tmp_path, INDEX, 'op.execute("SELECT pg_sleep(9)")')

    code, output = finished(alembic(environment(postgres, fresh[0]), "upgrade", "head", ini=ini))

    assert code == 1
    assert "statement timeout" in output


def test_an_index_is_dropped_without_holding_anybody_up(postgres, fresh, tmp_path):
    database, owner = fresh
    ini = revisions.write(tmp_path, INDEX, down=('online.drop_index("ix_reports_source")',))
    assert finished(alembic(environment(postgres, database), "upgrade", "head", ini=ini))[0] == 0

    down = alembic(environment(postgres, database), "downgrade", "-1", ini=ini)

    assert finished(down) == (0, "extra is undone.\n")
    assert valid(owner) == []


def test_the_statements_are_printed_without_a_database():
    code, output = finished(alembic(NOWHERE, "upgrade", "head", "--sql"))

    assert code == 0, output
    assert "CREATE TABLE procrastinate_jobs" in output
    assert "CREATE TABLE reports" in output
    assert "GRANT" not in output


def test_the_printed_statements_make_the_same_database(postgres):
    if not isinstance(postgres, Cluster):
        pytest.skip("only the embedded server comes with psql")
    postgres.create_database("ctn_printed")
    variables = environment(postgres, "ctn_printed")
    script = finished(alembic(variables, "upgrade", "head", "--sql"))[1]

    done = subprocess.run(
        [postgres.programs / "psql", "-qX", "-v", "ON_ERROR_STOP=1", variables[OWNERS_URL]],
        check=False,
        env={"PGOPTIONS": "-c client_min_messages=warning"},
        input=script,
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert described(postgres, "ctn_printed") == described(postgres, TEMPLATE)
    assert finished(alembic(variables, "check"))[0] == 0


def described(postgres, database):
    """Tables with their columns and rights, indexes, constraints and functions."""
    queries = (
        """SELECT relname, relkind, relacl::text FROM pg_class
            WHERE relnamespace = 'public'::regnamespace""",
        """SELECT table_name, column_name, data_type, character_maximum_length, is_nullable,
                  col_description(format('%I', table_name)::regclass, ordinal_position)
             FROM information_schema.columns WHERE table_schema = 'public'""",
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'",
        """SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint
            WHERE connamespace = 'public'::regnamespace""",
        "SELECT proname, md5(prosrc) FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
        "SELECT * FROM alembic_version",
    )
    with psycopg.connect(postgres.url("owner", database)) as connection:
        return [sorted(connection.execute(query), key=str) for query in queries]


# What squawk says of a revision, and why that is right; nothing is excused for all to come.
VARYING = "the models limit lengths, and no traffic is on a table that is only being made"
QUEUE = "the tables are procrastinate's, made as it ships them"
EXCUSED = {
    "0001": {
        "prefer-text-field": QUEUE,
        "prefer-identity": QUEUE,
        "prefer-bigint-over-int": QUEUE,
    },
    "0002": {
        "prefer-text-field": VARYING,
        "prefer-bigint-over-int": "counts of attempts, pixels, days and versions stay small",
        "prefer-bigint-over-smallint": "positions, ratings and reopenings stay small",
    },
    "0003": {"prefer-bigint-over-int": "the number of a key fits a byte"},
    "0004": {"ban-drop-constraint": "a wider one takes its place in the same transaction"},
    "0005": {"prefer-bigint-over-int": "the number of a key fits a byte"},
    "0006": {
        "prefer-text-field": VARYING,
        "prefer-bigint-over-int": "days, versions and counts of people stay small",
    },
    "0007": {
        "ban-drop-constraint": "another takes its place that allows more",
        "prefer-bigint-over-int": "an export has few parts",
    },
    "0008": {"prefer-bigint-over-int": "versions of members of staff stay small"},
    "0010": {"prefer-text-field": VARYING},
    "0011": {"prefer-bigint-over-int": "a photo has ten million bytes"},
    "0012": {"ban-drop-constraint": "only what an interrupted try of its own left"},
}


def complaints(origin: str, target: str, ini: Path = ROOT / "alembic.ini") -> set[str]:
    """The names of squawk's rules that the statements of one revision break."""
    code, script = finished(alembic(NOWHERE, "upgrade", f"{origin}:{target}", "--sql", ini=ini))
    assert code == 0, script
    done = subprocess.run(
        [SQUAWK, "--pg-version", "15.0", "--reporter", "json", "--stdin-filepath", target],
        check=False,
        input=script,
        capture_output=True,
        text=True,
    )
    found = {complaint["rule_name"] for complaint in json.loads(done.stdout)}
    assert done.returncode == (1 if found else 0), done.stderr
    return found


def all_revisions() -> list[tuple[str, str]]:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "migrations"))
    found = reversed([*ScriptDirectory.from_config(config).walk_revisions()])
    return [(script.down_revision or "base", script.revision) for script in found]


@pytest.mark.parametrize(("origin", "revision"), all_revisions())
def test_a_revision_does_not_hold_up_traffic(origin, revision):
    assert complaints(origin, revision) == set(EXCUSED.get(revision, {}))


HOLD_UP = {
    "adding-required-field": 'op.add_column("reports", sa.Column("a", sa.Text(), nullable=False))',
    "require-concurrent-index-creation": 'op.create_index("ix_mine", "reports", ["source"])',
    "constraint-missing-not-valid": (
        'op.create_check_constraint("mine", "reports", "length(source) < 9")'
    ),
    "adding-foreign-key-constraint": (
        'op.create_foreign_key("mine", "reports", "staff", ["reporter_id"], ["id"])'
    ),
    "changing-column-type": 'op.alter_column("reports", "version", type_=sa.BigInteger())',
    "adding-not-nullable-field": 'op.alter_column("reports", "address", nullable=False)',
    "ban-drop-column": 'op.drop_column("reports", "address")',
    "renaming-column": 'op.alter_column("reports", "address", new_column_name="street")',
}


@pytest.mark.parametrize("rule", HOLD_UP)
def test_a_revision_that_would_hold_up_traffic_is_found(rule, tmp_path):
    ini = revisions.write(tmp_path, HOLD_UP[rule])

    assert rule in complaints(revisions.head(), "extra", ini)


def test_a_revision_made_as_it_should_be_is_not_complained_of(tmp_path):
    ini = revisions.write(tmp_path, COLUMN, INDEX)

    assert complaints(revisions.head(), "extra", ini) == set()
