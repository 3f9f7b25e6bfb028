"""Two people of one kind side by side: generated requests of neither show what is the other's."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import admin
from api.app import create_app
from models import Database, ReportState
from tests import factories
from tests.conftest import a_database, serving

pytestmark = pytest.mark.slow
SCHEMATHESIS = Path(sys.executable).with_name("st")
SEED = "1"
REPORT = re.compile(r"/api/v1/(staff/)?reports/[0-9a-f-]{36}")


class Confused:
    """A server that takes everybody who reads one report for the first person who did anything."""

    def __init__(self, app, headers: dict[str, str]) -> None:
        self.app = app
        self.first = headers["Authorization"]

    def __call__(self, environ, start_response):
        known = "HTTP_AUTHORIZATION" in environ
        if known and environ["REQUEST_METHOD"] == "GET" and REPORT.fullmatch(environ["PATH_INFO"]):
            environ["HTTP_AUTHORIZATION"] = self.first
        return self.app(environ, start_response)


def two_citizens(app, session):
    people = [factories.a_citizen(session) for _ in range(2)]
    for person in people:
        factories.a_report(session, person)
        factories.resolved(session, factories.a_report(session, person))
    return [factories.bearer(app, session, person) for person in people]


def two_departments(app, session):
    dispatcher = factories.a_staff(session)
    headers = []
    for department in ("so-xay-dung", "so-y-te"):
        for _ in range(3):
            report = factories.a_report(session, factories.a_citizen(session))
            step = {"to": ReportState.ASSIGNED, "department": department}
            factories.moved(session, report, (dispatcher, step))
        staff = factories.a_staff(session, (("leader", department),))
        headers.append(factories.bearer(app, session, staff))
    return headers


def look(tmp_path: Path, url: str, headers: list[dict[str, str]], paths: str):
    """Let schemathesis look for objects of the one that the other gets."""
    people = [
        {
            "name": name,
            "fixedHeaders": [{"name": "Authorization", "value": own["Authorization"]}],
        }
        for name, own in zip(("alice", "bob"), headers, strict=True)
    ]
    # JSON is YAML.
    told = {"schema_version": "0.2.0", "auth": people}
    (tmp_path / "auth.yaml").write_text(json.dumps(told))
    (tmp_path / "schemathesis.toml").write_text(
        '[auth.wfc]\npath = "auth.yaml"\npeers = ["alice", "bob"]\n'
    )
    # Pieces of photos have a type of their own, and are bytes like others.
    (tmp_path / "hooks.py").write_text(
        "import schemathesis\n"
        "schemathesis.serializer.alias("
        "'application/offset+octet-stream', 'application/octet-stream')\n"
    )
    command = [SCHEMATHESIS, "run", f"{url}/api/openapi.json", f"--seed={SEED}", "--no-color"]
    options = [
        "--checks=object_level_authorization,ignored_auth,not_a_server_error",
        "--max-examples=40",
        "--phases=coverage,fuzzing,stateful",
        f"--include-path-regex={paths}",
        # Its identity would be gone for the rest of the run.
        "--exclude-path-regex=logout|deletion|sessions",
    ]
    return subprocess.run(
        [*command, *options],
        check=False,
        cwd=tmp_path,
        env={**os.environ, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": os.fspath(tmp_path)},
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.fixture
def served(postgres, settings):
    """A server with two people of a kind, who may be confused with one another."""
    made = []

    def make(people, *, confused: bool):
        database = Database.at(address, pool_size=10)
        made.append(database)

        def application(url):
            own = replace(settings, public_url=url, database_url=address)
            app = create_app(own, db=database)
            admin.init_app(app)
            with database.sessions() as session:
                headers.extend(people(app, session))
            return Confused(app, headers[0]) if confused else app

        headers: list[dict[str, str]] = []
        return serving(application), headers

    with a_database(postgres) as address:
        yield make
        for database in made:
            database.close()


KINDS = {
    "citizens": (two_citizens, r"/api/v1/(me|reports|uploads)"),
    "departments": (two_departments, r"/api/v1/staff/"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_gets_what_is_anothers(served, tmp_path, kind):
    people, paths = KINDS[kind]
    server, headers = served(people, confused=False)
    with server as url:
        done = look(tmp_path, url, headers, paths)

    assert done.returncode == 0, done.stdout[-5000:] + done.stderr
    assert "will not run" not in done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_the_search_finds_a_server_that_confuses_people(served, tmp_path, kind):
    people, paths = KINDS[kind]
    server, headers = served(people, confused=True)
    with server as url:
        done = look(tmp_path, url, headers, paths)

    assert done.returncode == 1, done.stdout[-5000:] + done.stderr
    assert "owns" in done.stdout
