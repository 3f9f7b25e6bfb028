"""The pages of Thái Nguyên ID in Chromium: by keyboard, without JavaScript, by screen reader."""

from urllib.parse import urlencode

import pytest
from playwright.sync_api import expect

from simulators.thainguyen_id.app import create_app
from tests import browser
from tests.browser import complaints_of_axe, needs_axe
from tests.conftest import serving
from tests.simulators.conftest import SECRETS

PASSWORD = "matkhau-dan01"
CALLBACK = "http://127.0.0.1:1/callback"  # Nobody listens there; that the browser goes is enough.
REQUEST = {
    "response_type": "code",
    "client_id": "c-thainguyen-app",
    "redirect_uri": CALLBACK,
    "scope": "openid profile phone citizen_id",
    "state": "a-state",
    "nonce": "a-nonce",
    "code_challenge": "c" * 43,
    "code_challenge_method": "S256",
}

pytestmark = browser.needs_chromium


@pytest.fixture(scope="module")
def chromium():
    with browser.chromium() as started:
        yield started


@pytest.fixture
def url():
    with serving(lambda url: create_app(url, SECRETS, [])) as url:
        yield url


@pytest.fixture
def visit(chromium, url):
    """`visit(java_script_enabled=False)`: somebody whom the app has sent to sign in."""
    contexts = []

    def go(**options):
        context = chromium.new_context(locale="vi-VN", **options)
        contexts.append(context)
        page = context.new_page()
        page.complaints = []
        page.on("console", lambda line: _note(page, line))
        page.goto(f"{url}/authorize?{urlencode(REQUEST)}")
        return page

    yield go
    for context in contexts:
        context.close()


def _note(page, line):
    if "Content Security Policy" in line.text:
        page.complaints.append(line.text)


def sent_on(page, act):
    """The address that the browser leaves for when `act` is done."""
    with page.expect_request(lambda request: request.url.startswith(CALLBACK)) as leaving:
        act()
    return leaving.value.url


def fill_in(page, password=PASSWORD):
    page.get_by_label("tên đăng nhập").fill("dan01")
    page.get_by_label("Mật khẩu").fill(password)
    # A key or a look that comes before the next page is for this one.
    with page.expect_navigation():
        page.get_by_role("button", name="Đăng nhập").click()


@pytest.mark.parametrize("javascript", [True, False])
def test_somebody_signs_in_after_a_slip_and_agrees(visit, javascript):
    page = visit(java_script_enabled=javascript)
    fill_in(page, "wrong")
    expect(page.get_by_role("alert")).to_contain_text("chưa đúng")
    fill_in(page)
    expect(page.get_by_role("heading", name="Chia sẻ thông tin")).to_be_visible()

    came = sent_on(page, page.get_by_role("button", name="Đồng ý").click)

    assert "code=" in came
    assert "state=a-state" in came
    assert "iss=" in came
    assert page.complaints == []


def test_the_keyboard_is_enough(visit):
    page = visit()
    keys = page.keyboard
    expect(page.get_by_label("tên đăng nhập")).to_be_focused()
    keys.type("dan01")
    keys.press("Tab")
    keys.type("wrong")
    keys.press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_label("Mật khẩu")).to_be_focused()
    keys.type(PASSWORD)
    keys.press("Enter")
    expect(page.get_by_role("heading", name="Chia sẻ thông tin")).to_be_visible()
    keys.press("Tab")
    expect(page.get_by_role("button", name="Đồng ý")).to_be_focused()

    assert "code=" in sent_on(page, lambda: keys.press("Enter"))


def test_the_keyboard_is_enough_to_decline(visit):
    page = visit()
    fill_in(page)
    for _ in range(3):
        page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Dùng tài khoản khác")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_role("button", name="Từ chối")).to_be_focused()

    assert "error=access_denied" in sent_on(page, lambda: page.keyboard.press("Enter"))


def test_the_focus_can_be_seen(visit):
    page = visit()
    outline = "getComputedStyle(document.querySelector(':focus-visible')).outlineWidth"

    widths = []
    for _ in range(3):
        page.keyboard.press("Tab")
        widths.append(page.evaluate(outline))

    assert widths == ["3px"] * 3


def test_a_screen_reader_hears_what_is_asked_and_what_went_wrong(visit):
    page = visit()
    expect(page).to_have_title("Đăng nhập – Thái Nguyên ID")
    assert page.locator("html").get_attribute("lang") == "vi"
    expect(page.get_by_role("main")).to_have_count(1)
    expect(page.get_by_role("heading", level=1)).to_have_text("Đăng nhập")
    fill_in(page, "wrong")

    expect(page).to_have_title("Lỗi: Đăng nhập – Thái Nguyên ID")
    for name in ("tên đăng nhập", "Mật khẩu"):
        field = page.get_by_label(name)
        expect(field).to_have_accessible_description(
            "Thông tin đăng nhập hoặc mật khẩu chưa đúng. Hãy kiểm tra và thử lại."
        )
        expect(field).to_have_attribute("aria-invalid", "true")


def test_the_consent_page_names_each_datum_to_a_screen_reader(visit):
    page = visit()
    fill_in(page)

    terms = page.get_by_role("term").all_inner_texts()

    assert terms == [
        "Họ và tên",
        "Ngày sinh",
        "Giới tính",
        "Số điện thoại",
        "Số định danh cá nhân",
        "Mức định danh",
    ]
    expect(page.get_by_role("definition")).to_have_count(len(terms))


@needs_axe
@pytest.mark.parametrize(("look", "width"), [("light", 1280), ("dark", 320)])
def test_axe_finds_nothing_on_any_page(visit, url, look, width):
    page = visit(color_scheme=look, viewport={"width": width, "height": 700})
    seen = []

    def look_at(heading):
        expect(page.get_by_role("heading", name=heading)).to_be_visible()
        assert not page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
        seen.extend(complaints_of_axe(page))

    look_at("Đăng nhập")
    fill_in(page, "wrong")
    look_at("Đăng nhập")
    for _ in range(5):
        fill_in(page, "wrong")
    expect(page.get_by_role("alert")).to_contain_text("chờ một phút")
    look_at("Đăng nhập")
    page.goto(f"{url}/authorize?{urlencode(REQUEST)}")
    page.get_by_label("tên đăng nhập").fill("dan02")
    page.get_by_label("Mật khẩu").fill("matkhau-dan02")
    page.get_by_role("button", name="Đăng nhập").click()
    look_at("Chia sẻ thông tin")
    page.goto(f"{url}/authorize?client_id=nobody")
    look_at("Không thực hiện được")
    page.goto(f"{url}/end-session")
    look_at("Đăng xuất khỏi Thái Nguyên ID?")
    page.get_by_role("button", name="Đăng xuất").click()
    look_at("Đã đăng xuất")

    assert seen == []
