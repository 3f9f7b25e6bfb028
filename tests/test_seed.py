"""A database filled with invented use: always the same, true to the application, and usable."""

import datetime as dt
import itertools
import os
import subprocess
import sys
import uuid

import psycopg
import pytest
from sqlalchemy import func, select

from api.app import create_app
from dev.config import Problem
from dev.seed import Sizes, fill
from dev.seed_rows import COLUMNS, ISSUER, MOVES, WAYS
from models import Category, Citizen, Database, InboxMessage, Report, ReportState
from services import feedback, places
from services.audit import Deed
from services.feedback.reports import deadlines
from tests import factories
from tests.conftest import ROOT, TEMPLATE

SIZES = Sizes(reports=600, messages=700, citizens=120)
UNTIL = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)
_names = (f"ctn_seed_{number}" for number in itertools.count())


class Filled:
    """A database with the addresses of its owner and of the application."""

    def __init__(self, postgres, template=TEMPLATE):
        name = next(_names)
        postgres.create_database(name, template=template)
        self.owner, self.app = postgres.url("owner", name), postgres.url("app", name)

    def ask(self, query, *values):
        with psycopg.connect(self.owner, options="-c timezone=UTC") as connection:
            return connection.execute(query, values or None).fetchall()

    def checksums(self):
        """Of what it wrote; which transaction wrote an event is PostgreSQL's word."""
        query = """SELECT count(*), md5(string_agg(row::text, '|' ORDER BY row::text))
                     FROM (SELECT {} FROM {}) row"""
        return {table: self.ask(query.format(names, table)) for table, names in COLUMNS.items()}


def a_filled_one(postgres, *, seed=1):
    made = Filled(postgres)
    fill(made.owner, SIZES, seed=seed, until=UNTIL)
    return made


@pytest.fixture(scope="module")
def filled(postgres):
    return a_filled_one(postgres)


@pytest.fixture
def database(filled):
    """The application's; what a test commits stays, beside rows that others only count."""
    database = Database.at(filled.app)
    yield database
    database.close()


@pytest.fixture
def app(settings, database):
    app = create_app(settings, db=database)
    app.testing = True
    return app


@pytest.fixture
def citizen(session):
    """The one who wrote most."""
    query = select(Report.reporter_id).group_by(Report.reporter_id).order_by(func.count().desc())
    return session.get_one(Citizen, session.scalar(query.limit(1)))


def test_the_same_seed_gives_the_same_rows(postgres, filled):
    assert a_filled_one(postgres).checksums() == filled.checksums()


def test_another_seed_gives_other_rows(postgres, filled):
    other = a_filled_one(postgres, seed=2).checksums()

    assert all(other[table] != sums for table, sums in filled.checksums().items())


def test_there_is_as_much_as_was_asked_for(filled):
    counts = {table: count for table, [(count, _)] in filled.checksums().items()}

    assert counts["reports"] == SIZES.reports
    assert counts["inbox_messages"] == SIZES.messages
    # Staff are citizens too; each person is signed in on one device.
    assert counts["citizens"] == SIZES.citizens + counts["staff"]
    assert counts["device_sessions"] == counts["devices"] == counts["citizens"]
    assert 24 <= counts["staff"] <= 60


def test_the_messages_that_are_left_are_the_newest(filled):
    [(oldest,)] = filled.ask("SELECT min(created_at) FROM inbox_messages")
    [(untold,)] = filled.ask(
        "SELECT count(*) FROM reports WHERE created_at > %s + interval '90 days' AND id NOT IN"
        " (SELECT subject_id FROM inbox_messages)",
        oldest,
    )

    assert untold == 0


NEVER = {
    "ids are in the order of time": """
        SELECT FROM (SELECT created_at < lag(created_at) OVER (ORDER BY id) AS wrong FROM reports) r
         WHERE wrong""",
    "numbers are in the order of time": """
        SELECT FROM (SELECT created_at < lag(created_at) OVER (ORDER BY right(code, 6)) AS wrong
                       FROM reports) r WHERE wrong""",
    "an id tells its own time": """
        SELECT FROM reports WHERE ('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint
               <> round(extract(epoch FROM created_at) * 1000)""",
    "a state is the last step's": """
        SELECT FROM reports WHERE state <> (SELECT to_state FROM report_events
         WHERE report_id = reports.id AND to_state IS NOT NULL ORDER BY id DESC LIMIT 1)""",
    "a version counts the changes": """
        SELECT FROM reports WHERE version <> (SELECT count(*) FROM report_events
         WHERE report_id = reports.id AND kind <> 'rated')""",
    "a change is the latest": """
        SELECT FROM reports WHERE updated_at <> (SELECT max(at) FROM report_events
         WHERE report_id = reports.id AND kind <> 'rated')""",
    "each step is on the record": """
        SELECT FROM report_events e WHERE NOT EXISTS (SELECT FROM audit_events a
         WHERE a.subject_id = e.report_id AND a.at = e.at AND a.actor_id = e.actor_id)""",
    "a report has the key of its request": """
        SELECT FROM reports r WHERE NOT EXISTS (SELECT FROM idempotency_keys
         WHERE resource_id = r.id AND actor_id = r.reporter_id AND created_at = r.created_at)""",
    "a reporter had signed up": """
        SELECT FROM reports r JOIN citizens c ON c.id = reporter_id
         WHERE c.created_at > r.created_at""",
    "a message is its reporter's": """
        SELECT FROM inbox_messages m JOIN reports r ON r.id = subject_id
         WHERE m.citizen_id <> r.reporter_id""",
    "a handler is of the department": """
        SELECT FROM reports r LEFT JOIN role_grants g ON g.staff_id = r.assignee_id
                     AND g.department_code = r.department_code
         WHERE r.assignee_id IS NOT NULL AND g.id IS NULL""",
    "nothing is from the future": """
        SELECT FROM audit_events WHERE at > '2026-11-23Z'
        UNION ALL SELECT FROM device_sessions WHERE last_used_at > '2026-11-23Z'
        UNION ALL SELECT FROM inbox_messages WHERE read_at > '2026-11-23Z'""",
    "a published one is worded": "SELECT FROM reports WHERE public_text LIKE '%nhà số%'",
}


def test_every_deed_is_one_that_services_record(filled):
    assert {deed for (deed,) in filled.ask("SELECT DISTINCT action FROM audit_events")} <= set(Deed)


@pytest.mark.parametrize("rule", NEVER)
def test_in_all_rows(filled, rule):
    assert filled.ask(NEVER[rule]) == []


def test_it_looks_like_use(filled):
    states = dict(filled.ask("SELECT state, count(*) FROM reports GROUP BY state"))
    seen = dict(filled.ask("SELECT visibility, count(*) FROM reports GROUP BY visibility"))

    assert {"rejected", "resolved", "in_progress"} <= states.keys()
    assert states["resolved"] > SIZES.reports / 2
    assert 0.2 < seen["public"] / SIZES.reports < 0.5
    [(rated, texts, units, categories)] = filled.ask(
        "SELECT count(rating), count(DISTINCT description), count(DISTINCT place_code),"
        " count(DISTINCT category_code) FROM reports"
    )
    assert rated > SIZES.reports / 10
    assert texts > SIZES.reports * 0.9
    assert units > 60
    assert categories == 12


def test_places_and_deadlines_are_those_that_the_services_find(session):
    for report in session.scalars(select(Report).limit(60)):
        place = places.resolve(session, lat=report.lat, lng=report.lng)
        category = session.get_one(Category, report.category_code)

        assert (place.place.code, place.uncertain) == (report.place_code, report.place_uncertain)
        if not report.reopened_count:
            due = report.acknowledge_due_at, report.resolve_due_at
            assert due == deadlines(category, report.created_at)


SHAPES = {
    "report_events": """
        SELECT DISTINCT kind, actor_kind, from_state, to_state, text IS NULL, reason IS NULL, public
          FROM report_events""",
    "inbox_messages": """
        SELECT DISTINCT kind, subject_type, ARRAY(SELECT jsonb_object_keys(facts) ORDER BY 1)
          FROM inbox_messages""",
    "audit_events": """
        SELECT DISTINCT action, actor_kind, subject_type, actor_id IS NULL,
               role, organisation IS NULL,
               CASE WHEN subject_type = 'report' AND action <> 'report:rate' THEN detail END
          FROM audit_events WHERE subject_type = 'report'""",
    "reports": """
        SELECT DISTINCT state, department_code IS NULL, assignee_id IS NULL,
               acknowledged_at IS NULL, resolved_at IS NULL, reopened_count, version,
               visibility, public_text IS NULL
          FROM reports""",
}


class Walk:
    """One report that the services themselves lead along `way`."""

    def __init__(self, session, way, *, published):
        self.session = session
        self.dispatcher = factories.a_staff(session)
        self.citizen = factories.a_citizen(session)
        self.report = factories.a_report(session, self.citizen)
        for number, step in enumerate(way):
            self.take(step)
            if published and number == 0 and step == "assign":
                self.publish()
        if self.report.state is ReportState.RESOLVED:
            self.by_citizen(feedback.rate, score=5)

    def take(self, step):
        if step == "reopen":
            self.by_citizen(feedback.reopen, reason="Chưa xong.")
            return
        fields = {
            "assign": {"department": "so-xay-dung"},
            "hand_over": {"department": "dien-luc", "reason": "Của đơn vị bạn."},
            "return": {"reason": "Không đúng lĩnh vực."},
            "resolve": {"text": "Đã xong."},
            "reject": {"reason": "not_ours", "text": "Ngoài thẩm quyền."},
        }.get(step, {})
        move = self.clerk(step), {"to": MOVES[step].to} | fields
        self.report = factories.moved(self.session, self.report, move)

    def clerk(self, step):
        department = self.report.department_code
        if department is None or step == "hand_over":
            return self.dispatcher
        role = "leader" if step == "reject" else "handler"
        return factories.a_staff(self.session, ((role, department),))

    def publish(self):
        self.report = feedback.edit(
            self.session,
            factories.staff_actor(self.dispatcher),
            self.report.id,
            version=self.report.version,
            at=factories.NOON,
            visibility="public",
            public_text="Ổ gà.",
        )
        self.session.commit()

    def by_citizen(self, deed, **fields):
        actor = factories.citizen_actor(self.citizen)
        self.report = deed(self.session, actor, self.report.id, at=factories.NOON, **fields)
        self.session.commit()


def test_what_it_leaves_is_what_the_services_leave(postgres, filled):
    real = Filled(postgres)
    database = Database.at(real.app)
    with database.sessions() as session:
        for way in WAYS:
            for end in range(len(way) + 1):
                for published in (False, True):
                    Walk(session, way[:end], published=published)
    database.close()

    for shape in SHAPES.values():
        made, left = (set(map(str, one.ask(shape))) for one in (filled, real))
        assert made - left == set()


def test_the_public_list_shows_its_reports(client):
    answer = client.get("/api/v1/public/reports?limit=50")

    assert answer.status_code == 200
    assert len(answer.json["items"]) == 50


def test_a_citizen_finds_their_reports(client, app, session, citizen):
    headers = factories.bearer(app, session, citizen)

    answer = client.get("/api/v1/reports?limit=3", headers=headers)
    one = client.get(f"/api/v1/reports/{answer.json['items'][0]['id']}", headers=headers)

    newest = session.scalars(
        select(Report.code).where(Report.reporter_id == citizen.id).order_by(Report.id.desc())
    ).all()
    assert [item["code"] for item in answer.json["items"]] == newest[:3]
    assert one.status_code == 200
    assert one.json["timeline"][0]["kind"] == "created"


@pytest.mark.parametrize("locale", ["vi", "en"])
def test_a_citizen_reads_their_inbox(client, app, session, citizen, locale):
    headers = factories.bearer(app, session, citizen) | {"Accept-Language": locale}
    expected = session.scalar(select(func.count()).where(InboxMessage.citizen_id == citizen.id))

    answer = client.get("/api/v1/me/inbox?limit=100", headers=headers)

    assert answer.status_code == 200
    assert len(answer.json["items"]) == min(expected, 100) > 0


def test_the_next_report_has_the_next_number(client, app, session, citizen):
    headers = factories.bearer(app, session, citizen) | {"Idempotency-Key": uuid.uuid4().hex}
    body = {"category": "giao-thong", "description": "Ổ gà mới.", **factories.CITY}

    answer = client.post("/api/v1/reports", json=body, headers=headers)

    assert answer.status_code == 201
    assert answer.json["code"].endswith(f"-{SIZES.reports + 1:06d}")
    session.expire_all()
    newest = session.scalar(select(Report.code).order_by(Report.id.desc()).limit(1))
    assert newest == answer.json["code"]


def test_nobody_can_sign_in_as_one_of_its_people(filled, settings):
    assert filled.ask("SELECT DISTINCT issuer FROM citizens") == [(ISSUER,)]
    assert settings.oidc_issuer != ISSUER


def test_the_planner_knows_the_tables(filled):
    [(unknown,)] = filled.ask(
        "SELECT count(*) FROM pg_class WHERE relname = ANY(%s)"
        " AND (reltuples < 1 OR relallvisible < 1)",
        list(COLUMNS),
    )

    assert unknown == 0


def test_a_database_in_use_is_left_alone(filled):
    before = filled.checksums()

    with pytest.raises(Problem, match="--add"):
        fill(filled.owner, SIZES, seed=3, until=UNTIL)

    assert filled.checksums() == before


def test_another_seed_may_be_put_beside_what_is_there(postgres):
    twice = a_filled_one(postgres)
    small = Sizes(reports=20, messages=10**6, citizens=5)

    fill(twice.owner, small, seed=2, until=UNTIL, add=True)

    assert twice.ask("SELECT count(*), count(DISTINCT code) FROM reports") == [(620, 620)]


def test_the_same_seed_again_leaves_nothing_half_done(postgres):
    twice = a_filled_one(postgres)
    before = twice.checksums()

    with pytest.raises(psycopg.errors.UniqueViolation):
        fill(twice.owner, SIZES, until=UNTIL, add=True)

    assert twice.checksums() == before


def test_the_application_may_not_fill_its_database(postgres):
    with pytest.raises(Problem, match="owner"):
        fill(Filled(postgres).app, SIZES)


def test_a_database_without_tables_is_refused(postgres):
    with pytest.raises(Problem, match="alembic"):
        fill(Filled(postgres, "template1").owner, SIZES)


def test_a_database_without_reference_data_is_refused(postgres):
    empty = Filled(postgres)
    with psycopg.connect(empty.owner) as connection:
        connection.execute("TRUNCATE categories CASCADE")

    with pytest.raises(Problem, match="load-reference"):
        fill(empty.owner, SIZES)


def command(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "dev.seed", *arguments],
        check=False,
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )


def test_the_command_fills_once_and_then_refuses(postgres):
    made = Filled(postgres)
    sizes = "--reports", "30", "--messages", "20", "--citizens", "10"
    as_owner = {"DATABASE_URL": made.app, "MIGRATION_DATABASE_URL": made.owner}

    first, second = command(*sizes, **as_owner), command(*sizes, **as_owner)

    assert (first.returncode, first.stderr) == (0, "")
    assert "30 of 30 reports" in first.stdout
    assert (second.returncode, second.stdout) == (1, "")
    assert "--add" in second.stderr
    assert made.ask("SELECT count(*) FROM reports") == [(30,)]


def test_the_command_says_that_there_is_no_local_database(tmp_path):
    nothing = {"DATABASE_URL": "", "MIGRATION_DATABASE_URL": "", "DATA_DIR": str(tmp_path)}

    done = command(**nothing)

    assert (done.returncode, done.stdout) == (1, "")
    assert "make run" in done.stderr
