"""Instances come and go, and nobody notices."""

import os
import signal
import stat
import subprocess
import sys
import threading
import time

import httpx
import pytest

from api.server import options, refuse
from models import Citizen
from tests import factories
from tests.deploy.conftest import needs_nginx
from tests.deploy.stack import INSTANCES
from tests.processes import ROOT, wait_for


def over(socket):
    transport = httpx.HTTPTransport(uds=str(socket))
    return httpx.Client(transport=transport, base_url="http://localhost", timeout=20)


@needs_nginx
def test_an_instance_that_is_asked_to_stop_finishes_what_runs(stack):
    with stack.database.sessions() as session:
        citizen = factories.a_citizen(session)
    mine = {"Authorization": stack.bearer(citizen)}
    answers = []

    def write():
        with over(stack.socket("a")) as client:
            answers.append(client.patch("/api/v1/me", json={"locale": "en"}, headers=mine))

    with stack.database.transaction() as holder:
        holder.get_one(Citizen, citizen.id, with_for_update=True)
        writing = threading.Thread(target=write)
        writing.start()
        time.sleep(0.3)  # The request is held up by the lock, for less than it would wait.
        stack.processes["a"].send_signal(signal.SIGTERM)
        time.sleep(0.2)
    writing.join()

    assert stack.processes["a"].wait(30) == 0
    assert [(answer.status_code, answer.json()["locale"]) for answer in answers] == [(200, "en")]
    stack.stop("a")
    stack.start_web("a")


@needs_nginx
def test_while_one_instance_is_away_the_other_one_serves(stack):
    assert stack.stop("b") == 0

    with httpx.Client(base_url=stack.url, trust_env=False) as client:
        seen = {client.get("/healthz").status_code for _ in range(10)}

    stack.start_web("b")
    assert seen == {200}


@needs_nginx
def test_without_any_instance_nginx_asks_to_come_again(stack):
    codes = [stack.stop(name) for name in INSTANCES]

    answer = httpx.get(f"{stack.url}/healthz", trust_env=False)

    for name in INSTANCES:
        stack.start_web(name)
    assert codes == [0, 0]
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.json()["code"] == "unavailable"


@needs_nginx
def test_a_restart_leaves_no_request_in_the_log_of_nginx(stack):
    stack.stop("a")
    httpx.get(f"{stack.url}/api/v1/places?q=a-secret-word", trust_env=False)
    stack.start_web("a")

    assert "a-secret-word" not in (stack.directory / "nginx.err").read_text()


@needs_nginx
def test_the_health_check_of_the_image_tells_who_serves(stack):
    check = [sys.executable, "-m", "api.alive"]
    codes = [
        subprocess.run(
            check, check=False, cwd=ROOT, env=os.environ | {"LISTEN": f"unix:{socket}"}
        ).returncode
        for socket in (stack.socket("a"), stack.directory / "nobody.sock")
    ]

    assert codes == [0, 1]


@needs_nginx
def test_what_the_server_says_of_itself_is_json_too(stack):
    lines = wait_for("its log", lambda: stack.log("a").read_text().splitlines())

    assert all(line.startswith("{") and line.endswith("}") for line in lines)


def test_a_socket_that_refuses_lets_the_same_accounts_in_as_one_that_serves(tmp_path):
    socket = tmp_path / "a.sock"

    refuse(socket)

    assert stat.S_IMODE(socket.stat().st_mode) == options({"LISTEN": "unix:/x"})["uds_permissions"]


@pytest.mark.parametrize("listen", ["8000", "localhost", "localhost:http", ":80"])
def test_a_malformed_address_is_named(listen):
    with pytest.raises(ValueError, match="LISTEN"):
        options({"LISTEN": listen})


def test_a_malformed_address_ends_the_program_with_a_word():
    done = subprocess.run(
        [sys.executable, "-m", "api.server"],
        check=False,
        cwd=ROOT,
        env=os.environ | {"LISTEN": "nowhere"},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 1
    assert done.stderr == "LISTEN=nowhere is neither unix:/path nor host:port\n"
