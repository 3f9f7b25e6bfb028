"""Twenty restarts of each program under load: no failed request, no lost or doubled push."""
# ruff: noqa: T201 - the figures are worth reading.

import itertools
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select, text

from models import InboxMessage, Report
from tests import factories
from tests.conftest import a_database
from tests.deploy.conftest import needs_nginx
from tests.deploy.stack import INSTANCES, a_stack
from tests.load import Ask, Load, a_new_report, figures
from tests.processes import an_fcm, wait_for

pytestmark = [needs_nginx, pytest.mark.slow]

RESTARTS = 20
A_SECOND = 100
# Each may send twenty reports an hour, and one request in five is a report.
CITIZENS = 400
WORKERS = {"first": ("urgent", "normal", "upkeep"), "second": ("urgent", "normal", "upkeep")}


@pytest.fixture
def fcm():
    with tempfile.TemporaryDirectory(prefix="fcm-") as directory, an_fcm(Path(directory)) as found:
        yield found


@pytest.fixture
def stack(postgres, fcm):
    """Nginx, two web instances and two workers of the same queues."""
    with (
        tempfile.TemporaryDirectory(prefix="stack-") as directory,
        a_database(postgres) as url,
        a_stack(Path(directory), url, **fcm) as running,
    ):
        for name in INSTANCES:
            running.start_web(name)
        for name, queues in WORKERS.items():
            running.start_worker(name, *queues)
        yield running


def people_with_phones(stack):
    """Citizens, each with a phone whose address is the citizen's id."""
    with stack.database.sessions() as session:
        for _ in range(CITIZENS):
            citizen = factories.a_citizen(session)
            factories.a_phone(session, citizen, str(citizen.id))
            yield citizen.id


def asking(stack, people):
    """One new report in five requests; the others read."""

    def ask(number):
        mine = stack.bearer(people[number // 5 % len(people)])
        if number % 5 == 0:
            draft = {"category": "giao-thong", "description": f"Ổ gà {number}.", **factories.CITY}
            return a_new_report(stack.url, mine, **draft)
        path = ("/api/v1/me/inbox", "/api/v1/reports", "/api/v1/me", "/api/v1/public/reports")
        return Ask("read", "GET", stack.url + path[number % 5 - 1], mine)

    return ask


def restarting(times, stop, start, names, codes):
    """Restart the programs in turn, one away at a time, and note the exit codes."""
    for _, name in zip(range(times), itertools.cycle(names), strict=False):
        codes.append(stop(name))
        start(name)
        time.sleep(0.5)


def quiet(stack):
    query = "SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"
    with stack.database.sessions() as session:
        return session.scalar(text(query)) == 0


def test_nobody_notices_forty_restarts(stack, fcm):
    people = list(people_with_phones(stack))
    codes = {"web": [], "worker": []}
    turns = [
        (RESTARTS, stack.stop, stack.start_web, INSTANCES, codes["web"]),
        (
            RESTARTS,
            stack.stop,
            lambda name: stack.start_worker(name, *WORKERS[name]),
            list(WORKERS),
            codes["worker"],
        ),
    ]

    began = time.monotonic()
    with Load(asking(stack, people), a_second=A_SECOND) as load:
        restarters = [threading.Thread(target=restarting, args=turn) for turn in turns]
        for restarter in restarters:
            restarter.start()
        for restarter in restarters:
            restarter.join()
        took = time.monotonic() - began
        load.stop()
    wait_for("the last push", lambda: quiet(stack), seconds=60)

    print(f"\n{RESTARTS} restarts of web, {RESTARTS} of workers in {took:.0f} s")
    print(*figures(load.answers), sep="\n")
    assert codes == {"web": [0] * RESTARTS, "worker": [0] * RESTARTS}
    assert [each for each in load.answers if each.status not in {200, 201}] == []
    with stack.database.sessions() as session:
        reports = session.scalars(select(Report.code)).all()
        messages = session.execute(select(InboxMessage.citizen_id, InboxMessage.id)).all()
    sent = [each for each in load.answers if each.kind == "report"]
    assert len(reports) == len(sent)
    pushed = Counter(
        (citizen, push["notification_id"])
        for citizen in people
        for push in httpx.get(f"{fcm['FCM_URL']}/demo/phones/{citizen}").json()
    )
    assert pushed == Counter((citizen, str(message)) for citizen, message in messages)
    assert len(messages) == len(sent)
