"""compose.yaml: each service confined, each variable known, each secret a file."""

import dataclasses
import os
import re
import stat
import subprocess
from pathlib import Path

import pytest

from api.server import DRAIN_S, FINISH_S
from jobs.worker import GRACE_S, QUEUES
from services.audit import AuditKeys
from settings import SECRETS, Settings
from tests.deploy.conftest import needs_nginx
from tests.deploy.files import COMPOSE, VARIABLE, compose, instructions, rendered
from tests.deploy.stack import NGINX
from tests.processes import ROOT

CONTENT = compose()
SERVICES = CONTENT["services"]
OURS = {name: each for name, each in SERVICES.items() if "APP_IMAGE" in each["image"]}
EXAMPLE = ROOT / "deploy" / ".env.example"
# What programs and libraries read beside the settings.
OTHERS = {
    "LISTEN",
    "WEB_PROCESSES",
    "WEB_THREADS",
    "ALIVE_FILE",
    "METRICS_HOST",
    "PROMETHEUS_MULTIPROC_DIR",
    "MIGRATION_DATABASE_URL_FILE",
    "AWS_ENDPOINT_URL_S3",
    "AWS_REGION",
    "AWS_SHARED_CREDENTIALS_FILE",
}
BY_HAND = {"oidc_client_secret", "oidc_admin_client_secret", "firebase_credentials"}
KEY_FILES = ("OIDC_CLIENT_KEY_FILE", "OIDC_ADMIN_CLIENT_KEY_FILE")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")


def seconds(text):
    return float(text.removesuffix("s"))


def examples():
    """The variables of the example, with something in place of what is empty."""
    lines = [line for line in EXAMPLE.read_text().splitlines() if re.match(r"\w+=", line)]
    return {name: value.strip("'") or "x" for name, _, value in (li.partition("=") for li in lines)}


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_confined(name):
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"])
    assert all("size=" in mount for mount in service["tmpfs"])
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert service["logging"]["options"]["max-size"]
    assert not {"privileged", "cap_add", "devices", "pid", "ipc"} & service.keys()


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_watched_and_given_time_to_end(name):
    service = SERVICES[name]

    assert service["stop_grace_period"]
    if name == "setup":
        assert (service["restart"], service["healthcheck"]) == ("no", {"disable": True})
    else:
        assert service["restart"] == "unless-stopped"
        assert service["healthcheck"]["test"]


def test_programs_have_the_time_that_they_take_to_end():
    for name in ("web-a", "web-b"):
        assert seconds(SERVICES[name]["stop_grace_period"]) > DRAIN_S + FINISH_S
    for name in QUEUES:
        assert seconds(SERVICES[name]["stop_grace_period"]) > GRACE_S
    assert seconds(SERVICES["nginx"]["stop_grace_period"]) > 30  # Its proxy_read_timeout.


def test_each_queue_has_its_worker():
    workers = {
        name: each for name, each in OURS.items() if "jobs.worker" in each.get("command", "")
    }

    assert [each["command"][-1] for each in workers.values()] == list(QUEUES)
    assert list(workers) == list(QUEUES)


def test_only_nginx_can_be_reached_from_outside_and_figures_from_this_machine():
    published = {name: each["ports"] for name, each in SERVICES.items() if "ports" in each}

    assert published.keys() == {"nginx", "metrics"}
    assert all(port.startswith("127.0.0.1:") for port in published["metrics"])


def test_the_database_is_on_no_network_and_the_store_on_an_inner_one():
    assert SERVICES["database"]["network_mode"] == "none"
    assert SERVICES["store"]["networks"] == ["storage"]
    assert CONTENT["networks"]["storage"] == {"internal": True}


def test_images_of_others_are_named_by_digest():
    others = [each["image"] for name, each in SERVICES.items() if name not in OURS]

    assert len(others) == 3
    for image in others:
        assert re.fullmatch(r"[a-z/]+:[\w.-]+@\$\{[A-Z]+_DIGEST:\?[^}]+\}", image)


def test_programs_are_told_only_what_they_read():
    known = {field.name.upper() for field in dataclasses.fields(Settings)}
    known |= {f"{name}_FILE" for name in SECRETS & known} | OTHERS

    for service in OURS.values():
        assert service["environment"].keys() <= known


def test_no_secret_is_a_variable():
    for service in SERVICES.values():
        names = service.get("environment", {}).keys()
        assert not {name for name in names if name in SECRETS or name.endswith("PASSWORD")}
        assert "AWS_SECRET_ACCESS_KEY" not in names


def test_only_the_setup_can_change_the_schema():
    holders = {name for name, each in SERVICES.items() if "migration_database_url" in str(each)}

    assert holders == {"setup"}


def test_only_the_worker_that_signs_and_the_setup_have_the_key_of_the_audit_log():
    holders = {name for name, each in SERVICES.items() if "audit_key" in str(each)}

    assert holders == {"setup", "upkeep"}


def test_the_example_names_every_variable_and_no_other():
    used = {match["name"] for match in VARIABLE.finditer(COMPOSE.read_text()) if match["name"]}

    assert examples().keys() == used - {"REVISION"}  # It is told with each build.


def test_the_build_is_told_all_that_the_dockerfile_asks_for():
    asked = {rest.partition("=")[0] for name, rest in instructions() if name == "ARG"}

    assert SERVICES["setup"]["build"]["args"].keys() == asked
    assert [name for name, each in SERVICES.items() if "build" in each] == ["setup"]


def test_the_example_says_how_to_find_each_digest():
    text = EXAMPLE.read_text()
    named = [each["image"] for name, each in SERVICES.items() if name not in OURS]
    named += [rest.split()[0] for name, rest in instructions() if name == "FROM"]

    for image in named:
        assert f"imagetools inspect {image.partition('@')[0]} " in text


@pytest.fixture
def secrets(tmp_path):
    """The folder of secrets, as the command makes it."""
    command = [
        ROOT / "deploy" / "prepare.sh",
        *(tmp_path / name for name in ("data", "secrets", "backup")),
    ]
    said = subprocess.run(command, check=True, capture_output=True, text=True)
    assert said.stderr == ""
    assert {line.split()[-1] for line in said.stdout.splitlines()} == BY_HAND
    return tmp_path / "secrets"


@as_root
def test_every_secret_is_made_but_those_of_others(secrets):
    names = {path.name for path in secrets.iterdir()}

    assert names | BY_HAND == CONTENT["secrets"].keys()
    for name, secret in CONTENT["secrets"].items():
        assert secret["file"].endswith(f"}}/{name}")


@as_root
def test_secrets_are_read_by_their_group_and_changed_by_nobody(secrets):
    for path in secrets.iterdir():
        facts = path.stat()
        assert (facts.st_uid, facts.st_gid, stat.S_IMODE(facts.st_mode)) == (0, 10001, 0o440)


@as_root
def test_a_second_run_leaves_every_secret_as_it_is(secrets, tmp_path):
    before = {path: path.read_text() for path in secrets.iterdir()}

    command = [ROOT / "deploy" / "prepare.sh", tmp_path / "data", secrets, tmp_path / "backup"]
    subprocess.run(command, check=True, capture_output=True)

    assert {path: path.read_text() for path in secrets.iterdir()} == before


@as_root
def test_folders_belong_to_the_accounts_that_write_to_them(secrets):
    made = secrets.parent
    folders = {"DATA_DIR": made / "data", "BACKUP_DIR": made / "backup"}
    services = compose(examples() | {name: str(path) for name, path in folders.items()})["services"]
    bound = [
        (service["user"].split(":")[0], Path(mount["source"]))
        for service in services.values()
        for mount in service.get("volumes", [])
        if isinstance(mount, dict)
    ]

    assert len(bound) == 3
    assert [user for user, _ in bound] == [str(path.stat().st_uid) for _, path in bound]


@as_root
@pytest.mark.parametrize("key_file", ["", "/run/secrets/oidc_client_secret"])
def test_settings_can_be_made_of_what_the_programs_are_given(secrets, key_file):
    filled_in = {"OIDC_ISSUER": "https://id.test", **dict.fromkeys(KEY_FILES, key_file)}
    for name in BY_HAND:
        (secrets / name).write_text("x")
    for name in ("web-a", *QUEUES, "setup"):
        service = compose(examples() | filled_in)["services"][name]
        mounted = {f"/run/secrets/{each}": str(secrets / each) for each in service["secrets"]}
        environment = service["environment"]

        given = Settings.from_env({key: mounted.get(it, it) for key, it in environment.items()})

        assert given.storage_url == "s3://photos"
        assert (given.oidc_client_secret == "x") is not bool(key_file)
        assert given.database_url.endswith("@/c_thainguyen?host=/run/postgresql")
        keys = AuditKeys.of(given.audit_key_file)
        assert (keys is not None and keys.can_sign) is (name in {"setup", "upkeep"})


@needs_nginx
def test_nginx_takes_what_its_image_makes_of_the_template(tmp_path):
    environment = compose(examples())["services"]["nginx"]["environment"]
    config = rendered(environment)
    (tmp_path / "nginx.conf").write_text(config)

    command = [NGINX, "-t", "-p", f"{tmp_path}/", "-c", "nginx.conf", "-e", "stderr"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)

    assert "${" not in re.sub(r"(?m)^\s*#.*$", "", config)
    assert done.returncode == 0, done.stderr


def test_the_figures_are_written_and_read_in_one_folder():
    names = ("web-a", "web-b", "metrics")

    assert {SERVICES[name]["environment"]["PROMETHEUS_MULTIPROC_DIR"] for name in names} == {
        "/run/figures"
    }
    assert all("figures:/run/figures" in SERVICES[name]["volumes"] for name in names)


def test_nginx_asks_each_instance_where_it_listens():
    listening = [SERVICES[name]["environment"]["LISTEN"] for name in ("web-a", "web-b")]

    upstreams = SERVICES["nginx"]["environment"]["UPSTREAMS"]

    assert re.findall(r"server (\S+) max_fails=0;", upstreams) == listening
    assert "web_sockets:/run/web" in SERVICES["nginx"]["volumes"]
