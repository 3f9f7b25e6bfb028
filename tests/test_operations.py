"""What docs/operations.md says of this system is so."""

import datetime as dt
import re
from dataclasses import replace

from prometheus_client import CollectorRegistry
from sqlalchemy import text

import logs
from api.instruments import Metrics
from api.metrics import Queues
from jobs.worker import QUEUES
from models import Citizen
from services import keyring
from services.identity.people import meet, recognise_staff
from services.vault import Vault
from tests import factories
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
    given = re.findall(r'"((?:database|schema|key|disk|workers)_\w+)"', readiness())

    assert set(listed) == {f"`{reason}`" for reason in given}


def test_the_contract_names_them_too(client):
    contract = client.get("/api/openapi.json").json["paths"]["/readyz"]["get"]["description"]

    listed = rows_of("| reason |", section("Watching it"))

    assert set(re.findall("`[a-z_]+`", contract)) == set(listed)


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


def test_what_a_lost_key_sealed_is_given_up_and_people_come_back(session):
    staff = factories.a_staff(session)
    citizen = session.get_one(Citizen, staff.citizen_id)
    number = factories.VAULT.read(citizen, "number")
    later = Vault(data_keys={2: "x" * 32}, index_keys=factories.INDEX_KEYS)

    for statement in BLOCKS["give-up"].split(";\n")[:2]:
        session.execute(text(statement))
    session.expire_all()

    assert keyring.faults(session, vault=later) == keyring.Faults([], [])
    told = replace(factories.claims(), subject=citizen.subject, citizen_number=number)
    again = meet(session, told, vault=later, at=factories.NOON)
    assert recognise_staff(session, again, told, vault=later).id == staff.id
    assert later.read(again, "number") == number


def test_it_names_every_queue():
    named = re.findall("`([a-z]+)`", section("The programs").partition("for each of")[2])

    assert tuple(named[: len(QUEUES)]) == QUEUES


def test_its_statement_finds_who_was_not_erased_in_time(session):
    late, soon = (factories.a_citizen(session) for _ in range(2))
    for citizen, ago in ((late, 2), (soon, 0)):
        citizen.deletion_due_at = factories.now() - dt.timedelta(hours=ago)
    session.commit()

    found = session.execute(text(BLOCKS["erasures"].rstrip(";\n"))).all()

    assert [(row.id, row.erased_at) for row in found] == [(late.id, None)]


def test_its_statements_find_failed_jobs_and_have_them_done_again(session):
    session.execute(FAILED)

    found = session.execute(text(BLOCKS["failed"].rstrip(";\n"))).one()
    session.execute(text(BLOCKS["retry"].rstrip(";\n")))

    assert (found.queue_name, found.subject) == ("normal", "a-message")
    status = session.execute(text("SELECT status::text, attempts FROM procrastinate_jobs")).one()
    assert tuple(status) == ("todo", 1)
