"""Erasing somebody: asked for, undone, and carried out to the last trace of them."""

import datetime as dt
import re
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import delete, event, func, select, text
from sqlalchemy.exc import IntegrityError
from structlog.testing import capture_logs

from api.app import create_app
from api.current import EXTENSION
from jobs import tasks
from models import (
    AdminSession,
    AuditEvent,
    Base,
    Citizen,
    DataRequest,
    DataRequestKind,
    Device,
    DeviceSession,
    Export,
    InboxMessage,
    RefreshToken,
    Report,
    ReportEvent,
    Staff,
    Upload,
)
from services import feedback, identity, uploads
from services.identity.people import meet, recognise_staff
from services.privacy import erasure, export, requests
from tests import factories
from tests.canaries import in_folder

ADDRESS = "/api/v1/me/deletion"
WEEK = dt.timedelta(days=7)


@pytest.fixture
def erased(session, context, clock):
    """Erase somebody who asked for it, by the job; what requests in flight wrote goes later."""

    def carry_out(person) -> None:
        actor = factories.citizen_actor(person.citizen)
        erasure.ask(session, actor, at=clock())
        session.commit()
        clock.forward(days=7, seconds=1)
        tasks.erase_due(context)
        session.expire_all()

    return carry_out


def tables() -> list[str]:
    found = [table.name for table in Base.metadata.sorted_tables]
    return [*found, "procrastinate_jobs", "procrastinate_events"]


def rows(session) -> dict[str, set[str]]:
    """Every row of the database, as text; bytes are in hexadecimal."""
    return {
        name: set(session.scalars(text(f"SELECT t::text FROM {name} t")))  # noqa: S608 - our names
        for name in tables()
    }


def holding(found: dict[str, set[str]], value: str) -> list[str]:
    spellings = {value, value.encode().hex()}
    return [
        name
        for name, texts in found.items()
        if any(spelling in each for each in texts for spelling in spellings)
    ]


# Asking for it.


def test_it_is_due_in_seven_days_and_said_so(client, session, citizen, headers, clock):
    answer = client.post(ADDRESS, headers=headers)

    assert answer.status_code == 202
    assert dt.datetime.fromisoformat(answer.json["due_at"]) == clock() + WEEK
    assert (
        client.get("/api/v1/me", headers=headers).json["deletion_due_at"] == (answer.json["due_at"])
    )
    assert factories.inbox_kinds(session, citizen) == ["account_deletion_asked"]
    letter = client.get("/api/v1/me/inbox", headers=headers).json["items"][0]
    assert "30/11/2026 10:00" in letter["text"]
    assert deeds(session, citizen) == ["citizen:ask_deletion"]


def deeds(session, citizen) -> list[str]:
    query = select(AuditEvent.action).where(
        AuditEvent.subject_type == "citizen", AuditEvent.subject_id == citizen.id
    )
    return list(session.scalars(query.order_by(AuditEvent.id)))


def test_asking_twice_changes_nothing(app, client, session, citizen, headers, clock):
    first = client.post(ADDRESS, headers=headers).json
    clock.forward(days=1)
    again = factories.bearer(app, session, citizen, auth_time=clock.now)

    assert client.post(ADDRESS, headers=again).json == first
    assert factories.inbox_kinds(session, citizen)[0] == "account_deletion_asked"
    assert factories.inbox_kinds(session, citizen).count("account_deletion_asked") == 1
    assert len(deeds(session, citizen)) == 1


def test_it_is_undone(client, session, citizen, headers, context, clock):
    client.post(ADDRESS, headers=headers)

    assert client.delete(ADDRESS, headers=headers).status_code == 204

    clock.forward(days=8)
    tasks.erase_due(context)
    session.expire_all()
    me = client.get("/api/v1/me", headers=headers).json
    assert (me["deletion_due_at"], me["name"]) == (None, citizen.name)
    assert factories.inbox_kinds(session, citizen) == [
        *("account_deletion_asked", "account_deletion_undone")
    ]
    assert deeds(session, citizen) == ["citizen:ask_deletion", "citizen:undo_deletion"]


def test_undoing_what_was_not_asked_is_fine_and_says_nothing(client, session, citizen, headers):
    assert client.delete(ADDRESS, headers=headers).status_code == 204
    assert factories.inbox_kinds(session, citizen) == []


def test_nobody_is_erased_before_their_time(client, session, citizen, headers, context, clock):
    client.post(ADDRESS, headers=headers)
    clock.forward(days=6, hours=23)

    tasks.erase_due(context)

    session.expire_all()
    assert session.get_one(Citizen, citizen.id).erased_at is None


def test_one_may_sign_in_during_the_grace_and_it_stays_due(app, client, session, citizen, headers):
    due_at = client.post(ADDRESS, headers=headers).json["due_at"]

    again = factories.bearer(app, session, citizen)

    assert client.get("/api/v1/me", headers=again).json["deletion_due_at"] == due_at


# Carrying it out.


def test_nothing_of_the_person_is_left_anywhere(
    client, session, context, make_person, erased, storage
):
    person, other = make_person("lan"), make_person("hoa")
    client.get("/api/v1/me/export", headers=person.headers)
    factories.do_jobs(session, context, export.TASK)
    before = rows(session)
    kept = {each for each in (person.attached, other.attached, other.unused) if each}
    assert all(holding(before, person.canaries[name]) for name in ("name", "subject", "key"))
    export_id = session.scalar(select(Export.id))
    secrets = session.execute(
        select(Citizen.data_key, Citizen.number_index, Citizen.number_sealed).where(
            Citizen.id == person.citizen.id
        )
    ).one()

    erased(person)
    factories.do_jobs(session, context, uploads.DISCARD_TASK)

    after = rows(session)
    found = {name: holding(after, value) for name, value in person.canaries.items()}
    assert found == {name: [] for name in person.canaries}
    assert [secret for secret in secrets if holding(after, secret.hex())] == []
    assert holding(after, "30/11/2026") == []  # It stood in the notice of the deletion.
    files = {path.name for path in storage.root.iterdir()}
    assert files == {str(each) for each in kept}
    assert str(export_id) not in files
    assert in_folder(storage.root) == ""


def test_everybody_elses_rows_are_as_they_were(session, make_person, erased):
    person, other = make_person("lan"), make_person("hoa", is_staff=True)
    theirs = ids_of(session, person.citizen.id)
    before = rows(session)

    erased(person)

    after = rows(session)
    gone = {each for name in tables() for each in before[name] - after[name]}
    new = {
        each
        for name in tables()
        for each in after[name] - before[name]
        if not name.startswith("procrastinate")
    }
    assert [row for row in gone if not any(each in row for each in theirs)] == []
    assert [row for row in new if not any(each in row for each in theirs)] == []
    assert not [row for row in gone if str(other.citizen.id) in row]


def ids_of(session, citizen_id) -> set[str]:
    """The citizen's own id and those of their sessions, devices, messages, reports and photos."""
    owned = [
        (DeviceSession, DeviceSession.citizen_id),
        (Device, Device.citizen_id),
        (InboxMessage, InboxMessage.citizen_id),
        (Report, Report.reporter_id),
        (Upload, Upload.owner_id),
    ]
    found = {
        str(each)
        for model, owner in owned
        for each in session.scalars(select(model.id).where(owner == citizen_id))
    }
    return found | {str(citizen_id)}


def test_an_empty_row_stays_in_the_citizens_place(session, person, erased, clock):
    erased(person)

    row = session.get_one(Citizen, person.citizen.id)
    assert row.erased_at == clock()
    assert (row.name, row.issuer, row.subject) == ("", str(row.id), str(row.id))
    assert row.data_key is row.number_index is row.phone_sealed is row.home_place_code is None


def test_reports_stay_without_their_author(session, person, erased):
    dispatcher = factories.staff_actor(factories.a_staff(session))
    before = feedback.read(session, dispatcher, person.report.id)
    words = (before.code, before.description, before.rating, len(before.timeline))

    erased(person)

    report = feedback.read(session, dispatcher, person.report.id)
    assert (report.code, report.description, report.rating, len(report.timeline)) == words
    assert report.reporter_id is None
    assert feedback.read_reporter(session, dispatcher, report.id, at=factories.NOON) is None
    actors = {step.actor_kind: step.actor_id for step in report.timeline}
    assert actors["citizen"] is None
    assert actors["staff"] is not None
    (photo,) = report.photos
    assert (photo.owner_id, photo.id) == (None, person.attached)


def test_audit_events_are_as_they_were_and_one_more(session, person, erased):
    before = set(session.scalars(text("SELECT t::text FROM audit_events t")))

    erased(person)

    after = set(session.scalars(text("SELECT t::text FROM audit_events t")))
    assert before <= after
    assert deeds(session, person.citizen) == ["citizen:ask_deletion", "citizen:erase"]


def test_signing_in_again_makes_somebody_new(session, person, erased):
    told = factories.claims_of(person.citizen)
    former = person.citizen.id
    erased(person)

    citizen = meet(session, told, vault=factories.VAULT, at=factories.NOON)
    session.commit()

    assert citizen.id != former
    assert factories.VAULT.read(citizen, "number") == person.canaries["number"]


def test_two_people_can_be_erased(session, make_person, erased):
    for mark in ("lan", "hoa"):
        erased(make_person(mark))

    query = select(func.count()).where(Citizen.erased_at.is_not(None))
    assert session.scalar(query) == 2


def test_a_member_of_staff_is_released_and_enters_again_as_somebody_new(
    session, make_person, erased, clock
):
    person = make_person("lan", is_staff=True)
    told = factories.claims_of(person.citizen)
    secret = identity.enter_admin(session, told, vault=factories.VAULT, at=clock())
    session.commit()
    (staff,) = session.scalars(select(Staff).where(Staff.citizen_id == person.citizen.id))

    erased(person)

    assert (staff.citizen_id, staff.name) == (None, "Tên lan")
    assert identity.visit_admin(session, secret, at=clock()) is None
    assert {row.ended_at is None for row in session.scalars(select(AdminSession))} == {False}
    citizen = meet(session, told, vault=factories.VAULT, at=clock())
    assert recognise_staff(session, citizen, told, vault=factories.VAULT).id == staff.id


def test_a_member_of_staff_keeps_what_was_done_at_work(session, make_person, erased):
    person = make_person("lan", is_staff=True)
    (staff,) = session.scalars(select(Staff).where(Staff.citizen_id == person.citizen.id))
    resolved = factories.a_report(session, factories.a_citizen(session))
    resolved.assignee_id = staff.id
    session.commit()

    erased(person)

    assert session.get_one(Report, resolved.id).assignee_id == staff.id


def test_doing_it_again_does_nothing(session, person, erased, context, clock):
    erased(person)
    clock.forward(minutes=16)
    tasks.erase_due(context)  # The second run, for what requests in flight wrote.
    before = rows(session)

    assert erasure.erase(session, person.citizen.id, at=clock() + WEEK) is False
    tasks.erase_due(context)

    assert rows(session) == before
    assert erasure.due(session, at=clock() + 100 * WEEK) == []


def test_what_a_request_in_flight_wrote_goes_in_the_second_run(
    session, person, erased, context, clock
):
    erased(person)
    late = factories.a_report(session, person.citizen)
    factories.an_upload(session, person.citizen, context.storage)
    clock.forward(minutes=16)

    tasks.erase_due(context)

    session.expire_all()
    assert session.get_one(Report, late.id).reporter_id is None
    assert factories.inbox_kinds(session, person.citizen) == []
    assert session.scalars(select(Upload.id)).all() == [person.attached]
    steps = select(ReportEvent.actor_id).where(ReportEvent.report_id == late.id)
    assert session.scalars(steps).all() == [None]


def test_an_erased_row_cannot_be_filled_again(session, person, erased):
    erased(person)
    row = session.get_one(Citizen, person.citizen.id)
    factories.VAULT.equip(row)
    factories.VAULT.write(row, "phone", "+84912345678")

    with pytest.raises(IntegrityError, match="erased_is_empty"):
        session.commit()


@pytest.mark.parametrize("method", ["get", "patch"])
def test_of_somebody_erased_nothing_is_shown_and_nothing_kept(client, person, erased, method):
    # The set of ended sessions is read by the clock on the wall, so this token still passes.
    erased(person)

    answer = client.open("/api/v1/me", method=method.upper(), headers=person.headers, json={})

    assert (answer.status_code, answer.json["code"]) == (401, "token_invalid")
    for address, how in ((ADDRESS, "POST"), (ADDRESS, "DELETE"), ("/api/v1/me/export", "GET")):
        assert client.open(address, method=how, headers=person.headers).status_code == 401


def test_killed_at_any_statement_it_has_done_nothing_and_begins_again(
    session, database, engine, make_person, storage
):
    person = make_person("lan", is_staff=True)
    due_at = erasure.ask(session, factories.citizen_actor(person.citizen), at=factories.NOON)
    session.commit()
    before = rows(session)

    class Killed(Exception):
        pass

    number = 0
    while True:
        number += 1
        left = [number]

        def kill(*arguments, left=left):
            # Savepoints are the tests' own way to share a connection.
            if not re.match("SAVEPOINT|RELEASE|ROLLBACK", arguments[2]):
                left[0] -= 1
                if left[0] == 0:
                    raise Killed

        event.listen(engine, "before_cursor_execute", kill)
        try:
            with database.transaction() as own:
                assert erasure.erase(own, person.citizen.id, at=due_at)
            break
        except Killed:
            pass
        finally:
            event.remove(engine, "before_cursor_execute", kill)
        assert rows(session) == before, f"statement {number}"

    assert number > 20
    assert storage.get(uploads.key(person.unused, "full"))
    found = rows(session)
    assert {name: holding(found, value) for name, value in person.canaries.items()} == {
        name: ["staff"] if name == "name" else [] for name in person.canaries
    }


def test_one_who_cannot_be_erased_keeps_no_other_from_it(committed, clock, context):
    with committed.sessions() as session:
        stuck, other = (factories.a_citizen(session) for _ in range(2))
        for citizen in (stuck, other):
            erasure.ask(session, factories.citizen_actor(citizen), at=clock() - WEEK)
        session.commit()
    own = type(context)(committed, context.storage, context.vault, context.push, clock)

    with committed.sessions() as holder:
        holder.get_one(Citizen, stuck.id, with_for_update=True)
        with pytest.raises(Exception, match="lock timeout"):
            tasks.erase_due(own)

    with committed.sessions() as session:
        assert session.get_one(Citizen, stuck.id).erased_at is None
        assert session.get_one(Citizen, other.id).erased_at is not None
    tasks.erase_due(own)
    with committed.sessions() as session:
        assert session.get_one(Citizen, stuck.id).erased_at is not None


def test_every_process_refuses_the_tokens_within_three_seconds(settings, database, session):
    here, there = (create_app(settings, db=database).test_client() for _ in range(2))
    citizen = factories.a_citizen(session)
    headers = factories.bearer(here.application, session, citizen)
    for client in (here, there):
        assert client.get("/api/v1/reports", headers=headers).status_code == 200
    now = factories.now()
    erasure.ask(session, factories.citizen_actor(citizen), at=now - WEEK)
    session.commit()

    with database.transaction() as own:
        assert erasure.erase(own, citizen.id, at=now)
    began = time.monotonic()
    for client in (here, there):
        while client.get("/api/v1/reports", headers=headers).status_code == 200:
            assert time.monotonic() - began < 3
            time.sleep(0.1)

    kept = session.scalars(select(DeviceSession)).one()
    assert (kept.revoked_at, kept.installation_hash, kept.model) == (now, b"", None)


def test_a_refresh_that_meets_the_erasure_is_refused(committed, settings):
    app = create_app(settings, db=committed)
    keys = app.extensions[EXTENSION].keys
    now = factories.now()
    with committed.sessions() as session:
        citizen = factories.a_citizen(session)
        pair = factories.signed_in(app, session, citizen, at=now)
        erasure.ask(session, factories.citizen_actor(citizen), at=now - WEEK)
        session.commit()

    def refresh():
        with committed.transaction() as own:
            return identity.refresh(own, pair.refresh_token, keys=keys, at=now)

    with ThreadPoolExecutor(1) as pool:
        with committed.transaction() as own:
            assert erasure.erase(own, citizen.id, at=now)
            late = pool.submit(refresh)
            time.sleep(0.3)  # It waits for the session's row meanwhile.
            assert not late.done()
        assert late.result() is None
    with committed.sessions() as session:
        assert session.scalar(select(func.count()).select_from(RefreshToken)) == 0


def test_who_signs_in_while_being_erased_is_somebody_new(committed):
    with committed.sessions() as session:
        citizen = factories.a_citizen(session)
        told = factories.claims_of(citizen)
        erasure.ask(session, factories.citizen_actor(citizen), at=factories.NOON - WEEK)
        session.commit()

    def sign_in() -> uuid.UUID:
        with committed.transaction() as own:
            return meet(own, told, vault=factories.VAULT, at=factories.NOON).id

    with ThreadPoolExecutor(1) as pool:
        with committed.transaction() as own:
            assert erasure.erase(own, citizen.id, at=factories.NOON)
            late = pool.submit(sign_in)
            time.sleep(0.3)
        new = late.result()

    assert new != citizen.id
    with committed.sessions() as session:
        assert session.get_one(Citizen, citizen.id).name == ""
        assert session.get_one(Citizen, new).name == told.name


def test_asking_and_undoing_at_once_leave_one_truth(committed):
    with committed.sessions() as session:
        actor = factories.citizen_actor(factories.a_citizen(session))
    together = threading.Barrier(6)

    def do(what) -> None:
        with committed.transaction() as own:
            own.connection()
            together.wait()
            what(own, actor, at=factories.NOON)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(do, [erasure.ask, erasure.undo] * 3))

    with committed.sessions() as session:
        due_at = session.get_one(Citizen, actor.id).deletion_due_at
        found = deeds(session, actor)
        asked, undone = (found.count(f"citizen:{each}_deletion") for each in ("ask", "undo"))
        assert asked - undone == (0 if due_at is None else 1)


def test_staff_cannot_ask_for_it_with_their_office_token(app, client, session):
    headers = factories.bearer(app, session, factories.a_staff(session))

    assert client.post(ADDRESS, headers=headers).status_code == 401


@pytest.fixture
def stuck(committed, clock):
    """A hundred and one whom the database refuses to erase, due before anybody else.

    Their children stand in a request of somebody else, which nothing in the product brings about.
    """
    with committed.sessions() as session:
        other = factories.a_citizen(session)
        people = [factories.a_citizen(session) for _ in range(101)]
        for citizen in people:
            wish = requests.Wish(DataRequestKind.VIEW)
            actor = factories.citizen_actor(citizen)
            asked = requests.submit(session, actor, wish, vault=factories.VAULT, at=clock())
            asked.child_id, asked.citizen_id = factories.a_child(session, citizen), other.id
            citizen.deletion_due_at = clock() - dt.timedelta(minutes=30)
        session.commit()
        return {citizen.id for citizen in people}


def test_a_hundred_who_cannot_be_erased_starve_nobody_behind_them(committed, clock, context, stuck):
    with committed.sessions() as session:
        other = factories.a_citizen(session)
        other.deletion_due_at = clock() - dt.timedelta(minutes=1)
        session.commit()
    own = type(context)(committed, context.storage, context.vault, context.push, clock)

    with (
        capture_logs() as lines,
        pytest.raises(Exception, match="fk_data_requests_child_id"),
    ):
        tasks.erase_due(own)

    failed = [line for line in lines if line["event"] == "task_failed"]
    assert {line["subject_id"] for line in failed} == {str(each) for each in stuck}
    clock.forward(hours=1)
    with committed.sessions() as session:
        assert session.get_one(Citizen, other.id).erased_at is not None
        late = factories.a_citizen(session)
        late.deletion_due_at = clock() - dt.timedelta(minutes=1)
        session.commit()
        assert erasure.overdue(session, at=clock()) == len(stuck)
        # The second run of `other` and the new one come before those who failed.
        assert set(erasure.due(session, at=clock())[:2]) == {other.id, late.id}
        session.execute(delete(DataRequest))
        session.commit()

    tasks.erase_due(own)

    with committed.sessions() as session:
        assert erasure.overdue(session, at=clock()) == 0
        erased = select(func.count()).where(Citizen.erased_at.is_not(None))
        assert session.scalar(erased) == len(stuck) + 2


def test_a_failure_of_any_kind_keeps_no_other_from_its_turn():
    done = []

    def work(number):
        if number == 1:
            raise RuntimeError("a key that is not there")
        done.append(number)

    with pytest.raises(RuntimeError):
        tasks.for_each([0, 1, 2], work, called=str)

    assert done == [0, 2]
