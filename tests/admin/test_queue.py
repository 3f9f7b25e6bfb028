"""The queue: what stands in it, and how it is narrowed."""

import datetime as dt
import re

import pytest

from models import ReportState
from tests import factories


def codes(page):
    return re.findall(r'href="/admin/reports/[0-9a-f-]+">([^<]+)</a>', page)


def assigned(session, report, department="so-xay-dung"):
    dispatcher = factories.a_staff(session)
    return factories.moved(
        session, report, (dispatcher, {"to": ReportState.ASSIGNED, "department": department})
    )


def test_a_row_tells_what_a_dispatcher_looks_for(desk, session, citizen, clock):
    factories.a_report(session, citizen, at=clock.now - dt.timedelta(hours=3))

    page = desk().page("/admin/")

    for text in ("TN-26-", "Giao thông và hạ tầng", "3 giờ", "Còn hạn", "Chưa phân công"):
        assert text in page
    assert "Mới nhận" in page


def test_the_clock_says_late_in_a_word(desk, session, citizen, clock):
    factories.a_report(session, citizen, at=clock.now - dt.timedelta(days=12))

    page = desk().page("/admin/")

    assert "12 ngày" in page
    assert "Quá hạn" in page


def test_an_empty_queue_says_so(desk):
    assert "Không có phản ánh nào ở đây" in desk().page("/admin/")
    assert "khớp với bộ lọc" in desk().page("/admin/?code=TN-26-999999")


def test_the_chips_count_what_the_actor_may_read(desk, session, citizen):
    factories.a_report(session, citizen)
    assigned(session, factories.a_report(session, citizen))

    assert "Cần xử lý <b>2</b>" in desk().page("/admin/")
    assert "Cần xử lý <b>1</b>" in desk("handler", "so-xay-dung").page("/admin/")
    assert "Cần xử lý <b>0</b>" in desk("handler", "so-y-te").page("/admin/")


def test_a_handler_sees_the_own_department_only(desk, session, citizen):
    factories.a_report(session, citizen)
    own = assigned(session, factories.a_report(session, citizen))

    assert codes(desk("handler", "so-xay-dung").page("/admin/?state=all")) == [own.code]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("state=received", True),
        ("state=resolved", False),
        ("state=all", True),
        ("category=giao-thong", True),
        ("category=y-te", False),
        ("department=so-xay-dung", False),
        ("place=99999", False),
    ],
)
def test_the_filters_narrow_the_queue(desk, report, query, found):
    assert (report.code in codes(desk().page(f"/admin/?{query}"))) is found


def test_a_report_is_found_by_its_code_however_it_is_typed(desk, report):
    assert codes(desk().page(f"/admin/?state=all&code=+{report.code.lower()}+")) == [report.code]


@pytest.mark.parametrize("query", ["before=x", "before=1%27--", "state=nonsense"])
def test_an_address_that_cannot_be_right_is_refused(desk, query):
    answer = desk().get(f"/admin/?{query}")

    assert answer.status_code == 400
    assert answer.mimetype == "text/html"


def test_more_goes_on_where_the_page_ended(desk, session, citizen):
    sent = [
        factories.a_report(session, citizen, at=factories.NOON + dt.timedelta(hours=hour)).code
        for hour in range(53)
    ]
    dispatcher = desk()
    first = dispatcher.page("/admin/")

    assert codes(first) == sent[:2:-1]
    address = first.split('rel="next"')[0].rsplit('href="', 1)[1].split('"')[0]
    second = dispatcher.page(address)
    assert codes(second) == sent[2::-1]
    assert 'rel="next"' not in second


def test_the_number_of_statements_does_not_grow_with_the_queue(desk, session, citizen, statements):
    dispatcher = desk()
    counts = []
    for _ in range(2):
        for _ in range(3):
            factories.a_report(session, citizen)
        with statements() as seen:
            dispatcher.get("/admin/")
        counts.append(len([text for text in seen if text.startswith("SELECT")]))

    assert counts[0] == counts[1]


def test_new_reports_are_announced_not_pushed_in(desk, session, citizen, report):
    dispatcher = desk()
    address = f"/admin/new?since={report.id}"
    before = dispatcher.get(address)
    assert before.text.strip() == ""

    factories.a_report(session, citizen)
    after = dispatcher.get(address, headers={"If-None-Match": before.headers["ETag"]})
    again = dispatcher.get(address, headers={"If-None-Match": after.headers["ETag"]})

    assert "Có 1 phản ánh mới" in after.text
    assert after.headers["Cache-Control"] == "private, no-cache"
    assert again.status_code == 304


def test_what_the_page_asks_by_itself_is_not_sent_to_the_provider(client):
    answer = client.get("/admin/new", headers={"HX-Request": "true"})

    assert answer.status_code == 401


def test_without_its_slash_the_address_leads_to_the_queue_by_path_alone(desk):
    answer = desk().get("/admin")

    assert (answer.status_code, answer.headers["Location"]) == (308, "/admin/")
