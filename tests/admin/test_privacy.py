"""What administrators see and do for rights over personal data."""

import datetime as dt
import re
import uuid

import pytest
from sqlalchemy import func, select

from admin import labels
from models import AuditEvent, Breach, Child, ChildState, DataRequest, DataRequestKind
from services.privacy import requests
from services.privacy.requests import Wish
from tests import factories
from tests.factories import NOON, VAULT

REQUESTS = "/admin/data-requests"
GUARDIANS = "/admin/guardians"
BREACHES = "/admin/breaches"
XSS = "\"><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7*7 }}'</textarea>"


@pytest.fixture
def administrator(desk):
    return desk("administrator", name="Ma Văn Quản")


@pytest.fixture
def asked(session, citizen):
    def make(kind="delete", at=NOON, **more):
        wish = Wish(DataRequestKind(kind), **{"text": "Xin xóa số điện thoại."} | more)
        actor = factories.citizen_actor(citizen)
        made = requests.submit(session, actor, wish, vault=VAULT, at=at)
        session.commit()
        return made

    return make


def take(somebody, request, name, version=1, **fields):
    fields = {"text": "Lời của cán bộ."} | fields
    return somebody.post(f"{REQUESTS}/{request.id}/step", step=name, version=str(version), **fields)


def record(somebody, **fields):
    return somebody.post(
        BREACHES, **{"detected_at": "2026-11-23T08:00", "what": "Gửi nhầm danh sách."} | fields
    )


def recorded(session) -> Breach:
    session.expire_all()
    return session.scalars(select(Breach)).one()


def count(session, action) -> int:
    return session.scalar(select(func.count()).where(AuditEvent.action == action))


def edit(somebody, breach, version=1, **fields):
    whole = {
        "detected_at": "2026-11-23T08:00",
        "occurred_at": "",
        "what": "Gửi nhầm danh sách.",
        "place": "",
        "data_kinds": "",
        "people_count": "",
        "consequences": "",
        "measures": "",
        "contact": "",
        "notifiable": "",
    }
    return somebody.post(f"{BREACHES}/{breach.id}/edit", version=str(version), **whole | fields)


@pytest.mark.parametrize(
    "role", ["dispatcher", "communicator", "auditor", "health_manager", "alert_approver"]
)
def test_others_are_told_that_they_may_not(desk, session, citizen, asked, administrator, role):
    request = asked()
    child_id = factories.a_child(session, citizen)
    record(administrator)
    breach = recorded(session)
    somebody = desk(role)

    pages = [
        somebody.get(path).status_code
        for path in (
            *(REQUESTS, f"{REQUESTS}?state=ended", f"{REQUESTS}/{request.id}"),
            *(GUARDIANS, f"{GUARDIANS}/{child_id}"),
            *(BREACHES, f"{BREACHES}/{breach.id}", f"{BREACHES}/{breach.id}/notice"),
        )
    ]
    deeds = [
        take(somebody, request, "accept").status_code,
        somebody.post(f"{REQUESTS}/{request.id}/person").status_code,
        somebody.post(f"{GUARDIANS}/{child_id}/look").status_code,
        somebody.post(f"{GUARDIANS}/{child_id}/confirm", version="1").status_code,
        somebody.post(f"{GUARDIANS}/{child_id}/refuse", version="1", reason="x").status_code,
        record(somebody).status_code,
        edit(somebody, breach).status_code,
        somebody.post(f"{BREACHES}/{breach.id}/notify", version="1").status_code,
        somebody.post(f"{BREACHES}/{breach.id}/close", version="1").status_code,
    ]

    assert pages == [403] * 8
    assert deeds == [403] * 9
    assert count(session, "data_request:read_person") == count(session, "child:read") == 0
    assert recorded(session).version == 1


@pytest.mark.parametrize(
    "path",
    [
        f"{REQUESTS}/{uuid.UUID(int=7)}",
        f"{GUARDIANS}/{uuid.UUID(int=7)}",
        f"{BREACHES}/{uuid.UUID(int=7)}",
        f"{BREACHES}/{uuid.UUID(int=7)}/notice",
        f"{REQUESTS}/1",
    ],
)
def test_what_is_not_there_is_not_found(administrator, path):
    assert administrator.get(path).status_code == 404


def test_the_queue_shows_the_next_deadline_and_nobodys_name(administrator, asked, citizen):
    asked("view", at=NOON - dt.timedelta(days=7))

    page = administrator.page(REQUESTS)

    for text in ("Xem dữ liệu", "Quá hạn", "Chờ trả lời", "Cần xử lý <b>1</b>"):
        assert text in page
    assert "1 yêu cầu đã quá hạn theo luật." in page
    assert str(citizen.id)[-12:] in page
    assert citizen.name not in page
    assert "Xin xóa" not in page


def test_empty_queues_say_so(administrator):
    assert "Không có yêu cầu nào đang chờ." in administrator.page(REQUESTS)
    assert "Chưa có yêu cầu nào kết thúc." in administrator.page(f"{REQUESTS}?state=ended")
    assert "Không có quan hệ nào chờ kiểm tra." in administrator.page(GUARDIANS)
    assert "Sổ chưa có sự cố nào." in administrator.page(BREACHES)


def ids(page):
    return re.findall(rf'href="{REQUESTS}/([0-9a-f-]{{36}})"', page)


def test_more_goes_on_where_the_page_ended(administrator, session, citizen):
    made = []
    for number in range(53):
        wish = Wish(DataRequestKind.VIEW)
        at = NOON + dt.timedelta(days=number // 10)
        actor = factories.citizen_actor(citizen)
        made.append(str(requests.submit(session, actor, wish, vault=VAULT, at=at).id))
    session.commit()
    first = administrator.page(REQUESTS)
    address = first.split('rel="next"')[0].rsplit('href="', 1)[1].split('"')[0]

    second = administrator.page(address.replace("&amp;", "&"))

    assert ids(first) + ids(second) == made
    assert 'rel="next"' not in second


@pytest.mark.parametrize(
    "query",
    ["after=x", "after=2026-11-23T10:00_x", f"after=2026-11-23T10:00_{uuid.UUID(int=7)}"],
)
def test_an_address_that_cannot_be_right_is_refused(administrator, query):
    assert administrator.get(f"{REQUESTS}?{query}").status_code == 400


def test_the_number_of_statements_does_not_grow_with_the_queues(
    administrator, session, citizen, asked, statements
):
    counts = []
    for _ in range(2):
        for _ in range(3):
            asked()
            factories.a_child(session, citizen)
            record(administrator)
        with statements() as seen:
            for path in (REQUESTS, GUARDIANS, BREACHES):
                administrator.get(path)
        counts.append(len([text for text in seen if text.startswith("SELECT")]))

    assert counts[0] == counts[1]


def test_a_request_goes_the_whole_way(administrator, session, asked):
    request = asked()
    page = administrator.page(f"{REQUESTS}/{request.id}")
    assert "Xin xóa số điện thoại." in page
    assert set(re.findall(r'name="step" value="(\w+)"', page)) == {
        *("accept", "refuse", "extend", "involve"),
    }

    done = take(administrator, request, "accept")
    assert done.status_code == 303
    assert "Đã chấp nhận yêu cầu" in administrator.page(done.headers["Location"])
    words = "Đã xóa\r\nsố điện thoại."
    take(administrator, request, "finish", version=2, does="nothing", text=words)

    session.expire_all()
    assert session.get_one(DataRequest, request.id).conclusion == "Đã xóa\nsố điện thoại."
    page = administrator.page(f"{REQUESTS}/{request.id}")
    assert "Đã xóa\nsố điện thoại." in page
    assert 'name="step"' not in page
    assert ids(administrator.page(f"{REQUESTS}?state=ended")) == [str(request.id)]


@pytest.mark.parametrize(
    ("name", "fields", "status", "text"),
    [
        ("accept", {"text": " "}, 422, "Bước này cần có nội dung"),
        ("accept", {"text": "x" * 4001}, 422, "dài quá 4000 ký tự"),
        ("refuse", {"ground": "because"}, 422, "Vui lòng chọn một căn cứ"),
        ("refuse", {"ground": ""}, 422, "Vui lòng chọn một căn cứ"),
        ("finish", {}, 409, "không còn ở trạng thái cho phép"),
        ("nonsense", {}, 409, "không còn ở trạng thái cho phép"),
        ("accept", {"version": "x"}, 400, "Biểu mẫu không đúng dạng"),
        ("accept", {"text": "a\x00b"}, 400, "Biểu mẫu không đúng dạng"),
    ],
)
def test_what_cannot_be_done_is_said_on_the_page(
    administrator, session, asked, name, fields, status, text
):
    request = asked()

    answer = take(administrator, request, name, **fields)

    assert answer.status_code == status
    assert text in answer.text
    session.expire_all()
    assert session.get_one(DataRequest, request.id).version == 1


def test_a_conflict_of_two_administrators_keeps_what_was_typed(desk, administrator, asked):
    request = asked()
    take(desk("administrator"), request, "accept")

    answer = take(administrator, request, "refuse", ground="unclear", text="Xin <ghi> rõ hơn.")

    assert answer.status_code == 409
    assert "Người khác vừa thay đổi nội dung này." in answer.text
    assert "Xin &lt;ghi&gt; rõ hơn." in answer.text


def test_who_asked_is_shown_on_request_and_the_look_is_recorded_once(
    administrator, session, citizen, asked
):
    request = asked()
    page = administrator.page(f"{REQUESTS}/{request.id}")
    number = VAULT.read(citizen, "number")
    assert str(citizen.id) in page
    assert citizen.name not in page
    assert number not in page

    answer = administrator.post(f"{REQUESTS}/{request.id}/person")

    assert citizen.name in answer.text
    assert number in answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    assert count(session, "data_request:read_person") == 1


def test_a_form_from_elsewhere_changes_nothing(administrator, session, asked):
    request = asked()

    answer = administrator.client.post(
        f"{REQUESTS}/{request.id}/step", data={"step": "accept", "version": "1", "text": "x"}
    )

    assert answer.status_code == 403
    session.expire_all()
    assert session.get_one(DataRequest, request.id).version == 1


def test_a_relation_is_looked_at_and_confirmed(administrator, session, citizen):
    child_id = factories.a_child(session, citizen, citizen_number="019221000123")
    page = administrator.page(f"{GUARDIANS}/{child_id}")
    assert str(child_id) in administrator.page(GUARDIANS)
    for text in ("Nguyễn Văn Bé", "019221000123", "06/05/2021", citizen.name):
        assert text not in page

    looked = administrator.post(f"{GUARDIANS}/{child_id}/look").text
    done = administrator.post(f"{GUARDIANS}/{child_id}/confirm", version="1")

    assert "/confirm" not in page
    assert "/confirm" in looked
    for text in ("Nguyễn Văn Bé", "019221000123", "06/05/2021", citizen.name):
        assert text in looked
    assert count(session, "child:read") == 1
    assert "Đã xác nhận quan hệ" in administrator.page(done.headers["Location"])
    assert session.get_one(Child, child_id).state is ChildState.CONFIRMED
    assert str(child_id) not in administrator.page(GUARDIANS)


def test_a_relation_is_refused_with_a_reason(administrator, session, citizen):
    child_id = factories.a_child(session, citizen)

    blank = administrator.post(f"{GUARDIANS}/{child_id}/refuse", version="1", reason=" ")
    done = administrator.post(
        f"{GUARDIANS}/{child_id}/refuse", version="1", reason="Thiếu giấy khai sinh."
    )

    assert (blank.status_code, done.status_code) == (422, 303)
    assert "Từ chối phải kèm lý do" in blank.text
    page = administrator.page(f"{GUARDIANS}/{child_id}")
    assert "Thiếu giấy khai sinh." in page
    assert "/confirm" not in page


def test_a_relation_that_somebody_decided_is_a_conflict(desk, administrator, session, citizen):
    child_id = factories.a_child(session, citizen)
    desk("administrator").post(f"{GUARDIANS}/{child_id}/confirm", version="1")

    answer = administrator.post(f"{GUARDIANS}/{child_id}/refuse", version="1", reason="Lý do gõ.")

    assert answer.status_code == 409
    assert "Lý do gõ." in answer.text


def test_nobody_confirms_a_relation_of_their_own(administrator, session):
    person = session.get_one(factories.Citizen, administrator.staff.citizen_id)
    child_id = factories.a_child(session, person)

    answer = administrator.post(f"{GUARDIANS}/{child_id}/confirm", version="1")

    assert answer.status_code == 403
    assert "Không ai được giải quyết việc của chính mình" in answer.text
    assert f"{child_id}/refuse" not in administrator.page(f"{GUARDIANS}/{child_id}")
    session.expire_all()
    assert session.get_one(Child, child_id).state is ChildState.PENDING


def test_nobody_answers_a_request_of_their_own(administrator, session):
    actor = factories.citizen_actor(factories.person_of(session, administrator.staff))
    wish = Wish(DataRequestKind.DELETE)
    request = requests.submit(session, actor, wish, vault=VAULT, at=NOON)
    session.commit()

    answer = take(administrator, request, "refuse", ground="unclear")

    assert answer.status_code == 403
    assert "Không ai được giải quyết việc của chính mình" in answer.text
    page = administrator.page(f"{REQUESTS}/{request.id}")
    assert "Đây là yêu cầu của chính bạn" in page
    assert f"{request.id}/step" not in page
    session.refresh(request)
    assert request.state.value == "received"


def test_a_breach_is_recorded_with_two_facts(administrator, session):
    done = record(administrator)

    breach = recorded(session)
    assert done.headers["Location"].startswith(f"{BREACHES}/{breach.id}?done=")
    assert breach.detected_at == dt.datetime(2026, 11, 23, 1, tzinfo=dt.UTC)
    assert "Đã ghi sự cố vào sổ." in administrator.page(done.headers["Location"])
    page = administrator.page(BREACHES)
    for text in ("Gửi nhầm danh sách.", "Còn hạn", "còn 70 giờ<", "26/11/2026 08:00"):
        assert text in page
    assert "đã quá 72 giờ" not in page


def test_what_is_overdue_stands_on_top_in_words(administrator, session):
    record(administrator, detected_at="2026-11-20T08:00")

    page = administrator.page(BREACHES)

    assert "1 sự cố đã quá 72 giờ kể từ khi phát hiện mà chưa thông báo" in page
    assert "Quá hạn</span>" in page
    assert "quá 2 giờ" in page
    assert "Đã quá 72 giờ" in administrator.page(f"{BREACHES}/{recorded(session).id}")


@pytest.mark.parametrize(
    ("left", "words"),
    [
        ({"hours": 71, "minutes": 5}, "còn 71 giờ 5 phút"),
        ({"hours": 2}, "còn 2 giờ"),
        ({}, "còn 0 phút"),
        ({"minutes": -5}, "quá 5 phút"),
        ({"hours": -25, "minutes": -1}, "quá 25 giờ 1 phút"),
        ({"days": -12}, "quá 12 ngày"),
    ],
)
def test_a_countdown_is_told_in_words(left, words):
    assert labels.remaining(NOON + dt.timedelta(**left), NOON) == words


@pytest.mark.parametrize(
    ("fields", "status", "text"),
    [
        ({"what": " "}, 422, "Vui lòng ghi sự việc xảy ra."),
        ({"detected_at": "2026-11-24T08:00"}, 422, "không ở tương lai"),
        ({"detected_at": "hôm qua"}, 400, "Biểu mẫu không đúng dạng"),
        ({"detected_at": "0001-01-01T00:00"}, 400, "Biểu mẫu không đúng dạng"),
        ({"detected_at": "2026-11-23T08:00+07:00"}, 400, "Biểu mẫu không đúng dạng"),
        ({"what": "x" * 8001}, 422, "dài quá 8000 ký tự"),
    ],
)
def test_a_record_that_cannot_be_right_is_refused(administrator, session, fields, status, text):
    answer = record(administrator, **fields)

    assert answer.status_code == status
    assert text in answer.text
    assert session.scalars(select(Breach)).all() == []


def test_a_record_is_completed_told_and_closed(administrator, session):
    record(administrator)
    breach = recorded(session)
    early = administrator.post(f"{BREACHES}/{breach.id}/close", version="1")
    done = edit(
        administrator,
        breach,
        occurred_at="2026-11-22T17:30",
        place="Sở Nội vụ",
        data_kinds="Họ tên, số điện thoại",
        people_count="120",
        consequences="Có thể bị gọi quấy rối.",
        measures="Đã thu hồi thư.",
        contact="Bà Ma Thị Báo",
        notifiable="yes",
    )
    administrator.post(f"{BREACHES}/{breach.id}/notify", version="2")
    administrator.post(f"{BREACHES}/{breach.id}/close", version="3")

    assert (early.status_code, done.status_code) == (409, 303)
    assert "Chỉ đóng được khi đã thông báo" in early.text
    kept = recorded(session)
    assert (kept.people_count, kept.place, kept.notifiable) == (120, "Sở Nội vụ", True)
    assert kept.occurred_at == dt.datetime(2026, 11, 22, 10, 30, tzinfo=dt.UTC)
    assert kept.detected_at == dt.datetime(2026, 11, 23, 1, tzinfo=dt.UTC)
    assert (kept.notified_at, kept.closed_at) == (NOON, NOON)
    page = administrator.page(f"{BREACHES}/{breach.id}")
    assert "Đã thu hồi thư." in page
    assert "/edit" not in page
    assert "Đã đóng" in administrator.page(BREACHES)


def test_a_form_sent_back_as_it_came_changes_no_fact(administrator, session):
    record(administrator)
    breach = recorded(session)
    before = {name: getattr(breach, name) for name in ("detected_at", "what", "notify_due_at")}

    edit(administrator, breach)

    assert {name: getattr(recorded(session), name) for name in before} == before


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"people_count": "nhiều"}, 400),
        ({"people_count": "-1"}, 400),
        ({"people_count": "9" * 10}, 400),
        ({"notifiable": "maybe"}, 400),
        ({"detected_at": ""}, 400),
        ({"what": ""}, 422),
        ({"occurred_at": "2026-11-23T09:00"}, 422),
        ({"version": "2"}, 409),
    ],
)
def test_an_edit_that_cannot_be_right_is_refused(administrator, session, fields, status):
    record(administrator)

    answer = edit(administrator, recorded(session), **{"measures": "Đã <chặn>."} | fields)

    assert answer.status_code == status
    if status != 400:
        assert "Đã &lt;chặn&gt;.</textarea>" in answer.text
    assert recorded(session).version == 1


def test_the_notice_has_the_contents_of_the_form(administrator, session):
    record(administrator)
    breach = recorded(session)
    edit(administrator, breach, people_count="0", data_kinds="Họ tên", contact="Bà Ma Thị Báo")

    page = administrator.page(f"{BREACHES}/{breach.id}/notice")

    for text in (
        "Vi phạm quy định về bảo vệ dữ liệu cá nhân",
        "Điều 28 Nghị định số 356/2025/NĐ-CP",
        "Phát hiện lúc: 23/11/2026 08:00",
        "Bà Ma Thị Báo",
        "Họ tên",
        "Số chủ thể dữ liệu bị ảnh hưởng: 0",
    ):
        assert text in page
    assert "Lý do thông báo sau 72 giờ" not in page


def test_a_late_notice_asks_for_the_reason(administrator, session):
    record(administrator, detected_at="2026-11-19T08:00")

    page = administrator.page(f"{BREACHES}/{recorded(session).id}/notice")

    assert "Lý do thông báo sau 72 giờ" in page


def test_what_people_wrote_is_text_on_every_page(administrator, session, citizen):
    wish = Wish(DataRequestKind.CORRECT, text=f"Lời {XSS}")
    request = requests.submit(session, factories.citizen_actor(citizen), wish, vault=VAULT, at=NOON)
    session.commit()
    child_id = factories.a_child(session, citizen, full_name=f"Bé {XSS}")
    record(administrator, what=f"Vụ {XSS}")
    breach = recorded(session)
    edit(administrator, breach, what=f"Vụ {XSS}", place=f"Nơi {XSS}", contact=f"Người {XSS}")

    pages = [
        administrator.page(f"{REQUESTS}/{request.id}"),
        take(administrator, request, "refuse", text=f"Trả {XSS}").text,
        administrator.post(f"{GUARDIANS}/{child_id}/look").text,
        administrator.page(BREACHES),
        administrator.page(f"{BREACHES}/{breach.id}"),
        administrator.page(f"{BREACHES}/{breach.id}/notice"),
    ]

    for page in pages:
        assert "&#34;&gt;&lt;script&gt;" in page
        assert "<script>alert" not in page
        assert "<img src=x" not in page


def test_what_the_system_will_do_is_said_before_and_done_with_the_step(
    administrator, session, citizen, asked
):
    request = asked("delete")
    take(administrator, request, "accept")

    page = administrator.page(f"{REQUESTS}/{request.id}")
    done = take(administrator, request, "finish", version=2, does="deletion")

    assert "Hẹn xóa tài khoản và dữ liệu cá nhân sau 7 ngày" in page
    assert 'value="deletion" required>' in page.replace("required >", "required>")
    assert "checked" not in page
    assert done.status_code == 303
    session.expire_all()
    assert session.get_one(factories.Citizen, citizen.id).deletion_due_at is not None


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("correct", "lấy từ Thái Nguyên ID"),
        ("protect", "Hệ thống không tự làm được việc này"),
        ("withdraw", "không có sự đồng ý nào đang có"),
    ],
)
def test_where_the_system_can_do_nothing_the_page_says_so(administrator, asked, kind, words):
    request = asked(kind)
    take(administrator, request, "accept")

    page = administrator.page(f"{REQUESTS}/{request.id}")

    assert words in page
    assert 'name="does"' not in page
    assert take(administrator, request, "finish", version=2).status_code == 303


def test_a_request_is_not_finished_by_silence_where_the_system_can_do_something(
    administrator, session, citizen, asked
):
    request = asked("delete")
    take(administrator, request, "accept")

    silent = take(administrator, request, "finish", version=2)
    said = take(administrator, request, "finish", version=2, does="nothing")

    assert silent.status_code == 422
    assert "Hãy chọn việc hệ thống thực hiện" in silent.text
    assert said.status_code == 303
    session.expire_all()
    assert session.get_one(factories.Citizen, citizen.id).deletion_due_at is None
    query = select(AuditEvent.detail).where(AuditEvent.action == "data_request:finish")
    assert session.scalar(query) == {"state": "done", "does": "nothing"}


def test_what_the_system_does_wants_a_sign_in_of_a_moment_ago(
    administrator, session, citizen, asked, clock
):
    request = asked("delete")
    take(administrator, request, "accept")
    clock.forward(minutes=16)

    page = administrator.page(f"{REQUESTS}/{request.id}")
    refused = take(administrator, request, "finish", version=2, does="deletion")

    assert 'value="finish"' not in page
    assert "Để hoàn thành yêu cầu này, bạn cần vừa đăng nhập" in page
    assert (refused.status_code, "chưa được lưu" in refused.text) == (401, True)
    session.expire_all()
    assert session.get_one(factories.Citizen, citizen.id).deletion_due_at is None


@pytest.mark.parametrize("does", ["export", "no_such", "withdraw:research", "x" * 61])
def test_what_is_not_offered_is_refused_on_the_page(administrator, session, citizen, asked, does):
    request = asked("delete")
    take(administrator, request, "accept")

    answer = take(administrator, request, "finish", version=2, does=does)

    assert answer.status_code == 422
    assert "Lời của cán bộ." in answer.text
    session.expire_all()
    assert session.get_one(factories.Citizen, citizen.id).deletion_due_at is None
