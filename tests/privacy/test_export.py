"""Somebody gets all that is held about them, and nothing of anybody else."""

import base64
import datetime as dt
import io
import json
import secrets
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image
from sqlalchemy import delete, func, select, text

from api.app import create_app
from api.current import EXTENSION
from jobs import tasks
from models import (
    Audience,
    AuditEvent,
    Citizen,
    Export,
    InboxMessage,
    ReportState,
    Upload,
    UploadState,
)
from models.personal import TABLES
from services import identity, uploads
from services.feedback import desk
from services.identity import DeviceFacts
from services.permissions import LEVEL_1, LEVEL_2
from services.privacy import export
from services.vault import Unreadable
from tests import factories
from tests.canaries import issue

ADDRESS = "/api/v1/me/export"
# What the document calls a table.
NAMES = {table: export.NAMES.get(table, table) for table in TABLES}


@pytest.fixture
def prepared(client, session, context):
    """The parts of somebody's export, made by the job."""

    def get(person) -> list[dict]:
        first = client.get(ADDRESS, headers=person.headers)
        assert (first.status_code, first.json) == (202, {"state": "preparing", "location": ADDRESS})
        assert factories.do_jobs(session, context, export.TASK) == 1
        parts = [client.get(ADDRESS, headers=person.headers)]
        while link := parts[-1].headers.get("Link"):
            address = link.removesuffix('>; rel="next"').removeprefix("<")
            parts.append(client.get(address, headers=person.headers))
        assert {part.status_code for part in parts} == {200}
        return [part.json for part in parts]

    return get


def rows_by_table(document: dict) -> dict[str, list[dict]]:
    """The rows of a document under the names of their tables."""
    found = {
        table: document.get(name, [])
        for table, name in NAMES.items()
        if table in export.sections() and table not in {"citizens", "report_events"}
    }
    found["citizens"] = [document["citizen"]]
    found["report_events"] = [step for report in document["reports"] for step in report["timeline"]]
    return found


def test_every_exported_column_is_there_and_no_other(prepared, make_person):
    person = make_person("lan", is_staff=True)

    (document,) = prepared(person)

    rows = rows_by_table(document)
    added = {"reports": {"timeline"}, "uploads": {"jpeg"}}
    assert rows.keys() == set(export.sections())
    for table, found in rows.items():
        assert found, f"there is no row of {table}"
        expected = {name.removesuffix("_sealed") for name in TABLES[table].exported}
        for row in found:
            assert row.keys() == expected | added.get(table, set()), table


def test_it_says_what_the_citizen_told_and_was_told(session, prepared, person):
    dispatcher = factories.a_staff(session)
    desk.read_reporter(
        session, factories.staff_actor(dispatcher), person.report.id, at=factories.NOON
    )
    session.commit()

    (document,) = prepared(person)

    assert document["format"] == "c-thainguyen-export/1"
    assert (document["part"], document["next_part"]) == (1, None)
    told = {name: document["citizen"][name] for name in ("name", "number", "phone", "birth_date")}
    assert told == {
        "name": person.citizen.name,
        "number": person.canaries["number"],
        "phone": person.canaries["phone"],
        "birth_date": "1990-08-15",
    }
    (report,) = document["reports"]
    assert report["description"] == "Ổ gà trước số nhà 12."
    assert report["rating_text"] == "Tốt."
    assert [step["kind"] for step in report["timeline"]] == [
        *("created", "assign", "claim", "resolve", "rated")
    ]
    assert [message["kind"] for message in document["inbox"]][:2] == [
        *("report_received", "report_assigned")
    ]
    assert "report:read_reporter" in {event["action"] for event in document["audit_events"]}


def test_photos_are_in_it(prepared, person):
    (document,) = prepared(person)

    photos = {photo["id"]: photo for photo in document["photos"]}
    assert photos.keys() == {str(person.attached), str(person.unused)}
    assert photos[str(person.attached)]["report_id"] == str(person.report.id)
    for photo in photos.values():
        picture = Image.open(io.BytesIO(base64.b64decode(photo["jpeg"])))
        assert (picture.format, picture.size) == ("JPEG", (640, 480))


def test_a_secret_is_not_in_it(prepared, person):
    (document,) = prepared(person)

    written = json.dumps(document)
    for name in ("installation", "refresh", "address"):
        assert person.canaries[name] not in written


def test_what_is_anothers_or_the_offices_is_not_in_it(session, prepared, person, make_person):
    other = make_person("hoa", is_staff=True)
    internal = factories.a_report(session, person.citizen)
    dispatcher = factories.a_staff(session)
    handler = factories.a_staff(session, (("handler", "so-xay-dung"),))
    factories.moved(
        session,
        internal,
        (dispatcher, {"to": ReportState.ASSIGNED, "department": "so-xay-dung"}),
        (handler, {"to": ReportState.RECEIVED, "reason": "Chuyện nội bộ"}),
    )

    (document,) = prepared(person)

    written = json.dumps(document, ensure_ascii=False)
    ids = {str(other.citizen.id), str(other.report.id), str(other.attached), str(dispatcher.id)}
    assert not [each for each in {*other.canaries.values(), *ids} if each in written]
    assert "Chuyện nội bộ" not in written


def test_of_whom_there_is_little_it_is_there_at_once(client, session, citizen, headers):
    factories.a_report(session, citizen)

    answer = client.get(ADDRESS, headers=headers)

    assert answer.status_code == 200
    assert len(answer.json["reports"]) == 1
    assert answer.headers["Content-Disposition"] == "attachment; filename=c-thainguyen-export.json"
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert session.scalar(select(func.count()).select_from(Export)) == 0


def test_somebody_new_gets_empty_lists(client, headers):
    document = client.get(ADDRESS, headers=headers).json

    assert document["reports"] == document["photos"] == document["staff"] == []


def test_it_takes_the_same_number_of_statements_however_much_there_is(
    client, session, citizen, headers, statements
):
    counts = []
    client.get(ADDRESS, headers=headers)  # The first one in an hour is told beside.
    for _ in range(2):
        for _ in range(5):
            factories.a_report(session, citizen)
        with statements() as seen:
            assert client.get(ADDRESS, headers=headers).status_code == 200
        # Ended sessions are read once in two seconds, whatever is asked for.
        asked = [each for each in seen if each.startswith(("SELECT", "INSERT", "UPDATE"))]
        counts.append(
            len(
                [
                    each
                    for each in asked
                    if "revoked_at >=" not in each and "not_before >=" not in each
                ]
            )
        )

    assert counts[0] == counts[1] < 30


@pytest.fixture
def many(session, citizen):
    """More rows than are gathered within a request."""
    session.add_all(
        InboxMessage(
            citizen_id=citizen.id,
            kind="report_received",
            subject_type="report",
            subject_id=uuid.uuid4(),
            facts={"code": f"TN-26-{number:06}"},
            created_at=factories.NOON,
        )
        for number in range(2 * export.PAGE + 5)
    )
    session.commit()


@pytest.mark.usefixtures("many")
def test_of_whom_there_is_much_a_job_gathers_every_row_once(
    client, session, context, headers, monkeypatch
):
    monkeypatch.setattr(export, "PART_BYTES", 200_000)

    assert client.get(ADDRESS, headers=headers).status_code == 202
    factories.do_jobs(session, context, export.TASK)
    parts = [client.get(ADDRESS, headers=headers).json]
    while parts[-1]["next_part"]:
        address = f"{ADDRESS}?part={parts[-1]['next_part']}"
        parts.append(client.get(address, headers=headers).json)

    found = [message for part in parts for message in part.get("inbox", [])]
    codes = {message["facts"]["code"] for message in found}
    assert len(parts) > 2
    assert [part["part"] for part in parts] == list(range(1, len(parts) + 1))
    assert len(codes) == len(found) == 2 * export.PAGE + 5
    assert "citizen" in parts[0]
    assert "citizen" not in parts[1]


def test_photos_go_on_in_the_next_part(prepared, person, monkeypatch):
    monkeypatch.setattr(export, "PART_BYTES", 1000)

    parts = prepared(person)

    photos = [photo["id"] for part in parts for photo in part.get("photos", [])]
    assert len(parts) > 2
    assert sorted(photos) == sorted([str(person.attached), str(person.unused)])


def test_asking_again_while_it_is_made_makes_no_second_job(client, session, person):
    answers = [client.get(ADDRESS, headers=person.headers) for _ in range(export.A_DAY + 3)]

    assert {answer.status_code for answer in answers} == {202}
    assert {answer.headers["Retry-After"] for answer in answers} == {"30"}
    query = text("SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'build_export'")
    assert session.scalar(query) == 1


def test_two_who_ask_at_once_make_one_job(committed, settings):
    app = create_app(settings, db=committed, now=lambda: factories.NOON)
    with committed.sessions() as session:
        citizen = factories.a_citizen(session)
        headers = factories.bearer(app, session, citizen)
        session.add(
            Upload(
                owner_id=citizen.id,
                state=UploadState.READY,
                created_at=factories.NOON,
                position=0,
                shows_result=False,
            )
        )
        session.commit()
    together = threading.Barrier(4)

    def ask(_):
        with committed.reading() as session:
            session.connection()
            together.wait()
        return app.test_client().get(ADDRESS, headers=headers).status_code

    with ThreadPoolExecutor(4) as pool:
        answers = set(pool.map(ask, range(4)))

    assert answers == {202}
    with committed.sessions() as session:
        query = text("SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'build_export'")
        assert session.scalar(query) == 1


def test_its_person_is_told_once_when_it_is_ready(client, session, context, person):
    client.get(ADDRESS, headers=person.headers)
    (row,) = session.scalars(select(Export))

    for _ in range(2):
        tasks.build_export(context, row.id)

    assert factories.inbox_kinds(session, person.citizen).count("export_ready") == 1


def test_a_job_that_died_half_way_is_done_again(
    client, session, context, person, storage, monkeypatch
):
    monkeypatch.setattr(export, "PART_BYTES", 1000)
    client.get(ADDRESS, headers=person.headers)
    put = storage.put
    written = []

    def die_at_the_second(key, content):
        written.append(key)
        if len(written) == 2:
            raise KeyboardInterrupt
        put(key, content)

    monkeypatch.setattr(storage, "put", die_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        factories.do_jobs(session, context, export.TASK)
    assert client.get(ADDRESS, headers=person.headers).status_code == 202
    monkeypatch.setattr(storage, "put", put)
    session.rollback()

    factories.do_jobs(session, context, export.TASK)

    assert client.get(ADDRESS, headers=person.headers).status_code == 200


def test_it_lies_in_the_store_sealed_for_its_person(session, prepared, person, storage):
    prepared(person)

    (row,) = session.scalars(select(Export))
    place = export.key(row.id, 1)
    sealed = storage.get(place)
    assert person.canaries["name"].encode() not in sealed
    assert b"citizen" not in sealed
    other = factories.a_citizen(session)
    with pytest.raises(Unreadable):
        factories.VAULT.open(other, place, sealed)
    with pytest.raises(Unreadable):
        factories.VAULT.open(person.citizen, export.key(row.id, 2), sealed)


def test_who_has_no_key_yet_gets_one(client, session, context, citizen, headers, storage):
    factories.an_upload(session, citizen, storage)
    citizen.data_key = citizen.number_sealed = None
    citizen.phone_sealed = citizen.birth_date_sealed = None
    session.commit()

    client.get(ADDRESS, headers=headers)
    factories.do_jobs(session, context, export.TASK)

    answer = client.get(ADDRESS, headers=headers)
    assert (answer.status_code, answer.json["citizen"]["number"]) == (200, None)


def test_a_week_later_another_one_is_made(app, client, session, context, person, clock, storage):
    client.get(ADDRESS, headers=person.headers)
    factories.do_jobs(session, context, export.TASK)
    (before,) = session.scalars(select(Export.id))
    clock.forward(days=6)
    again = factories.bearer(app, session, person.citizen, auth_time=clock.now)
    kept = client.get(ADDRESS, headers=again)
    clock.forward(days=2)
    later = factories.bearer(app, session, person.citizen, auth_time=clock.now)

    asked = client.get(ADDRESS, headers=later)

    assert (kept.status_code, asked.status_code) == (200, 202)
    assert session.scalars(select(Export.id)).all() != [before]
    factories.do_jobs(session, context, uploads.DISCARD_TASK)
    with pytest.raises(FileNotFoundError):
        storage.get(export.key(before, 1))


def test_one_whose_job_was_given_up_is_begun_again(app, client, session, person, clock):
    client.get(ADDRESS, headers=person.headers)
    (before,) = session.scalars(select(Export.id))
    clock.forward(days=4)
    again = factories.bearer(app, session, person.citizen, auth_time=clock.now)

    assert client.get(ADDRESS, headers=again).status_code == 202
    assert session.scalars(select(Export.id)).all() != [before]


def test_it_is_given_five_times_a_day(app, client, session, citizen, headers, clock):
    answers = [client.get(ADDRESS, headers=headers).status_code for _ in range(6)]
    clock.forward(hours=25)
    again = factories.bearer(app, session, citizen, auth_time=clock.now)

    assert answers == [*[200] * 5, 429]
    assert client.get(ADDRESS, headers=again).status_code == 200


@pytest.mark.parametrize("part", ["2", "100000"])
def test_a_part_that_is_not_there_is_not_found(client, headers, part):
    answer = client.get(f"{ADDRESS}?part={part}", headers=headers)

    assert (answer.status_code, answer.json["code"]) == (404, "export_part_not_found")


@pytest.mark.parametrize("part", ["0", "-1", "x", "1.5", "100001", ""])
def test_a_part_is_a_number(client, headers, part):
    answer = client.get(f"{ADDRESS}?part={part}", headers=headers)

    assert (answer.status_code, answer.json["code"]) == (422, "invalid")


def test_an_export_that_the_store_lost_is_not_found(client, session, context, person, storage):
    client.get(ADDRESS, headers=person.headers)
    factories.do_jobs(session, context, export.TASK)
    (row,) = session.scalars(select(Export))
    storage.delete_all(str(row.id))

    assert client.get(ADDRESS, headers=person.headers).status_code == 404


def test_a_lost_photo_keeps_nobody_from_the_rest(prepared, person, storage):
    storage.delete_all(str(person.attached))

    (document,) = prepared(person)

    pictures = {photo["id"]: photo["jpeg"] for photo in document["photos"]}
    assert pictures[str(person.attached)] is None
    assert pictures[str(person.unused)]


def test_the_sweeping_of_files_leaves_an_export_alone(client, session, context, person, storage):
    client.get(ADDRESS, headers=person.headers)
    factories.do_jobs(session, context, export.TASK)
    (row,) = session.scalars(select(Export))
    later = dt.datetime.now(dt.UTC) + dt.timedelta(hours=25)

    assert uploads.sweep_files(session, storage=storage, at=later) == 0
    assert storage.get(export.key(row.id, 1))


def test_an_export_of_somebody_who_is_gone_leaves_no_files(session, context, person, storage):
    made = Export(citizen_id=person.citizen.id, asked_at=factories.NOON)
    session.add(made)
    session.commit()
    citizen = session.get_one(Citizen, person.citizen.id)
    count = export.build(
        lambda query: session.execute(query).mappings().all(),
        citizen,
        made,
        vault=factories.VAULT,
        storage=storage,
        at=factories.NOON,
    )
    session.delete(made)
    session.commit()

    export.finish(session, made.id, count, at=factories.NOON)
    session.commit()
    factories.do_jobs(session, context, uploads.DISCARD_TASK)

    with pytest.raises(FileNotFoundError):
        storage.get(export.key(made.id, 1))


@pytest.fixture
def below(app, session):
    """Headers of somebody's sign-in at level 1, on a phone that is called so."""

    def sign_in(person, device="Máy lạ"):
        told = factories.claims_of(person.citizen, acr=LEVEL_1, citizen_number=None)
        pair = identity.sign_in(
            session,
            told,
            keys=app.extensions[EXTENSION].keys,
            vault=factories.VAULT,
            audience=Audience.CITIZEN,
            device=DeviceFacts(secrets.token_urlsafe(24), "android", device),
            at=factories.now(),
        )
        session.commit()
        issue(pair.access_token)
        issue(pair.refresh_token)
        return {"Authorization": f"Bearer {pair.access_token}"}

    return sign_in


MASKED = ["citizen.number", "citizen.birth_date", "children.number", "children.birth_date"]


def proven(document: dict) -> list[str]:
    (child,) = document["children"]
    rows = (document["citizen"], child)
    return [row[name] for row in rows for name in ("number", "birth_date")]


@pytest.mark.parametrize("has_photos", [True, False])
def test_below_level_2_what_was_proven_there_is_masked(
    client, session, context, person, below, has_photos
):
    if not has_photos:
        session.execute(delete(Upload))
        session.commit()
    number = person.canaries["number"]
    headers = below(person)
    answer = client.get(ADDRESS, headers=headers)
    if has_photos:
        assert answer.status_code == 202
        factories.do_jobs(session, context, export.TASK)
        answer = client.get(ADDRESS, headers=headers)

    document = answer.json

    assert document["masked"] == MASKED
    assert document["whole_at"] == LEVEL_2
    assert number not in answer.text
    own, born, child, child_born = proven(document)
    assert (own, born) == (f"{number[:3]}*****{number[-4:]}", "1990-**-**")
    assert (child[3:8], child_born) == ("*****", "2021-**-**")
    assert document["citizen"]["phone"] == person.canaries["phone"]


def test_at_level_2_nothing_is_masked(prepared, person):
    (document,) = prepared(person)

    assert (document["masked"], document["whole_at"]) == ([], None)
    assert not [value for value in proven(document) if "*" in value]


def test_what_was_made_at_another_level_is_made_anew(
    client, session, context, prepared, person, below
):
    (whole,) = prepared(person)

    again = client.get(ADDRESS, headers=below(person))
    factories.do_jobs(session, context, export.TASK)
    masked = client.get(ADDRESS, headers=below(person)).json
    back = client.get(ADDRESS, headers=person.headers)

    assert (whole["whole_at"], again.status_code) == (None, 202)
    assert (masked["whole_at"], back.status_code) == (LEVEL_2, 202)


def test_one_that_a_former_release_made_is_made_anew(client, session, person):
    made = Export(
        citizen_id=person.citizen.id, asked_at=factories.NOON, ready_at=factories.NOON, parts=1
    )
    session.add(made)
    session.commit()

    assert client.get(ADDRESS, headers=person.headers).status_code == 202
    assert session.scalar(select(Export.acr)) == LEVEL_2


def copies(session, citizen) -> list[dict]:
    query = select(AuditEvent.detail).where(
        AuditEvent.action == "citizen:export", AuditEvent.subject_id == citizen.id
    )
    return list(session.scalars(query.order_by(AuditEvent.id)))


def test_a_copy_that_is_taken_at_once_is_recorded_and_told(client, session, person, below):
    session.execute(delete(Upload))
    session.commit()

    for _ in range(2):
        assert client.get(ADDRESS, headers=below(person, "Máy của kẻ khác")).status_code == 200

    assert copies(session, person.citizen) == [{"part": 1, "acr": LEVEL_1}] * 2
    letters = client.get("/api/v1/me/inbox", headers=person.headers).json["items"]
    told = [letter for letter in letters if letter["kind"] == "export_taken"]
    assert len(told) == 2  # Each was another session.
    assert "Máy của kẻ khác" in told[0]["text"]
    assert told[0]["subject"]["type"] == "session"


def test_every_part_that_is_taken_is_recorded_and_a_session_is_told_of_once(
    client, session, context, person, monkeypatch
):
    monkeypatch.setattr(export, "PART_BYTES", 1000)
    client.get(ADDRESS, headers=person.headers)
    assert copies(session, person.citizen) == []
    factories.do_jobs(session, context, export.TASK)

    for part in (2, 1, 2):
        assert client.get(f"{ADDRESS}?part={part}", headers=person.headers).status_code == 200

    assert [copy["part"] for copy in copies(session, person.citizen)] == [2, 1, 2]
    assert factories.inbox_kinds(session, person.citizen).count("export_taken") == 1
    query = text(
        "SELECT count(*) FROM procrastinate_jobs j JOIN inbox_messages m"
        " ON m.id::text = j.args ->> 'subject_id'"
        " WHERE m.kind = 'export_taken' AND j.queue_name = 'urgent'"
    )
    assert session.scalar(query) == 1


@pytest.mark.parametrize(("method", "path"), [("get", ADDRESS), ("post", "/api/v1/me/deletion")])
def test_whoever_holds_an_unlocked_phone_is_asked_to_sign_in(client, clock, headers, method, path):
    clock.forward(minutes=15, seconds=1)

    answer = client.open(path, method=method.upper(), headers=headers)

    assert (answer.status_code, answer.json["code"]) == (401, "recent_sign_in_needed")
    assert answer.headers["WWW-Authenticate"] == (
        'Bearer error="insufficient_user_authentication", max_age="900"'
    )
    assert answer.json["acr_values"] is None
