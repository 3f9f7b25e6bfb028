"""Staff move reports on; citizens rate and reopen them."""

import io
import threading

import pytest
from sqlalchemy import select

from api.current import EXTENSION
from models import AuditEvent, Report, ReportEvent, ReportState
from services import feedback, uploads
from services.errors import Stale
from services.feedback import TRANSITIONS, Move
from services.feedback.workflow import IllegalMove, MoveNotYours
from tests import factories
from tests.factories import NOON

S = ReportState
DEPARTMENT = "so-xay-dung"
FIELDS = {
    "department": "dien-luc",
    "reason": "not_ours",
    "text": "Lời của cán bộ.",
}


@pytest.fixture
def report(session, citizen):
    return factories.a_report(session, citizen)


@pytest.fixture
def dispatcher(session):
    return factories.a_staff(session)


@pytest.fixture
def handler(session):
    return factories.a_staff(session, (("handler", DEPARTMENT),))


def post(client, app, session, staff, report, version, **body):
    headers = factories.bearer(app, session, staff) | {"If-Match": f'"{version}"'}
    return client.post(f"/api/v1/staff/reports/{report.id}/transitions", json=body, headers=headers)


def test_the_usual_way_ends_in_a_result_that_the_reporter_is_told(
    app, client, session, citizen, report, dispatcher, handler
):
    post(client, app, session, dispatcher, report, 1, to="assigned", department=DEPARTMENT)
    post(client, app, session, handler, report, 2, to="in_progress")
    answer = post(client, app, session, handler, report, 3, to="resolved", text="Đã vá.")

    assert (answer.status_code, answer.json["state"]) == (200, "resolved")
    assert answer.headers["ETag"] == '"4"'
    assert [step["kind"] for step in answer.json["timeline"]] == [
        "created",
        "assign",
        "claim",
        "resolve",
    ]
    assert factories.inbox_kinds(session, citizen) == [
        "report_received",
        "report_assigned",
        "report_in_progress",
        "report_resolved",
    ]
    actions = select(AuditEvent.action).where(AuditEvent.subject_id == report.id)
    assert session.scalars(actions.order_by(AuditEvent.id)).all() == [
        "report:create",
        "report:assign",
        "report:claim",
        "report:resolve",
    ]


def test_a_handler_closes_a_report_with_a_photo_of_the_result(
    app, client, session, report, dispatcher, handler
):
    post(client, app, session, dispatcher, report, 1, to="assigned", department=DEPARTMENT)
    post(client, app, session, handler, report, 2, to="in_progress")
    files = {"file": (io.BytesIO(factories.jpeg()), "result.jpg")}
    sent = client.post(
        "/api/v1/uploads", data=files, headers=factories.bearer(app, session, handler)
    ).json

    answer = post(
        client, app, session, handler, report, 3,
        to="resolved", text="Đã vá.", upload_ids=[sent["id"]],
    )  # fmt: skip

    (photo,) = answer.json["photos"]
    assert (photo["id"], photo["shows_result"]) == (sent["id"], True)


def test_photos_of_the_result_come_after_those_of_the_report(app, session, citizen):
    storage = app.extensions[EXTENSION].storage
    own = [factories.an_upload(session, citizen, storage) for _ in range(2)]
    later = factories.an_upload(session, citizen, storage)
    report = factories.a_report(session, citizen, upload_ids=own)
    uploads.attach(session, factories.citizen_actor(citizen), [later], report, shows_result=True)
    session.commit()

    shown = feedback.read(session, factories.citizen_actor(citizen), report.id)

    assert [photo.id for photo in shown.photos] == [*own, later]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"to": "assigned"}, 422, "field_needed"),
        ({"to": "assigned", "department": "no-such"}, 422, "unknown_department"),
        ({"to": "resolved", "text": "x"}, 409, "illegal_move"),
        ({"to": "in_progress"}, 409, "illegal_move"),
        ({"to": "rejected", "reason": "not_ours"}, 422, "field_needed"),
        ({"to": "rejected", "reason": "tired", "text": "x"}, 422, "unknown_reason"),
        ({"to": "rejected", "reason": "not_ours", "text": " \u200b "}, 422, "field_needed"),
        ({"to": "nowhere"}, 422, "invalid"),
        ({"to": "assigned", "department": DEPARTMENT, "category": "no"}, 422, "unknown_category"),
    ],
)
def test_a_move_that_is_not_right_changes_nothing(
    app, client, session, report, dispatcher, body, status, code
):
    answer = post(client, app, session, dispatcher, report, 1, **body)

    assert (answer.status_code, answer.json["code"]) == (status, code)
    session.expire_all()
    assert session.get_one(Report, report.id).version == 1
    assert len(session.scalars(select(ReportEvent)).all()) == 1


def test_a_move_without_if_match_is_refused(app, client, session, report, dispatcher):
    answer = client.post(
        f"/api/v1/staff/reports/{report.id}/transitions",
        json={"to": "assigned", "department": DEPARTMENT},
        headers=factories.bearer(app, session, dispatcher),
    )

    assert (answer.status_code, answer.json["code"]) == (428, "precondition_needed")


@pytest.mark.parametrize("etag", ['"2"', '"x"', '"1", "2"', 'W/"7"'])
def test_a_stale_etag_is_refused(app, client, session, report, dispatcher, etag):
    headers = factories.bearer(app, session, dispatcher) | {"If-Match": etag}

    answer = client.post(
        f"/api/v1/staff/reports/{report.id}/transitions",
        json={"to": "assigned", "department": DEPARTMENT},
        headers=headers,
    )

    assert (answer.status_code, answer.json["code"]) == (412, "stale")


def test_an_etag_weakened_by_a_compressing_proxy_still_names_its_version(
    app, client, session, report, dispatcher
):
    headers = factories.bearer(app, session, dispatcher) | {"If-Match": 'W/"1"'}

    answer = client.post(
        f"/api/v1/staff/reports/{report.id}/transitions",
        json={"to": "assigned", "department": DEPARTMENT},
        headers=headers,
    )

    assert answer.status_code == 200


def test_a_report_of_another_department_is_not_found(app, client, session, report, dispatcher):
    post(client, app, session, dispatcher, report, 1, to="assigned", department="dien-luc")
    handler = factories.a_staff(session, (("handler", DEPARTMENT),))

    answer = post(client, app, session, handler, report, 2, to="in_progress")

    assert (answer.status_code, answer.json["code"]) == (404, "report_not_found")


def test_a_handler_cannot_dispatch(app, client, session, report, dispatcher, handler):
    post(client, app, session, dispatcher, report, 1, to="assigned", department=DEPARTMENT)

    answer = post(
        client, app, session, handler, report, 2, to="assigned", department="y", reason="z"
    )

    assert (answer.status_code, answer.json["code"]) == (403, "move_not_yours")


def test_a_handler_who_returns_a_report_still_gets_the_answer(
    app, client, session, report, dispatcher, handler
):
    post(client, app, session, dispatcher, report, 1, to="assigned", department=DEPARTMENT)

    answer = post(client, app, session, handler, report, 2, to="received", reason="Không phải.")

    assert (answer.status_code, answer.json["state"]) == (200, "received")
    assert answer.json["department"] is None


def test_why_one_office_passed_a_report_on_is_not_the_citizens_to_read(
    app, client, session, citizen, report, dispatcher, handler
):
    post(client, app, session, dispatcher, report, 1, to="assigned", department=DEPARTMENT)
    post(client, app, session, handler, report, 2, to="received", reason="Không phải việc của Sở.")

    headers = factories.bearer(app, session, citizen)
    answer = client.get(f"/api/v1/reports/{report.id}", headers=headers)

    assert [step["kind"] for step in answer.json["timeline"]] == ["created", "assign"]
    assert "Không phải" not in answer.text


def test_a_communicator_reads_no_internal_reason_by_either_door(
    app, client, session, report, dispatcher, handler
):
    post(client, app, session, dispatcher, report, 1, to="assigned", department=DEPARTMENT)
    post(client, app, session, handler, report, 2, to="received", reason="Chuyện nội bộ.")
    communicator = factories.a_staff(session, (("communicator", None),))

    answer = client.get(
        f"/api/v1/staff/reports/{report.id}", headers=factories.bearer(app, session, communicator)
    )

    assert answer.status_code == 200
    assert "nội bộ" not in answer.text


def test_a_reconsidered_report_is_nobodys(app, client, session, report, dispatcher, handler):
    post(client, app, session, dispatcher, report, 1, to="assigned", department=DEPARTMENT)
    post(client, app, session, handler, report, 2, to="in_progress")
    words = {"reason": "no_action", "text": "Không có việc."}
    post(client, app, session, dispatcher, report, 3, to="rejected", **words)

    answer = post(client, app, session, dispatcher, report, 4, to="received", reason="Xem lại.")

    assert (answer.status_code, answer.json["department"]) == (200, None)
    assert answer.json["assignee"] is None


def test_an_edit_that_changes_nothing_is_refused(app, client, session, report, dispatcher):
    headers = factories.bearer(app, session, dispatcher) | {"If-Match": '"1"'}

    answer = client.patch(f"/api/v1/staff/reports/{report.id}", json={}, headers=headers)

    assert (answer.status_code, answer.json["code"]) == (422, "nothing_to_change")


def test_the_next_page_of_the_queue_keeps_every_filter(app, client, session, citizen, dispatcher):
    for _ in range(3):
        factories.a_report(session, citizen)
    headers = factories.bearer(app, session, dispatcher)

    answer = client.get(
        "/api/v1/staff/reports?state=received&state=rejected&limit=1", headers=headers
    )

    assert "state=received&state=rejected" in answer.headers["Link"]


def test_a_new_category_counts_its_time_from_the_start(app, client, session, report, dispatcher):
    answer = post(
        client,
        app,
        session,
        dispatcher,
        report,
        1,
        to="assigned",
        department=DEPARTMENT,
        category="ngap-nuoc",
    )

    assert answer.json["category"] == "ngap-nuoc"
    assert answer.json["resolve_due_at"] == "2026-11-25T03:00:00Z"
    assert "recategorised" in [step["kind"] for step in answer.json["timeline"]]


@pytest.mark.parametrize("transition", TRANSITIONS, ids=lambda one: one.name)
@pytest.mark.parametrize(
    ("role", "may"),
    [
        ("dispatcher", {"assign", "hand_over", "reject", "reconsider"}),
        ("handler", {"return", "claim", "resolve"}),
        ("leader", {"hand_over", "return", "claim", "resolve", "reject", "reopen"}),
        ("communicator", set()),
        ("administrator", set()),
        ("auditor", set()),
    ],
)
def test_each_role_may_make_its_moves_and_no_other(session, report, role, may, transition):
    department = DEPARTMENT if role in {"handler", "leader"} else None
    actor = factories.staff_actor(factories.a_staff(session, ((role, department),)))
    origin = next(iter(transition.origins))
    report.state, report.department_code, report.resolved_at = origin, DEPARTMENT, NOON
    session.add(report)
    session.commit()

    try:
        move = Move(to=transition.to, **FIELDS)
        moved = feedback.move(session, actor, report.id, move, version=1, at=NOON)
    except (MoveNotYours, IllegalMove, feedback.ReportNotFound):
        assert transition.name not in may
    else:
        assert moved.state is transition.to
        assert transition.name in may


def test_every_state_that_is_reached_leads_on_or_is_an_end():
    reached = {step.to for step in TRANSITIONS} | {S.RECEIVED}
    left = {origin for step in TRANSITIONS for origin in step.origins}

    assert reached - left == set()


def test_fifty_handlers_who_claim_one_report_have_one_winner(committed):
    with committed.sessions() as session:
        report = factories.a_report(session, factories.a_citizen(session))
        dispatcher = factories.a_staff(session)
        assign = {"to": S.ASSIGNED, "department": DEPARTMENT}
        factories.moved(session, report, (dispatcher, assign))
        handlers = [factories.a_staff(session, (("handler", DEPARTMENT),)) for _ in range(25)]
    outcomes, start = [], threading.Barrier(25)

    def claim(handler):
        actor = factories.staff_actor(handler)
        start.wait()
        try:
            with committed.transaction() as session:
                feedback.move(session, actor, report.id, Move(to=S.IN_PROGRESS), version=2, at=NOON)
            outcomes.append("won")
        except Stale:
            outcomes.append("stale")

    threads = [threading.Thread(target=claim, args=(handler,)) for handler in handlers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["stale"] * 24 + ["won"]
    with committed.sessions() as session:
        assert session.get_one(Report, report.id).version == 3


def test_a_resolved_report_is_rated(app, client, session, citizen, report):
    factories.resolved(session, report)
    headers = factories.bearer(app, session, citizen)

    answer = client.post(
        f"/api/v1/reports/{report.id}/rating", json={"score": 4, "text": "Tốt."}, headers=headers
    )

    assert (answer.status_code, answer.json["rating"]) == (200, 4)
    assert answer.json["state"] == "resolved"


@pytest.mark.parametrize("score", [0, 6, 4.5, "5", None, True])
def test_a_rating_is_a_whole_number_from_one_to_five(app, client, session, citizen, report, score):
    factories.resolved(session, report)
    headers = factories.bearer(app, session, citizen)

    answer = client.post(
        f"/api/v1/reports/{report.id}/rating", json={"score": score}, headers=headers
    )

    assert answer.status_code == 422


def test_an_unresolved_report_cannot_be_rated(app, client, session, citizen, report):
    headers = factories.bearer(app, session, citizen)

    answer = client.post(f"/api/v1/reports/{report.id}/rating", json={"score": 5}, headers=headers)

    assert (answer.status_code, answer.json["code"]) == (409, "not_rateable")


def reopen(client, headers, report):
    return client.post(
        f"/api/v1/reports/{report.id}/reopening", json={"reason": "Vẫn còn."}, headers=headers
    )


def test_a_reopened_report_is_the_departments_again_with_a_new_clock(
    app, client, session, citizen, report, clock
):
    factories.resolved(session, report)
    clock.forward(days=3)

    answer = reopen(client, factories.bearer(app, session, citizen), report)

    assert (answer.status_code, answer.json["state"]) == (200, "assigned")
    assert answer.json["resolve_due_at"] > "2026-12-03T03:00:00Z"
    assert answer.json["department"]["code"] == DEPARTMENT


def test_after_seven_days_a_result_stands(app, client, session, citizen, report, clock):
    factories.resolved(session, report)
    clock.forward(days=7, seconds=1)

    answer = reopen(client, factories.bearer(app, session, citizen), report)

    assert (answer.status_code, answer.json["code"]) == (410, "reopening_expired")


@pytest.mark.parametrize(("days", "status"), [(90, 200), (91, 410)])
def test_a_leader_reopens_within_ninety_days(app, client, session, report, clock, days, status):
    version = factories.resolved(session, report).version
    leader = factories.a_staff(session, (("leader", DEPARTMENT),))
    clock.forward(days=days)

    answer = post(client, app, session, leader, report, version, to="assigned", reason="Chưa đạt.")

    assert answer.status_code == status


def test_a_report_is_reopened_twice_at_most(app, client, session, citizen, report, handler):
    headers = factories.bearer(app, session, citizen)
    factories.resolved(session, report)
    for _ in range(2):
        assert reopen(client, headers, report).status_code == 200
        session.expire_all()
        again = session.get_one(Report, report.id)
        resolve = {"to": S.RESOLVED, "text": "Đã sửa lại."}
        factories.moved(session, again, (handler, {"to": S.IN_PROGRESS}), (handler, resolve))

    answer = reopen(client, headers, report)

    assert (answer.status_code, answer.json["code"]) == (409, "reopened_too_often")


def test_the_queue_shows_what_a_role_may_see_and_narrows(app, client, session, citizen, dispatcher):
    here = factories.a_report(session, citizen)
    there = factories.a_report(session, citizen, category="chieu-sang")
    assign = {"to": S.ASSIGNED, "department": DEPARTMENT}
    factories.moved(session, here, (dispatcher, assign))
    handler = factories.a_staff(session, (("handler", DEPARTMENT),))

    def codes(staff, query=""):
        headers = factories.bearer(app, session, staff)
        items = client.get(f"/api/v1/staff/reports{query}", headers=headers).json["items"]
        return [item["code"] for item in items]

    assert codes(dispatcher) == [there.code, here.code]
    assert codes(handler) == [here.code]
    assert codes(dispatcher, "?state=received") == [there.code]
    assert codes(dispatcher, "?category=giao-thong") == [here.code]
    assert codes(dispatcher, f"?department={DEPARTMENT}&state=assigned") == [here.code]
    assert codes(dispatcher, f"?code={there.code.lower()}") == [there.code]
    assert codes(factories.a_staff(session, (("auditor", None),))) == []
