"""What is grave wants a sign-in of a moment ago, and a sign-in is always a new session."""

import datetime as dt
import re
from urllib.parse import quote

import pytest
from sqlalchemy import func, select

from models import AdminSession, AuditEvent, Child, ChildState, DataRequestKind, Staff
from services.privacy import requests
from tests import factories
from tests.admin.conftest import enter

STAND = "so-xay-dung"


@pytest.fixture
def administrator(desk):
    return desk("administrator")


@pytest.fixture
def handler(session):
    return factories.a_staff(session, (("handler", STAND),))


DEEDS = {
    "invite": ("", {"name": "Lý Thị Mới", "citizen_number": "0" * 12, "role": "dispatcher"}),
    "name": ("/{id}/name", {"name": "Tên Khác"}),
    "add a role": ("/{id}/roles", {"role": "dispatcher"}),
    "remove a role": ("/{id}/roles/remove", {"grant": "x"}),
    "disable": ("/{id}/disabled", {"step": "disable"}),
}


@pytest.mark.parametrize("deed", DEEDS)
def test_managing_staff_wants_a_sign_in_within_a_quarter_of_an_hour(
    administrator, session, handler, clock, deed
):
    path, fields = DEEDS[deed]
    address = f"/admin/people{path.format(id=handler.id)}"
    count = session.scalar(select(func.count()).select_from(Staff))
    clock.forward(minutes=16)

    answer = administrator.post(address, version="1", **fields)

    assert answer.status_code == 401
    assert "không quá 15 phút trước" in answer.text
    assert "chưa được lưu" in answer.text
    back = "people%2Fnew" if deed == "invite" else f"people%2F{handler.id}"
    assert f"/admin/login?next=%2Fadmin%2F{back}" in answer.text
    session.expire_all()
    assert session.get_one(Staff, handler.id).version == 1
    assert session.scalar(select(func.count()).select_from(Staff)) == count


def test_who_would_type_in_vain_is_told_before(administrator, handler, clock):
    pages = ("/admin/people/new", f"/admin/people/{handler.id}")
    before = [administrator.page(page) for page in pages]
    clock.forward(minutes=16)

    after = [administrator.page(page) for page in pages]

    for fresh, stale in zip(before, after, strict=True):
        assert "Đăng nhập lại" not in fresh
        assert "Đăng nhập lại" in stale
        assert '<form method="post" action="/admin/people' in fresh
        assert '<form method="post" action="/admin/people' not in stale
    assert administrator.get("/admin/people").status_code == 200


def work_for_four_hours(desk, clock):
    for _ in range(9):
        clock.forward(minutes=27)
        desk.get("/admin/")


def test_a_look_at_a_name_wants_a_sign_in_within_four_hours(desk, report, session, clock):
    dispatcher = desk()
    work_for_four_hours(dispatcher, clock)
    asked = dispatcher.post(f"/admin/reports/{report.id}/reporter")

    assert asked.status_code == 401
    assert "không quá 4 giờ trước" in asked.text
    assert "Người Gửi Tin" not in asked.text
    assert dispatcher.get(f"/admin/reports/{report.id}").status_code == 200
    looks = select(func.count()).where(AuditEvent.action == "report:read_reporter")
    assert session.scalar(looks) == 0
    again = enter(dispatcher.client.application, session, clock, dispatcher.staff)
    assert "Người Gửi Tin" in again.post(f"/admin/reports/{report.id}/reporter").text


def test_so_does_a_look_at_who_asked_about_their_data_or_named_a_child(
    administrator, session, citizen, clock
):
    wish = requests.Wish(DataRequestKind.VIEW, text="Xin xem.")
    actor = factories.citizen_actor(citizen)
    asked = requests.submit(session, actor, wish, vault=factories.VAULT, at=factories.NOON)
    session.commit()
    looks = {
        f"/admin/data-requests/{asked.id}": "person",
        f"/admin/guardians/{factories.a_child(session, citizen)}": "look",
    }
    work_for_four_hours(administrator, clock)

    for address, look in looks.items():
        answer = administrator.post(f"{address}/{look}")

        assert answer.status_code == 401
        assert "không quá 4 giờ trước" in answer.text
        assert f"next={quote(address, safe='')}" in answer.text
        assert "Người Gửi Tin" not in answer.text
    seen = select(func.count()).where(AuditEvent.about_id.is_not(None))
    assert session.scalar(seen) == 0


@pytest.mark.parametrize("deed", ["confirm", "refuse"])
def test_deciding_on_a_guardian_wants_a_sign_in_within_a_quarter_of_an_hour(
    administrator, session, citizen, clock, deed
):
    child_id = factories.a_child(session, citizen)
    address = f"/admin/guardians/{child_id}"
    clock.forward(minutes=16)

    answer = administrator.post(f"{address}/{deed}", version="1", reason="Thiếu giấy.")
    page = administrator.post(f"{address}/look").text

    assert answer.status_code == 401
    assert "không quá 15 phút trước" in answer.text
    assert f"next={quote(address, safe='')}" in answer.text
    session.expire_all()
    assert session.get_one(Child, child_id).state is ChildState.PENDING
    assert f'action="{address}/{deed}"' not in page
    assert f"next={quote(address, safe='')}" in page
    again = enter(administrator.client.application, session, clock, administrator.staff)
    done = again.post(f"{address}/{deed}", version="1", reason="Thiếu giấy.")
    assert done.status_code == 303


@pytest.mark.parametrize("acr", [None, "urn:thainguyen:loa:1"])
def test_a_session_of_another_level_or_of_a_former_release_is_not_enough(
    administrator, session, handler, acr
):
    session.execute(AdminSession.__table__.update().values(acr=acr))
    session.commit()

    answer = administrator.post(f"/admin/people/{handler.id}/name", version="1", name="Tên Khác")

    assert answer.status_code == 401


def test_a_session_that_does_not_know_its_sign_in_is_not_enough(administrator, session, handler):
    session.execute(AdminSession.__table__.update().values(auth_time=None))
    session.commit()

    answer = administrator.post(f"/admin/people/{handler.id}/name", version="1", name="Tên Khác")

    assert answer.status_code == 401


def test_signing_in_again_is_a_new_session_and_the_old_one_is_dead(client, provider, app):
    provider.invite("dieuphoi1")
    client.get(provider.send_back(client, "dieuphoi1"))
    old = client.get_cookie("admin", path="/admin").value

    client.get(provider.send_back(client, "dieuphoi1"))

    new = client.get_cookie("admin", path="/admin").value
    assert new != old
    assert client.get("/admin/").status_code == 200
    thief = app.test_client()
    thief.set_cookie("admin", old, path="/admin")
    assert thief.get("/admin/").status_code == 303


def test_a_cookie_that_was_planted_is_never_adopted(client, provider, session):
    provider.invite("dieuphoi1")
    client.set_cookie("admin", "planted-by-somebody-else", path="/admin")

    client.get(provider.send_back(client, "dieuphoi1"))

    assert client.get_cookie("admin", path="/admin").value != "planted-by-somebody-else"
    assert session.scalar(select(func.count()).select_from(AdminSession)) == 1


def test_signing_in_as_somebody_else_ends_the_session_of_the_former(client, provider, session):
    provider.invite("dieuphoi1")
    provider.invite("dieuphoi2")
    client.get(provider.send_back(client, "dieuphoi1"))

    client.get(provider.send_back(client, "dieuphoi2"))

    ended = session.scalars(select(AdminSession.ended_at).order_by(AdminSession.id)).all()
    assert [moment is not None for moment in ended] == [True, False]


def test_the_session_remembers_when_and_how_somebody_signed_in(client, provider, session):
    provider.invite("dieuphoi1")
    client.get(provider.send_back(client, "dieuphoi1"))

    (row,) = session.scalars(select(AdminSession))

    assert row.acr == "urn:thainguyen:loa:2"
    assert abs(dt.datetime.now(dt.UTC) - row.auth_time) < dt.timedelta(minutes=1)


def test_a_fresh_sign_in_leads_back_to_the_person(client, provider, handler):
    provider.invite("quantri1", "administrator")
    asked = client.get(f"/admin/people/{handler.id}").headers["Location"]
    assert re.search(r"next=%2Fadmin%2Fpeople%2F", asked)

    answer = client.get(provider.send_back(client, "quantri1", asked))

    assert answer.headers["Location"] == f"/admin/people/{handler.id}"
