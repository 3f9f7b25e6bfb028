"""A new revision on a million reports while requests come in: nobody notices."""
# ruff: noqa: T201 - the figures are worth reading.

import contextlib
import datetime as dt
import tempfile
import threading
import time
from pathlib import Path

import psycopg
import pytest

from api.cli import rows
from dev import postgres as embedded
from dev.seed import Sizes, fill
from models import Database
from services import reference
from tests import factories, revisions
from tests.conftest import migrate
from tests.deploy.conftest import needs_nginx
from tests.deploy.stack import INSTANCES, a_stack
from tests.load import Ask, Load, a_new_report, figures

pytestmark = [needs_nginx, pytest.mark.slow]

SIZES = Sizes()
A_SECOND = 100
SECONDS = 55
LONGEST_WAIT_S = 1.5
READ_S = 5
UP = (
    'op.add_column("reports", sa.Column("weather", sa.Text()), if_not_exists=True)',
    'online.create_index("ix_reports_place_code_id", "reports", ["place_code", "id"])',
)
DOWN = (
    'online.drop_index("ix_reports_place_code_id")',
    'op.drop_column("reports", "weather", if_exists=True)',
)
CHECKSUM = """
    SELECT count(*), sum(hashtextextended(row::text, 0)) FROM (SELECT {} FROM reports {}) row
"""


def asking(stack, citizens):
    """Six new reports in ten requests; the rest changes what other tables hold."""

    def ask(number):
        mine = stack.bearer(citizens[number])
        if number % 10 < 6:
            draft = {"category": "giao-thong", "description": f"Ổ gà {number}.", **factories.CITY}
            return a_new_report(stack.url, mine, **draft)
        if number % 10 < 9:
            return Ask("me", "PATCH", f"{stack.url}/api/v1/me", mine, {"locale": "en"})
        return Ask("inbox", "POST", f"{stack.url}/api/v1/me/inbox/read-all", mine, {})

    return ask


@pytest.fixture(scope="module")
def large():
    """A durable server with a filled database."""
    with embedded.temporary(durable=True) as cluster:
        migrate(cluster, embedded.DATABASE)
        database = Database.at(cluster.url())
        with database.transaction() as session:
            reference.load(session, rows)
        database.close()
        began = time.monotonic()
        fill(cluster.url(embedded.OWNER), SIZES)
        print(f"\nfilled in {time.monotonic() - began:.0f} s")
        yield cluster


@pytest.fixture
def stack(large):
    with (
        tempfile.TemporaryDirectory(prefix="stack-") as directory,
        a_stack(Path(directory), large.url()) as running,
    ):
        for name in INSTANCES:
            running.start_web(name)
        yield running


@pytest.fixture
def owner(large):
    with psycopg.connect(large.url(embedded.OWNER), autocommit=True) as connection:
        yield connection


@contextlib.contextmanager
def a_long_read(large):
    """Somebody who counts reports for as long as a report to the ministry takes."""

    def read():
        with psycopg.connect(large.url()) as connection:
            connection.execute("SELECT count(*), pg_sleep(%s) FROM reports", [READ_S])

    reading = threading.Thread(target=read)
    reading.start()
    yield
    reading.join()


def timed(variables, *command, ini):
    """What a migrator said, its exit code, and how long it took."""
    began = time.monotonic()
    code, output = revisions.finished(revisions.alembic(variables, *command, ini=ini), 300)
    return code, output, time.monotonic() - began


def test_nobody_notices_an_upgrade(large, stack, owner, tmp_path):
    ini = revisions.write(tmp_path, *UP, down=DOWN)
    variables = revisions.environment(large, embedded.DATABASE)
    # Each citizen once, since a report needs its own place within twenty an hour.
    people = owner.execute(
        "SELECT id FROM citizens ORDER BY id DESC LIMIT %s", [A_SECOND * SECONDS]
    ).fetchall()
    columns = owner.execute(
        "SELECT string_agg(column_name, ', ' ORDER BY ordinal_position)"
        " FROM information_schema.columns WHERE table_name = 'reports'"
    ).fetchall()[0][0]
    today = dt.datetime.now(dt.UTC)
    old = CHECKSUM.format(columns, f"WHERE created_at < '{today}'")
    before = owner.execute(old).fetchall()

    ask = asking(stack, [citizen for (citizen,) in people])
    with Load(ask, a_second=A_SECOND, seconds=SECONDS) as load:
        time.sleep(5)
        with a_long_read(large):
            time.sleep(0.5)
            code, output, took = timed(variables, "upgrade", "head", ini=ini)
        in_time = load.goes_on

    print(f"upgrade: {took:.1f} s\n{output}", *figures(load.answers), sep="\n")
    assert code == 0, output
    assert output.count("trying again") >= 1  # The long read was in its way.
    assert in_time
    assert len(load.answers) == A_SECOND * SECONDS
    assert [answer for answer in load.answers if answer.status not in {200, 201, 204}] == []
    assert max(answer.waited for answer in load.answers) <= LONGEST_WAIT_S
    assert owner.execute(old).fetchall() == before
    written = sum(answer.kind == "report" for answer in load.answers)
    whole = owner.execute(CHECKSUM.format(columns, "")).fetchall()
    assert whole[0][0] == SIZES.reports + written

    down = timed(variables, "downgrade", "-1", ini=ini)
    again = timed(variables, "upgrade", "head", ini=ini)

    print(f"downgrade: {down[2]:.1f} s, upgrade again: {again[2]:.1f} s")
    assert (down[0], again[0]) == (0, 0), (down, again)
    assert owner.execute(CHECKSUM.format(columns, "")).fetchall() == whole
    (index,) = owner.execute(
        "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_reports_place_code_id'::regclass"
    ).fetchall()
    assert index == (True,)
