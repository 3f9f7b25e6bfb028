"""The image and compose.yaml at work, with bubblewrap in place of a container engine."""

import contextlib
import datetime as dt
import functools
import os
import re
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from dev import journey, unprivileged
from jobs.worker import QUEUES
from models import Audience, Database
from services import durability
from services.permissions import LEVEL_2
from services.tokens import AccessClaims, Keys
from simulators.fcm.service_account import write_service_account
from tests import factories, stores
from tests.deploy.containers import Image, Machine, can_confine
from tests.deploy.files import compose
from tests.deploy.stack import NGINX
from tests.processes import ROOT, free_port, wait_for

pytestmark = [
    pytest.mark.skipif(not can_confine(), reason="only root with bubblewrap can confine programs"),
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed"),
]
WEB = ("web-a", "web-b")
DIGESTS = [f"{each}_DIGEST" for each in ("PYTHON", "NODE", "NGINX", "POSTGRES", "VERSITYGW")]


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    """A folder that the accounts of the programs can enter; pytest's own ones have mode 700."""
    before = os.umask(0o022)
    with tempfile.TemporaryDirectory(prefix="machine-") as made:
        Path(made).chmod(0o755)
        yield Path(made)
    os.umask(before)


@pytest.fixture(scope="module")
def secrets(directory) -> Path:
    """What deploy/prepare.sh makes, and what an operator adds."""
    folder = directory / "secrets"
    preparing = [ROOT / "deploy" / "prepare.sh", directory / "data", folder, directory / "backup"]
    subprocess.run(preparing, check=True, stdout=subprocess.DEVNULL)
    for name in ("oidc_client_secret", "oidc_admin_client_secret"):
        (folder / name).write_text("a secret\n")
    # The people of the tests are sealed with these.
    for name, keys in factories.KEYS.items():
        (folder / name.lower()).write_text(keys)
    write_service_account(folder / "firebase_credentials", "http://127.0.0.1:1/token")
    subprocess.run(preparing, check=True)
    # The engine mounts these as root; here the confined account does it.
    folder.chmod(0o711)
    return folder


@pytest.fixture(scope="module")
def machine(directory, secrets) -> Iterator[Machine]:
    """Everything of compose.yaml but the store, which is another one here."""
    port, metrics = free_port(), free_port()
    variables = {
        **dict.fromkeys(DIGESTS, "sha256:0"),
        "APP_IMAGE": "c-thainguyen:test",
        "DATA_DIR": str(directory / "data"),
        "SECRETS_DIR": str(secrets),
        "BACKUP_DIR": str(directory / "backup"),
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "PUBLIC_SCHEME": "http",
        "OIDC_ISSUER": "http://127.0.0.1:1",
        "OIDC_CLIENT_ID": "app",
        "OIDC_ADMIN_CLIENT_ID": "admin",
        "OIDC_REDIRECT_URIS": "http://127.0.0.1/callback",
    }
    content = compose(variables)
    services = content["services"]
    with stores.moto() as store:
        for each in services.values():
            if "AWS_ENDPOINT_URL_S3" in each.get("environment", {}):
                each["environment"] |= {"AWS_ENDPOINT_URL_S3": store}
        # There are no names and no networks of containers here.
        services["nginx"]["environment"] |= {
            "LISTEN": f"127.0.0.1:{port}",
            "S3_LOCATION": f"set $s3 {store};",
        }
        services["nginx"]["healthcheck"]["test"][-1] = f"http://127.0.0.1:{port}/metrics"
        services["metrics"]["environment"] |= {
            "METRICS_HOST": "127.0.0.1",
            "METRICS_PORT": str(metrics),
        }
        check = services["metrics"]["healthcheck"]["test"]
        check[-1] = check[-1].replace("8005", str(metrics))
        made = Machine(directory, Image(directory / "image"), content)
        with a_server(made, secrets):
            try:
                yield made
            finally:
                made.stop()


@contextlib.contextmanager
def a_server(machine: Machine, secrets: Path) -> Iterator[None]:
    """PostgreSQL as compose.yaml has it: made, started and given its roles."""
    service, socket = machine.content["services"]["database"], machine.volume("database_socket")
    home = machine.directory / "postgres"
    home.mkdir()
    unprivileged.hand_over(home)
    # This account stands for number 999, who is in group 10001 too.
    account = {**unprivileged.popen_options(), "extra_groups": [10001]}
    os.chown(socket, home.stat().st_uid, 10001)
    programs = unprivileged.programs_for(home)
    password = secrets / "postgres_password"
    known = {"SECRETS": str(secrets), "PGHOST": str(socket), "LC_ALL": "C.UTF-8"}
    known |= {"PATH": f"{programs}:/usr/bin:/bin", "PGPASSWORD": password.read_text().strip()}
    run = functools.partial(subprocess.run, cwd="/", env=known, capture_output=True, **account)

    arguments = service["environment"]["POSTGRES_INITDB_ARGS"].split()
    arguments += [f"--pgdata={home}/data", "--username=postgres", f"--pwfile={password}"]
    run([programs / "initdb", "--no-sync", *arguments], check=True)
    program, *options = service["command"]
    options = [each.replace("/run/postgresql", str(socket)) for each in options]
    with (home / "log").open("wb") as log:
        starting = [programs / program, "-D", home / "data", *options]
        server = subprocess.Popen(starting, cwd="/", stdout=log, stderr=log, **account)
    try:
        wait_for("PostgreSQL", lambda: run([programs / "pg_isready"]).returncode == 0)
        run(["/bin/sh"], check=True, input=(ROOT / "deploy" / "roles.sh").read_bytes())
        yield
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture(scope="module")
def prepared(machine) -> tuple[int, str]:
    """How the service `setup` ended."""
    return machine.run("setup")


@pytest.fixture(scope="module")
def running(machine, prepared) -> Machine:  # noqa: ARG001 - its order
    """Everything runs and is healthy."""
    machine.start_healthy(*WEB, *QUEUES, "metrics")
    machine.start_healthy("nginx")
    return machine


def address(machine: Machine, secrets: Path, name: str = "database_url") -> str:
    """The address in a secret, as it is reached from outside of the containers."""
    socket = machine.volume("database_socket")
    return (secrets / name).read_text().strip().replace("/run/postgresql", str(socket))


@pytest.fixture(scope="module")
def phone(running, secrets) -> Iterator[journey.App]:
    """The app of a citizen who has signed in, in front of nginx."""
    settings = running.content["services"]["web-a"]["environment"]
    base = settings["PUBLIC_URL"]
    database = Database.at(address(running, secrets))
    with database.sessions() as session:
        citizen = factories.a_citizen(session).id
    database.close()
    keys = Keys(
        secret=(secrets / "secret_key").read_text().strip(),
        access_key=secrets / "access_token_key",
        issuer=base,
    )
    now = dt.datetime.now(dt.UTC)
    claims = AccessClaims(citizen, uuid.uuid4(), Audience.CITIZEN, LEVEL_2, now, now)
    with journey.App(base, "nobody") as app:
        app.http.headers["Authorization"] = f"Bearer {keys.mint(claims)}"
        yield app


def test_setup_brings_database_and_store_to_where_the_image_wants_them(prepared):
    code, said = prepared

    assert code == 0, said
    assert "0001 is applied." in said
    assert "places: 93" in said
    assert said.endswith("The place for photos is there.\n")


@pytest.mark.usefixtures("prepared")
def test_the_database_is_safe_for_the_application_and_not_for_its_owner(machine, secrets):
    durability.require(address(machine, secrets))

    with pytest.raises(durability.UnsafeDatabase, match="the role may create things"):
        durability.require(address(machine, secrets, "migration_database_url"))


@pytest.mark.usefixtures("prepared")
def test_nobody_enters_the_database_without_a_password(machine, secrets):
    without = re.sub(r":[^:@]*@", "@", address(machine, secrets))

    with pytest.raises(psycopg.OperationalError, match="no password supplied"):
        psycopg.connect(without)


def test_with_all_its_workers_the_system_is_ready(phone):
    answer = phone.http.get(f"{phone.base}/readyz")

    assert answer.status_code == 200
    assert answer.json()["workers"] == len(QUEUES)


def test_a_report_with_a_photo_makes_its_way(phone):
    told = []

    journey.send_report(phone, told.append)

    assert told[-1].startswith("The photo is ready")


def test_pages_and_their_files_are_in_the_image(phone):
    paths = ["/admin/signed-out", "/admin/static/admin.css", "/api/docs", "/api/openapi.json"]

    answers = [phone.http.get(f"{phone.base}{path}") for path in paths]

    assert [answer.status_code for answer in answers] == [200] * len(paths)


def test_what_was_asked_is_counted(running, phone):
    phone.get("/me")
    port = running.content["services"]["metrics"]["environment"]["METRICS_PORT"]

    told = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text

    assert 'http_requests_total{method="GET",route="/api/v1/me",status="200"}' in told
    assert "database_up 1.0" in told


def test_an_instance_is_exchanged_while_the_other_one_serves(running, phone):
    gone = next(each for each in running.started if each.log.name == "web-a")

    code = gone.stop()
    meanwhile = {phone.http.get(f"{phone.base}/healthz").status_code for _ in range(6)}
    running.start_healthy("web-a")

    assert (code, meanwhile) == (0, {200})
    lines = (running.directory / "logs" / "nginx").read_text().splitlines()
    assert [line for line in lines if not line.startswith('{"time":')] == []


def test_every_program_runs_as_an_account_that_can_gain_nothing(running):
    living = {each.log.name: each.status() for each in running.started if each.alive}

    assert living.keys() == {"nginx", *WEB, *QUEUES, "metrics"}
    for name, facts in living.items():
        assert facts["Uid"].split() == ["101" if name == "nginx" else "10001"] * 4
        assert facts["Gid"].split() == ["10001"] * 4
        assert facts["CapEff"] == facts["CapBnd"] == "0" * 16
        assert facts["NoNewPrivs"] == "1"


WRITING = """
import pathlib
for folder in ("/", "/srv", "/srv/app", "/srv/venv", "/usr", "/run", "/run/secrets", "/tmp"):
    try:
        (pathlib.Path(folder) / "a-test-wrote-this").touch()
    except OSError as error:
        print(folder, error.errno)
    else:
        print(folder, "written")
"""


@pytest.mark.usefixtures("prepared")
def test_nothing_can_be_written_but_where_compose_says_so(machine):
    code, said = machine.run("metrics", "python", "-c", WRITING)

    assert code == 0
    assert said.split().count("30") == 7  # EROFS: the file system is read-only.
    assert said.count("written") == 1
    assert said.split()[-2:] == ["/tmp", "written"]  # noqa: S108 - the folder is compose.yaml's
    if machine.is_traced:
        seen = [line for line in machine.traces() if "a-test-wrote-this" in line]
        assert sum("EROFS" in line for line in seen) == 7


@pytest.mark.usefixtures("phone")
def test_every_program_ends_when_asked_and_tried_to_write_nowhere_else(running):
    codes = running.stop()

    assert codes == dict.fromkeys(["nginx", *WEB, *QUEUES, "metrics"], 0)
    if running.is_traced:
        lines = [line for line in running.traces() if "a-test-wrote-this" not in line]
        assert len(lines) > 1000
        assert [line for line in lines if re.search(r"E(ROFS|ACCES|PERM)\b", line)] == []
