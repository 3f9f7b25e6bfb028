"""The front door: its own answers, what it logs, and that its template is one nginx accepts."""

import socket
import subprocess
import time

import httpx
import pytest

from dev import nginx
from dev.config import Config, Problem
from dev.postgres import free_port
from tests.processes import wait_for

PROGRAM = Config.from_env().nginx
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="nginx is not installed")


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    return tmp_path_factory.mktemp("nginx")


@pytest.fixture(scope="module")
def front(prefix):
    """Yield a client of an nginx behind which nobody answers."""
    port = free_port()
    nginx.prepare(
        prefix, listen=f"127.0.0.1:{port}", sockets=[prefix / "web.sock"], files=prefix / "files"
    )
    command = [PROGRAM, "-p", f"{prefix}/", "-c", "nginx.conf", "-e", "stderr"]
    with (
        subprocess.Popen([*command, "-g", "daemon off;"], stderr=subprocess.DEVNULL) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        wait_until_it_listens(client)
        yield client
        process.terminate()


def wait_until_it_listens(client):
    for _ in range(200):
        try:
            client.get("/")
        except httpx.ConnectError:
            time.sleep(0.02)
        else:
            return


@pytest.mark.usefixtures("front")
def test_nginx_accepts_the_template(prefix):
    done = subprocess.run(
        [PROGRAM, "-t", "-p", f"{prefix}/", "-c", "nginx.conf", "-e", "stderr"],
        check=False,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    assert "[warn]" not in done.stderr


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/v1/reports", 503, "unavailable"),
        ("GET", "/metrics", 404, "not_found"),
        ("GET", "/metrics/", 404, "not_found"),
        ("GET", "/_files/photo.jpg", 404, "not_found"),
        ("GET", f"/{'x' * 9000}", 414, "uri_too_long"),
    ],
)
def test_its_own_answers_are_problem_documents(front, method, path, status, code):
    answer = front.request(method, path)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == code
    assert answer.json()["status"] == status
    assert answer.headers["server"] == "nginx"


def test_when_the_application_is_away_clients_are_told_to_come_back(front):
    assert front.get("/").headers["retry-after"] == "1"


@pytest.mark.parametrize(
    ("path", "size"), [("/api/v1/reports", 1_100_000), ("/api/v1/uploads", 25_200_000)]
)
def test_a_body_over_the_outer_limit_is_refused(front, path, size):
    answer = front.post(path, content=bytes(size))

    assert answer.status_code == 413
    assert answer.json()["code"] == "too_large"


@pytest.mark.parametrize("path", ["/api/v1/uploads", "/admin/reports/x"])
def test_where_photos_go_a_body_may_be_larger(front, path):
    assert front.post(path, content=bytes(2_000_000)).status_code == 503


def test_a_transfer_that_nginx_does_not_know_is_a_problem_document(front):
    head = b"POST /api/v1/reports HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n"

    answer = answered(front, head)

    assert answer.startswith("HTTP/1.1 400 ")
    assert "application/problem+json" in answer
    assert '"code":"bad_request"' in answer


def answered(front, head):
    """What comes back for bytes that no client of HTTP would send."""
    with socket.create_connection((front.base_url.host, front.base_url.port)) as connection:
        connection.sendall(head)
        connection.settimeout(2)
        received = b""
        while piece := connection.recv(4096):
            received += piece
    return received.decode()


def test_a_full_folder_of_nginx_is_a_busy_system_and_repeats_no_request(tmp_path):
    """Its folder for bodies cannot be written to, as when the disk is full."""
    port = free_port()
    nginx.prepare(
        tmp_path, listen=f"127.0.0.1:{port}", sockets=[tmp_path / "s"], files=tmp_path / "files"
    )
    errors = tmp_path / "errors"
    command = [PROGRAM, "-p", f"{tmp_path}/", "-c", "nginx.conf", "-e", "stderr"]
    with (
        errors.open("wb") as output,
        subprocess.Popen([*command, "-g", "daemon off;"], stderr=output) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        wait_until_it_listens(client)
        (tmp_path / "client_body").rmdir()
        answer = client.post("/api/v1/uploads?code=a-secret", content=bytes(2_000_000))
        process.terminate()

    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert "a-secret" not in errors.read_text()


def logged(prefix, what: str) -> str:
    """The access log once `what` is in it: nginx answers first and writes then."""
    log = prefix / "access.log"
    wait_for(f"{what} in the log", lambda: what in log.read_text())
    return log.read_text()


def test_the_access_log_has_no_query_strings(prefix, front):
    front.get("/seen-in-the-log?signature=secret")

    log = logged(prefix, "/seen-in-the-log")
    assert "secret" not in log


@pytest.mark.parametrize("path", ["/api/v1/files/a-secret", "/api/v1/me/devices/a-secret"])
def test_the_access_log_has_no_path_that_is_a_secret(prefix, front, path):
    front.get(path)

    log = logged(prefix, path.removesuffix("a-secret"))
    assert "a-secret" not in log


@pytest.mark.parametrize(
    "path",
    ["/api/v1/%66iles/another", "/api/v1//files/another", "/api/./v1/files/another",
     "/api/v1/x/../files/another"],
)  # fmt: skip
def test_nor_has_it_one_that_is_spelled_otherwise(prefix, front, path):
    assert answered(front, f"GET {path} HTTP/1.0\r\n\r\n".encode())

    log = logged(prefix, "(unusual)")
    assert "another" not in log


def test_a_path_that_nginx_would_read_as_code_is_refused(tmp_path):
    with pytest.raises(Problem, match="path"):
        nginx.prepare(
            tmp_path, listen="127.0.0.1:1", sockets=[tmp_path / "s"], files=tmp_path / "a$b"
        )


def test_a_socket_path_too_long_for_the_kernel_moves(tmp_path):
    moved = nginx.socket_path(tmp_path / ("x" * 100))

    try:
        assert len(str(moved)) < nginx.LONGEST_SOCKET_PATH
    finally:
        moved.parent.rmdir()
