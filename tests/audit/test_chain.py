"""The chain takes in every event once, in one order, whenever it was committed."""

import datetime as dt
import hashlib
import json
import threading

import psycopg
import pytest
import structlog
from sqlalchemy import event, select, text

from models import AuditEvent, AuditLink, Database
from models.base import new_id
from services import audit
from services.audit import Deed
from services.feedback import TRANSITIONS
from services.permissions import Actor, ActorKind
from tests import factories
from tests.audit.conftest import note
from tests.revisions import NOWHERE, alembic, environment, finished

ELEVEN = dt.datetime(2026, 11, 23, 4, 0, 0, 50, tzinfo=dt.UTC)


def test_every_event_gets_its_place(ledger):
    ledger.write(3)

    assert ledger.chain() == 3
    assert ledger.chain() == 0
    with ledger.db.reading() as session:
        links = session.scalars(select(AuditLink).order_by(AuditLink.position)).all()
        assert [link.position for link in links] == [1, 2, 3]
        assert len({link.hash for link in links}) == 3


def test_a_late_commit_is_not_passed_over(ledger):
    with ledger.db.sessions() as slow, slow.begin():
        note(slow)
        slow.flush()
        ledger.write()
        while_it_runs = ledger.chain()

    assert while_it_runs == 0
    assert ledger.chain() == 2
    assert ledger.faults() == []


def test_what_was_committed_before_a_slow_transaction_began_does_not_wait_for_it(ledger):
    ledger.write()
    with ledger.db.sessions() as slow, slow.begin():
        note(slow)
        slow.flush()

        assert ledger.chain() == 1
    assert ledger.chain() == 1


def test_what_was_rolled_back_leaves_no_gap(ledger):
    with ledger.db.sessions() as session, session.begin() as transaction:
        note(session)
        session.flush()
        transaction.rollback()
    ledger.write(2)

    assert ledger.chain() == 2
    assert ledger.faults() == []


def test_batches_are_bounded_and_follow_one_another(ledger):
    with ledger.db.transaction() as session:
        for _ in range(5):
            note(session)

    assert [ledger.chain(2) for _ in range(4)] == [2, 2, 1, 0]
    assert ledger.faults() == []


def test_two_writers_do_not_get_in_each_others_way(ledger):
    ledger.write(2)
    with ledger.db.sessions() as one, one.begin():
        assert audit.extend(one) == 2

        assert ledger.chain() == 0

    assert len(ledger.chained()) == 2


def test_many_writers_and_many_chains_at_once_lose_nothing(ledger):
    def work():
        for _ in range(10):
            ledger.write()
            ledger.chain(3)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    while ledger.chain():
        pass

    assert len(set(ledger.chained())) == 40
    assert ledger.faults() == []


def test_the_hash_is_made_as_the_page_says(ledger):
    staff = Actor(ActorKind.STAFF, new_id())
    citizen, report = new_id(), new_id()
    structlog.contextvars.bind_contextvars(request_id="a-request")
    with ledger.db.transaction() as session:
        audit.record(
            session,
            Deed.REPORT_READ_REPORTER,
            actor=staff,
            subject=("report", report),
            about=citizen,
            purpose=audit.Purpose.REPORT_HANDLING,
            at=ELEVEN,
            fields=["name"],
        )
        session.flush()
        found = session.execute(select(AuditEvent.__table__)).one()
    structlog.contextvars.clear_contextvars()
    ledger.chain()

    content = (
        f'{{"about_id":"{citizen}","action":"report:read_reporter","actor_id":"{staff.id}",'
        f'"actor_kind":"staff","at":"2026-11-23T04:00:00.000050Z","detail":{{"fields":["name"]}},'
        f'"id":"{found.id}","purpose":"report_handling","request_id":"a-request",'
        f'"subject_id":"{report}","subject_type":"report","xid":"{found.xid}"}}'
    )
    assert json.loads(content)
    with ledger.db.reading() as session:
        link = session.scalars(select(AuditLink)).one()
    assert link.hash == hashlib.sha256(bytes(32) + content.encode()).digest()


OLDER = """
    INSERT INTO audit_events (id, at, actor_kind, action, subject_type, detail)
    VALUES (gen_random_uuid(), now(), 'system', 'audit:verify', 'audit', '{}')
"""


def test_what_was_recorded_before_there_was_a_chain_is_chained_as_it_was(postgres):
    postgres.create_database("ctn_older")
    schema = finished(alembic(NOWHERE, "upgrade", "0002", "--sql"))[1]
    with psycopg.connect(postgres.url("owner", "ctn_older"), autocommit=True) as owner:
        owner.execute(schema)
        for _ in range(2):
            owner.execute(OLDER)
    code, output = finished(alembic(environment(postgres, "ctn_older"), "upgrade", "head"))
    assert code == 0, output
    db = Database.at(postgres.url("app", "ctn_older"))

    with db.transaction() as session:
        session.execute(text(OLDER))  # As the release before goes on writing.
    with db.transaction() as session:
        chained = audit.extend(session)
        xids = session.scalars(select(AuditLink.xid).order_by(AuditLink.position)).all()
    db.close()

    assert chained == 3
    assert xids[0] == xids[1] < xids[2]


def test_the_chain_goes_along_an_index_however_long_the_log_is(ledger):
    ledger.by_force(
        """
        INSERT INTO audit_events (id, at, actor_kind, action, subject_type, detail)
        SELECT gen_random_uuid(), now(), 'system', 'audit:verify', 'audit', '{}'
          FROM generate_series(1, 20000)
        """
    )
    while ledger.chain():
        pass
    ledger.by_force("ANALYZE audit_events")
    ledger.write()
    statements = []
    engine = ledger.db.sessions.kw["bind"]

    def explain(connection, _cursor, statement, parameters, *_rest):
        if "FROM audit_events" in statement and not statement.startswith("EXPLAIN"):
            plan = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars().all()
            statements.append("\n".join(plan))

    event.listen(engine, "before_cursor_execute", explain)
    assert ledger.chain() == 1

    assert len(statements) == 1
    assert "Index Scan using ix_audit_events_xid_id" in statements[0]
    assert "Seq Scan" not in statements[0]


def test_recording_is_one_statement_that_returns_nothing(session, statements):
    with statements() as seen:
        note(session)
        session.flush()

    written = [statement for statement in seen if not statement.startswith("SAVEPOINT")]
    assert len(written) == 1
    assert "RETURNING" not in written[0]


def test_every_move_of_a_report_can_be_recorded():
    assert {f"report:{step.name}" for step in TRANSITIONS} <= set(Deed)


@pytest.mark.parametrize("deed", Deed)
def test_every_deed_has_words_in_both_languages(deed):
    words = {audit.title(deed, locale) for locale in ("vi", "en")}

    assert len(words) == 2
    assert deed.value not in words


def test_a_deed_of_a_newer_release_is_called_by_its_code():
    assert audit.title("report:translate", "vi") == "report:translate"


@pytest.mark.parametrize(
    "statement",
    [
        """INSERT INTO audit_events (id, at, actor_kind, action, subject_type, detail, xid)
           VALUES (gen_random_uuid(), now(), 'system', 'x', 'audit', '{}', '1')""",
        "UPDATE audit_events SET xid = '1'",
        *(
            f"{deed} {table}"
            for table in ("audit_events", "audit_chain", "audit_checkpoints")
            for deed in ("DELETE FROM", "TRUNCATE", "DROP TABLE")
        ),
        "UPDATE audit_chain SET hash = hash",
        "UPDATE audit_checkpoints SET at = now()",
        "ALTER TABLE audit_chain ADD COLUMN mine int",
        "ALTER TABLE audit_events ALTER COLUMN xid SET DEFAULT '1'",
        "ALTER TABLE audit_events DISABLE TRIGGER ALL",
        "SELECT * FROM audit_events FOR UPDATE",
    ],
)
def test_the_application_can_do_nothing_but_add(ledger, statement):
    ledger.write()
    ledger.chain()
    ledger.sign()
    with ledger.db.sessions() as session, pytest.raises(Exception) as refusal:  # noqa: PT011
        session.execute(text(statement))

    assert isinstance(refusal.value.orig, psycopg.errors.InsufficientPrivilege)
    assert ledger.faults() == []


def test_the_application_does_not_say_which_transaction_wrote_an_event(ledger):
    ledger.write()

    with ledger.db.transaction() as session:
        note(session)
        session.flush()
        own = session.scalar(text("SELECT pg_current_xact_id()::text"))
        xids = session.scalars(select(AuditEvent.xid).order_by(AuditEvent.xid)).all()
    assert xids[-1] == int(own)
    assert xids[0] < xids[1]


def test_an_event_knows_the_request_that_caused_it(client, headers, session):
    named = headers | {"X-Request-Id": "of-the-phone", "Idempotency-Key": "1"}
    draft = {"category": "giao-thong", "description": "Ổ gà.", **factories.CITY}

    client.post("/api/v1/reports", json=draft, headers=named)

    query = select(AuditEvent.request_id).where(AuditEvent.action == "report:create")
    assert session.scalars(query).all() == ["of-the-phone"]


def test_a_role_is_recorded_with_its_department(session):
    report = factories.resolved(session, factories.a_report(session, factories.a_citizen(session)))

    query = select(AuditEvent.action, AuditEvent.role, AuditEvent.organisation)
    roles = session.execute(
        query.where(AuditEvent.subject_id == report.id).order_by(AuditEvent.id)
    ).all()
    assert roles == [
        ("report:create", None, None),
        ("report:assign", "dispatcher", None),
        ("report:claim", "handler", "so-xay-dung"),
        ("report:resolve", "handler", "so-xay-dung"),
    ]
