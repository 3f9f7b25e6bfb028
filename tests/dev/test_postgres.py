"""The embedded PostgreSQL: who may do what in it, and what a killed process leaves behind."""

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from dev import unprivileged
from dev.postgres import APP, OWNER, SUPERUSER, Cluster, PostgresFailed, free_port, temporary

PROJECT = Path(__file__).parents[2]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root hands PostgreSQL to another user")


@pytest.fixture(scope="module")
def shared():
    with temporary() as cluster:
        yield cluster


@pytest.fixture
def cluster(shared):
    """Lend the shared cluster to a test that stops or replaces its server."""
    yield shared
    shared.stop()
    shared.start()


def ask(cluster, question, *, role=APP):
    with psycopg.connect(cluster.url(role)) as connection:
        return connection.execute(question).fetchone()[0]


def wait_until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.mark.parametrize(
    "statement", ["CREATE TABLE t (a int)", "CREATE TEMPORARY TABLE t (a int)"]
)
def test_the_application_cannot_make_a_table(shared, statement):
    with (
        psycopg.connect(shared.url(APP)) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement)


def test_the_owner_can_make_a_table(shared):
    with psycopg.connect(shared.url(OWNER)) as connection:
        connection.execute("CREATE TABLE made_by_owner (a int)")


def test_a_password_is_needed(shared):
    url = shared.url(APP).replace(shared.url(APP).split(":")[2].split("@")[0], "guess")

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("listen_addresses", "127.0.0.1"),
        ("unix_socket_directories", ""),
        ("log_error_verbosity", "terse"),
        ("data_checksums", "on"),
        ("server_encoding", "UTF8"),
        ("timezone", "UTC"),
    ],
)
def test_the_server_is_set_up_as_promised(shared, setting, value):
    assert ask(shared, f"SELECT current_setting('{setting}', true)", role=SUPERUSER) == value


def test_log_lines_hold_no_values_of_rows(shared):
    with psycopg.connect(shared.url(OWNER), autocommit=True) as connection:
        connection.execute("CREATE TABLE persons (number text PRIMARY KEY)")
        connection.execute("INSERT INTO persons VALUES ('019099000017')")
        with contextlib.suppress(psycopg.errors.UniqueViolation):
            connection.execute("INSERT INTO persons VALUES ('019099000017')")

    log = shared.log.read_text()
    assert "duplicate key" in log
    assert "019099000017" not in log


def test_only_its_owner_reads_the_passwords(shared):
    assert stat.S_IMODE((shared.home / "passwords.json").stat().st_mode) == 0o600


def test_data_and_passwords_outlive_a_restart(cluster):
    before = cluster.url(OWNER)
    with psycopg.connect(before) as connection:
        connection.execute("CREATE TABLE kept_by_owner AS SELECT 7 AS number")
    cluster.stop()

    cluster.start()

    assert cluster.url(OWNER) == before
    assert ask(cluster, "SELECT number FROM kept_by_owner", role=OWNER) == 7


def test_a_killed_server_recovers(cluster):
    cluster.stop()
    with Cluster(cluster.directory, cluster.port) as durable:
        with psycopg.connect(durable.url(OWNER)) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
        durable.process.kill()
        durable.process.wait()
        durable.stop()

        durable.start()

        assert ask(durable, "SELECT number FROM kept", role=OWNER) == 7


def test_a_stale_lock_file_naming_a_stranger_is_no_obstacle(cluster):
    cluster.stop()
    (cluster.data / "postmaster.pid").write_text(f"{os.getpid()}\n{cluster.data}\n")

    cluster.start()

    assert ask(cluster, "SELECT 1") == 1


def test_a_server_that_outlived_its_starter_is_ended_first(cluster):
    orphan = cluster.process
    cluster._lock.close()

    with Cluster(cluster.directory, free_port(), durable=False) as successor:
        assert ask(successor, "SELECT 1") == 1
        assert orphan.wait(5) == 0


def test_a_running_cluster_is_not_taken_over(cluster):
    with pytest.raises(PostgresFailed, match="already running"):
        Cluster(cluster.directory, free_port()).start()

    assert ask(cluster, "SELECT 1") == 1


def test_a_free_port_is_given_once_and_can_be_listened_on():
    given = [free_port() for _ in range(500)]

    assert len(set(given)) == len(given)
    with socket.create_server(("127.0.0.1", given[0])):
        pass


def test_a_taken_port_is_told(cluster, tmp_path_factory):
    with (
        contextlib.closing(a_directory(tmp_path_factory)) as directory,
        pytest.raises(PostgresFailed, match="Address already in use"),
    ):
        Cluster(directory.path, cluster.port, durable=False).start()


class a_directory:  # noqa: N801 - it reads as a thing, like the other factories
    """A directory whose stand-in, if it needs one, is removed too."""

    def __init__(self, factory):
        self.path = factory.mktemp("cluster")

    def close(self):
        if os.geteuid() == 0:
            shutil.rmtree(unprivileged.stand_in(self.path), ignore_errors=True)


@contextlib.contextmanager
def in_the_foreground(directory):
    command = [sys.executable, "-m", "dev.postgres", "--not-durable", "--data-dir", directory.path]
    port = free_port()
    with subprocess.Popen(
        [*command, "--port", str(port)], cwd=PROJECT, stdout=subprocess.PIPE
    ) as p:
        try:
            assert b"answers" in p.stdout.readline()
            yield p, Cluster(directory.path, port)
        finally:
            p.kill()


def server_of(cluster):
    return int((cluster.data / "postmaster.pid").read_text().split("\n", 1)[0])


def alive(pid):
    return Path(f"/proc/{pid}/cwd").is_symlink() and bool(Path(f"/proc/{pid}/cmdline").read_bytes())


def test_sigterm_stops_the_foreground_server_although_a_client_stays(tmp_path_factory):
    with (
        contextlib.closing(a_directory(tmp_path_factory)) as directory,
        in_the_foreground(directory) as (launcher, cluster),
    ):
        server = server_of(cluster)
        connection = psycopg.connect(cluster.url(OWNER))
        launcher.send_signal(signal.SIGTERM)

        assert launcher.wait(10) == 0
        assert not alive(server)
        connection.close()


def test_killing_the_launcher_ends_the_server(tmp_path_factory):
    with (
        contextlib.closing(a_directory(tmp_path_factory)) as directory,
        in_the_foreground(directory) as (launcher, cluster),
    ):
        server = server_of(cluster)
        launcher.kill()

        wait_until(lambda: not alive(server))


@as_root
def test_a_directory_that_others_cannot_enter_stays_closed(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    cluster = Cluster(closed / "data", free_port(), durable=False)

    try:
        with cluster:
            assert ask(cluster, "SELECT 1") == 1
            assert cluster.home.is_relative_to(unprivileged.STATE)
            assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    finally:
        shutil.rmtree(unprivileged.stand_in(closed / "data"), ignore_errors=True)


@as_root
def test_programs_that_others_cannot_reach_are_copied(tmp_path):
    packages = Path(importlib.util.find_spec(unprivileged.WHEEL).origin).parents[1]
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for part in (unprivileged.PROGRAMS.parent, f"{unprivileged.WHEEL}.libs"):
        shutil.copytree(packages / part, closed / part)
    (closed / unprivileged.WHEEL / "__init__.py").touch()
    script = (
        "import sys; from pathlib import Path; from dev.postgres import Cluster, free_port\n"
        "with Cluster(Path(sys.argv[1]), free_port(), durable=False) as c: print(c.programs)"
    )

    try:
        done = subprocess.run(
            [sys.executable, "-c", script, closed / "data"],
            check=True,
            cwd=PROJECT,
            env={"PYTHONPATH": f"{closed}:{PROJECT}"},
            capture_output=True,
            text=True,
        )
        assert done.stdout.startswith(str(unprivileged.stand_in(closed / "data")))
    finally:
        shutil.rmtree(unprivileged.stand_in(closed / "data"), ignore_errors=True)
