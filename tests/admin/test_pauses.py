"""The pages of those who have to pause: what is shown to whom, and what is offered."""

import re

import pytest

from services import feedback
from tests import factories
from tests.factories import NOON

HOME = "/admin/pauses"
XSS = "<script>alert(1)</script>"


@pytest.fixture
def maker(desk):
    return desk(name="Lê Thị Khóa")


@pytest.fixture
def pause(session, report, maker):
    made = feedback.pause_reporter(
        session, maker.staff.actor, report.id, days=7, reason=f"Xúc phạm {XSS}", at=NOON
    )
    session.commit()
    return made


def appeal(session, citizen, pause):
    actor = factories.citizen_actor(citizen)
    feedback.appeal(session, actor, pause.id, text=f"Tôi phản đối {XSS}", at=NOON)
    session.commit()


def test_the_list_says_for_which_report_until_when_why_and_by_whom(desk, report, pause):
    assert pause.report_id == report.id
    for somebody in (desk(), desk("administrator")):
        page = somebody.page(HOME)
        for told in (report.code, "30/11/2026 10:00", "Xúc phạm", "Lê Thị Khóa"):
            assert told in page
        assert "Người Gửi Tin" not in page
        assert XSS not in page


@pytest.mark.parametrize(
    ("role", "department"),
    [("handler", "so-xay-dung"), ("leader", "so-xay-dung"), ("auditor", None)],
)
def test_others_have_no_such_pages(desk, pause, role, department):
    somebody = desk(role, department)

    assert HOME not in somebody.page("/admin/")
    for path in (HOME, f"{HOME}/{pause.id}"):
        assert somebody.get(path).status_code == 403
    refused = somebody.post(f"{HOME}/{pause.id}", step="lift_pause", reason="x")
    assert refused.status_code == 403


def test_an_appeal_is_shown_and_answered_by_somebody_else(desk, session, citizen, maker, pause):
    appeal(session, citizen, pause)
    address = f"{HOME}/{pause.id}"
    assert "Chờ trả lời" in maker.page(HOME)
    assert "keep_pause" not in maker.page(address)
    refused = maker.post(address, step="keep_pause", reason="Vẫn thế.")
    assert refused.status_code == 403
    for told in ("không tự quyết định", "Vẫn thế."):
        assert told in refused.text
    administrator = desk("administrator")
    page = administrator.page(address)
    assert "Tôi phản đối" in page
    assert XSS not in page
    assert "/admin/reports/" not in page

    done = administrator.post(address, step="keep_pause", reason="Lời lẽ vẫn vậy.")

    page = administrator.page(done.headers["Location"])
    for told in ("Đã trả lời ý kiến phản đối", "Lời lẽ vẫn vậy."):
        assert told in page
    assert 'value="keep_pause"' not in page
    assert 'value="lift_pause"' in page


@pytest.mark.parametrize("late", [False, True])
def test_an_appeal_is_granted_on_its_page_also_when_the_pause_has_run_out(
    desk, session, citizen, clock, pause, late
):
    appeal(session, citizen, pause)
    clock.forward(days=8 if late else 1)
    somebody = desk()
    address = f"{HOME}/{pause.id}"
    page = somebody.page(address)
    assert re.findall(r'name="step" value="(\w+)"', page) == ["grant_appeal", "keep_pause"]
    assert ("chấm dứt ngay" in page) != late

    done = somebody.post(address, step="grant_appeal", reason="Đã xem lại.")

    page = somebody.page(done.headers["Location"])
    for told in ("Đã chấp nhận ý kiến phản đối", "Đã xem lại.", "Không còn gì để quyết định."):
        assert told in page
    assert ("<dt>Bỏ tạm khóa" in page) != late


def test_how_many_appeals_wait_stands_in_the_navigation_of_who_may_answer(
    desk, session, citizen, maker, pause, statements
):
    colleague, handler = desk("administrator"), desk("handler", "so-xay-dung")
    before = colleague.page("/admin/")
    appeal(session, citizen, pause)

    with statements() as seen:
        after = colleague.page("/admin/")

    assert "ý kiến phản đối chờ bạn trả lời" not in before
    assert re.search(r"<b>1<span class=.hidden.> ý kiến phản đối chờ bạn trả lời", after)
    assert len([text for text in seen if "reporter_blocks" in text]) == 1
    for somebody in (maker, handler):
        assert "chờ bạn trả lời" not in somebody.page("/admin/")


def test_a_pause_is_ended_with_a_reason(desk, pause):
    somebody = desk()
    address = f"{HOME}/{pause.id}"

    blank = somebody.post(address, step="lift_pause", reason=" ")
    done = somebody.post(address, step="lift_pause", reason="Đã xem lại.")

    assert blank.status_code == 422
    page = somebody.page(done.headers["Location"])
    assert "Đã bỏ tạm khóa và báo cho người gửi." in page
    assert "Không còn gì để quyết định." in page
    assert "Không có ai đang bị tạm khóa." in somebody.page(HOME)


def test_a_step_that_is_none_is_refused(desk, pause):
    assert desk().post(f"{HOME}/{pause.id}", step="nonsense", reason="x").status_code == 400
