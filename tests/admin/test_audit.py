"""The auditor's page: what was done, who saw whom, and how sound the chain is."""

import datetime as dt
import re

import pytest
from sqlalchemy import func, select

from models import AuditEvent, AuditLink, Role
from models.base import new_id
from services import audit
from services.audit import AuditKeys, Deed
from tests import factories
from tests.audit.conftest import a_key

PATH = "/admin/audit"


@pytest.fixture
def auditor(desk):
    return desk("auditor", name="Ma Văn Kiểm")


@pytest.fixture
def look(desk, report):
    """A dispatcher looked at who sent a report."""
    dispatcher = desk(name="Trần Văn Xem")
    dispatcher.post(f"/admin/reports/{report.id}/reporter")
    return dispatcher.staff


def rows(page):
    body = page.partition("<tbody")[2].partition("</tbody>")[0]
    return [re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", row)) for row in body.split("<tr ")[1:]]


def searches(session):
    query = select(func.count()).where(AuditEvent.action == Deed.AUDIT_SEARCH)
    return session.scalar(query)


@pytest.mark.usefixtures("look")
def test_a_look_stands_there_with_who_whom_and_why(auditor, citizen):
    (row,) = rows(auditor.page(f"{PATH}?looks=1"))

    for text in (
        "23/11/2026 10:00",
        "Xem ai đã gửi phản ánh",
        "Trần Văn Xem",
        "Điều phối",
        str(citizen.id),
        "mục đích: xử lý phản ánh; đã xem: họ tên",
        "chờ",
    ):
        assert text in row
    assert "Người Gửi Tin" not in row


def test_every_deed_that_is_recorded_can_be_shown(auditor, session):
    for deed in Deed:
        audit.record(session, deed, actor=None, subject=("audit", None), at=factories.NOON, n=1)
    session.add(
        AuditEvent(
            at=factories.NOON,
            actor_kind="facility",
            action="newer:deed",
            subject_type="newer",
            detail={},
            role="newer_role",
            purpose="newer_purpose",
        )
    )
    session.commit()

    page = auditor.page(PATH)

    for deed in Deed:
        assert audit.title(deed, "vi") in page
    assert "newer_role" in page


def test_one_click_leads_to_all_of_one_person(auditor, look):
    page = auditor.page(f"{PATH}?looks=1")
    address = re.search(rf'href="([^"]*actor={look.id})"', page)[1].replace("&amp;", "&")

    found = rows(auditor.page(address))

    assert address == f"{PATH}?looks=1&actor={look.id}"
    assert len(found) == 1
    assert len(rows(auditor.page(f"{PATH}?actor={look.id}"))) == 2  # The entry, and the look.


def test_days_are_those_of_the_province(auditor, session):
    # A quarter to midnight of the 22nd, and midnight of the 23rd.
    for minutes in (-15, 0):
        at = dt.datetime(2026, 11, 22, 17, tzinfo=dt.UTC) + dt.timedelta(minutes=minutes)
        audit.record(session, Deed.SESSION_ALARM, actor=None, subject=("session", None), at=at)
    session.commit()

    def on(first, last):
        query = f"action=session%3Aalarm&from={first}&to={last}"
        return [row.split(" ")[4:6] for row in rows(auditor.page(f"{PATH}?{query}"))]

    assert len(on("2026-11-22", "2026-11-22")) == len(on("2026-11-23", "2026-11-23")) == 1
    assert len(on("2026-11-22", "2026-11-23")) == 2
    assert len(on("", "")) == 2


def test_pages_follow_one_another_and_are_one_search(auditor, session):
    for _ in range(60):
        audit.record(
            session, Deed.SESSION_ALARM, actor=None, subject=("session", None), at=factories.NOON
        )
    session.commit()

    first = auditor.page(f"{PATH}?action=session%3Aalarm")
    more = re.search(r'href="([^"]+)" rel="next"', first)[1].replace("&amp;", "&")
    second = auditor.page(more)

    assert (len(rows(first)), len(rows(second))) == (50, 10)
    assert 'rel="next"' not in second
    assert searches(session) == 1
    assert auditor.get(f"{PATH}?cursor={more.partition('cursor=')[2]}").status_code == 400


@pytest.mark.parametrize(
    "query", ["action=x", "actor=x", "from=x", "to=9999-12-31", "cursor=x", "about=%00"]
)
def test_what_is_no_search_is_refused_in_words(auditor, session, query):
    answer = auditor.get(f"{PATH}?{query}")

    assert answer.status_code == 400
    assert answer.mimetype == "text/html"
    assert searches(session) == 0


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.AUDITOR])
def test_other_roles_find_neither_the_page_nor_a_link_to_it(desk, role):
    somebody = desk(role, "so-xay-dung" if role in {"handler", "leader"} else None)

    answer = somebody.get(PATH)

    assert answer.status_code == 403
    assert "Chỉ người kiểm tra nhật ký" in answer.text
    assert "/admin/audit" not in somebody.page("/admin/")


def test_an_auditor_is_led_to_it_and_sees_no_report(auditor, report):
    page = auditor.page("/admin/")

    assert '<a href="/admin/audit">Nhật ký</a>' in page
    assert report.code not in page
    assert auditor.get(f"/admin/reports/{report.id}").status_code == 404


def test_whoever_must_sign_in_comes_back_to_it(client, provider):
    provider.invite("quantri1", "auditor")

    back = client.get(provider.send_back(client, "quantri1", "/admin/login?next=/admin/audit"))

    assert back.headers["Location"] == "/admin/audit"


def test_the_state_of_an_empty_chain_is_told(auditor):
    page = auditor.page(PATH)

    assert "chưa có việc nào" in page
    assert page.count("chưa có</dd>") == 2


def test_the_state_of_the_chain_is_told(auditor, session):
    for number in range(3):
        session.add(
            AuditLink(
                position=number + 1,
                event_id=session.scalars(select(AuditEvent.id)).all()[0]
                if number == 2
                else new_id(),
                xid=number,
                hash=bytes(32),
            )
        )
    session.flush()
    keys = AuditKeys(a_key())
    audit.sign_head(session, keys, at=factories.NOON)
    audit.record(
        session,
        Deed.AUDIT_VERIFY,
        actor=None,
        subject=("audit", None),
        at=factories.NOON,
        chained=3,
        signed=2,
        faults=0,
    )
    session.commit()

    page = auditor.page(PATH)

    assert "đến vị trí 3" in page
    assert f"vị trí 3, 23/11/2026 10:00, khóa <code>{keys.key_id}</code>" in page
    assert "Không có sai lệch</span> 23/11/2026 10:00, bảo đảm đến vị trí 2" in page


def test_faults_are_told_in_words_and_not_by_colour_alone(auditor, session):
    audit.record(
        session,
        Deed.AUDIT_VERIFY,
        actor=None,
        subject=("audit", None),
        at=factories.NOON,
        chained=3,
        signed=2,
        faults=4,
    )
    session.commit()

    assert "4 sai lệch" in auditor.page(PATH)
