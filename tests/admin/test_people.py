"""The pages on which administrators manage the staff, as plain forms."""

import re
import uuid

import pytest
from sqlalchemy import select

from models import AuditEvent, RoleGrant, Staff
from tests import factories

NUMBER = "019099000001"
STAND = "so-xay-dung"
PEOPLE = "/admin/people"
COMMUNES = ["05443", "05455"]


@pytest.fixture
def administrator(desk):
    return desk("administrator", name="Ma Văn Quản")


@pytest.fixture
def handler(session):
    return factories.a_staff(session, (("handler", STAND),), "Lê Thị Xử")


def invite(desk, **changes):
    fields = {"name": "Lý Thị Mới", "citizen_number": NUMBER, "role": "dispatcher"}
    return desk.post(PEOPLE, **(fields | changes))


def change(desk, person, what, **fields):
    version = fields.pop("version", "1")
    return desk.post(f"{PEOPLE}/{person.id}/{what}", version=version, **fields)


def roles_of(session, person):
    session.expire_all()
    query = select(RoleGrant).where(RoleGrant.staff_id == person.id).order_by(RoleGrant.id)
    return [
        (grant.role.value, grant.department_code, grant.place_codes)
        for grant in session.scalars(query)
    ]


def newest(session):
    return session.scalars(select(Staff).order_by(Staff.id.desc())).first()


def test_somebody_is_invited_with_a_role_in_some_communes(administrator, session):
    answer = invite(
        administrator,
        citizen_number="019 099 000 001",
        role="handler",
        department=STAND,
        place=COMMUNES,
    )

    person = newest(session)
    assert (answer.status_code, person.name) == (303, "Lý Thị Mới")
    assert roles_of(session, person) == [("handler", STAND, COMMUNES)]
    page = administrator.page(answer.headers["Location"])
    assert "Đã mời." in page
    for shown in ("Lý Thị Mới", "Sở Xây dựng", "Chưa vào lần nào"):
        assert shown in page
    assert NUMBER not in page


@pytest.mark.parametrize(
    ("changes", "status", "told"),
    [
        ({"citizen_number": "12345"}, 422, "gồm 12 chữ số"),
        ({"citizen_number": "٠" * 12}, 422, "gồm 12 chữ số"),
        ({"name": "  "}, 422, "Họ tên đang để trống"),
        ({"role": "handler"}, 422, "“Xử lý” gắn với một đơn vị"),
        ({"role": "dispatcher", "department": STAND}, 422, "“Điều phối” không gắn với"),
        ({"role": "administrator", "place": COMMUNES}, 422, "không giới hạn theo xã"),
        ({"place": ["99999"]}, 422, "chọn xã, phường trong danh sách"),
        ({"role": "handler", "department": "no-such"}, 422, "chọn một đơn vị đang hoạt động"),
        ({"role": "king"}, 400, "không đúng dạng"),
        ({"place": ["<b>"]}, 400, "không đúng dạng"),
        ({"name": "x" * 101}, 422, "dài quá 100"),
    ],
)
def test_a_refused_invitation_keeps_what_was_typed_but_the_number(
    administrator, session, changes, status, told
):
    answer = invite(administrator, **changes)

    assert answer.status_code == status
    assert told in answer.text
    assert NUMBER not in answer.text
    assert newest(session).name == "Ma Văn Quản"
    if "name" not in changes:
        assert 'value="Lý Thị Mới"' in answer.text
    for code in changes.get("place", []):
        assert (f'value="{code}" checked' in answer.text) is (code in COMMUNES)


def test_nobody_is_invited_twice(administrator):
    invite(administrator)

    answer = invite(administrator)

    assert answer.status_code == 409
    assert "đã là cán bộ" in answer.text


def test_the_list_tells_roles_and_how_the_account_stands(administrator, session, handler):
    invite(administrator)
    gone = factories.a_staff(session, name="Đã Nghỉ")
    gone.disabled_at = factories.NOON
    session.commit()

    page = administrator.page(PEOPLE)

    for shown in ("Lê Thị Xử", "Xử lý – Sở Xây dựng", "Lý Thị Mới", "Chưa vào lần nào"):
        assert shown in page
    assert "Đã Nghỉ" not in page
    assert "Đã Nghỉ" in administrator.page(f"{PEOPLE}?state=disabled")
    assert "Lý Thị Mới" not in administrator.page(f"{PEOPLE}?department={STAND}")
    assert f"{PEOPLE}/{handler.id}" in administrator.page(f"{PEOPLE}?state=all")


@pytest.mark.parametrize("query", ["state=x", "before=x"])
def test_an_address_that_cannot_be_right_is_refused(administrator, query):
    assert administrator.get(f"{PEOPLE}?{query}").status_code == 400


def test_a_long_list_goes_on_where_the_page_ended(administrator, session, statements):
    for number in range(52):
        factories.a_staff(session, name=f"Cán bộ {number:02}")

    with statements() as seen:
        first = administrator.page(PEOPLE)

    address = re.search(r'href="([^"]+)" rel="next"', first)[1].replace("&amp;", "&")
    names = re.findall(r"Cán bộ \d\d", first + administrator.page(address))
    assert names == [f"Cán bộ {number:02}" for number in range(51, -1, -1)]
    assert len(seen) < 12


def test_a_role_is_added_and_its_places_are_changed(administrator, session, handler):
    change(administrator, handler, "roles", role="leader", department="dien-luc")
    answer = change(
        administrator, handler, "roles", version="2", role="handler", department=STAND,
        place=COMMUNES,
    )  # fmt: skip

    assert answer.status_code == 303
    assert sorted(roles_of(session, handler)) == [
        ("handler", STAND, COMMUNES),
        ("leader", "dien-luc", None),
    ]


def test_a_role_is_taken_away(administrator, session, handler):
    (grant,) = session.scalars(select(RoleGrant).where(RoleGrant.staff_id == handler.id))

    answer = change(administrator, handler, "roles/remove", grant=str(grant.id))

    assert answer.status_code == 303
    assert roles_of(session, handler) == []
    assert "Đã gỡ vai trò." in administrator.page(answer.headers["Location"])


def test_a_name_is_corrected(administrator, session, handler):
    change(administrator, handler, "name", name=" Lê Thị Xử Lý ")

    session.expire_all()
    assert session.get_one(Staff, handler.id).name == "Lê Thị Xử Lý"


def test_an_account_is_disabled_and_enabled_again(administrator, session, handler):
    change(administrator, handler, "disabled", step="disable")
    page = administrator.page(f"{PEOPLE}/{handler.id}")
    change(administrator, handler, "disabled", version="2", step="enable")

    assert "Đã khóa" in page
    session.expire_all()
    assert session.get_one(Staff, handler.id).disabled_at is None


def test_an_old_form_meets_a_conflict_and_loses_nothing(administrator, session, handler):
    change(administrator, handler, "name", name="Tên Mới")

    answer = change(administrator, handler, "name", name="Tên Khác")

    assert answer.status_code == 409
    assert "Người khác vừa thay đổi nội dung này" in answer.text
    assert 'value="Tên Khác"' in answer.text
    session.expire_all()
    assert session.get_one(Staff, handler.id).name == "Tên Mới"


@pytest.mark.parametrize(
    ("what", "fields"),
    [
        ("disabled", {"step": "nonsense"}),
        ("disabled", {"step": "disable", "version": "x"}),
        ("roles", {"role": "king"}),
        ("roles", {"role": "handler", "department": "x" * 61}),
        ("name", {"name": "x\x00"}),
    ],
)
def test_a_form_that_is_none_of_ours_changes_nothing(administrator, session, handler, what, fields):
    answer = change(administrator, handler, what, **fields)

    assert answer.status_code in {400, 422}
    session.expire_all()
    assert session.get_one(Staff, handler.id).version == 1


def test_somebody_is_released_from_an_account(administrator, session, handler):
    page = administrator.page(f"/admin/people/{handler.id}")
    assert "Gỡ tài khoản đã gắn" in page

    done = change(administrator, handler, "release")

    page = administrator.page(done.headers["Location"])
    assert "Đã gỡ tài khoản" in page
    assert f"{handler.id}/release" not in page
    session.expire_all()
    assert session.get_one(Staff, handler.id).citizen_id is None


def test_roles_that_do_nothing_yet_are_not_offered(administrator, handler):
    page = administrator.page(f"/admin/people/{handler.id}")
    offered = set(re.findall(r'<option value="(\w+)"', page.partition('id="role"')[2]))

    assert {
        "dispatcher",
        "handler",
        "leader",
        "communicator",
        "auditor",
        "administrator",
    } <= offered
    assert not offered & {"health_clerk", "health_manager", "market_manager", "alert_editor"}
    refused = change(administrator, handler, "roles", role="health_clerk")
    assert refused.status_code == 422
    assert "chưa có việc cho vai trò “Tiếp đón y tế”" in refused.text


def test_nobody_changes_their_own_roles(administrator, session):
    own = administrator.staff
    page = administrator.page(f"{PEOPLE}/{own.id}")
    assert "Đây là tài khoản của bạn" in page
    assert "/roles" not in page
    assert "/disabled" not in page

    answers = [
        change(administrator, own, "roles", role="dispatcher"),
        change(administrator, own, "disabled", step="disable"),
    ]

    assert [answer.status_code for answer in answers] == [403, 403]
    assert roles_of(session, own) == [("administrator", None, None)]


def test_an_unknown_person_is_a_page_that_says_so(administrator):
    assert administrator.get(f"{PEOPLE}/{uuid.uuid4()}").status_code == 404


@pytest.mark.parametrize("role", ["dispatcher", "auditor", "communicator"])
def test_the_pages_are_for_administrators_only(desk, session, handler, role):
    somebody = desk(role)
    assert PEOPLE not in somebody.page("/admin/")

    answers = [
        somebody.get(PEOPLE),
        somebody.get(f"{PEOPLE}/new"),
        somebody.get(f"{PEOPLE}/{handler.id}"),
        invite(somebody),
        change(somebody, handler, "name", name="x"),
        change(somebody, handler, "roles", role="administrator"),
        change(somebody, handler, "roles/remove", grant=str(uuid.uuid4())),
        change(somebody, handler, "disabled", step="disable"),
    ]

    assert {answer.status_code for answer in answers} == {403}
    assert "Chỉ quản trị viên" in answers[0].text
    assert (
        "staff:invite"
        not in session.scalars(
            select(AuditEvent.action).where(AuditEvent.actor_kind == "staff")
        ).all()
    )
    assert session.get_one(Staff, handler.id).version == 1


def test_the_bar_leads_administrators_to_the_staff(administrator):
    page = administrator.page(PEOPLE)

    assert f'<a href="{PEOPLE}" aria-current="page">Cán bộ</a>' in page
    assert '<a href="/admin/">Phản ánh</a>' in page
    assert '<a href="/admin/" aria-current="page">Phản ánh</a>' in administrator.page("/admin/")


def test_who_holds_one_entry_needs_no_bar(desk):
    assert 'aria-label="Trang"' not in desk("handler", STAND).page("/admin/")


def test_what_is_typed_as_a_name_runs_nowhere(administrator, session):
    attack = "<script>document.title='in'</script>"

    answer = invite(administrator, name=attack)

    for address in (PEOPLE, answer.headers["Location"]):
        page = administrator.page(address)
        assert attack not in page
        assert "&lt;script&gt;" in page
    assert newest(session).name == attack
