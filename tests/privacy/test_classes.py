"""Every column says what it holds of a person, and what follows from that."""

import ast
import json
import re

import psycopg
import pytest
import structlog
from sqlalchemy import Column, MetaData, String

import logs
from models import Base
from models.personal import TABLES, Unclassified, classify
from services.privacy import export, retention
from tests.conftest import a_database
from tests.processes import ROOT

COMMENT = re.compile(r"pii=(none|basic|sensitive); retention=([a-z_]+); export=(yes|no)")
PERSONAL = {column for table in TABLES.values() for column in table.personal}
# Ways from a row to a citizen that say nothing of that citizen as a person.
EXCUSED = {
    "breaches.recorded_by": "the register is the office's record",
    "children.decided_by": "who checked others' relations is the office's record",
    "data_requests.child_id": "the citizen is named directly",
    "refresh_tokens.predecessor_id": "the same session is reached directly",
    "deliveries.device_id": "the same message is reached directly",
    "devices.session_id": "the citizen is named directly",
    "reporter_blocks.blocked_by_id": "who made somebody pause is the office's record",
    "reporter_blocks.answered_by_id": "who answered an appeal is the office's record",
    "reporter_blocks.lifted_by_id": "who ended the pause is the office's record",
    "reporter_blocks.report_id": "the citizen is named directly",
    "reports.assignee_id": "who worked on others' reports is the office's record",
    "uploads.staff_id": "photos of a result are the office's record",
    "resumable_uploads.staff_id": "pieces of such photos go within a day",
}


def test_every_column_of_the_database_says_what_it_holds(postgres):
    query = """
        SELECT relname, attname, col_description(attrelid, attnum)
          FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
         WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0
           AND NOT attisdropped AND relname NOT LIKE 'procrastinate%'
    """
    with a_database(postgres) as url, psycopg.connect(url) as connection:
        found = connection.execute(query).fetchall()

    assert len(found) > 150
    assert [row for row in found if not COMMENT.fullmatch(row[2] or "")] == []
    comments = {
        (table, name): column.comment
        for table, entry in TABLES.items()
        for name, column in entry.columns.items()
    }
    assert {row[:2]: row[2] for row in found if row[0] != "alembic_version"} == comments


def test_a_column_that_nobody_classified_is_named():
    metadata = MetaData()
    for table in Base.metadata.tables.values():
        table.to_metadata(metadata)
    metadata.tables["citizens"].append_column(Column("nickname", String()))

    with pytest.raises(Unclassified, match=r"lacks citizens\.nickname; no table has none"):
        classify(metadata)


def test_a_column_that_is_not_there_any_more_is_named():
    metadata = MetaData()
    for name in TABLES.keys() - {"devices", "deliveries"}:
        Base.metadata.tables[name].to_metadata(metadata)

    with pytest.raises(Unclassified, match=r"lacks none; no table has deliveries\.attempts"):
        classify(metadata)


def test_every_policy_that_a_column_names_is_there():
    named = {column.retention for table in TABLES.values() for column in table.columns.values()}

    assert named == {policy.name for policy in retention.POLICIES}


def test_what_a_policy_deletes_is_what_names_it():
    for policy in retention.POLICIES:
        for sweep in policy.sweeps:
            columns = TABLES[sweep.table.name].columns.values()
            assert policy.name in {column.retention for column in columns}


def ways() -> set[str]:
    """Every foreign key that leads, directly or through other tables, to a citizen."""
    reached, found = {"citizens"}, set()
    while True:
        before = len(found)
        for table in Base.metadata.tables.values():
            for key in table.foreign_keys:
                if key.column.table.name in reached:
                    found.add(f"{table.name}.{key.parent.name}")
                    reached.add(table.name)
        if len(found) == before:
            return found


def test_every_way_to_a_citizen_is_followed_or_excused():
    followed = {
        f"{name}.{path.split('.')[0]}" for name, table in TABLES.items() for path in table.people
    }

    assert ways() - followed == set(EXCUSED)


def test_every_way_that_is_followed_ends_at_a_citizen():
    for name, table in TABLES.items():
        for path in table.people:
            *steps, last = path.split(".")
            here = Base.metadata.tables[name]
            for step in steps:
                (key,) = here.c[step].foreign_keys
                here = key.column.table
            targets = {key.column.table.name for key in here.c[last].foreign_keys}
            # Two tables name whoever did something, and to whom, without a foreign key.
            assert targets == {"citizens"} or last in {"id", "actor_id", "about_id"}


def test_what_is_erased_of_a_table_is_said_where_it_leads_to_a_citizen():
    for name, table in TABLES.items():
        if table.erased != "kept":
            assert table.people, name
        if table.erased.startswith("detached"):
            assert Base.metadata.tables[name].c[table.erased.split()[1]].nullable


def test_secrets_and_what_is_derived_from_them_are_given_to_nobody():
    given = {(name, column) for name in export.sections() for column in TABLES[name].exported}

    assert not [each for each in given if re.search("hash|salt|mac|index|data_key", each[1])]


def test_no_field_of_the_log_is_called_like_a_personal_column():
    assert set() == logs.ALLOWED & PERSONAL


def test_a_personal_column_never_reaches_the_log(capsys):
    logs.configure("INFO")

    structlog.get_logger().info("told", count=1, **dict.fromkeys(PERSONAL, "canary"))

    line = capsys.readouterr().out
    assert json.loads(line)["count"] == 1
    assert "canary" not in line


def test_no_code_logs_a_personal_column():
    """What the list of fields drops should not be handed to it in the first place."""
    handed = set()
    for folder in ("admin", "api", "jobs", "notifications", "services"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Attribute)
                    and isinstance(node.func.value, ast.Name)
                    and node.func.value.id == "log"
                ):
                    handed |= {keyword.arg for keyword in node.keywords}

    assert "route" in handed
    assert handed & PERSONAL == set()
