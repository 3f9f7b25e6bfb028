"""`make run` in its parts: settings, secrets, ports, claims and the guards of its programs."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dev import credentials, reset
from dev.claim import claimed
from dev.config import PROJECT, Config, Problem
from dev.ports import require_free
from dev.postgres import free_port
from services.audit import AuditKeys

TOKEN_URI = "http://127.0.0.1:8003/token"


@pytest.fixture
def taken_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def environment(**given):
    config = Config.from_env(given)
    return config.environment(
        database_url="postgresql://made", credentials={"SECRET_KEY": "made"}, socket=Path("s")
    )


def wait_until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_secrets_are_made_once_and_for_their_owner_only(tmp_path):
    directory = tmp_path / "secrets"

    first = credentials.provide(directory, token_uri=TOKEN_URI)
    second = credentials.provide(directory, token_uri=TOKEN_URI)

    assert first == second
    assert mode(directory) == 0o700
    assert {mode(path) for path in directory.iterdir()} == {0o600}
    assert len({first[name] for name in first}) == len(first)


def test_the_key_of_the_audit_log_can_sign(tmp_path):
    made = credentials.provide(tmp_path, token_uri=TOKEN_URI)

    assert AuditKeys.of(Path(made["AUDIT_KEY_FILE"])).can_sign


def test_the_firebase_account_follows_the_port(tmp_path):
    credentials.provide(tmp_path, token_uri=TOKEN_URI)

    made = credentials.provide(tmp_path, token_uri="http://127.0.0.1:9003/token")

    account = json.loads(Path(made["FIREBASE_CREDENTIALS_FILE"]).read_text())
    assert account["token_uri"] == "http://127.0.0.1:9003/token"


def test_a_variable_of_the_caller_wins():
    env = environment(SECRET_KEY="mine", OIDC_ISSUER="https://id.example")

    assert (env["SECRET_KEY"], env["OIDC_ISSUER"]) == ("mine", "https://id.example")
    assert env["DATABASE_URL"] == "postgresql://made"


def test_the_programs_are_not_told_how_to_change_the_schema():
    assert "MIGRATION_DATABASE_URL" not in environment(MIGRATION_DATABASE_URL="postgresql://owner")


def test_all_addresses_follow_the_port():
    env = environment(PORT="9000")

    assert env["PUBLIC_URL"] == "http://127.0.0.1:9000"
    assert env["OIDC_ISSUER"] == "http://127.0.0.1:9001"
    assert env["FCM_URL"] == "http://127.0.0.1:9003"
    assert env["METRICS_PORT"] == "9005"


@pytest.mark.parametrize("port", ["0", "http", "-1", "65535"])
def test_a_port_without_room_is_refused(port):
    with pytest.raises(Problem, match="PORT="):
        Config.from_env({"PORT": port})


def test_a_taken_port_is_told_with_its_holder_and_the_way_out(taken_port):
    with pytest.raises(Problem) as caught:
        require_free({taken_port: "the bank"})

    assert f"Port {taken_port}, for the bank, is taken by process {os.getpid()}" in str(
        caught.value
    )
    assert "PORT=8000 make run" in str(caught.value)


def test_free_ports_are_free():
    require_free({free_port(): "the bank"})


def test_one_system_at_a_time_runs_on_a_data_directory(tmp_path):
    with (
        claimed(tmp_path),
        pytest.raises(Problem, match=f"is running .*{os.getpid()}"),
        claimed(tmp_path),
    ):
        pass


def test_a_run_that_was_killed_is_known_by_the_next(tmp_path):
    with claimed(tmp_path) as ended_well:
        assert ended_well
    (tmp_path / "run.lock").write_text("12345")

    with claimed(tmp_path) as ended_well:
        assert not ended_well


def test_reset_clears_the_data(tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    credentials.provide(tmp_path / "secrets", token_uri=TOKEN_URI)

    assert reset.main() == 0
    assert [path.name for path in tmp_path.iterdir()] == ["run.lock"]


def test_reset_spares_a_running_system(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    credentials.provide(tmp_path / "secrets", token_uri=TOKEN_URI)

    with claimed(tmp_path):
        assert reset.main() == 1
    assert "is running" in capsys.readouterr().err
    assert (tmp_path / "secrets" / "secret_key").exists()


def test_reset_spares_a_directory_that_make_run_did_not_make(tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    (tmp_path / "thesis.txt").write_text("years of work")

    assert reset.main() == 1
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


class Guarded:
    """A guard over a shell that starts a child of its own and tells the ids of both."""

    def __init__(self, directory, program="sleep 60 & echo $$ $!; wait"):
        self.supervisor = subprocess.Popen(["sleep", "60"])  # noqa: S607
        self.died = directory / "died"
        env = os.environ | {"SUPERVISOR": str(self.supervisor.pid), "DIED": str(self.died)}
        command = [sys.executable, "-m", "dev.guard", "shop", "/bin/sh", "-c", program]
        self.guard = subprocess.Popen(
            command, cwd=PROJECT, env=env, stdout=subprocess.PIPE, text=True
        )
        self.program, self.child = (int(word) for word in self.guard.stdout.readline().split())

    def all_gone(self):
        return not any(Path(f"/proc/{pid}").exists() for pid in (self.program, self.child))

    def close(self):
        for process in (self.supervisor, self.guard):
            process.kill()
            process.wait()
        self.guard.stdout.close()


@pytest.fixture
def guarded(tmp_path):
    guarded = Guarded(tmp_path)
    yield guarded
    guarded.close()


def test_a_killed_program_takes_its_children_along_and_is_named(guarded):
    os.kill(guarded.program, signal.SIGKILL)

    assert guarded.guard.wait(10) == 128 + signal.SIGKILL
    wait_until(guarded.all_gone)
    assert guarded.died.read_text() == "shop ended by itself, killed by SIGKILL"


def test_a_guard_that_is_asked_to_stop_stops_everything(guarded):
    guarded.guard.terminate()

    guarded.guard.wait(10)
    wait_until(guarded.all_gone)
    assert not guarded.died.exists()


def test_a_killed_supervisor_leaves_no_program_behind(guarded):
    guarded.supervisor.kill()
    guarded.supervisor.wait()

    wait_until(guarded.all_gone)


def test_a_killed_guard_leaves_no_program_behind(guarded):
    guarded.guard.kill()

    wait_until(lambda: not Path(f"/proc/{guarded.program}").exists())
    os.kill(guarded.child, signal.SIGKILL)
