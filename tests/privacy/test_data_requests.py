"""Legal requests over personal data: their clocks, the steps to their end, what is told."""

import datetime as dt
import uuid

import pytest
from sqlalchemy import select

from models import (
    AuditEvent,
    Child,
    ChildState,
    Citizen,
    DataRequest,
    DataRequestClock,
    DataRequestKind,
    DataRequestState,
    InboxMessage,
)
from services import notifications
from services.errors import Forbidden, Stale
from services.privacy import consents, desk, export, remedies, requests
from services.privacy.desk import (
    STEPS,
    Given,
    IllegalStep,
    UnknownRefusal,
    UnknownRequest,
    WordsNeeded,
)
from services.privacy.purposes import Purpose, wording
from services.privacy.remedies import RemedyNotChosen, RemedyNotOffered
from services.privacy.requests import Wish
from tests import factories
from tests.factories import NOON, VAULT

REQUESTS = "/api/v1/me/data-requests"
# Decree 356/2025/NĐ-CP, article 5: working days to answer, days to act, days of extension, and
# days to act with a third party.
LAW = {
    "view": (2, 10, 10, None),
    "correct": (2, 10, 10, 15),
    "copy": (2, 10, 10, None),
    "delete": (2, 20, 20, 30),
    "restrict": (2, 15, 15, 20),
    "object": (2, 15, 15, 20),
    "withdraw": (2, 15, 15, 20),
    "protect": (2, 15, 15, None),
}


@pytest.fixture
def post(client, headers):
    def ask(kind="delete", key=None, **more):
        extra = {"Idempotency-Key": key} if key else {}
        return client.post(REQUESTS, json={"kind": kind} | more, headers=headers | extra)

    return ask


@pytest.fixture
def request_of(session, citizen):
    """`request_of("delete")`: a request that was received on Monday at ten."""

    def make(kind="delete", at=NOON, **more):
        actor = factories.citizen_actor(citizen)
        wish = Wish(DataRequestKind(kind), **{"text": "Xin sửa họ tên."} | more)
        request = requests.submit(session, actor, wish, vault=VAULT, at=at)
        session.commit()
        return request

    return make


@pytest.fixture
def step(session, administrator):
    """Take one step at the version that there is, with a text, and with nothing that is done."""

    def take(request, name, at=NOON, version=None, **given):
        nothing = {"does": "nothing"} if name == "finish" else {}
        given = {"text": "Lời của cán bộ."} | nothing | given
        done = desk.carry_out(
            session,
            factories.staff_actor(administrator),
            request.id,
            Given(name, **given),
            version=version or request.version,
            at=at,
        )
        session.commit()
        return done

    return take


def local(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(f"{text}+07:00")


def stored(session) -> list[DataRequest]:
    session.expire_all()
    return session.scalars(select(DataRequest).order_by(DataRequest.id)).all()


def test_the_clocks_are_those_of_the_decree(session):
    rows = session.scalars(select(DataRequestClock))

    assert {
        row.kind.value: (
            row.answer_working_days,
            row.act_days,
            row.extension_days,
            row.third_party_days,
        )
        for row in rows
    } == LAW


@pytest.mark.parametrize("kind", LAW)
def test_a_request_is_received_with_its_deadlines(session, post, kind):
    answer = post(kind, text="Xin sửa.")

    _, act_days, *_ = LAW[kind]
    assert (answer.status_code, answer.json["state"]) == (201, "received")
    # Tuesday the 24th is a holiday, so two working days from Monday at ten end on Thursday.
    assert answer.json["answer_due_at"] == "2026-11-26T03:00:00Z"
    last = dt.date(2026, 11, 23) + dt.timedelta(days=act_days)
    assert answer.json["act_due_at"] == f"{last}T16:59:59Z"
    (message,) = session.scalars(select(InboxMessage))
    assert (message.kind, message.facts) == ("data_request_received", {"due": "26/11/2026 10:00"})


@pytest.mark.parametrize(
    ("received", "answer_due", "act_due"),
    [
        ("2026-11-25T08:00", "2026-11-27T08:00", "2026-12-15T23:59:59"),
        ("2026-11-25T20:00", "2026-11-27T17:00", "2026-12-15T23:59:59"),
        ("2026-11-27T16:00", "2026-12-01T16:00", "2026-12-17T23:59:59"),
        ("2026-11-28T09:00", "2026-12-01T17:00", "2026-12-18T23:59:59"),
        ("2026-11-28T23:59", "2026-12-01T17:00", "2026-12-18T23:59:59"),
        ("2026-11-29T00:01", "2026-12-01T17:00", "2026-12-19T23:59:59"),
        ("2026-02-13T16:00", "2026-02-24T16:00", "2026-03-05T23:59:59"),
    ],
)
def test_deadlines_are_working_time_and_whole_days_here(request_of, received, answer_due, act_due):
    request = request_of("delete", at=local(received))

    assert request.answer_due_at == local(answer_due)
    assert request.act_due_at == local(act_due)


def test_an_answer_shows_all_that_is_known(post):
    answer = post("correct", text="  Tên đệm là Thị. ")

    assert answer.json == {
        "id": answer.json["id"],
        "kind": "correct",
        "state": "received",
        "text": "Tên đệm là Thị.",
        "child_id": None,
        "received_at": "2026-11-23T03:00:00Z",
        "answer_due_at": "2026-11-26T03:00:00Z",
        "act_due_at": "2026-12-03T16:59:59Z",
        "third_party": False,
        "extended_at": None,
        "extension": None,
        "answered_at": None,
        "answer": None,
        "refusal": None,
        "done_at": None,
        "conclusion": None,
    }


def test_the_record_holds_the_kind_and_no_words(session, post):
    post("correct", text="Tên đệm là Thị.")

    (event,) = session.scalars(select(AuditEvent).where(AuditEvent.subject_type == "data_request"))
    assert (event.action, event.detail) == ("data_request:submit", {"kind": "correct"})


@pytest.mark.parametrize("text", [None, "  ", "\u200b"])
def test_a_correction_says_what_is_wrong(session, post, text):
    answer = post("correct", text=text)

    assert (answer.status_code, answer.json["code"]) == (422, "text_needed")
    assert stored(session) == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"kind": "sell"},
        {"kind": None},
        {"kind": 1},
        {"kind": "view", "text": "x" * 4001},
        {"kind": "view", "text": 1},
        {"kind": "view", "child_id": "1"},
        {"kind": "view", "state": "done"},
        {"kind": "view", "act_due_at": "2030-01-01T00:00:00Z"},
        {"kind": "view", "citizen_id": str(uuid.UUID(int=1))},
        ["view"],
    ],
)
def test_what_cannot_be_right_is_refused(client, session, headers, body):
    answer = client.post(REQUESTS, json=body, headers=headers)

    assert (answer.status_code, answer.json["code"]) == (422, "invalid")
    assert stored(session) == []


def test_the_same_request_again_is_one_request(session, citizen, post):
    first, again = post(key="k1"), post(key="k1")

    assert (again.status_code, again.json) == (201, first.json)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert len(stored(session)) == 1
    assert factories.inbox_kinds(session, citizen) == ["data_request_received"]
    assert post("view", key="k1").json["code"] == "idempotency_key_reused"


def test_without_a_key_two_requests_are_two(session, post):
    post()
    post()

    assert len(stored(session)) == 2


def test_a_key_that_is_none_is_refused(client, headers):
    answer = client.post(
        REQUESTS, json={"kind": "view"}, headers=headers | {"Idempotency-Key": "k" * 256}
    )

    assert (answer.status_code, answer.json["code"]) == (400, "idempotency_key_malformed")


def test_ten_requests_a_day_are_enough(post, clock):
    statuses = [post().status_code for _ in range(11)]
    clock.forward(days=1, seconds=1)

    assert statuses == [201] * 10 + [429]
    assert post().status_code == 201


def test_a_request_may_be_for_a_child_whom_one_acts_for(session, citizen, administrator, post):
    child_id = factories.a_child(session, citizen, checked_by=administrator)

    answer = post("view", child_id=str(child_id))

    assert (answer.status_code, answer.json["child_id"]) == (201, str(child_id))


def test_a_request_is_for_no_other_child(session, citizen, administrator, post, clock):
    other = factories.a_citizen(session)
    unchecked = factories.a_child(session, citizen)
    theirs = factories.a_child(session, other, checked_by=administrator)
    grown = factories.a_child(
        session, citizen, checked_by=administrator, birth_date=dt.date(2010, 11, 25)
    )
    clock.forward(days=2)

    answers = [
        post("view", child_id=str(child)) for child in (unchecked, theirs, grown, uuid.uuid4())
    ]

    assert {(answer.status_code, answer.json["code"]) for answer in answers} == {
        (422, "not_your_child")
    }
    assert stored(session) == []


def test_the_list_goes_on_where_the_page_ended(client, headers, post, clock):
    made = []
    for _ in range(5):
        made.append(post().json["id"])
        clock.forward(minutes=1)

    first = client.get(f"{REQUESTS}?limit=3", headers=headers)
    second = client.get(f"{REQUESTS}?limit=3&cursor={first.json['next_cursor']}", headers=headers)

    assert [item["id"] for item in first.json["items"]] == made[:1:-1]
    assert [item["id"] for item in second.json["items"]] == made[1::-1]
    assert second.json["next_cursor"] is None
    assert 'rel="next"' in first.headers["Link"]


def test_nobody_sees_what_somebody_else_asked(app, client, session, post):
    post()
    other = factories.bearer(app, session, factories.a_citizen(session))

    assert client.get(REQUESTS, headers=other).json["items"] == []


def test_a_cursor_that_was_changed_is_refused(client, headers):
    answer = client.get(f"{REQUESTS}?cursor=x", headers=headers)

    assert (answer.status_code, answer.json["code"]) == (400, "cursor_invalid")


def test_a_request_is_accepted_and_carried_out(client, session, citizen, headers, request_of, step):
    request = request_of()
    later = NOON + dt.timedelta(hours=3)
    step(request, "accept", text="Sẽ xóa số điện thoại.", at=later)
    step(request, "finish", text="Đã xóa số điện thoại.", at=later)

    (item,) = client.get(REQUESTS, headers=headers).json["items"]
    assert (item["state"], item["answer"]) == ("done", "Sẽ xóa số điện thoại.")
    assert item["answered_at"] == item["done_at"] == "2026-11-23T06:00:00Z"
    assert item["conclusion"] == "Đã xóa số điện thoại."
    kinds = ["data_request_received", "data_request_accepted", "data_request_done"]
    assert factories.inbox_kinds(session, citizen) == kinds
    messages = session.scalars(select(InboxMessage).order_by(InboxMessage.id)).all()
    assert messages[1].facts == {"due": "13/12/2026 23:59", "text": "Sẽ xóa số điện thoại."}
    assert {message.subject_id for message in messages} == {request.id}


def test_a_refusal_has_a_ground_and_a_text(client, headers, request_of, step):
    request = request_of()

    step(request, "refuse", ground="law_requires", text="Luật yêu cầu lưu 5 năm.")

    (item,) = client.get(REQUESTS, headers=headers).json["items"]
    assert (item["state"], item["refusal"]) == ("refused", "law_requires")
    assert item["answer"] == "Luật yêu cầu lưu 5 năm."


@pytest.mark.parametrize(
    ("name", "given", "error"),
    [
        ("accept", {"text": None}, WordsNeeded),
        ("accept", {"text": " \u200b"}, WordsNeeded),
        ("refuse", {"ground": None}, UnknownRefusal),
        ("refuse", {"ground": "because"}, UnknownRefusal),
        ("refuse", {"ground": "unclear", "text": ""}, WordsNeeded),
        ("extend", {"text": ""}, WordsNeeded),
        ("finish", {}, IllegalStep),
        ("no_such", {}, IllegalStep),
    ],
)
def test_a_step_without_what_it_needs_changes_nothing(
    session, citizen, request_of, step, name, given, error
):
    request = request_of()

    with pytest.raises(error):
        step(request, name, **given)

    session.rollback()
    (kept,) = stored(session)
    assert (kept.state.value, kept.version) == ("received", 1)
    assert factories.inbox_kinds(session, citizen) == ["data_request_received"]


# By state, the steps that are open within time for a request with a third party's clock.
OPEN = {
    "received": {"accept", "refuse", "extend", "involve"},
    "accepted": {"finish", "extend", "involve"},
    "refused": set(),
    "done": set(),
}
WAY = {
    "received": (),
    "accepted": ("accept",),
    "refused": ("refuse",),
    "done": ("accept", "finish"),
}


@pytest.mark.parametrize("name", [step.name for step in STEPS])
@pytest.mark.parametrize("state", OPEN)
def test_each_state_has_its_steps(session, request_of, step, state, name, administrator):
    request = request_of()
    actor = factories.staff_actor(administrator)
    for each in WAY[state]:
        step(request, each, ground="unclear")

    offered = {each.name for each in desk.next_steps(session, actor, request, at=NOON)}

    assert offered == OPEN[state]
    if name in OPEN[state]:
        step(request, name, ground="unclear")
    else:
        with pytest.raises(IllegalStep):
            step(request, name, ground="unclear")


@pytest.mark.parametrize("kind", LAW)
def test_an_extension_and_a_third_party_lengthen_as_the_decree_has_it(request_of, step, kind):
    _, act, extension, third_party = LAW[kind]
    extended, involved = request_of(kind), request_of(kind)

    step(extended, "extend")
    assert extended.act_due_at == local("2026-11-23T23:59:59") + dt.timedelta(days=act + extension)
    assert extended.answer_due_at == local("2026-11-26T10:00")
    if third_party is None:
        with pytest.raises(IllegalStep):
            step(involved, "involve")
    else:
        step(involved, "involve")
        due = local("2026-11-23T23:59:59") + dt.timedelta(days=third_party)
        assert (involved.act_due_at, involved.third_party) == (due, True)
        step(involved, "extend")
        assert involved.act_due_at == due + dt.timedelta(days=extension)


def test_time_is_added_once(request_of, step):
    request = request_of()
    step(request, "extend")
    step(request, "involve")

    for name in ("extend", "involve"):
        with pytest.raises(IllegalStep):
            step(request, name)


def test_time_is_not_added_when_it_has_run_out(session, request_of, step, administrator):
    request = request_of()
    last = request.act_due_at
    actor = factories.staff_actor(administrator)

    assert "extend" in {each.name for each in desk.next_steps(session, actor, request, at=last)}
    for name in ("extend", "involve"):
        with pytest.raises(IllegalStep):
            step(request, name, at=last + dt.timedelta(seconds=1))
    step(request, "accept", at=last + dt.timedelta(days=3))


def test_the_citizen_is_told_of_more_time_and_why(session, request_of, step):
    request = request_of()

    step(request, "extend", text="Dữ liệu nằm ở nhiều nơi.")
    step(request, "involve")

    messages = session.scalars(select(InboxMessage).order_by(InboxMessage.id)).all()[1:]
    assert [(message.kind, message.facts) for message in messages] == [
        ("data_request_extended", {"due": "02/01/2027 23:59", "text": "Dữ liệu nằm ở nhiều nơi."}),
        ("data_request_third_party", {"due": "12/01/2027 23:59"}),
    ]


def test_a_law_that_changes_leaves_the_deadlines_of_what_was_received(session, request_of, step):
    request = request_of()
    before = request.act_due_at
    clock = session.get_one(DataRequestClock, DataRequestKind.DELETE)
    clock.act_days, clock.third_party_days = 5, 8
    session.commit()

    assert stored(session)[0].act_due_at == before
    step(request, "involve")
    assert request.act_due_at == before + dt.timedelta(days=3)


def test_each_step_is_recorded_with_the_role_that_allowed_it(
    session, request_of, step, administrator
):
    request = request_of()
    for name in ("involve", "extend", "accept", "finish"):
        step(request, name)

    events = session.scalars(
        select(AuditEvent).where(AuditEvent.subject_id == request.id).order_by(AuditEvent.id)
    ).all()
    assert [event.action.partition(":")[2] for event in events] == [
        *("submit", "involve", "extend", "accept", "finish"),
    ]
    for event in events[1:]:
        assert event.actor_id == administrator.id
        assert (event.role, event.about_id) == ("administrator", None)
        assert event.detail.keys() - {"does"} == {"state"}


def test_a_step_on_what_somebody_changed_is_stale(request_of, step):
    request = request_of()
    step(request, "involve")

    with pytest.raises(Stale):
        step(request, "accept", version=1)


def test_two_administrators_at_once_make_one_decision(committed, at_once):
    with committed.sessions() as session:
        citizen = factories.a_citizen(session)
        actor = factories.citizen_actor(citizen)
        wish = Wish(DataRequestKind.DELETE)
        request = requests.submit(session, actor, wish, vault=VAULT, at=NOON)
        session.commit()
        staff = [factories.a_staff(session, (("administrator", None),)) for _ in range(8)]
    outcomes = []

    def decide(number):
        given = Given(("accept", "refuse")[number % 2], text="Lời.", ground="unclear")
        actor = factories.staff_actor(staff[number])
        try:
            with committed.transaction() as session:
                desk.carry_out(session, actor, request.id, given, version=1, at=NOON)
            outcomes.append("won")
        except Stale:
            outcomes.append("stale")

    at_once(decide, 8)

    assert sorted(outcomes) == ["stale"] * 7 + ["won"]
    with committed.sessions() as session:
        assert session.get_one(DataRequest, request.id).version == 2
        assert len(factories.inbox_kinds(session, citizen)) == 2


def test_the_queue_begins_with_the_next_deadline(session, administrator, request_of, step):
    hours = dt.timedelta(hours=1)
    late_answer = request_of("delete", at=NOON)
    accepted = request_of("view", at=NOON - 72 * hours)
    step(accepted, "accept")
    early_answer = request_of("delete", at=NOON - 24 * hours)
    done = request_of("view")
    step(done, "refuse", ground="unclear")
    actor = factories.staff_actor(administrator)

    found = desk.queue(session, actor, after=None, limit=10)

    assert [each.id for each in found] == [early_answer.id, late_answer.id, accepted.id]
    assert [each.id for each in desk.ended(session, actor, before=None, limit=10)] == [done.id]


def test_the_queue_goes_on_where_a_page_ended(session, administrator, request_of):
    made = [request_of(at=NOON + dt.timedelta(minutes=5 * (number // 2))) for number in range(7)]
    actor = factories.staff_actor(administrator)

    found, after = [], None
    while page := desk.queue(session, actor, after=after, limit=2):
        found += page
        due = desk.clock(page[-1], at=NOON).due
        after = desk.Cursor(due, page[-1].id)

    assert [each.id for each in found] == [each.id for each in made]


@pytest.mark.parametrize(
    ("hours", "level"), [(0, "on_time"), (60, "due_soon"), (73, "late"), (145, "very_late")]
)
def test_the_clock_is_the_answers_until_there_is_one(request_of, step, hours, level):
    request = request_of()
    at = NOON + dt.timedelta(hours=hours)

    assert desk.clock(request, at=at) == desk.Clock(request.answer_due_at, level)
    step(request, "accept", at=at)
    assert desk.clock(request, at=at).due == request.act_due_at
    step(request, "finish", at=at)
    assert desk.clock(request, at=at) == desk.Clock(None, "stopped")


def test_who_asked_is_shown_by_a_look_that_is_recorded(session, citizen, administrator, request_of):
    child_id = factories.a_child(session, citizen, checked_by=administrator)
    request = request_of("view", child_id=child_id)

    person = desk.read_person(
        session, factories.staff_actor(administrator), request.id, vault=VAULT, at=NOON
    )

    assert (person.name, person.number) == (citizen.name, VAULT.read(citizen, "number"))
    assert person.child_name == "Nguyễn Văn Bé"
    event = session.scalar(
        select(AuditEvent).where(AuditEvent.action == "data_request:read_person")
    )
    assert (event.actor_id, event.subject_id) == (administrator.id, request.id)
    assert (event.about_id, event.purpose) == (citizen.id, "data_request_handling")
    assert event.detail == {"fields": ["name", "citizen_number", "child"]}


@pytest.mark.parametrize("role", ["dispatcher", "auditor", "health_manager", "alert_approver"])
def test_only_administrators_handle_requests(session, request_of, role):
    request = request_of()
    actor = factories.staff_actor(factories.a_staff(session, ((role, None),)))

    for ask in (
        lambda: desk.queue(session, actor, after=None, limit=1),
        lambda: desk.ended(session, actor, before=None, limit=1),
        lambda: desk.counts(session, actor, at=NOON),
        lambda: desk.read(session, actor, request.id),
        lambda: desk.read_person(session, actor, request.id, vault=VAULT, at=NOON),
        lambda: desk.carry_out(session, actor, request.id, Given("involve"), version=1, at=NOON),
    ):
        with pytest.raises(Forbidden):
            ask()
    assert stored(session)[0].version == 1


def test_a_request_that_is_not_there_is_not_found(session, administrator):
    actor = factories.staff_actor(administrator)

    with pytest.raises(UnknownRequest):
        desk.read(session, actor, uuid.uuid4())
    with pytest.raises(UnknownRequest):
        desk.carry_out(session, actor, uuid.uuid4(), Given("involve"), version=1, at=NOON)


def test_the_open_and_the_late_are_counted(session, administrator, request_of, step):
    request_of()
    accepted = request_of()
    step(accepted, "accept")
    step(request_of(), "refuse", ground="unclear")
    actor = factories.staff_actor(administrator)

    assert desk.counts(session, actor, at=NOON) == (2, 0)
    assert desk.counts(session, actor, at=NOON + dt.timedelta(days=4)) == (2, 1)
    assert desk.counts(session, actor, at=NOON + dt.timedelta(days=30)) == (2, 2)


# What the system does itself.


def agree(session, citizen, *purposes):
    for purpose in purposes:
        consents.decide(
            session,
            factories.citizen_actor(citizen),
            purpose,
            granted=True,
            version=1,
            locale="vi",
            at=NOON,
        )
    session.commit()


def accepted(step, request):
    return step(request, "accept")


@pytest.mark.parametrize(
    ("kind", "offers"),
    [
        ("view", ["export"]),
        ("copy", ["export"]),
        ("delete", ["deletion"]),
        ("withdraw", ["withdraw:research", "withdraw:campaign_messages", "withdraw"]),
        ("restrict", ["withdraw"]),
        ("object", ["withdraw"]),
        ("correct", []),
        ("protect", []),
    ],
)
def test_each_kind_has_what_the_system_can_do_for_it(session, citizen, request_of, kind, offers):
    agree(session, citizen, "research", "campaign_messages")

    assert remedies.offered(session, request_of(kind)) == offers


def test_where_nobody_agreed_to_anything_there_is_nothing_to_withdraw(session, request_of):
    assert remedies.offered(session, request_of("withdraw")) == []


@pytest.mark.parametrize("kind", ["view", "copy"])
def test_a_copy_is_made_and_told_when_the_request_is_finished(
    client, session, citizen, headers, context, request_of, step, kind
):
    request = accepted(step, request_of(kind))

    step(request, "finish", does="export")
    assert factories.do_jobs(session, context, export.TASK) == 1

    assert factories.inbox_kinds(session, citizen)[-2:] == ["data_request_done", "export_ready"]
    copy = client.get("/api/v1/me/export", headers=headers)
    assert (copy.status_code, copy.json["whole_at"]) == (200, None)


def test_a_copy_that_lies_ready_is_told_again(session, citizen, context, request_of, step):
    for _ in range(2):
        step(accepted(step, request_of("view")), "finish", does="export")
        factories.do_jobs(session, context, export.TASK)

    assert factories.inbox_kinds(session, citizen).count("export_ready") == 2


def test_a_deletion_is_asked_for_with_its_grace_and_can_be_undone(
    client, session, citizen, headers, administrator, request_of, step
):
    request = accepted(step, request_of("delete"))

    step(request, "finish", does="deletion")

    due_at = client.get("/api/v1/me", headers=headers).json["deletion_due_at"]
    assert due_at == "2026-11-30T03:00:00Z"
    assert "account_deletion_asked" in factories.inbox_kinds(session, citizen)
    query = select(AuditEvent).where(AuditEvent.action == "citizen:ask_deletion")
    event = session.scalars(query).one()
    assert (event.actor_id, event.role) == (administrator.id, "administrator")
    assert remedies.offered(session, request) == []
    assert client.delete("/api/v1/me/deletion", headers=headers).status_code == 204


def test_the_data_of_a_child_go_with_the_relation(
    session, citizen, administrator, request_of, step
):
    child_id = factories.a_child(session, citizen, checked_by=administrator)
    request = accepted(step, request_of("delete", child_id=child_id))

    step(request, "finish", does="end_relation")

    child = session.get_one(Child, child_id)
    assert (child.state, child.data_key, child.name_sealed) == (ChildState.ENDED, None, None)
    assert "child_ended" in factories.inbox_kinds(session, citizen)
    assert session.get_one(Citizen, citizen.id).deletion_due_at is None


@pytest.mark.parametrize(
    ("kind", "does", "left"),
    [
        ("withdraw", "withdraw:research", {"campaign_messages"}),
        ("withdraw", "withdraw", set()),
        ("restrict", "withdraw", set()),
        ("object", "withdraw", set()),
    ],
)
def test_a_consent_is_withdrawn_by_purpose_or_with_all_others(
    session, citizen, administrator, request_of, step, kind, does, left
):
    agree(session, citizen, "research", "campaign_messages")
    request = accepted(step, request_of(kind))

    step(request, "finish", does=does)

    assert {row.purpose for row in consents.running(session, citizen.id)} == left
    query = select(AuditEvent).where(AuditEvent.action == "consent:withdraw")
    events = session.scalars(query).all()
    assert {event.actor_id for event in events} == {administrator.id}
    assert len(events) == 2 - len(left)
    actor = factories.citizen_actor(citizen)
    letters = {
        locale: next(
            letter
            for letter in notifications.inbox(
                session.connection(), actor, locale=locale, before=None, limit=10
            )
            if letter.kind == "consents_withdrawn"
        )
        for locale in ("vi", "en")
    }
    for purpose in ("research", "campaign_messages"):
        for locale, letter in letters.items():
            told = wording(Purpose(purpose), locale).title in letter.text
            assert told == (purpose not in left)
    finish = select(AuditEvent.detail).where(AuditEvent.action == "data_request:finish")
    assert session.scalar(finish) == {"state": "done", "does": does}


def test_nothing_is_done_that_was_not_chosen(session, citizen, request_of, step):
    request = accepted(step, request_of("delete"))
    with pytest.raises(RemedyNotChosen):
        step(request, "finish", does=None)
    session.rollback()
    step(request, "finish", does="nothing")

    assert session.get_one(Citizen, citizen.id).deletion_due_at is None
    assert stored(session)[0].state is DataRequestState.DONE


@pytest.mark.parametrize(
    ("kind", "name", "does"),
    [
        ("view", "finish", "deletion"),
        ("delete", "finish", "export"),
        ("delete", "finish", "end_relation"),
        ("withdraw", "finish", "withdraw:research"),
        ("correct", "finish", "anything"),
        ("delete", "extend", "deletion"),
    ],
)
def test_what_is_not_offered_is_refused_and_the_request_stays(
    session, citizen, request_of, step, kind, name, does
):
    request = accepted(step, request_of(kind))

    with pytest.raises(RemedyNotOffered):
        step(request, name, does=does)

    session.rollback()
    assert stored(session)[0].state is DataRequestState.ACCEPTED
    assert session.get_one(Citizen, citizen.id).deletion_due_at is None


def test_somebody_who_is_refused_has_nothing_done(session, citizen, request_of, step):
    with pytest.raises(RemedyNotOffered):
        step(request_of("delete"), "refuse", ground="unclear", does="deletion")

    session.rollback()
    assert session.get_one(Citizen, citizen.id).deletion_due_at is None
