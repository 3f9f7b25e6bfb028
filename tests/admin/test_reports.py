"""One report: what is shown to whom, and the steps that are offered."""

import io
import re
import uuid

import pytest
from sqlalchemy import func, select

from models import AuditEvent, Report, ReportState, Upload, Visibility
from services.feedback import TRANSITIONS
from services.permissions import Action
from services.storage import open_storage
from tests import factories, stores

STAND = "so-xay-dung"


def page_of(desk, report):
    return desk.page(f"/admin/reports/{report.id}")


def steps_in(page):
    return set(re.findall(r'<input type="hidden" name="step" value="(\w+)"', page))


@pytest.fixture
def at_state(session, citizen):
    """A report in a state, with the department that steps need."""

    def make(state):
        report = factories.a_report(session, citizen)
        report.state = ReportState(state)
        if state != "received":
            report.department_code = STAND
        session.commit()
        return report

    return make


# By what a role may do with a report of its department; written out, not derived.
MAY = {
    "dispatcher": {Action.DISPATCH},
    "handler": {Action.WORK},
    "leader": {Action.WORK, Action.LEAD},
    "communicator": set(),
}


@pytest.mark.parametrize("state", list(ReportState))
@pytest.mark.parametrize("role", MAY)
def test_the_steps_offered_are_those_of_the_table(desk, at_state, role, state):
    report = at_state(state.value)
    somebody = desk(role, STAND if role in {"handler", "leader"} else None)
    answer = somebody.get(f"/admin/reports/{report.id}")
    legal = {
        step.name for step in TRANSITIONS if state in step.origins and MAY[role] & set(step.by)
    }

    if state is ReportState.RECEIVED and role in {"handler", "leader"}:
        assert answer.status_code == 404
    else:
        assert steps_in(answer.text) == legal


def test_a_report_goes_the_whole_way(desk, session, report):
    dispatcher, handler = desk(), desk("handler", STAND, name="Lê Thị Xử")
    done = dispatcher.move(report, "assign", department=STAND, category="cay-xanh")
    assert done.headers["Location"].startswith(f"/admin/reports/{report.id}?done=")
    assert "Đã phân công." in dispatcher.page(done.headers["Location"])

    handler.move(report, "claim", version=2)
    done = handler.move(report, "resolve", version=3, text="Đã vá\r\nmặt đường.")

    assert done.status_code == 303
    session.expire_all()
    assert session.get_one(Report, report.id).state is ReportState.RESOLVED
    page = page_of(dispatcher, report)
    for text in ("Lê Thị Xử", "Đã vá\nmặt đường.", "Giao thông và hạ tầng → Cây xanh"):
        assert text in page


def test_a_link_from_elsewhere_cannot_claim_that_a_step_was_done(desk, report):
    theirs = desk().move(report, "assign", department=STAND).headers["Location"]
    somebody = desk()

    assert "Đã phân công." not in somebody.page(theirs)
    assert "Đã phân công." not in somebody.page(f"/admin/reports/{report.id}?done=assign")


def test_who_returns_a_report_comes_back_to_the_queue(desk, report):
    desk().move(report, "assign", department=STAND)
    handler = desk("handler", STAND)

    done = handler.move(report, "return", version=2, reason="Không phải việc của Sở.")

    assert done.headers["Location"].startswith("/admin/?done=")
    assert "Đã trả lại điều phối." in handler.page(done.headers["Location"])
    assert handler.get(f"/admin/reports/{report.id}").status_code == 404


@pytest.mark.parametrize(
    ("role", "department"),
    [("handler", "so-y-te"), ("leader", "so-y-te"), ("auditor", None), ("administrator", None)],
)
def test_a_report_of_others_is_not_found(desk, report, role, department):
    desk().move(report, "assign", department=STAND)
    somebody = desk(role, department)

    assert somebody.get(f"/admin/reports/{report.id}").status_code == 404
    assert somebody.move(report, "claim", version=2).status_code == 404
    assert somebody.edit(report, "publish", public_text="x").status_code == 404
    assert somebody.post(f"/admin/reports/{report.id}/reporter").status_code == 404
    assert report.code not in somebody.page("/admin/?state=all")


def test_an_unknown_report_is_a_page_that_says_so(desk):
    answer = desk().get(f"/admin/reports/{uuid.uuid4()}")

    assert answer.status_code == 404
    assert "Không có phản ánh này." in answer.text


def test_a_conflict_names_the_change_and_keeps_the_text(desk, report):
    first, second = desk(name="Nông Văn Trước"), desk()
    first.move(report, "assign", department=STAND)
    answer = second.move(report, "reject", reason="insufficient", text="Xin <gửi> thêm ảnh")

    assert answer.status_code == 409
    assert "Xin &lt;gửi&gt; thêm ảnh</textarea>" in answer.text
    assert '<option value="insufficient" selected>' in answer.text
    assert "Phân công cho đơn vị – Nông Văn Trước" in answer.text
    assert 'name="version" value="2"' in answer.text


def test_a_conflict_keeps_the_text_of_a_step_that_is_gone(desk, report):
    dispatcher = desk()
    dispatcher.move(report, "assign", department=STAND)
    handler, leader = desk("handler", STAND), desk("leader", STAND)
    handler.move(report, "claim", version=2)
    leader.move(report, "reject", version=3, reason="no_action", text="Không có việc.")

    answer = handler.move(report, "resolve", version=3, text="Đã vá cả đoạn.")

    assert answer.status_code == 409
    assert "Đã vá cả đoạn." in answer.text


@pytest.mark.parametrize(
    ("step", "fields", "status", "text"),
    [
        ("assign", {}, 422, "Vui lòng điền đơn vị."),
        ("assign", {"department": "no-such"}, 422, "Vui lòng chọn một đơn vị"),
        ("assign", {"department": STAND, "category": "no-such"}, 422, "Vui lòng chọn một lĩnh vực"),
        ("reject", {"reason": "because", "text": "Vì thế."}, 422, "Vui lòng chọn một lý do"),
        ("reject", {"reason": "not_ours", "text": "   "}, 422, "Vui lòng điền nội dung trả lời."),
        ("reject", {"reason": "not_ours", "text": "x" * 4001}, 422, "dài quá 4000 ký tự"),
        ("claim", {}, 409, "“Mới nhận”, không chuyển sang “Đang xử lý”"),
        ("resolve", {"text": "Xong."}, 409, "“Mới nhận”, không chuyển sang “Đã có kết quả”"),
    ],
)
def test_what_cannot_be_done_is_said_on_the_page(desk, session, report, step, fields, status, text):
    answer = desk().move(report, step, **fields)

    assert answer.status_code == status
    assert text in answer.text
    session.expire_all()
    assert session.get_one(Report, report.id).state is ReportState.RECEIVED


def test_a_report_is_published_with_a_cleared_text_and_taken_back(desk, session, report):
    communicator = desk("communicator")
    assert communicator.edit(report, "publish", public_text=" ").status_code == 422
    communicator.edit(report, "publish", public_text="Ổ gà trên đường.")
    session.expire_all()
    assert session.get_one(Report, report.id).visibility is Visibility.PUBLIC

    communicator.edit(report, "unpublish", version=2, public_text="Ổ gà trên đường.")

    session.expire_all()
    assert session.get_one(Report, report.id).visibility is Visibility.PRIVATE


def resolving(desk, report, photo):
    """The answer to a handler who closes the report with this file."""
    desk().move(report, "assign", department=STAND)
    handler = desk("handler", STAND)
    handler.move(report, "claim", version=2)
    return handler.move(
        report, "resolve", version=3, text="Đã vá.", photo=(io.BytesIO(photo), "result.jpg")
    )


def test_a_result_may_come_with_a_photo(desk, session, report):
    answer = resolving(desk, report, factories.jpeg())

    assert answer.status_code == 303
    photo = session.scalars(select(Upload)).one()
    assert (photo.report_id, photo.shows_result) == (report.id, True)


def test_a_photo_of_the_result_waits_for_a_store_that_is_away(
    app, desk, session, report, monkeypatch
):
    for name, value in stores.variables(stores.closed()).items():
        monkeypatch.setenv(name, value)
    object.__setattr__(app.extensions["c_thainguyen"], "storage", open_storage("s3://photos"))

    answer = resolving(desk, report, factories.jpeg())

    session.expire_all()
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "Tạm thời không lưu" in answer.text
    assert session.get_one(Report, report.id).state is ReportState.IN_PROGRESS
    assert session.scalars(select(Upload)).all() == []


def test_a_result_with_a_file_that_is_no_photo_is_refused_whole(desk, session, report):
    answer = resolving(desk, report, b"<svg>")

    assert answer.status_code == 415
    assert "không phải ảnh chụp" in answer.text
    assert "Đã vá.</textarea>" in answer.text
    session.expire_all()
    assert session.get_one(Report, report.id).state is ReportState.IN_PROGRESS
    assert session.scalars(select(Upload)).all() == []


def test_a_handler_may_not_publish(desk, report):
    desk().move(report, "assign", department=STAND)
    handler = desk("handler", STAND)

    assert "Nội dung công khai" not in page_of(handler, report)
    assert handler.edit(report, "publish", version=2, public_text="x").status_code == 403


def looks(session):
    query = select(func.count()).where(AuditEvent.action == "report:read_reporter")
    return session.scalar(query)


def test_the_reporter_is_shown_on_request_and_the_look_is_recorded_once(desk, session, report):
    dispatcher = desk()
    page = page_of(dispatcher, report)
    assert "Người Gửi Tin" not in page
    assert "việc xem được ghi lại" in page
    assert looks(session) == 0

    answer = dispatcher.post(f"/admin/reports/{report.id}/reporter")

    assert "Người Gửi Tin" in answer.text
    assert looks(session) == 1
    event = session.scalar(select(AuditEvent).where(AuditEvent.action == "report:read_reporter"))
    assert (event.actor_id, event.subject_id) == (dispatcher.staff.id, report.id)


@pytest.mark.parametrize(
    ("role", "hidden", "sees"),
    [
        ("dispatcher", False, True),
        ("dispatcher", True, True),
        ("leader", False, True),
        ("leader", True, False),
        ("handler", False, False),
        ("communicator", False, False),
    ],
)
def test_who_may_see_the_reporter(desk, session, citizen, role, hidden, sees):
    report = factories.a_report(session, citizen, hide_reporter=hidden)
    desk().move(report, "assign", department=STAND)
    somebody = desk(role, STAND if role in {"handler", "leader"} else None)

    answer = somebody.post(f"/admin/reports/{report.id}/reporter")

    assert ("Xem người gửi" in page_of(somebody, report)) is sees
    assert ("Người Gửi Tin" in answer.text) is sees
    assert answer.status_code == (200 if sees else 403)
    assert looks(session) == int(sees)


def test_the_assigned_handler_may_see_the_reporter(desk, report):
    desk().move(report, "assign", department=STAND)
    handler = desk("handler", STAND)
    handler.move(report, "claim", version=2)

    assert "Người Gửi Tin" in handler.post(f"/admin/reports/{report.id}/reporter").text


def test_when_the_contact_was_removed_the_page_says_so_and_shows_nobody(desk, session, report):
    dispatcher = desk()
    report.contact_removed_at = factories.NOON
    session.commit()

    assert "Thông tin người gửi đã được gỡ" in page_of(dispatcher, report)
    assert dispatcher.post(f"/admin/reports/{report.id}/reporter").status_code == 403
    assert looks(session) == 0


def test_internal_steps_are_marked_and_hidden_from_communicators(desk, report):
    dispatcher = desk()
    dispatcher.move(report, "assign", department=STAND)
    dispatcher.move(report, "hand_over", version=2, department="so-y-te", reason="Chuyện nội bộ")

    assert "Chuyện nội bộ" in page_of(dispatcher, report)
    assert "Nội bộ</span>" in page_of(dispatcher, report)
    assert "Chuyện nội bộ" not in page_of(desk("communicator"), report)


XSS = "\"><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7*7 }}'</textarea>"


def test_what_people_wrote_is_text_on_every_page(desk, session):
    citizen = factories.a_citizen(session, f"Tên {XSS}")
    report = factories.a_report(session, citizen, description=f"Lời {XSS}", address=f"Nơi {XSS}")
    dispatcher = desk(name=f"Cán {XSS}")
    dispatcher.edit(report, "publish", public_text=f"Công {XSS}")
    dispatcher.move(report, "reject", version=2, reason="abusive", text=f"Trả {XSS}")

    pages = [
        dispatcher.post(f"/admin/reports/{report.id}/reporter").text,
        dispatcher.page("/admin/?state=all"),
        dispatcher.page(f"/admin/?code={XSS}&state=all"),
        dispatcher.move(report, "reject", version=2, reason="abusive", text=f"Giữ {XSS}").text,
    ]

    for page in pages:
        assert "<script>alert" not in page
        assert "<img src=x" not in page
    for word in ("Tên", "Lời", "Nơi", "Công", "Trả"):
        assert f"{word} &#34;&gt;&lt;script&gt;" in pages[0]


def test_photos_come_by_signed_links_of_this_host(app, desk, session, citizen):
    storage = app.extensions["c_thainguyen"].storage
    upload = factories.an_upload(session, citizen, storage)
    report = factories.a_report(session, citizen, upload_ids=[upload])
    dispatcher = desk()

    source = re.search(r'<img src="([^"]+)"', page_of(dispatcher, report))[1]

    assert source.startswith("/api/v1/files/")
    assert dispatcher.get(source).mimetype == "image/jpeg"


def test_a_rating_is_shown(desk, session, report):
    session.add(report)
    report.rating, report.rating_text, report.rated_at = 4, "Nhanh, cảm ơn.", factories.NOON
    session.commit()

    page = page_of(desk(), report)

    assert "4/5" in page
    assert "Nhanh, cảm ơn." in page


def pause(desk, report, **fields):
    usual = {"days": "3", "reason": "Lời lẽ xúc phạm."}
    return desk.post(f"/admin/reports/{report.id}/pause", **(usual | fields))


def test_the_author_is_made_to_pause_without_being_shown(desk, report):
    dispatcher = desk()

    answer = pause(dispatcher, report)

    page = dispatcher.page(answer.headers["Location"])
    for shown in ("Đã tạm khóa người gửi", "Đến 26/11/2026 10:00", "Lời lẽ xúc phạm."):
        assert shown in page
    assert "Người Gửi Tin" not in page
    assert f"/admin/reports/{report.id}/pause" not in page
    address = re.search(r"/admin/pauses/[0-9a-f-]{36}", page)[0]
    dispatcher.post(address, step="lift_pause", reason="Đã xem lại.")
    assert f"/admin/reports/{report.id}/pause" in page_of(dispatcher, report)


def test_on_another_report_of_the_author_a_pause_is_not_told(desk, session, citizen, report):
    other = factories.a_report(session, citizen)
    dispatcher = desk()
    before = page_of(dispatcher, other)
    pause(dispatcher, report)

    assert page_of(dispatcher, other) == before


@pytest.mark.parametrize("fields", [{"days": "0"}, {"days": "91"}, {"reason": " "}])
def test_a_pause_that_is_not_right_keeps_what_was_typed(desk, report, fields):
    answer = pause(desk(), report, **fields)

    assert answer.status_code == 422
    assert "từ 1 đến 90 ngày" in answer.text
    if "reason" not in fields:
        assert "Lời lẽ xúc phạm." in answer.text


def test_a_pause_that_a_colleague_made_meanwhile_is_told(desk, report):
    pause(desk(), report)

    answer = pause(desk(), report, reason="Tin giả.")

    assert answer.status_code == 409
    assert "đang bị tạm khóa vì phản ánh này đến 26/11/2026 10:00" in answer.text
    assert "Tin giả." in answer.text


def test_a_pause_by_a_form_that_is_none_of_ours_is_refused(desk, report):
    assert pause(desk(), report, days="x").status_code == 400


@pytest.mark.parametrize("role", ["handler", "leader"])
def test_only_dispatchers_have_authors_pause(desk, report, role):
    desk().move(report, "assign", department=STAND)
    somebody = desk(role, STAND)

    assert f"{report.id}/pause" not in page_of(somebody, report)
    assert pause(somebody, report).status_code == 403


def test_ones_own_report_is_shown_without_forms(desk, session):
    somebody = desk()
    report = factories.a_report(session, factories.person_of(session, somebody.staff))

    page = page_of(somebody, report)
    answer = somebody.move(report, "assign", department=STAND)

    assert "Đây là phản ánh của chính bạn" in page
    assert f"/admin/reports/{report.id}/" not in page
    assert answer.status_code == 403
    assert "Không ai được giải quyết việc của chính mình" in answer.text
