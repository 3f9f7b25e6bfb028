"""What docs/operations.md says of this system is so."""

import re

from prometheus_client import CollectorRegistry
from sqlalchemy import text

import logs
from api.instruments import Metrics
from api.metrics import Queues
from jobs.worker import QUEUES
from tests.processes import ROOT

PAGE = (ROOT / "docs" / "operations.md").read_text("utf-8")
BLOCKS = dict(re.findall(r"^```sql (\S+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))
FAILED = text(
    "INSERT INTO procrastinate_jobs (queue_name, task_name, args, status)"
    " VALUES ('normal', 'push', '{\"subject_id\": \"a-message\"}', 'failed')"
)


def section(title):
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def rows_of(table_header, within):
    """The first cell of each row of a table, without its backticks."""
    rows = within.partition(table_header)[2].partition("\n\n")[0].splitlines()[2:]
    return [row.split("|")[1].strip() for row in rows]


def test_it_lists_every_field_of_a_log_line():
    listed = section("Logs").partition("only these fields:")[2].partition(".")[0]

    assert set(re.findall("`(.+?)`", listed)) == logs.ALLOWED | {"timestamp"}


def test_it_lists_every_reason_of_not_being_ready():
    listed = rows_of("| reason |", section("Watching it"))
    given = re.findall(r'"((?:database|schema|disk|workers)_\w+)"', readiness())

    assert set(listed) == {f"`{reason}`" for reason in given}


def readiness():
    return (ROOT / "api" / "readiness.py").read_text("utf-8")


def test_it_lists_every_figure(database, session):
    session.execute(FAILED)
    session.commit()
    registry = CollectorRegistry()
    registry.register(Queues(database))
    web = Metrics()
    web.observe("GET", "/", 200, 0.1)
    families = [*registry.collect(), *web.registry.collect()]
    given = {family.name + ("_total" if family.type == "counter" else "") for family in families}

    listed = re.findall(r"`([a-z_]+)(?:\{[a-z,]+\})?`", "".join(rows_of("| figure |", PAGE)))

    assert set(listed) == given


def test_it_names_every_queue():
    named = re.findall("`([a-z]+)`", section("The programs").partition("for each of")[2])

    assert tuple(named[: len(QUEUES)]) == QUEUES


def test_its_statements_find_failed_jobs_and_have_them_done_again(session):
    session.execute(FAILED)

    found = session.execute(text(BLOCKS["failed"].rstrip(";\n"))).one()
    session.execute(text(BLOCKS["retry"].rstrip(";\n")))

    assert (found.queue_name, found.subject) == ("normal", "a-message")
    status = session.execute(text("SELECT status::text, attempts FROM procrastinate_jobs")).one()
    assert tuple(status) == ("todo", 1)
