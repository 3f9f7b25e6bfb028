"""The main journey through the system as `make run` starts it, with Chromium for the staff."""

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import psycopg
import pytest
from playwright.sync_api import expect

from dev import journey
from dev.postgres import OWNER, SUPERUSER, Cluster
from tests import canaries
from tests.browser import chromium, needs_chromium
from tests.processes import ROOT

START_S = 120
# What an operator may have set must not reach a system that the test starts for itself.
OWN = ("DATABASE_URL", "MIGRATION_DATABASE_URL", "PORT", "DATA_DIR", "STORAGE_URL")


def seven_free_ports() -> int:
    """The first of seven neighbouring ports that nobody listens on."""
    for port in range(23000, 30000, 10):
        try:
            for one in range(port, port + 7):
                socket.create_server(("127.0.0.1", one)).close()
        except OSError:
            continue
        return port
    raise RuntimeError("no seven free ports in a row")


class System:
    """`make run` without make; its lines are kept, and read so that it never waits for us."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = seven_free_ports()
        self.url = f"http://127.0.0.1:{self.port}"
        self.lines: list[str] = []
        self.ready = threading.Event()
        environment = {name: value for name, value in os.environ.items() if name not in OWN}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dev.run"],
            cwd=ROOT,
            env=environment | {"PORT": str(self.port), "DATA_DIR": str(folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.append(line)
            if line.startswith("READY"):
                self.ready.set()

    def wait(self) -> None:
        if not self.ready.wait(START_S):
            raise AssertionError("not READY: " + "".join(self.lines[-40:]))

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(30)
        self.reader.join()
        self.process.stdout.close()
        return code


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    running = System(tmp_path_factory.mktemp("system"))
    try:
        running.wait()
        yield running
    finally:
        if running.process.poll() is None:
            running.stop()


class StaffInBrowser:
    """The staff's part of the journey, on the pages of the staff view."""

    def __init__(self, browser, url: str) -> None:
        self.browser = browser
        self.url = url
        self.pages = {}

    def triage(self, code: str) -> None:
        page = self.open(journey.DISPATCHER, code)
        page.locator("#assign-department").select_option("Sở Xây dựng")
        page.get_by_role("button", name="Phân công").click()
        expect(page.get_by_role("status")).to_have_text("Đã phân công.")

    def work(self, code: str) -> None:
        page = self.open(journey.HANDLER, code)
        page.get_by_role("button", name="Nhận xử lý").click()
        expect(page.get_by_label("Kết quả", exact=True)).to_be_visible()

    def resolve(self, code: str) -> None:
        page = self.open(journey.HANDLER, code)
        page.get_by_label("Kết quả", exact=True).fill(journey.RESULT)
        photo = {"name": "r.jpg", "mimeType": "image/jpeg", "buffer": journey.photo_with_gps()}
        page.get_by_label("Ảnh kết quả").set_input_files(photo)
        page.get_by_role("button", name="Báo kết quả").click()
        expect(page.get_by_role("status")).to_have_text("Đã ghi kết quả.")

    def open(self, username: str, code: str):
        page = self.pages.get(username) or self.sign_in(username)
        page.goto(f"{self.url}/admin/")
        page.get_by_role("link", name=code).click()
        expect(page.get_by_role("heading", name=code)).to_be_visible()
        return page

    def sign_in(self, username: str):
        page = self.browser.new_context(locale="vi-VN").new_page()
        page.goto(f"{self.url}/admin/")
        page.get_by_label("tên đăng nhập").fill(username)
        page.get_by_label("Mật khẩu").fill(journey.password(username))
        page.get_by_role("button", name="Đăng nhập").click()
        page.get_by_role("button", name="Đồng ý").click()
        expect(page.get_by_role("heading", name="Phản ánh")).to_be_visible()
        self.pages[username] = page
        return page


def walk(system, staff, username):
    told = []
    fcm = f"http://127.0.0.1:{system.port + 3}"
    end = journey.walk(system.url, fcm, staff, username=username, tell=told.append)
    return end, told


def test_the_journey_by_the_staffs_api(system):
    with journey.StaffApi(system.url) as staff:
        end, told = walk(system, staff, "dan02")

    assert (end["state"], end["rating"]) == ("resolved", 5)
    assert len(told) == 13


@needs_chromium
def test_the_journey_with_staff_in_their_browsers(system):
    with chromium() as browser:
        end, _ = walk(system, StaffInBrowser(browser, system.url), "dan03")

    assert (end["state"], end["rating"]) == ("resolved", 5)


def test_the_log_holds_neither_numbers_nor_tokens_nor_words_of_reports(system):
    people = journey.expect(httpx.get(f"http://127.0.0.1:{system.port + 1}/demo/people"))
    secret = [person["citizen_number"] for person in people.json()[:5]]
    started = next(number for number, line in enumerate(system.lines) if line.startswith("READY"))

    log = "".join(system.lines[started:])

    assert '"route":"/api/v1/reports"' in log
    for word in (*secret, "eyJ", "Ổ gà", journey.RESULT, "phone-"):
        assert word not in log


def test_no_number_phone_or_token_lies_open_anywhere(system, monkeypatch):
    people = httpx.get(f"http://127.0.0.1:{system.port + 1}/demo/people").json()
    told = {person["citizen_number"] for person in people if person["username"] == "dan02"}
    with journey.App(system.url, "dan02") as app:
        app.sign_in()
        told |= {app.refresh_token, app.http.headers["Authorization"].removeprefix("Bearer ")}
        mine = app.get("/me").json()
        told |= {mine["phone"], "0" + mine["phone"].removeprefix("+84")}
        app.post("/auth/refresh", json={"refresh_token": app.refresh_token})
    monkeypatch.setattr(canaries, "ISSUED", told)
    figures = httpx.get(f"http://127.0.0.1:{system.port + 5}/metrics").text
    pushes = httpx.get(f"http://127.0.0.1:{system.port + 3}/").text
    cluster = Cluster(system.folder / "postgres", system.port + 6)
    with psycopg.connect(cluster.url(SUPERUSER), autocommit=True) as connection:
        connection.execute("CHECKPOINT")

    assert len(told) == 5
    assert "notification_id" in pushes
    for folder in {system.folder, cluster.home}:
        assert canaries.in_folder(folder) == ""
    # PostgreSQL compresses what is long, as it would in use, so the tables are read as well.
    assert canaries.in_tables(cluster.url(OWNER)) == set()
    written = "".join(system.lines)
    assert not [word for word in told if word in figures + pushes + written]


def test_the_figures_of_all_processes_are_added_up_where_only_this_machine_reaches_them(system):
    figures = httpx.get(f"http://127.0.0.1:{system.port + 5}/metrics").text

    assert 'http_requests_total{method="POST",route="/api/v1/reports",status="201"}' in figures
    assert httpx.get(f"{system.url}/metrics").status_code == 404


def test_the_system_stops_whole_when_asked(system):
    system.stop()

    assert "Traceback" not in "".join(system.lines)
    for port in range(system.port, system.port + 7):
        socket.create_server(("127.0.0.1", port)).close()
