"""Who may do what, as one literal table: tests/policy.csv, a row for each operation.

A cell says what an actor gets. Two answers with a stroke between them are for two objects: a
citizen's own and somebody else's; for staff, one of their department and places and one of
neither. An operation that the table lacks fails, and so does a row that no operation has.
"""

import csv
import io
import json
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import sessionmaker

import admin
from api.app import create_app
from api.current import EXTENSION
from dev import openapi
from models import (
    Audience,
    Citizen,
    Database,
    InboxMessage,
    ReportState,
    Role,
    Staff,
    Visibility,
)
from services import feedback, identity, jobs, resumable
from services.identity import DeviceFacts
from services.permissions import TAKE_NO_PLACES
from tests import factories
from tests.conftest import Clock
from tests.rows import changed, contents, written

TABLE = Path(__file__).with_name("policy.csv")
HERE, ELSEWHERE = "so-xay-dung", "so-nong-nghiep-va-moi-truong"
# Đồng Hỷ, some twelve kilometres from the city.
FAR = {"lat": 21.66, "lng": 105.89}
CITIZENS = ("citizen", "level_1", "clerk")
STAFF = ("disabled", *(role.value for role in Role))
ACTORS = ("anonymous", *CITIZENS, *STAFF)


def table() -> dict[str, dict[str, str]]:
    with TABLE.open(encoding="utf-8", newline="") as file:
        return {row.pop("operation"): row for row in csv.DictReader(file)}


def operations() -> list[str]:
    paths = openapi.document()["paths"]
    methods = ("get", "head", "options", "post", "put", "patch", "delete")
    return [
        f"{name.upper()} {path}" for path, item in paths.items() for name in methods if name in item
    ]


@dataclass
class World:
    """An installation with one of everybody, and what each of them could ask for."""

    app: object
    database: Database
    connection: object
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    # The value of each gap in an address, for an actor's own things and for others'.
    things: dict[tuple[str, str], dict[str, object]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def world(engine, make_settings, tmp_path_factory):
    with engine.connect() as connection:
        outer = connection.begin()
        database = Database(
            sessionmaker(
                connection, expire_on_commit=False, join_transaction_mode="create_savepoint"
            )
        )
        app = create_app(make_settings(tmp_path_factory.mktemp("files")), db=database, now=Clock())
        admin.init_app(app)
        built = World(app, database, connection)
        with database.sessions() as session:
            populate(built, session)
        yield built
        outer.rollback()


def populate(world: World, session) -> None:
    world.headers["anonymous"] = {}
    stranger = factories.a_citizen(session)
    here = others = things_of(world, session, stranger)
    elsewhere = things_of(world, session, stranger, ELSEWHERE, FAR)
    for things in (here, elsewhere):
        things["pause_id"] = a_pause(session, things["report_id"])
        things["appealed_id"] = a_pause(session, things["resolved_id"])
        owner = factories.citizen_actor(stranger)
        feedback.appeal(session, owner, things["appealed_id"], text="x", at=factories.NOON)
    for name in CITIZENS:
        if name == "clerk":
            staff = factories.a_staff(session, (("handler", HERE),))
            person = session.get_one(Citizen, staff.citizen_id)
        else:
            person = factories.a_citizen(session)
        acr = "urn:thainguyen:loa:1" if name == "level_1" else "urn:thainguyen:loa:2"
        world.headers[name] = signed_in(world.app, session, person, acr)
        # Pauses of their own would keep them from sending reports.
        pauses = {gap: others[gap] for gap in ("pause_id", "appealed_id")}
        world.things[name, "own"] = things_of(world, session, person) | pauses
        world.things[name, "other"] = others
    world.things["anonymous", "own"] = world.things["anonymous", "other"] = others
    for name in STAFF:
        role = Role.DISPATCHER if name == "disabled" else Role(name)
        staff = a_colleague(session, role, others["place"])
        world.headers[name] = factories.bearer(world.app, session, staff)
        if name == "disabled":
            staff.disabled_at = factories.NOON
        world.things[name, "own"] = here | photos_of(world, session, staff)
        world.things[name, "other"] = elsewhere
    session.commit()


def a_pause(session, report_id: uuid.UUID) -> uuid.UUID:
    """A pause because of the report, without its text: administrators see pauses and no reports."""
    actor, at = factories.a_staff(session).actor, factories.NOON
    return feedback.pause_reporter(session, actor, report_id, days=30, reason="x", at=at).id


def a_colleague(session, role: Role, place: str):
    """Somebody with one role: of this department where it needs one, and of this place."""
    department = HERE if role in {Role.HANDLER, Role.LEADER} else None
    staff = factories.a_staff(session, ((role.value, department),))
    session.refresh(staff, ["grants"])
    if role not in TAKE_NO_PLACES:
        staff.grants[0].place_codes = [place]
    session.commit()
    return staff


def signed_in(app, session, person: Citizen, acr: str) -> dict[str, str]:
    told = factories.claims_of(person, acr=acr)
    state = app.extensions[EXTENSION]
    pair = identity.sign_in(
        session,
        told,
        keys=state.keys,
        vault=state.vault,
        audience=Audience.CITIZEN,
        device=DeviceFacts(f"policy-{person.id}", "android"),
        at=factories.now(),
    )
    session.commit()
    return {"Authorization": f"Bearer {pair.access_token}"}


def things_of(world: World, session, person, department=HERE, where=factories.CITY) -> dict:
    """A published report that `department` works on, with a photo, a message and a session."""
    mark = f"Chuyện riêng {uuid.uuid4()}"
    report = factories.a_report(session, person, description=mark, **where)
    finished = factories.resolved(session, factories.a_report(session, person, **where))
    dispatcher = factories.a_staff(session)
    report = factories.moved(
        session, report, (dispatcher, {"to": ReportState.ASSIGNED, "department": department})
    )
    report.visibility, report.public_text = Visibility.PUBLIC, "Ổ gà."
    message = session.scalars(
        select(InboxMessage.id).where(InboxMessage.citizen_id == person.id)
    ).first()
    session.commit()
    return photos_of(world, session, person) | {
        "mark": mark,
        "report_id": report.id,
        "resolved_id": finished.id,
        "version": report.version,
        "place": report.place_code,
        "code": report.code,
        "message_id": message,
        "old_code": "05443",
        "installation_id": "i" * 32,
        "signed": "x",
        "purpose": "research",
        "child_id": factories.a_child(session, person),
        "session_id": factories.citizen_on_a_device(session, person).session_id,
        "person_id": factories.a_staff(session).id,
    }


def photos_of(world: World, session, person: Citizen | Staff) -> dict[str, object]:
    """A photo of a citizen's or a colleague's own, and one that has yet to come."""
    actor = person.actor if isinstance(person, Staff) else factories.citizen_actor(person)
    storage = world.app.extensions[EXTENSION].storage
    begun = resumable.begin(session, actor, 1000, at=factories.NOON)
    session.commit()
    return {"upload_id": factories.an_upload(session, person, storage), "resumable_id": begun.id}


# What is sent beside the address; where it is not said, nothing is.
def _edit(things):
    return {"json": {"category": "cay-xanh"}, "headers": {"If-Match": f'"{things["version"]}"'}}


def _move(things):
    return {
        "json": {"to": "in_progress"},
        "headers": {"If-Match": f'"{things["version"]}"'},
    }


# Where a gap of an address is filled with something else than what is called like it.
TUS = "/api/v1/uploads/tus"
FILLED = {
    **{
        f"{method} {TUS}/{{upload_id}}": {"upload_id": "resumable_id"}
        for method in ("HEAD", "PATCH", "DELETE")
    },
    "GET /api/v1/places/{code}": {"code": "place"},
    "POST /api/v1/staff/pauses/{pause_id}/answer": {"pause_id": "appealed_id"},
    "POST /api/v1/reports/{report_id}/rating": {"report_id": "resolved_id"},
    "POST /api/v1/reports/{report_id}/reopening": {"report_id": "resolved_id"},
}
# What somebody has for one operation alone, since they could do little else with it.
APPEAL = "POST /api/v1/me/pauses/{pause_id}/appeal"
# Who of the staff may send what, where a handler may not.
STAFF_THAT_MAY = {
    "POST /api/v1/staff/pauses/{pause_id}/lifting": "dispatcher",
    "POST /api/v1/staff/pauses/{pause_id}/answer": "dispatcher",
    "PATCH /api/v1/staff/reports/{report_id}": "dispatcher",
    "POST /api/v1/staff/people": "administrator",
    "PATCH /api/v1/staff/people/{person_id}": "administrator",
}
SENT = {
    f"POST {TUS}": lambda _: {"headers": {"Tus-Resumable": "1.0.0", "Upload-Length": "1000"}},
    f"HEAD {TUS}/{{upload_id}}": lambda _: {"headers": {"Tus-Resumable": "1.0.0"}},
    f"DELETE {TUS}/{{upload_id}}": lambda _: {"headers": {"Tus-Resumable": "1.0.0"}},
    f"PATCH {TUS}/{{upload_id}}": lambda _: {
        "data": b"x" * 100,
        "headers": {
            "Tus-Resumable": "1.0.0",
            "Upload-Offset": "0",
            "Content-Type": "application/offset+octet-stream",
        },
    },
    "POST /api/v1/auth/login": lambda _: {"json": {}},
    "POST /api/v1/auth/refresh": lambda _: {"json": {"refresh_token": "none"}},
    "PATCH /api/v1/me": lambda _: {"json": {"locale": "en"}},
    "PATCH /api/v1/me/sessions/{session_id}": lambda _: {"json": {"name": "Máy ở nhà"}},
    APPEAL: lambda _: {"json": {"text": "Tôi phản đối."}},
    "POST /api/v1/staff/pauses/{pause_id}/lifting": lambda _: {"json": {"reason": "Nhầm."}},
    "POST /api/v1/staff/pauses/{pause_id}/answer": lambda _: {"json": {"reason": "Vẫn vậy."}},
    "POST /api/v1/staff/people": lambda _: {
        "json": {
            "citizen_number": "019099000123",
            "name": "Lý Thị Mới",
            "roles": [{"role": "dispatcher"}],
        }
    },
    "POST /api/v1/staff/people/{person_id}/release": lambda _: {"headers": {"If-Match": '"1"'}},
    "PATCH /api/v1/staff/people/{person_id}": lambda _: {
        "json": {"name": "Lý Thị Khác", "roles": [{"role": "dispatcher"}]},
        "headers": {"If-Match": '"1"'},
    },
    "PUT /api/v1/me/devices/{installation_id}": lambda _: {
        "json": {"platform": "android", "kind": "token", "value": "v" * 20}
    },
    "PUT /api/v1/me/consents/{purpose}": lambda _: {"json": {"granted": True, "version": 1}},
    "POST /api/v1/me/data-requests": lambda _: {"json": {"kind": "view"}},
    "POST /api/v1/me/children": lambda _: {
        "json": {
            "full_name": "Bé",
            "citizen_number": "019221000123",
            "birth_date": "2021-05-06",
            "relation": "parent",
        }
    },
    "GET /api/v1/places/resolve": lambda _: {"query_string": factories.CITY},
    "POST /api/v1/uploads": lambda _: {
        "data": {"file": (io.BytesIO(factories.jpeg(64, 64)), "photo.jpg")}
    },
    "POST /api/v1/reports": lambda _: {
        "json": {"category": "giao-thong", "description": "Ổ gà.", **factories.CITY},
        "headers": {"Idempotency-Key": str(uuid.uuid4())},
    },
    "POST /api/v1/reports/{report_id}/rating": lambda _: {"json": {"score": 5}},
    "POST /api/v1/reports/{report_id}/reopening": lambda _: {"json": {"reason": "Chưa xong."}},
    "PATCH /api/v1/staff/reports/{report_id}": _edit,
    "POST /api/v1/staff/reports/{report_id}/transitions": _move,
}


def answer(
    world: World,
    operation: str,
    actor: str,
    whose: str,
    more: str | None = None,
    kind: str | None = None,
    **instead,
):
    """What `actor` gets, and the tables that it wrote to; nothing of it stays.

    `more` is a name that the body has too many, `kind` what it is called instead of JSON.
    """
    method, path = operation.split()
    step = world.connection.begin_nested()
    try:
        things = world.things[actor, whose]
        if operation == APPEAL and whose == "own" and actor in CITIZENS:
            with world.database.sessions() as session:
                things = things | {"pause_id": a_pause(session, things["report_id"])}
                session.commit()
        filled = {gap: things[name] for gap, name in FILLED.get(operation, {}).items()}
        things = things | filled | instead
        sent = SENT.get(operation, lambda _: {})(things)
        if more is not None:
            sent["json"] |= {more: "x"}
        if kind is not None:
            sent |= {"data": json.dumps(sent.pop("json")), "content_type": kind}
        sent["headers"] = world.headers[actor] | sent.get("headers", {})
        client = world.app.test_client()
        before = written(world.connection)
        got = client.open(path.format_map(things), method=method, **sent)
        return got, sorted((written(world.connection) - before).keys() - {"rate_limits"})
    finally:
        step.rollback()


def test_the_table_has_every_operation_and_no_other():
    assert sorted(table()) == sorted(operations())


def test_the_table_has_every_actor():
    for row in table().values():
        assert tuple(row) == ACTORS
        assert all(row.values())


def test_a_job_that_is_queued_counts_as_a_change(session):
    jobs.defer(session, "derive_photo", queue="photos", subject_id=uuid.uuid4())

    assert {"procrastinate_jobs", "procrastinate_events"} <= written(session).keys()


@pytest.mark.parametrize("operation", operations())
def test_everybody_gets_what_the_table_says(world, operation):
    expected = table().get(operation, dict.fromkeys(ACTORS, "missing"))
    found = {}
    for actor in ACTORS:
        codes = []
        for whose in ("own", "other"):
            got, changes = answer(world, operation, actor, whose)
            codes.append(str(got.status_code))
            assert world.things[actor, "other"]["mark"] not in got.text, f"{actor} read it"
            if got.status_code >= 400:
                assert changes == [], f"{actor} was refused, and yet changed something"
        found[actor] = "/".join(codes if codes[0] != codes[1] else codes[:1])

    assert found == expected


NAMED = [
    (operation, gap)
    for operation in operations()
    for gap in ("report_id", "upload_id", "message_id", "child_id", "session_id", "pause_id")
    if f"{{{gap}}}" in operation
]


@pytest.mark.parametrize(("operation", "gap"), NAMED, ids=lambda value: value)
def test_what_is_not_yours_looks_like_what_does_not_exist(world, operation, gap):
    actor = "citizen"
    if "/staff/" in operation:
        actor = STAFF_THAT_MAY.get(operation, "handler")

    others, _ = answer(world, operation, actor, "other")
    nothing, _ = answer(world, operation, actor, "other", **{gap: uuid.uuid4()})

    assert others.status_code == nothing.status_code == 404
    if not operation.startswith("HEAD "):
        assert others.json | {"request_id": ""} == nothing.json | {"request_id": ""}


DOCUMENT = openapi.document()


def takes_json(operation: str) -> bool:
    method, path = operation.split()
    body = DOCUMENT["paths"][path][method.lower()].get("requestBody", {})
    return "application/json" in body.get("content", {})


def whoever_may(operation: str) -> str:
    return STAFF_THAT_MAY.get(operation, "handler") if "/staff/" in operation else "citizen"


# What a form of another site can send without being asked for leave.
@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
@pytest.mark.parametrize("operation", [each for each in operations() if takes_json(each)])
def test_a_body_that_is_not_called_json_is_not_read_and_changes_nothing(world, operation, kind):
    actor = whoever_may(operation)
    as_json, _ = answer(world, operation, actor, "own")

    got, changes = answer(world, operation, actor, "own", kind=kind)

    assert (got.status_code, got.json["code"]) == (415, "not_json")
    assert changes == []
    assert as_json.status_code not in {400, 415}


# What a read writes beside the counts of limits. A copy of everything is recorded, told, and made
# by a job where it is large; a search of the audit log is on that log.
READS_THAT_WRITE = {
    "GET /api/v1/me/export": {
        *("audit_events", "exports", "inbox_messages"),
        *("procrastinate_jobs", "procrastinate_events"),
    },
    "GET /api/v1/staff/audit": {"audit_events"},
}


@pytest.mark.parametrize("operation", [each for each in operations() if each.startswith("GET ")])
def test_a_read_changes_nothing(world, operation):
    things = world.things["citizen", "own"]
    filled = {gap: things[name] for gap, name in FILLED.get(operation, {}).items()}
    path = operation.split()[1].format_map(things | filled)
    sent = SENT.get(operation, lambda _: {})(things)
    succeeded = False
    for actor in ("anonymous", "citizen", *STAFF):
        step = world.connection.begin_nested()
        try:
            before = contents(world.connection)
            got = world.app.test_client().get(path, headers=world.headers[actor], **sent)
            touched = changed(before, contents(world.connection)) - {"rate_limits"}
        finally:
            step.rollback()
        succeeded |= got.status_code in {200, 202}
        assert touched <= READS_THAT_WRITE.get(operation, set()), actor

    # A link to a photo is good for what it was signed for alone.
    assert succeeded or operation == "GET /api/v1/files/{signed}"


def properties(schema: dict, seen: frozenset[str] = frozenset()) -> set[str]:
    """Every name in a schema, at whatever depth."""
    if not schema:
        return set()
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        found = DOCUMENT["components"]["schemas"][name]
        return set() if name in seen else properties(found, seen | {name})
    inner = [*schema.get("properties", {}).values(), schema.get("items", {})]
    inner += [part for key in ("anyOf", "oneOf", "allOf") for part in schema.get(key, ())]
    return set(schema.get("properties", ())).union(*(properties(part, seen) for part in inner))


def content(part: dict) -> dict:
    return part.get("content", {}).get("application/json", {}).get("schema", {})


def writes() -> dict[str, set[str]]:
    """What every operation that takes JSON must not take: names of answers, and famous ones."""
    paths = DOCUMENT["paths"]
    found = {}
    for operation in operations():
        method, path = operation.split()
        told = paths[path][method.lower()]
        asked = properties(content(told.get("requestBody", {})))
        if asked:
            shown = set().union(*(properties(content(part)) for part in told["responses"].values()))
            found[operation] = (shown - asked) | {
                *("is_admin", "owner_id", "reporter_id", "citizen_id", "created_at"),
                *("__class__", "_sa_instance_state", "constructor"),
            }
    return found


WRITES = writes()


@pytest.mark.parametrize("operation", WRITES)
def test_what_an_answer_shows_cannot_be_sent(world, operation):
    actor = "citizen" if "/staff/" not in operation else STAFF_THAT_MAY.get(operation, "handler")
    for name in sorted(WRITES[operation]):
        got, changes = answer(world, operation, actor, "own", more=name)

        assert (got.status_code, got.json["code"], changes) == (422, "invalid", []), name
        assert [fault["pointer"] for fault in got.json["errors"]][-1:] == [f"/{name}"]


def test_every_write_with_a_body_is_among_those_that_are_sent():
    assert WRITES.keys() <= SENT.keys()
