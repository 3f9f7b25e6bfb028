"""The commands of docs/backup.md, as they stand there: what is backed up comes back."""

import contextlib
import datetime as dt
import hashlib
import os
import re
import stat
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from api.cli import rows
from dev import credentials, unprivileged
from dev.postgres import APP, DATABASE, OWNER, SUPERUSER, Cluster, free_port
from models import Audience, Database
from services import reference
from services.permissions import LEVEL_2
from services.storage import LocalStorage
from services.tokens import AccessClaims, Keys, TokenInvalid
from tests import factories
from tests.conftest import migrate
from tests.processes import ROOT, running, wait_for

pytestmark = pytest.mark.slow

PAGE = (ROOT / "docs" / "backup.md").read_text("utf-8")
BLOCKS = dict(re.findall(r"^```sh (\S+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))
TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
CHECKSUM = "SELECT count(*), md5(string_agg(row::text, '|' ORDER BY row::text)) FROM {} row"
# The account of the store in compose.yaml.
STORE = 10003, 10001
# What that store writes to a bucket's folder and to files.
ATTRIBUTE = "user.acl"
ELSEWHERE = [
    ROOT / "tests" / "deploy" / "test_going_back.py",
    ROOT / "tests" / "test_key_change.py",
]


class Place:
    """An installation with its backups, and the page's variables for it."""

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o711)  # The account that runs PostgreSQL passes through.
        self.cluster = Cluster(folder / "postgres", free_port())
        self.of_database = folder / "database"
        self.of_database.mkdir(mode=0o700)
        unprivileged.hand_over(self.of_database)
        self.photos = folder / "photos"
        self.photo_backup = folder / "photo-backup"
        self.secrets = folder / "secrets"
        self.log = folder / "app.log"
        self.variables = {
            "PATH": os.defpath,
            "DATABASE_BACKUP": str(self.of_database / "backup"),
            "PHOTO_BACKUP": str(self.photo_backup),
            "PHOTOS": str(self.photos),
            "RESTORED": str(self.of_database / "restored"),
        }

    def run(self, name: str, *, as_database: bool = True, given: str = "", **variables: str) -> str:
        """What a block of the page prints; it must succeed."""
        done = subprocess.run(
            ["/bin/sh", "-euc", BLOCKS[name]],
            check=False,
            cwd="/",
            env=self.variables | variables,
            input=given,
            capture_output=True,
            text=True,
            **(unprivileged.popen_options() if as_database else {}),
        )
        assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
        return done.stdout

    def missing_photos(self) -> str:
        ready = self.run("ready-photos")
        return self.run("check-photos", as_database=False, given=ready)

    def start(self) -> None:
        self.cluster.start()
        self.variables["PATH"] = f"{self.cluster.programs}:{os.defpath}"
        self.variables["SUPERUSER_URL"] = self.cluster.url(SUPERUSER)

    def url(self, role: str, port: int) -> str:
        return self.cluster.url(role).replace(f":{self.cluster.port}/", f":{port}/")

    def environment(self, database_url: str) -> dict[str, str]:
        """The application's, on a database that is this one or the one restored from it."""
        return {
            "DATABASE_URL": database_url,
            "PUBLIC_URL": "http://localhost",
            "OIDC_ISSUER": "http://127.0.0.1:1",
            "OIDC_CLIENT_ID": "app",
            "OIDC_ADMIN_CLIENT_ID": "admin",
            "OIDC_REDIRECT_URIS": "http://127.0.0.1/callback",
            "STORAGE_URL": self.photos.as_uri(),
            "ALLOW_UNSAFE_DATABASE": "",
            **credentials.provide(self.secrets, token_uri="http://127.0.0.1:1/token"),
            # The people of the tests are sealed with these.
            **factories.KEYS,
        }

    def keys(self) -> Keys:
        values = credentials.provide(self.secrets, token_uri="http://127.0.0.1:1/token")
        return Keys(
            secret=values["SECRET_KEY"],
            access_key=Path(values["ACCESS_TOKEN_KEY_FILE"]),
            issuer="http://localhost",
        )


@pytest.fixture
def place():
    with tempfile.TemporaryDirectory(prefix="backup-") as folder:
        place = Place(Path(folder))
        try:
            yield place
        finally:
            place.cluster.stop()


def checksums(url):
    with psycopg.connect(url, options="-c timezone=UTC") as connection:
        names = [name for (name,) in connection.execute(TABLES)]
        return {name: connection.execute(CHECKSUM.format(name)).fetchone() for name in names}


def sums_of(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def give_to_the_store(folder):
    """As compose.yaml has it; only root can."""
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            if path.stat().st_uid != STORE[0]:  # To give it once more would make it new.
                os.chown(path, *STORE)


def facts_of(folder):
    """Owner, mode and attributes of a folder and of all that is in it, by name."""
    return {
        str(path.relative_to(folder)): (
            facts.st_uid,
            facts.st_gid,
            stat.S_IMODE(facts.st_mode),
            {name: os.getxattr(path, name) for name in os.listxattr(path)},
        )
        for path in (folder, *folder.rglob("*"))
        for facts in [path.stat()]
    }


def write(database, storage, *colours):
    """Reports with a photo each, and what they leave in other tables; the last citizen's id."""
    for quality in colours:
        with database.sessions() as session:
            citizen = factories.a_citizen(session)
            photo = factories.an_upload(session, citizen, storage, factories.jpeg(quality=quality))
            factories.a_report(session, citizen, upload_ids=(photo,))
    return citizen.id


def bearer(keys, citizen_id):
    now = dt.datetime.now(dt.UTC)
    claims = AccessClaims(citizen_id, citizen_id, Audience.CITIZEN, LEVEL_2, now, now)
    return {"Authorization": f"Bearer {keys.mint(claims)}"}


def answers(client, path):
    try:
        return client.get(path).status_code == 200
    except httpx.TransportError:
        return False


def test_every_block_of_the_page_is_run_here():
    source = Path(__file__).read_text("utf-8")

    elsewhere = "".join(path.read_text("utf-8") for path in ELSEWHERE)
    assert len(BLOCKS) == PAGE.count("\n```sh")
    left = {name for name in BLOCKS if f'run("{name}"' not in source}
    assert left == {name for name in BLOCKS if re.search(rf'(BLOCKS\[|block\()"{name}"', elsewhere)}


@pytest.mark.parametrize("name", BLOCKS)
def test_the_page_finds_its_own_blocks(name):
    finding = f'{BLOCKS["compose"]}block "$1"'

    found = subprocess.run(
        ["/bin/sh", "-euc", finding, "sh", name],
        check=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )

    assert found.stdout == BLOCKS[name]


def test_a_block_that_the_page_has_not_is_an_error():
    finding = f'{BLOCKS["compose"]}block "$1"'

    found = subprocess.run(
        ["/bin/sh", "-euc", finding, "sh", "resotre"], check=False, cwd=ROOT, capture_output=True
    )

    assert (found.returncode, found.stdout) == (1, b"")


@pytest.fixture
def photos(place):
    """Photos of the time before the last copy, and of the time since."""
    storage = LocalStorage(place.photos)
    for key in ("a/full", "b/full"):
        storage.put(key, b"before")
    give_to_the_store(place.photos)
    place.run("photos", as_database=False)
    # The next run takes only what came after this moment, and not what is ten minutes old.
    os.utime(place.photo_backup / "last")
    time.sleep(0.05)
    for key in ("a/thumb", "c/full"):
        storage.put(key, b"since")
    (place.photos / "c").chmod(0o750)
    give_to_the_store(place.photos)
    return place.photos


def come_back(place):
    """The photos are lost after a copy, and brought back; what they are then."""
    place.run("photos", as_database=False)
    place.photos.rename(place.photos.with_name("lost"))
    place.run("restore-photos", as_database=False)
    return facts_of(place.photos)


def test_photos_and_their_folders_come_back_with_owner_and_mode(place, photos):
    wanted, files = facts_of(photos), sums_of(photos)

    assert come_back(place) == wanted
    assert sums_of(photos) == files
    assert {name for name, facts in wanted.items() if facts[2] == 0o700} == {".", "a", "b"}


def test_what_the_store_knows_of_folders_and_files_comes_back(place, photos):
    try:
        for name in (".", "b", "a/thumb", "b/full"):
            os.setxattr(photos / name, ATTRIBUTE, name.encode())
    except OSError as error:
        pytest.skip(f"the file system has no attributes: {error}")
    wanted = facts_of(photos)

    assert come_back(place) == wanted
    assert os.getxattr(photos, ATTRIBUTE) == b"."


@pytest.mark.usefixtures("photos")
def test_only_what_is_new_is_copied(place):
    copy = place.photo_backup / "files"
    (copy / "b" / "full").unlink()

    place.run("photos", as_database=False)

    names = {str(path.relative_to(copy)) for path in copy.rglob("*") if path.is_file()}
    assert names == {"a/full", "a/thumb", "c/full"}


def test_the_page_brings_everything_back(place):
    place.start()
    place.run("archive")
    place.cluster.stop()
    place.start()
    migrate(place.cluster, DATABASE)
    database, storage = Database.at(place.cluster.url()), LocalStorage(place.photos)
    with database.transaction() as session:
        reference.load(session, rows)
    place.run("archive-check")
    write(database, storage, 60, 61)
    place.run("base")
    place.run("photos", as_database=False)
    citizen = write(database, storage, 70, 71)
    give_to_the_store(place.photos)

    with database.transaction() as session:
        target = session.connection().exec_driver_sql("SELECT clock_timestamp()").scalar_one()
    wanted, files = checksums(place.cluster.url(OWNER)), sums_of(place.photos)
    owners = facts_of(place.photos)
    time.sleep(1.1)  # A base backup bears the second of its end in its name.
    write(database, storage, 80)
    place.run("photos", as_database=False)
    place.run("base")  # Too late for the moment to which we go back.
    place.run("archive-check")
    assert checksums(place.cluster.url(OWNER)) != wanted
    database.close()

    place.cluster.stop()
    place.photos.rename(place.photos.with_name("lost"))
    port = free_port()
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''"
    with restored(place, target, options):
        place.variables["SUPERUSER_URL"] = place.url(SUPERUSER, port)
        place.run("wait")
        place.run("restore-photos", as_database=False)

        assert checksums(place.url(OWNER, port)) == wanted
        back = sums_of(place.photos)
        assert files.items() <= back.items()
        assert owners.items() <= facts_of(place.photos).items()
        place.run("check-rows")
        assert place.missing_photos() == ""
        the_application_serves(place, port, citizen)
        the_keys_matter(place, citizen)
        a_missing_photo_is_named(place)


@contextlib.contextmanager
def restored(place, target, options):
    """The restored server, ended afterwards whatever happens."""
    place.run("restore", TARGET=str(target), SERVER_OPTIONS=options)
    try:
        yield
    finally:
        stop = "pg_ctl", "-D", place.variables["RESTORED"], "-m", "fast", "stop"
        subprocess.run(
            [place.cluster.programs / stop[0], *stop[1:]],
            check=True,
            cwd="/",
            capture_output=True,
            **unprivileged.popen_options(),
        )


def the_application_serves(place, port, citizen):
    """It is ready, shows a report of the time between, and its photo."""
    listen = f"127.0.0.1:{free_port()}"
    environment = place.environment(place.url(APP, port)) | {"LISTEN": listen}
    with (
        running("api.server", log=place.log, **environment),
        httpx.Client(base_url=f"http://{listen}", trust_env=False, timeout=10) as client,
    ):
        wait_for("readiness", lambda: answers(client, "/readyz"))
        mine = client.get("/api/v1/reports", headers=bearer(place.keys(), citizen)).json()
        (photo,) = mine["items"][0]["photos"]
        address = urlsplit(photo["urls"]["full"])
        shown = client.get(f"{address.path}?{address.query}")
    assert shown.status_code == 200
    assert hashlib.sha256(shown.content).hexdigest() in sums_of(place.photos).values()


def the_keys_matter(place, citizen):
    """What the page says is lost with each key."""
    ours = place.keys()
    token = bearer(ours, citizen)["Authorization"].removeprefix("Bearer ")
    place.secrets.rename(place.secrets.with_name("lost-secrets"))
    others = place.keys()

    assert ours.mac("links", b"photo") != others.mac("links", b"photo")
    with pytest.raises(TokenInvalid):
        others.verify(token)


def a_missing_photo_is_named(place):
    """The check of the page can fail."""
    # One that the restored rows name; the folder has later ones too.
    lost = place.run("ready-photos").split()[0]
    (place.photos / lost / "thumb").unlink()

    assert place.missing_photos() == f"{lost}\n"
