"""The Dockerfile: nothing that changes by itself, nothing that is not of the product, no secret."""

import json
import re
import subprocess
import tomllib

import pytest

from dev import vendor
from tests.deploy.files import DOCKERFILE, copied, instructions
from tests.processes import ROOT

LOCKS = sorted(ROOT.glob("requirements*.lock"))
SECRET = re.compile(r"SECRET|PASSWORD|TOKEN|KEY|CREDENTIAL", re.IGNORECASE)


def all_of(*names):
    return [rest for name, rest in instructions() if name in names]


def product():
    """The files and folders of this project that are copied."""
    return {source.rstrip("/") for stage, sources, _ in copied() if not stage for source in sources}


def test_hadolint_has_nothing_to_say():
    command = [ROOT / ".venv" / "bin" / "hadolint", "--no-color", DOCKERFILE]

    done = subprocess.run(command, check=False, capture_output=True, text=True)

    assert (done.returncode, done.stdout) == (0, "")


def test_each_base_is_named_by_a_digest_that_has_no_default():
    bases = [rest.split()[0] for rest in all_of("FROM")]
    digests = {re.fullmatch(r"[a-z]+:[a-z0-9.-]+@\$\{(\w+_DIGEST)\}", base)[1] for base in bases}

    assert len(bases) == 3
    assert digests <= set(all_of("ARG"))


def test_the_account_is_a_number_and_not_root():
    assert all_of("USER") == ["10001:10001"]


def test_programs_are_started_without_a_shell():
    assert [json.loads(rest) for rest in all_of("CMD")] == [["python", "-m", "api.server"]]
    assert all_of("ENTRYPOINT", "SHELL") == []


def test_nothing_is_fetched_but_by_the_locks():
    assert all_of("ADD") == []
    assert not re.search(r"https?:|curl|wget|apt-get", DOCKERFILE.read_text())
    fetching = [rest for rest in all_of("RUN") if re.search(r"\b(npm|pip)\b", rest)]
    assert len(fetching) == 2
    assert all("npm ci" in rest or "--require-hashes" in rest for rest in fetching)


def test_no_secret_is_built_in():
    assert [rest for rest in all_of("ARG", "ENV", "LABEL") if SECRET.search(rest)] == []


def test_the_product_is_copied_whole_and_alone():
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    wheel = wheel["targets"]["wheel"]

    assert product() == {
        *wheel["packages"],
        *wheel["force-include"],
        "alembic.ini",
        "requirements.lock",
    }


def test_what_is_copied_is_there():
    assert [name for name in product() if not (ROOT / name).exists()] == []


def test_the_image_gets_the_browser_libraries_that_the_staff_view_knows():
    (libraries,) = [(sources, target) for stage, sources, target in copied() if stage]

    assert libraries == (
        [f"/srv/browser/node_modules/{source}" for source in vendor.FILES],
        f"{vendor.TARGET.relative_to(ROOT)}/",
    )
    assert [source.rpartition("/")[2] for source in vendor.FILES] == [*vendor.FILES.values()]


def test_the_build_is_sent_what_is_copied_and_nothing_else():
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line.strip("!/") for line in lines if line.startswith("!")}

    assert next(line for line in lines if not line.startswith("#")) == "*"
    assert allowed == {*product(), "package.json", "package-lock.json"}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_each_package_is_locked_by_version_and_hash(lock):
    text = re.sub(r"\\\n\s*", " ", lock.read_text())
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]

    assert lines
    for line in lines:
        name, *hashes = line.partition(";")[0].split() if ";" not in line else line.split()
        assert "==" in name
        assert any(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", each) for each in hashes)


def test_no_lock_says_where_packages_come_from():
    for lock in (*LOCKS, ROOT / "package-lock.json"):
        assert not re.search(r"https?://|git\+|file:|index-url", lock.read_text())


def test_each_browser_library_is_locked_by_its_hash():
    packages = json.loads((ROOT / "package-lock.json").read_text())["packages"]

    assert all(each["integrity"] for name, each in packages.items() if name)
