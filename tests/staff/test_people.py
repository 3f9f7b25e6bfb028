"""Administrators invite people, change their roles, and disable them; nobody else does."""

import datetime as dt
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from api.current import EXTENSION
from models import (
    AdminSession,
    AuditEvent,
    Department,
    DeviceSession,
    Report,
    ReportEvent,
    ReportState,
    Role,
    RoleGrant,
    Staff,
)
from services import feedback, identity, staff
from services.feedback import Move
from services.identity.people import AlreadyStaff, meet, recognise_staff
from services.permissions import Grant
from services.staff import NotAdministrator
from tests import factories

PEOPLE = "/api/v1/staff/people"
NUMBER = "019099000001"
STAND = "so-xay-dung"
CLERK = {"citizen_number": NUMBER, "name": "Lý Thị Mới", "roles": [{"role": "dispatcher"}]}
COMMUNES = ["05443", "05455"]


@pytest.fixture
def administrator(session):
    return factories.a_staff(session, (("administrator", None),), "Ma Văn Quản")


@pytest.fixture
def admin_headers(app, session, administrator):
    return factories.bearer(app, session, administrator)


@pytest.fixture
def handler(session):
    return factories.a_staff(session, (("handler", STAND),), "Lê Thị Xử")


@pytest.fixture
def invite(client, admin_headers):
    def ask(headers=None, **changes):
        body = {name: value for name, value in (CLERK | changes).items() if value is not ...}
        return client.post(PEOPLE, json=body, headers=admin_headers | (headers or {}))

    return ask


@pytest.fixture
def change(client, admin_headers):
    """Change somebody as they are now, unless another version is named."""

    def ask(person, headers=None, version=None, **changes):
        address = f"{PEOPLE}/{person.id}"
        seen = version or client.get(address, headers=admin_headers).headers["ETag"]
        headers = admin_headers | {"If-Match": seen} | (headers or {})
        return client.patch(address, json=changes, headers=headers)

    return ask


def events(session, subject_type="staff"):
    query = select(AuditEvent).where(AuditEvent.subject_type == subject_type)
    return session.scalars(query.order_by(AuditEvent.id)).all()


def roles_of(session, person):
    query = select(RoleGrant).where(RoleGrant.staff_id == person.id).order_by(RoleGrant.id)
    return [
        (grant.role.value, grant.department_code, grant.place_codes)
        for grant in session.scalars(query)
    ]


def work_begun(session, citizen, handler):
    """A report that the handler works on."""
    assign = {"to": ReportState.ASSIGNED, "department": STAND}
    return factories.moved(
        session,
        factories.a_report(session, citizen),
        (factories.a_staff(session), assign),
        (handler, {"to": ReportState.IN_PROGRESS}),
    )


def test_an_invited_person_is_shown_without_their_number(invite, session):
    answer = invite(
        roles=[
            {"role": "handler", "department": STAND, "places": COMMUNES[::-1]},
            {"role": "communicator"},
        ]
    )

    assert answer.status_code == 201
    assert answer.headers["ETag"] == '"1"'
    assert answer.json | {"id": "", "created_at": ""} == {
        "id": "",
        "name": "Lý Thị Mới",
        "roles": [
            {"role": "handler", "department": STAND, "places": COMMUNES},
            {"role": "communicator", "department": None, "places": None},
        ],
        "has_entered": False,
        "disabled_at": None,
        "created_at": "",
    }
    assert NUMBER not in answer.text
    kept = session.get_one(Staff, uuid.UUID(answer.json["id"]))
    assert kept.number_index == factories.VAULT.index(NUMBER)
    assert factories.VAULT.read(kept, "number") == NUMBER


def test_who_was_invited_enters_by_signing_in(invite, session):
    invite()
    told = replace(factories.claims(), citizen_number=NUMBER)

    citizen = meet(session, told, vault=factories.VAULT, at=factories.NOON)
    found = recognise_staff(session, citizen, told, vault=factories.VAULT)

    assert [grant.role for grant in found.grants] == [Role.DISPATCHER]


def test_inviting_is_recorded_by_codes_only(invite, session, administrator):
    answer = invite(roles=[{"role": "dispatcher", "places": COMMUNES}])

    event = events(session)[-1]
    assert (event.action, event.actor_kind, event.actor_id) == (
        *("staff:invite", "staff"),
        administrator.id,
    )
    assert str(event.subject_id) == answer.json["id"]
    assert event.detail == {"given": ["dispatcher::05443,05455"]}
    assert event.role == "administrator"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"roles": [{"role": "handler"}]}, "department_needed"),
        ({"roles": [{"role": "leader", "department": None}]}, "department_needed"),
        ({"roles": [{"role": "handler", "department": "no-such"}]}, "unknown_department"),
        ({"roles": [{"role": "dispatcher", "department": STAND}]}, "department_unfit"),
        ({"roles": [{"role": "administrator", "department": STAND}]}, "department_unfit"),
        ({"roles": [{"role": "auditor", "places": COMMUNES}]}, "places_unfit"),
        ({"roles": [{"role": "dispatcher", "places": ["99999"]}]}, "unknown_places"),
        ({"roles": [{"role": "dispatcher", "places": [*COMMUNES, "19   "]}]}, "unknown_places"),
        ({"roles": [{"role": "dispatcher"}, {"role": "dispatcher"}]}, "role_twice"),
        ({"roles": [{"role": "health_clerk"}]}, "role_not_in_use"),
        ({"roles": [{"role": "dispatcher"}, {"role": "alert_approver"}]}, "role_not_in_use"),
        ({"roles": [{"role": "auditor"}, {"role": "administrator"}]}, "roles_apart"),
        (
            {"roles": [{"role": "dispatcher"}, {"role": "dispatcher", "places": COMMUNES}]},
            "role_twice",
        ),
        ({"name": " \u200b "}, "name_blank"),
        ({"name": ""}, "invalid"),
        ({"name": "x" * 101}, "invalid"),
        ({"name": ...}, "invalid"),
        ({"citizen_number": ...}, "invalid"),
        ({"citizen_number": "01909900000"}, "invalid"),
        ({"citizen_number": NUMBER + "\n"}, "invalid"),
        ({"citizen_number": "٠" * 12}, "invalid"),
        ({"citizen_number": int(NUMBER)}, "invalid"),
        ({"roles": []}, "invalid"),
        ({"roles": [{"role": "king"}]}, "invalid"),
        ({"roles": [{"role": "dispatcher", "places": []}]}, "invalid"),
        ({"roles": [{"role": "dispatcher", "places": "05443"}]}, "invalid"),
        ({"roles": [{"role": "dispatcher", "is_admin": True}]}, "invalid"),
        ({"roles": [{"role": "communicator"}] * 41}, "invalid"),
        ({"disabled_at": None}, "invalid"),
        ({"citizen_id": str(uuid.UUID(int=1))}, "invalid"),
        ({"version": 7}, "invalid"),
        ({"number_index": "00"}, "invalid"),
    ],
)
def test_an_invitation_that_is_not_right_makes_nobody(
    invite, session, administrator, changes, code
):
    answer = invite(**changes)

    assert (answer.status_code, answer.json["code"]) == (422, code)
    assert NUMBER not in answer.text
    assert session.scalars(select(Staff.id)).all() == [administrator.id]


def test_a_closed_department_takes_nobody(invite, session):
    department = session.get_one(Department, STAND)
    department.closed_at = factories.NOON
    session.commit()

    answer = invite(roles=[{"role": "handler", "department": STAND}])

    assert answer.json["code"] == "unknown_department"


def test_nobody_is_invited_twice(invite):
    invite()

    answer = invite(name="Tên khác")

    assert (answer.status_code, answer.json["code"]) == (409, "already_staff")
    assert NUMBER not in answer.text


def test_an_invitation_under_one_key_is_one(invite):
    key = {"Idempotency-Key": "the first clerk"}
    first, again = invite(key), invite(key)

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json == again.json
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["ETag"] == '"1"'
    other = invite(key, name="Tên khác")
    assert (other.status_code, other.json["code"]) == (422, "idempotency_key_reused")
    assert invite({"Idempotency-Key": "x" * 256}).json["code"] == "idempotency_key_malformed"


def test_ten_invitations_of_one_person_at_once_make_one(committed):
    with committed.sessions() as own:
        actor = factories.staff_actor(factories.a_staff(own, (("administrator", None),)))
    together = threading.Barrier(10)

    def ask(_):
        with committed.transaction() as own:
            own.connection()
            together.wait()
            try:
                staff.invite(
                    own,
                    actor,
                    citizen_number=NUMBER,
                    name="Lý Thị Mới",
                    roles=[Grant(Role.DISPATCHER)],
                    vault=factories.VAULT,
                    at=factories.NOON,
                )
            except AlreadyStaff:
                return "known"
            return "invited"

    with ThreadPoolExecutor(10) as threads:
        outcomes = sorted(threads.map(ask, range(10)))

    assert outcomes == ["invited", *["known"] * 9]


def test_the_list_shows_those_invited_last_first_in_pages(client, session, admin_headers):
    for number in range(4):
        factories.a_staff(session, name=f"Cán bộ {number}")

    first = client.get(f"{PEOPLE}?limit=3", headers=admin_headers).json
    second = client.get(
        f"{PEOPLE}?limit=3&cursor={first['next_cursor']}", headers=admin_headers
    ).json

    names = [person["name"] for person in first["items"] + second["items"]]
    assert names == ["Cán bộ 3", "Cán bộ 2", "Cán bộ 1", "Cán bộ 0", "Ma Văn Quản"]
    assert second["next_cursor"] is None
    assert first["items"][0]["has_entered"] is True


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", {"Lê Thị Xử", "Ma Văn Quản", "Đã Nghỉ"}),
        (f"department={STAND}", {"Lê Thị Xử", "Đã Nghỉ"}),
        ("disabled=true", {"Đã Nghỉ"}),
        ("disabled=false", {"Lê Thị Xử", "Ma Văn Quản"}),
        (f"department={STAND}&disabled=false", {"Lê Thị Xử"}),
        ("department=no-such", set()),
    ],
)
@pytest.mark.usefixtures("handler")
def test_the_list_is_narrowed(client, session, admin_headers, query, names):
    factories.a_staff(session, (("leader", STAND),), "Đã Nghỉ").disabled_at = factories.NOON
    session.commit()

    items = client.get(f"{PEOPLE}?{query}", headers=admin_headers).json["items"]

    assert {person["name"] for person in items} == names


@pytest.mark.parametrize("query", ["disabled=yes", "disabled=1", "limit=0"])
def test_a_filter_that_is_not_right_is_refused(client, admin_headers, query):
    assert client.get(f"{PEOPLE}?{query}", headers=admin_headers).status_code == 422


def test_the_list_takes_the_same_number_of_statements_however_long_it_is(
    client, session, admin_headers, statements
):
    counts = []
    for _ in range(2):
        for _ in range(3):
            factories.a_staff(session)
        client.get(PEOPLE, headers=admin_headers)
        with statements() as seen:
            client.get(PEOPLE, headers=admin_headers)
        counts.append(len(seen))

    assert counts[0] == counts[1]


ROLES = [role.value for role in Role if role is not Role.ADMINISTRATOR]


@pytest.mark.parametrize("role", ROLES)
def test_only_administrators_manage_the_staff(app, client, session, administrator, role):
    department = STAND if role in {"handler", "leader"} else None
    somebody = factories.a_staff(session, ((role, department),))
    headers = factories.bearer(app, session, somebody)
    one = f"{PEOPLE}/{administrator.id}"
    before = session.scalar(select(func.count()).select_from(AuditEvent))

    answers = [
        client.get(PEOPLE, headers=headers),
        client.get(one, headers=headers),
        client.post(PEOPLE, json=CLERK, headers=headers),
        client.patch(one, json={"disabled": True}, headers=headers | {"If-Match": '"1"'}),
    ]

    assert {(answer.status_code, answer.json["code"]) for answer in answers} == {
        (403, "not_administrator")
    }
    assert session.scalar(select(func.count()).select_from(AuditEvent)) == before


def test_a_citizens_token_manages_nobody(app, client, session, administrator):
    person = factories.person_of(session, administrator)
    headers = factories.bearer(app, session, person)

    assert client.get(PEOPLE, headers=headers).status_code == 401


def test_an_administrator_sees_no_report_and_no_reporter(client, session, citizen, admin_headers):
    report = factories.a_report(session, citizen)

    answer = client.get(f"/api/v1/staff/reports/{report.id}", headers=admin_headers)

    assert answer.status_code == 404
    assert client.get("/api/v1/staff/reports", headers=admin_headers).json["items"] == []


def test_an_unknown_person_is_not_found(client, admin_headers):
    one = f"{PEOPLE}/{uuid.uuid4()}"

    read = client.get(one, headers=admin_headers)
    changed = client.patch(one, json={"name": "x"}, headers=admin_headers | {"If-Match": '"1"'})

    for answer in (read, changed):
        assert (answer.status_code, answer.json["code"]) == (404, "person_not_found")


def test_roles_are_changed_as_a_whole_and_each_change_has_its_version(change, session, handler):
    wanted = [
        {"role": "handler", "department": STAND},
        {"role": "leader", "department": "dien-luc", "places": COMMUNES},
    ]

    answer = change(handler, roles=wanted)

    assert (answer.status_code, answer.headers["ETag"]) == (200, '"2"')
    assert roles_of(session, handler) == [
        ("handler", STAND, None),
        ("leader", "dien-luc", COMMUNES),
    ]
    assert events(session)[-1].detail == {"given": ["leader:dien-luc:05443,05455"], "taken": []}
    again = change(handler, roles=[])
    assert (again.headers["ETag"], again.json["roles"]) == ('"3"', [])
    assert events(session)[-1].detail["given"] == []


def test_a_name_is_corrected_and_signs_nobody_out(change, session, handler):
    factories.staff_session(session, handler)

    answer = change(handler, name="Lê Thị Xử Lý")

    assert answer.json["name"] == "Lê Thị Xử Lý"
    assert [event.action for event in events(session)][-1] == "staff:rename"
    assert session.scalar(select(AdminSession.ended_at)) is None


@pytest.mark.parametrize(
    ("version", "status", "code"),
    [
        ('"2"', 412, "stale"),
        ('"x"', 412, "stale"),
        ("*", 428, "precondition_needed"),
        ("", 428, "precondition_needed"),
    ],
)
def test_a_change_names_the_version_that_was_seen(change, session, handler, version, status, code):
    answer = change(handler, {"If-Match": version}, version='"1"', disabled=True)

    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert session.get_one(Staff, handler.id).disabled_at is None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, "nothing_to_change"),
        ({"roles": [{"role": "handler"}]}, "department_needed"),
        ({"roles": [{"role": "dispatcher"}] * 2}, "role_twice"),
        ({"roles": None}, "invalid"),
        ({"name": None}, "invalid"),
        ({"name": " \u200b"}, "name_blank"),
        ({"disabled": "yes"}, "invalid"),
        ({"disabled": None}, "invalid"),
        ({"citizen_number": NUMBER}, "invalid"),
        ({"citizen_id": str(uuid.UUID(int=1))}, "invalid"),
        ({"has_entered": True}, "invalid"),
        ({"is_admin": True}, "invalid"),
        ({"__class__": "Citizen"}, "invalid"),
    ],
)
def test_a_change_that_is_not_right_changes_nothing(change, session, handler, changes, code):
    answer = change(handler, **changes)

    assert (answer.status_code, answer.json["code"]) == (422, code)
    session.expire_all()
    assert session.get_one(Staff, handler.id).version == 1
    assert roles_of(session, handler) == [("handler", STAND, None)]


@pytest.mark.parametrize(
    "changes",
    [
        {"roles": [{"role": "administrator"}, {"role": "dispatcher"}]},
        {"roles": []},
        {"disabled": True},
        {"disabled": False},
    ],
)
def test_nobody_changes_their_own_roles_or_disables_themselves(
    change, session, administrator, changes
):
    answer = change(administrator, **changes)

    assert (answer.status_code, answer.json["code"]) == (403, "own_account")
    assert roles_of(session, administrator) == [("administrator", None, None)]


def test_the_own_name_may_be_corrected(change, administrator):
    assert change(administrator, name="Ma Văn Quản Lý").status_code == 200


@pytest.mark.parametrize("changes", [{"disabled": True}, {"roles": []}])
def test_of_administrators_who_remove_one_another_at_once_one_is_left(committed, changes):
    with committed.sessions() as own:
        people = [factories.a_staff(own, (("administrator", None),)) for _ in range(4)]
        actors = [factories.staff_actor(person) for person in people]
    together = threading.Barrier(4)

    def remove_the_next(number):
        with committed.transaction() as own:
            own.connection()
            together.wait()
            try:
                staff.change(
                    own,
                    actors[number],
                    people[(number + 1) % 4].id,
                    version=1,
                    at=factories.NOON,
                    **changes,
                )
            except NotAdministrator:
                return False
            return True

    with ThreadPoolExecutor(4) as threads:
        removed = list(threads.map(remove_the_next, range(4))).count(True)

    with committed.sessions() as own:
        left = own.scalars(
            select(Staff.id)
            .join(RoleGrant)
            .where(Staff.disabled_at.is_(None), RoleGrant.role == Role.ADMINISTRATOR)
        ).all()
    assert len(left) == 4 - removed >= 1


def test_the_last_administrator_stays(app, client, session, administrator, change):
    colleague = factories.a_staff(session, (("administrator", None),))
    change(colleague, disabled=True)

    theirs = factories.bearer(app, session, administrator) | {"If-Match": '"1"'}
    answer = client.patch(f"{PEOPLE}/{administrator.id}", json={"disabled": True}, headers=theirs)

    assert (answer.status_code, answer.json["code"]) == (403, "own_account")


def test_a_disabled_person_is_out_and_the_reports_are_back_in_the_queue(
    app, change, session, citizen, handler
):
    report = work_begun(session, citizen, handler)
    version = report.version
    factories.bearer(app, session, handler)
    factories.staff_session(session, handler)
    person = factories.person_of(session, handler)
    factories.signed_in(app, session, person)

    answer = change(handler, disabled=True)

    assert answer.json["disabled_at"] == "2026-11-23T03:00:00Z"
    session.expire_all()
    assert (report.assignee_id, report.state, report.department_code) == (
        *(None, ReportState.ASSIGNED),
        STAND,
    )
    assert report.version == version + 1
    step = session.scalars(select(ReportEvent).order_by(ReportEvent.id.desc())).first()
    assert (step.kind, step.public, step.from_state, step.to_state) == (
        *("give_back", False),
        *("in_progress", "assigned"),
    )
    assert session.scalar(select(AdminSession.ended_at)) is not None
    ended = select(DeviceSession.audience).where(
        DeviceSession.citizen_id == handler.citizen_id, DeviceSession.revoked_at.is_not(None)
    )
    assert [audience.value for audience in session.scalars(ended)] == ["staff"]
    assert "report:give_back" in [event.action for event in events(session, "report")]
    assert "staff:disable" in [event.action for event in events(session)]
    told = factories.inbox_kinds(session, citizen)
    assert told == ["report_received", "report_assigned", "report_in_progress"]


def test_what_was_given_back_is_claimed_by_a_colleague(change, session, citizen, handler):
    report = work_begun(session, citizen, handler)
    change(handler, disabled=True)
    colleague = factories.a_staff(session, (("handler", STAND),))
    session.expire_all()

    moved = factories.moved(session, report, (colleague, {"to": ReportState.IN_PROGRESS}))

    assert moved.assignee_id == colleague.id


@pytest.mark.parametrize(
    ("roles", "goes"),
    [
        ([], True),
        ([{"role": "handler", "department": "dien-luc"}], True),
        ([{"role": "communicator"}], True),
        ([{"role": "handler", "department": STAND, "places": COMMUNES[1:]}], True),
        ([{"role": "leader", "department": STAND}], False),
        ([{"role": "handler", "department": STAND}, {"role": "auditor"}], False),
    ],
)
def test_reports_go_back_when_the_roles_left_do_not_reach_them(
    change, session, citizen, handler, roles, goes
):
    report = work_begun(session, citizen, handler)
    assert report.place_code == COMMUNES[0]

    change(handler, roles=roles)

    session.expire_all()
    assert (report.assignee_id is None) is goes


def test_a_report_of_ones_own_goes_back_whatever_roles_are_left(change, session, citizen, handler):
    """It was taken on before the person of the staff was known to be its author."""
    report = work_begun(session, citizen, handler)
    report.reporter_id = handler.citizen_id
    session.commit()
    more = {"role": "communicator"}
    change(handler, roles=[{"role": "handler", "department": STAND}, more])

    change(handler, roles=[{"role": "handler", "department": STAND}])

    session.expire_all()
    assert session.get_one(Report, report.id).assignee_id is None


def test_finished_reports_keep_the_name_of_who_did_them(change, session, citizen, handler):
    report = work_begun(session, citizen, handler)
    resolve = {"to": ReportState.RESOLVED, "text": "Đã vá."}
    factories.moved(session, report, (handler, resolve))

    change(handler, disabled=True)

    session.expire_all()
    assert session.get_one(Report, report.id).assignee_id == handler.id


def test_whoever_only_gains_a_role_goes_on_working(change, session, handler):
    factories.staff_session(session, handler)

    change(handler, roles=[{"role": "handler", "department": STAND}, {"role": "auditor"}])

    assert session.scalar(select(AdminSession.ended_at)) is None


def test_whose_role_is_widened_goes_on_working(change, session, citizen):
    handler = factories.a_staff(session, (("handler", STAND),), places=COMMUNES[:1])
    report = work_begun(session, citizen, handler)
    report.place_code = COMMUNES[0]
    factories.staff_session(session, handler)

    for places in (COMMUNES, None):
        change(handler, roles=[{"role": "handler", "department": STAND, "places": places}])

        session.expire_all()
        assert session.scalar(select(AdminSession.ended_at)) is None
        assert session.get_one(Report, report.id).assignee_id == handler.id
    changed = [event for event in events(session) if event.action == "staff:change_roles"]
    assert [event.detail["taken"] for event in changed] == [[], []]


def test_whose_role_is_narrowed_signs_in_anew(change, session, handler):
    factories.staff_session(session, handler)

    change(handler, roles=[{"role": "handler", "department": STAND, "places": COMMUNES}])

    assert session.scalar(select(AdminSession.ended_at)) is not None


def test_a_role_whose_department_was_closed_stays_with_its_person(change, session, handler):
    session.get_one(Department, STAND).closed_at = factories.NOON
    session.commit()
    kept = {"role": "handler", "department": STAND}

    answer = change(handler, roles=[kept, {"role": "communicator"}])
    wider = change(handler, roles=[{"role": "leader", "department": STAND}])

    assert answer.status_code == 200
    assert (wider.status_code, wider.json["code"]) == (422, "unknown_department")
    assert [role for role, _, _ in roles_of(session, handler)] == ["handler", "communicator"]


def test_a_role_that_is_given_no_more_stays_with_its_person(change, session):
    person = factories.a_staff(session, (("market_manager", None),))

    answer = change(person, roles=[{"role": "market_manager"}, {"role": "dispatcher"}])

    assert answer.status_code == 200


def test_an_auditor_does_not_become_administrator_as_well(change, session):
    auditor = factories.a_staff(session, (("auditor", None),))

    answer = change(auditor, roles=[{"role": "auditor"}, {"role": "administrator"}])

    assert (answer.status_code, answer.json["code"]) == (422, "roles_apart")
    assert [role for role, _, _ in roles_of(session, auditor)] == ["auditor"]


@pytest.fixture
def release(client, admin_headers):
    def ask(person, version=None):
        address = f"{PEOPLE}/{person.id}"
        seen = version or client.get(address, headers=admin_headers).headers["ETag"]
        return client.post(f"{address}/release", headers=admin_headers | {"If-Match": seen})

    return ask


def test_whoever_was_bound_to_a_wrong_account_is_released_and_enters_by_their_own(
    app, client, release, session, handler
):
    told = factories.claims_of(factories.person_of(session, handler))
    headers = factories.bearer(app, session, handler)
    factories.staff_session(session, handler)

    answer = release(handler)

    assert (answer.status_code, answer.json["has_entered"]) == (200, False)
    assert client.get("/api/v1/staff/reports", headers=headers).status_code in {401, 403}
    assert session.scalar(select(AdminSession.ended_at)) is not None
    assert [event.action for event in events(session)][-1] == "staff:release"
    session.expire_all()
    anew = replace(told, subject="another account of the same person")
    citizen = meet(session, anew, vault=factories.VAULT, at=factories.NOON)
    staff = recognise_staff(session, citizen, anew, vault=factories.VAULT)
    assert (staff.id, staff.citizen_id) == (handler.id, citizen.id)


def test_without_a_release_another_account_does_not_enter(session, handler):
    told = factories.claims_of(factories.person_of(session, handler))
    anew = replace(told, subject="another account of the same person")
    citizen = meet(session, anew, vault=factories.VAULT, at=factories.NOON)

    with pytest.raises(identity.NotStaff):
        recognise_staff(session, citizen, anew, vault=factories.VAULT)


def test_as_a_citizen_whoever_was_released_stays_signed_in(app, client, release, session, handler):
    person = factories.person_of(session, handler)
    headers = factories.bearer(app, session, person)

    release(handler)

    assert client.get("/api/v1/me", headers=headers).status_code == 200


def test_who_never_entered_is_released_from_nothing(invite, release, session):
    invited = session.get_one(Staff, uuid.UUID(invite().json["id"]))

    answer = release(invited)

    assert (answer.status_code, answer.json["code"]) == (409, "not_bound")


@pytest.mark.parametrize(
    ("version", "status", "code"), [('"7"', 412, "stale"), (None, 403, "own_account")]
)
def test_a_release_is_of_another_person_as_they_were_seen(
    release, session, administrator, handler, version, status, code
):
    answer = release(handler if version else administrator, version)

    assert (answer.status_code, answer.json["code"]) == (status, code)
    session.expire_all()
    assert session.get_one(Staff, handler.id).citizen_id is not None


def test_whoever_loses_a_role_signs_in_anew(change, session, handler):
    factories.staff_session(session, handler)

    change(handler, roles=[{"role": "communicator"}])

    assert session.scalar(select(AdminSession.ended_at)) is not None


def test_disabling_is_undone_and_the_sessions_stay_ended(app, client, change, session, handler):
    headers = factories.bearer(app, session, handler)
    change(handler, disabled=True)
    assert client.get("/api/v1/staff/reports", headers=headers).status_code == 403

    answer = change(handler, disabled=False)

    assert answer.json["disabled_at"] is None
    assert [event.action for event in events(session)][-1] == "staff:enable"
    alive = select(func.count()).where(
        DeviceSession.citizen_id == handler.citizen_id, DeviceSession.revoked_at.is_(None)
    )
    assert session.scalar(alive) == 0
    fresh = factories.bearer(app, session, handler)
    assert client.get("/api/v1/staff/reports", headers=fresh).status_code == 200


def test_doing_the_same_again_is_no_deed(change, session, handler):
    change(handler, disabled=True)
    before = len(events(session))

    assert change(handler, disabled=True).status_code == 200
    assert len(events(session)) == before


def test_a_change_of_roles_counts_at_the_next_request(app, client, change, session, handler):
    headers = factories.bearer(app, session, handler)
    assert client.get(PEOPLE, headers=headers).status_code == 403

    change(handler, roles=[{"role": "handler", "department": STAND}, {"role": "administrator"}])

    assert client.get(PEOPLE, headers=headers).status_code == 200


def test_a_claim_at_the_moment_of_the_disabling_is_given_back_or_refused(committed):
    with committed.sessions() as own:
        report = factories.a_report(own, factories.a_citizen(own))
        assign = {"to": ReportState.ASSIGNED, "department": STAND}
        factories.moved(own, report, (factories.a_staff(own), assign))
        handler = factories.a_staff(own, (("handler", STAND),))
        actor = factories.staff_actor(factories.a_staff(own, (("administrator", None),)))

    def disable():
        with committed.transaction() as own:
            staff.change(own, actor, handler.id, version=1, at=factories.NOON, disabled=True)

    def claim(own, version):
        feedback.move(
            own,
            factories.staff_actor(handler),
            report.id,
            Move(to=ReportState.IN_PROGRESS),
            version=version,
            at=factories.NOON,
        )

    with ThreadPoolExecutor(1) as thread:
        with committed.transaction() as own:
            claim(own, 2)
            disabling = thread.submit(disable)
            time.sleep(0.3)
            assert not disabling.done()
        disabling.result()
    with committed.sessions() as own:
        assert own.get_one(Report, report.id).assignee_id is None
    with pytest.raises(identity.NotStaff), committed.transaction() as own:
        claim(own, 4)


DEMANDING = 'Bearer error="insufficient_user_authentication", '
DEMANDING += 'acr_values="urn:thainguyen:loa:2", max_age="900"'


@pytest.mark.parametrize("deed", ["invite", "change"])
def test_staff_are_managed_after_a_recent_sign_in_only(client, admin_headers, handler, clock, deed):
    def ask():
        if deed == "invite":
            return client.post(PEOPLE, json=CLERK, headers=admin_headers)
        return client.patch(
            f"{PEOPLE}/{handler.id}",
            json={"roles": []},
            headers=admin_headers | {"If-Match": '"1"'},
        )

    clock.forward(minutes=15, seconds=1)
    late = ask()
    clock.forward(minutes=-1)
    in_time = ask()

    assert (late.status_code, late.json["code"]) == (401, "recent_sign_in_needed")
    assert late.headers["WWW-Authenticate"] == DEMANDING
    assert (late.json["max_age"], late.json["minutes"]) == (900, 15)
    assert in_time.status_code in {200, 201}
    assert client.get(PEOPLE, headers=admin_headers).status_code == 200


def test_refreshing_tokens_makes_no_sign_in_more_recent(app, client, session, administrator, clock):
    pair = factories.signed_in(app, session, administrator, dt.datetime.now(dt.UTC))
    clock.now = dt.datetime.now(dt.UTC)
    tokens = client.post("/api/v1/auth/refresh", json={"refresh_token": pair.refresh_token}).json

    claims = app.extensions[EXTENSION].keys.verify(tokens["access_token"])
    answer = client.post(
        PEOPLE, json=CLERK, headers={"Authorization": f"Bearer {tokens['access_token']}"}
    )

    assert claims.auth_time == factories.NOON
    assert answer.json["code"] == "recent_sign_in_needed"
