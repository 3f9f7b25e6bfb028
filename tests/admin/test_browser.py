"""The staff view in Chromium: the whole triage, by two people, with and without JavaScript."""

import datetime as dt

import httpx
import pytest
from playwright.sync_api import expect

from admin.page import HTMX
from api.current import EXTENSION
from models import DataRequestKind, Role
from services.privacy import requests
from tests import browser, factories
from tests.browser import complaints_of_axe, needs_axe

STAFF = {
    "dieuphoi1": (Role.DISPATCHER, None),
    "xuly1": (Role.HANDLER, "so-xay-dung"),
    "lanhdao1": (Role.LEADER, "so-xay-dung"),
    "quantri1": (Role.AUDITOR, None),
    "dieuphoi2": (Role.ADMINISTRATOR, None),
}

pytestmark = browser.needs_chromium


@pytest.fixture(scope="module")
def chromium():
    with browser.chromium() as started:
        yield started


@pytest.fixture
def office(live, provider_url):
    """The real server with its staff invited."""
    people = httpx.get(f"{provider_url}/demo/people").json()
    with live.database.sessions() as session:
        for person in people:
            if grant := STAFF.get(person["username"]):
                number, name = person["citizen_number"], person["name"]
                factories.invited(session, number, [grant], name)
        session.commit()
    return live


@pytest.fixture
def sent(office):
    """A report that a citizen has just sent, with a photo."""
    return send(office)


def send(office, **changes):
    with office.database.sessions() as session:
        citizen = factories.a_citizen(session)
        photo = factories.an_upload(session, citizen, office.app.extensions[EXTENSION].storage)
        now = dt.datetime.now(dt.UTC)
        return factories.a_report(session, citizen, at=now, upload_ids=[photo], **changes)


@pytest.fixture
def sit_down(chromium, office):
    """`sit_down("xuly1")`: a browser of their own in which this person has signed in."""
    contexts = []

    def sit(username, **options):
        context = chromium.new_context(locale="vi-VN", **options)
        contexts.append(context)
        page = context.new_page()
        page.complaints = []
        page.on("console", lambda line: _note(page, line))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.goto(f"{office.url}/admin/")
        page.get_by_label("tên đăng nhập").fill(username)
        page.get_by_label("Mật khẩu").fill(f"matkhau-{username}")
        page.get_by_role("button", name="Đăng nhập").click()
        page.get_by_role("button", name="Đồng ý").click()
        expect(page.get_by_role("heading", name="Phản ánh")).to_be_visible()
        return page

    yield sit
    for context in contexts:
        context.close()


def _note(page, line):
    if line.type == "error":
        page.complaints.append(line.text)


def open_report(page, report):
    page.get_by_role("link", name=report.code).click()
    expect(page.get_by_role("heading", name=report.code)).to_be_visible()


@pytest.mark.parametrize("javascript", [True, False])
def test_two_people_bring_a_report_to_its_end(sit_down, sent, javascript):
    dispatcher = sit_down("dieuphoi1", java_script_enabled=javascript)
    open_report(dispatcher, sent)
    dispatcher.locator("#assign-department").select_option("Sở Xây dựng")
    dispatcher.get_by_role("button", name="Phân công").click()
    expect(dispatcher.get_by_role("status")).to_have_text("Đã phân công.")

    handler = sit_down("xuly1", java_script_enabled=javascript)
    open_report(handler, sent)
    handler.get_by_role("button", name="Nhận xử lý").click()
    handler.get_by_label("Kết quả", exact=True).fill("Đã vá mặt đường.")
    handler.get_by_role("button", name="Báo kết quả").click()
    expect(handler.get_by_role("status")).to_have_text("Đã ghi kết quả.")

    dispatcher.goto(dispatcher.url.partition("?")[0])
    timeline = dispatcher.get_by_role("region", name="Diễn biến")
    expect(timeline.get_by_text("Đã vá mặt đường.")).to_be_visible()
    assert dispatcher.complaints == handler.complaints == []


def test_the_photos_are_drawn(sit_down, sent):
    page = sit_down("dieuphoi1")
    open_report(page, sent)

    photo = page.locator(".photos img")
    photo.scroll_into_view_if_needed()
    expect(photo).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert photo.evaluate("image => image.naturalWidth") > 0


@pytest.mark.parametrize("javascript", [True, False])
def test_somebody_is_invited_given_a_role_and_disabled(sit_down, office, javascript):
    page = sit_down("dieuphoi2", java_script_enabled=javascript)
    page.get_by_role("link", name="Cán bộ", exact=True).click()
    page.get_by_role("link", name="Mời cán bộ").click()
    page.get_by_label("Họ tên").fill("Lý Thị Mới")
    page.get_by_label("Số định danh cá nhân").fill("019 099 000 001")
    page.get_by_label("Vai trò").select_option("Điều phối")
    page.get_by_text("Giới hạn theo xã, phường").click()
    page.get_by_label("Bạch Thông").check()
    page.get_by_role("button", name="Mời cán bộ").click()
    expect(page.get_by_role("status")).to_contain_text("Đã mời.")
    expect(page.locator(".roles")).to_contain_text("Bạch Thông")

    page.get_by_text("Thêm vai trò", exact=True).first.click()
    page.get_by_role("combobox", name="Vai trò").select_option("Xử lý")
    page.get_by_role("combobox", name="Đơn vị").select_option("Sở Xây dựng")
    page.get_by_role("button", name="Thêm vai trò").click()
    expect(page.get_by_role("status")).to_have_text("Đã lưu vai trò.")
    page.get_by_role("button", name="Gỡ vai trò Điều phối").click()
    expect(page.get_by_role("status")).to_have_text("Đã gỡ vai trò.")

    page.get_by_text("Khóa tài khoản", exact=True).first.click()
    page.get_by_role("button", name="Khóa tài khoản").click()
    expect(page.get_by_text("Đã khóa", exact=True)).to_be_visible()
    page.goto(f"{office.url}/admin/people?state=disabled")
    expect(page.get_by_role("link", name="Lý Thị Mới")).to_be_visible()
    assert page.complaints == []


def test_a_dispatcher_has_the_author_of_a_report_pause(sit_down, sent):
    page = sit_down("dieuphoi1")
    open_report(page, sent)
    page.get_by_text("Tạm khóa người gửi", exact=True).first.click()
    page.get_by_label("Số ngày").fill("3")
    page.get_by_label("Vì sao tạm khóa").fill("Lời lẽ xúc phạm.")
    page.get_by_role("button", name="Tạm khóa người gửi").click()
    expect(page.get_by_role("status")).to_contain_text("Đã tạm khóa người gửi")
    expect(page.get_by_text("Lời lẽ xúc phạm.")).to_be_visible()
    assert "Nguyễn Thị Thử" not in page.content()

    page.get_by_role("link", name="Xem hoặc bỏ tạm khóa").click()
    page.get_by_text("Bỏ tạm khóa", exact=True).first.click()
    page.get_by_label("Lý do").fill("Đã xem lại.")
    page.get_by_role("button", name="Bỏ tạm khóa").click()
    expect(page.get_by_role("status")).to_contain_text("Đã bỏ tạm khóa")
    assert page.complaints == []


@pytest.mark.parametrize("width", [380, 1280])
def test_the_pages_of_staff_are_wide_enough_for_everybody(sit_down, office, width):
    page = sit_down("dieuphoi2", viewport={"width": width, "height": 800})
    found = []
    page.goto(f"{office.url}/admin/people")
    addresses = ["/admin/people", "/admin/people/new"]
    links = page.locator("tbody th a").all()
    addresses += [link.get_attribute("href") for link in links]
    for address in addresses:
        page.goto(office.url + address)
        for summary in page.locator("summary").all():
            summary.click()
        assert not page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
        if browser.AXE.exists():
            found += complaints_of_axe(page)

    assert len(addresses) == 2 + len(STAFF)
    assert found == []


def test_two_clerks_meet_and_nothing_typed_is_lost(sit_down, sent):
    first, second = sit_down("dieuphoi1"), sit_down("dieuphoi1")
    open_report(first, sent)
    open_report(second, sent)
    first.locator("#assign-department").select_option("Sở Xây dựng")
    first.get_by_role("button", name="Phân công").click()

    second.get_by_text("Không tiếp nhận", exact=True).first.click()
    second.get_by_label("Lý do").select_option("Không đủ thông tin")
    second.get_by_label("Trả lời người dân").fill("Xin gửi thêm ảnh.")
    second.get_by_role("button", name="Không tiếp nhận").click()

    expect(second.get_by_role("alert")).to_contain_text("Phân công cho đơn vị")
    expect(second.get_by_label("Trả lời người dân")).to_have_value("Xin gửi thêm ảnh.")


def test_what_a_citizen_wrote_runs_nowhere(sit_down, office):
    attack = "<img src=x onerror=\"document.title='broken'\"><script>document.title='in'</script>"
    report = send(office, description=attack, address=attack)
    page = sit_down("dieuphoi1")
    open_report(page, report)

    expect(page.get_by_text(attack).first).to_be_visible()
    assert page.title().startswith(report.code)


@pytest.mark.skipif(not HTMX.exists(), reason="htmx is missing; run make setup with npm")
@pytest.mark.usefixtures("sent")
def test_new_reports_announce_themselves_and_move_nothing(sit_down, office):
    page = sit_down("dieuphoi1")
    page.clock.install()
    page.goto(f"{office.url}/admin/")
    send(office)
    page.clock.run_for(21_000)

    expect(page.get_by_text("Có 1 phản ánh mới.")).to_be_visible()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("link", name="Xem", exact=True).click()
    expect(page.locator("tbody tr")).to_have_count(2)
    assert page.complaints == []


def test_the_filter_of_an_ended_session_leads_to_the_provider(sit_down, office):
    page = sit_down("dieuphoi1")
    page.context.clear_cookies()

    page.get_by_role("button", name="Lọc").click()

    expect(page.get_by_role("heading", name="Đăng nhập")).to_be_visible()
    assert not page.url.startswith(office.url)


def test_the_keyboard_reaches_the_content_first(sit_down):
    page = sit_down("dieuphoi1")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Đến nội dung chính")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")

    expect(page.get_by_role("link", name="Cần xử lý")).to_be_focused()


@pytest.mark.parametrize("width", [380, 640])
def test_nothing_is_wider_than_a_narrow_screen(sit_down, sent, width):
    page = sit_down("dieuphoi1", viewport={"width": width, "height": 800})
    wide = "document.documentElement.scrollWidth > window.innerWidth"

    assert not page.evaluate(wide)
    open_report(page, sent)
    assert not page.evaluate(wide)


@needs_axe
@pytest.mark.parametrize("width", [380, 1280])
def test_axe_finds_nothing_serious(sit_down, sent, office, width):
    page = sit_down("dieuphoi1", viewport={"width": width, "height": 800})
    found = complaints_of_axe(page)
    open_report(page, sent)
    page.get_by_text("Không tiếp nhận", exact=True).first.click()
    found += complaints_of_axe(page)
    page.get_by_role("button", name="Xem người gửi").click()
    found += complaints_of_axe(page)
    page.goto(f"{office.url}/admin/?code=TN-26-999999")
    found += complaints_of_axe(page)
    page.goto(f"{office.url}/admin/no-such-page")
    found += complaints_of_axe(page)
    page.goto(f"{office.url}/admin/signed-out")
    found += complaints_of_axe(page)

    assert found == []


@needs_axe
@pytest.mark.parametrize("width", [380, 640, 1280])
def test_an_auditor_finds_who_saw_whom(sit_down, sent, width):
    dispatcher = sit_down("dieuphoi1")
    open_report(dispatcher, sent)
    dispatcher.get_by_role("button", name="Xem người gửi").click()
    expect(dispatcher.get_by_text("việc xem được ghi lại")).to_be_visible()
    auditor = sit_down("quantri1", viewport={"width": width, "height": 800})

    auditor.get_by_role("link", name="Nhật ký").click()
    auditor.get_by_role("link", name="Ai đã xem dữ liệu của ai").click()
    auditor.get_by_role("link", name=str(sent.reporter_id)).click()

    row = auditor.locator("tbody tr")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("Xem ai đã gửi phản ánh")
    expect(auditor.get_by_label("Mã người dân")).to_have_value(str(sent.reporter_id))
    assert auditor.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert complaints_of_axe(auditor) == []
    assert auditor.complaints == []


@pytest.fixture
def asked(office):
    """A request to be deleted and a child to be checked, both of one citizen."""
    with office.database.sessions() as session:
        citizen = factories.a_citizen(session)
        wish = requests.Wish(DataRequestKind.DELETE, "Xin xóa số điện thoại của tôi.")
        now = dt.datetime.now(dt.UTC)
        actor = factories.citizen_actor(citizen)
        requests.submit(session, actor, wish, vault=factories.VAULT, at=now)
        factories.a_child(session, citizen)
        session.commit()


@pytest.mark.parametrize("javascript", [True, False])
@pytest.mark.usefixtures("asked")
def test_an_administrator_brings_a_legal_request_to_its_end(sit_down, javascript):
    page = sit_down("dieuphoi2", java_script_enabled=javascript)
    page.get_by_role("link", name="Yêu cầu dữ liệu").click()
    page.get_by_role("link", name="Xóa dữ liệu").click()
    page.get_by_label("Trả lời người yêu cầu").first.fill("Sẽ xóa trong tuần này.")
    page.get_by_role("button", name="Chấp nhận", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("Đã chấp nhận yêu cầu")
    page.get_by_text("Gia hạn một lần", exact=True).first.click()
    page.get_by_label("Lý do gia hạn").fill("Dữ liệu nằm ở hai nơi.")
    page.get_by_role("button", name="Gia hạn một lần").click()
    expect(page.get_by_role("status")).to_contain_text("Đã gia hạn")

    page.get_by_label("Không: tôi đã thực hiện cách khác").check()
    page.get_by_label("Kết quả thực hiện").fill("Đã xóa số điện thoại.")
    page.get_by_role("button", name="Đã thực hiện xong").click()

    expect(page.get_by_text("Đã thực hiện", exact=True)).to_be_visible()
    expect(page.get_by_text("Yêu cầu đã kết thúc.")).to_be_visible()
    page.get_by_role("link", name="Yêu cầu dữ liệu").click()
    expect(page.get_by_text("Không có yêu cầu nào đang chờ.")).to_be_visible()
    assert page.complaints == []


@pytest.mark.parametrize("javascript", [True, False])
def test_an_administrator_keeps_the_register_of_breaches(sit_down, javascript):
    page = sit_down("dieuphoi2", java_script_enabled=javascript)
    page.get_by_role("link", name="Sự cố dữ liệu").click()
    page.get_by_label("Sự việc").fill("Gửi nhầm danh sách 40 người.")
    page.get_by_role("button", name="Ghi vào sổ").click()
    expect(page.get_by_role("status")).to_contain_text("Đã ghi sự cố vào sổ.")
    page.get_by_label("Số người có dữ liệu bị ảnh hưởng").fill("40")
    page.get_by_label("Có phải thông báo không").select_option("Phải thông báo")
    page.get_by_role("button", name="Lưu hồ sơ").click()
    expect(page.get_by_role("status")).to_contain_text("Đã lưu hồ sơ.")
    page.get_by_role("link", name="Bản thông báo để in").click()
    expect(page.get_by_text("Số chủ thể dữ liệu bị ảnh hưởng: 40")).to_be_visible()
    page.emulate_media(media="print")
    expect(page.get_by_role("banner").first).to_be_hidden()
    page.emulate_media(media="screen")
    page.get_by_role("link", name="Hồ sơ sự cố").click()

    page.get_by_role("button", name="Ghi đã thông báo").click()
    page.get_by_role("button", name="Đóng vụ việc").click()

    expect(page.get_by_text("Đã đóng", exact=True)).to_be_visible()
    assert page.complaints == []


@pytest.mark.usefixtures("asked")
def test_an_administrator_checks_a_guardian(sit_down):
    page = sit_down("dieuphoi2")
    page.get_by_role("link", name="Giám hộ").click()
    page.get_by_role("link", name="Cha, mẹ").click()
    page.get_by_role("button", name="Xem thông tin").click()
    expect(page.get_by_text("Nguyễn Văn Bé")).to_be_visible()

    page.get_by_role("button", name="Xác nhận quan hệ").click()

    expect(page.get_by_role("status")).to_contain_text("Đã xác nhận quan hệ")
    expect(page.get_by_text("Không có quan hệ nào chờ kiểm tra.")).to_be_visible()
    assert page.complaints == []


@needs_axe
@pytest.mark.parametrize("width", [380, 640, 1280])
@pytest.mark.usefixtures("asked")
def test_the_pages_of_privacy_are_for_everybody_and_every_screen(sit_down, office, width):
    page = sit_down("dieuphoi2", viewport={"width": width, "height": 800})
    wide = "document.documentElement.scrollWidth > window.innerWidth"
    found, too_wide = [], []

    def look():
        page.wait_for_load_state()
        found.extend(complaints_of_axe(page))
        too_wide.extend([page.url] if page.evaluate(wide) else [])

    page.goto(f"{office.url}/admin/data-requests")
    look()
    page.get_by_role("link", name="Xóa dữ liệu").click()
    page.get_by_text("Từ chối", exact=True).first.click()
    look()
    page.get_by_role("button", name="Xem tên và số định danh").click()
    look()
    page.get_by_label("Trả lời người yêu cầu").first.fill("Sẽ xóa trong tuần này.")
    page.get_by_role("button", name="Chấp nhận", exact=True).click()
    expect(page.get_by_text("Hẹn xóa tài khoản và dữ liệu cá nhân sau 7 ngày")).to_be_visible()
    look()
    page.goto(f"{office.url}/admin/data-requests?state=ended")
    look()
    page.goto(f"{office.url}/admin/guardians")
    look()
    page.get_by_role("link", name="Cha, mẹ").click()
    page.get_by_role("button", name="Xem thông tin").click()
    look()
    page.goto(f"{office.url}/admin/breaches")
    page.get_by_label("Phát hiện lúc").fill("2026-01-01T08:00")
    page.get_by_label("Sự việc").fill("Mất một máy tính xách tay của phòng tiếp dân.")
    page.get_by_role("button", name="Ghi vào sổ").click()
    look()
    page.goto(f"{office.url}/admin/breaches")
    look()
    page.get_by_role("link", name="01/01/2026").click()
    page.get_by_role("link", name="Bản thông báo để in").click()
    look()

    assert found == []
    assert too_wide == []
