"""Where photos lie: a folder and an S3 store do the same, and a store may be away."""

import asyncio
import contextlib
import datetime as dt
import io
import re
import shutil
import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx
import procrastinate
import pytest
from sqlalchemy import select, text

from api.current import EXTENSION
from jobs import tasks
from jobs.context import Context
from models import Upload, UploadState
from notifications.memory import MemoryPush
from services import uploads
from services.privacy import export
from services.privacy.retention import HOURLY
from services.storage import LocalStorage, StorageUnavailable, open_storage
from services.storage.s3 import ATTEMPTS, READ_S, TURN_S
from tests import factories, stores
from tests.conftest import serving
from tests.processes import ROOT

LATER = dt.timedelta(hours=25)
STRACE = shutil.which("strace")
PUTTING = """
import pathlib, sys
from services.storage import LocalStorage
storage = LocalStorage(pathlib.Path(sys.argv[1]))
for key in sys.argv[2:]:
    storage.put(key, b"x")
"""


@pytest.fixture(scope="module")
def s3():
    """A store; yields its address."""
    with stores.moto() as url:
        yield url


@pytest.fixture
def aws(monkeypatch):
    """With it, the variables that tell of a store at an address."""

    def told(url: str) -> None:
        for name, value in stores.variables(url).items():
            monkeypatch.setenv(name, value)

    return told


@pytest.fixture(params=["folder", "bucket", "prefix"])
def storage_url(request, tmp_path):
    """The address of an empty place of each kind."""
    if request.param == "folder":
        return f"file://{tmp_path}/files"
    request.getfixturevalue("aws")(request.getfixturevalue("s3"))
    bucket = f"photos-{uuid.uuid4()}"
    url = f"s3://{bucket}" if request.param == "bucket" else f"s3://{bucket}/of/reports"
    open_storage(url).prepare()
    return url


@pytest.fixture
def storage(storage_url):
    return open_storage(storage_url)


@pytest.fixture
def bucket(aws, s3):
    """The name of an empty bucket."""
    aws(s3)
    name = f"photos-{uuid.uuid4()}"
    open_storage(f"s3://{name}").prepare()
    return name


@pytest.fixture
def settings(settings, storage_url):
    return replace(settings, storage_url=storage_url)


@pytest.fixture
def context(app, database, clock):
    storage = app.extensions[EXTENSION].storage
    return Context(db=database, storage=storage, vault=factories.VAULT, push=MemoryPush, now=clock)


def send(client, headers):
    files = {"file": (io.BytesIO(factories.jpeg()), "x")}
    return client.post("/api/v1/uploads", data=files, headers=headers)


def is_there(storage, key):
    try:
        return bool(storage.get(key))
    except FileNotFoundError:
        return False


def test_what_was_put_is_read_back(storage):
    storage.put("a/full", b"\x00\xff" * 70_000)

    assert storage.get("a/full") == b"\x00\xff" * 70_000


def test_the_last_content_wins(storage):
    storage.put("a/full", b"first")
    storage.put("a/full", b"second")

    assert storage.get("a/full") == b"second"


def test_what_is_not_there_is_not_found(storage):
    with pytest.raises(FileNotFoundError):
        storage.get("a/full")


def test_deleting_twice_is_fine(storage):
    storage.put("a/full", b"x")
    storage.put("a/thumb", b"y")

    storage.delete("a/full")
    storage.delete("a/full")

    assert not is_there(storage, "a/full")
    assert storage.get("a/thumb") == b"y"


def test_all_under_a_name_goes_and_nothing_beside_it(storage):
    for key in ("a/full", "a/thumb", "ab/full"):
        storage.put(key, b"x")

    storage.delete_all("a")
    storage.delete_all("a")

    assert not is_there(storage, "a/full")
    assert not is_there(storage, "a/thumb")
    assert is_there(storage, "ab/full")


@pytest.mark.parametrize("key", ["../../etc/passwd", "a/../../b", "/etc/passwd", "..", ""])
def test_a_key_that_leaves_its_folder_is_refused(storage, key):
    for work in (storage.get, storage.delete, storage.delete_all):
        with pytest.raises(ValueError, match="left its folder"):
            work(key)


def test_a_name_is_untouched_only_when_all_under_it_is_old(storage):
    for key in ("mixed/full", "old/full"):
        storage.put(key, b"x")
    moment = dt.datetime.now(dt.UTC).replace(microsecond=0) + dt.timedelta(seconds=1)
    time.sleep((moment - dt.datetime.now(dt.UTC)).total_seconds() + 0.01)
    for key in ("mixed/thumb", "new/full"):
        storage.put(key, b"x")

    assert list(storage.untouched_since(moment)) == ["old"]


def test_the_names_in_a_folder_are_those_directly_in_it(storage):
    for key in ("a/b/one.json", "a/b/two.json", "a/b/deeper/three.json", "a/bc/four.json"):
        storage.put(key, b"x")

    assert sorted(storage.names("a/b")) == ["one.json", "two.json"]
    assert list(storage.names("nothing/there")) == []


def test_making_the_place_again_changes_nothing(storage):
    storage.put("a/full", b"x")

    storage.prepare()

    assert storage.get("a/full") == b"x"


@pytest.mark.skipif(STRACE is None, reason="strace is not installed")
def test_a_folder_has_written_the_file_and_each_new_name_to_the_disk(tmp_path):
    root = tmp_path / "files"

    done = on_its_way_to_the_disk(tmp_path / "trace", root, "a/full", "a/thumb")

    assert done == [
        f"mkdir {root}",
        f"sync {tmp_path}",
        f"mkdir {root}/a",
        f"sync {root}",
        f"sync {root}/a/tmp",
        f"rename {root}/a/full",
        f"sync {root}/a",
        # The folder is there already, so that its own name is not new any more.
        f"sync {root}/a/tmp",
        f"rename {root}/a/thumb",
        f"sync {root}/a",
    ]


def on_its_way_to_the_disk(trace, root, *keys):
    """What a program that puts photos asks of the kernel, in order, as far as it succeeds."""
    calls = "trace=mkdir,mkdirat,rename,renameat,renameat2,fsync,fdatasync"
    tracing = [STRACE, "-y", "-qq", "-e", calls, "-e", "signal=none", "-o", trace]
    putting = [sys.executable, "-B", "-c", PUTTING, root, *keys]
    subprocess.run([*tracing, *putting], check=True, cwd=ROOT)
    done = []
    for line in trace.read_text().splitlines():
        if line.endswith(" = 0") and str(root.parent) in line:
            path = re.findall(r'[<"](/[^">]*)[>"]', line)[-1]
            name = re.sub(r"(?<=/tmp)\w{8}$", "", path)
            done.append(f"{re.match('(?:f|fdata)?([a-z]+)', line)[1].removesuffix('at')} {name}")
    return done


def test_an_upload_becomes_ready_and_the_file_as_sent_goes(client, headers, context):
    upload_id = uuid.UUID(send(client, headers).json["id"])

    tasks.derive_photo(context, upload_id)

    ready = client.get(f"/api/v1/uploads/{upload_id}", headers=headers).json
    assert ready["state"] == "ready"
    assert {client.get(url).mimetype for url in ready["urls"].values()} == {"image/jpeg"}
    assert not is_there(context.storage, uploads.key(upload_id, "original"))


def test_a_lost_photo_has_no_link_any_more(client, headers, context):
    upload_id = uuid.UUID(send(client, headers).json["id"])
    tasks.derive_photo(context, upload_id)
    urls = client.get(f"/api/v1/uploads/{upload_id}", headers=headers).json["urls"]
    context.storage.delete_all(str(upload_id))

    assert client.get(urls["full"]).json["code"] == "link_invalid"


def test_files_that_no_row_tells_of_are_swept(session, citizen, storage):
    kept = factories.an_upload(session, citizen, storage)
    lost = uuid.uuid4()
    storage.put(uploads.key(lost, "original"), b"of a process that died before its commit")
    storage.put("of-others/file", b"x")

    gone = uploads.sweep_files(session, storage=storage, at=dt.datetime.now(dt.UTC) + LATER)

    assert gone == 1
    assert is_there(storage, uploads.key(kept, "full"))
    assert is_there(storage, "of-others/file")
    assert not is_there(storage, uploads.key(lost, "original"))


def test_more_than_a_page_is_listed_and_deleted(bucket, s3):
    storage = open_storage(f"s3://{bucket}")
    own = stores.client(s3)
    for number in range(1001):
        own.put_object(Bucket=bucket, Key=f"many/{number:04}", Body=b"")
    for number in range(20):
        own.put_object(Bucket=bucket, Key=f"name-{number:02}/full", Body=b"")

    names = list(storage.untouched_since(dt.datetime.now(dt.UTC) + LATER))
    storage.delete_all("many")

    assert names == ["many", *(f"name-{number:02}" for number in range(20))]
    assert own.list_objects_v2(Bucket=bucket)["KeyCount"] == 20


def test_what_lies_beside_the_prefix_is_not_ours(bucket, s3):
    storage = open_storage(f"s3://{bucket}/ours")
    own = stores.client(s3)
    for key in ("theirs/full", "ours-too/full", "a/full"):
        own.put_object(Bucket=bucket, Key=key, Body=b"x")
    storage.put("a/full", b"y")

    names = list(storage.untouched_since(dt.datetime.now(dt.UTC) + LATER))
    storage.delete_all("a")

    left = [each["Key"] for each in own.list_objects_v2(Bucket=bucket)["Contents"]]
    assert names == ["a"]
    assert left == ["a/full", "ours-too/full", "theirs/full"]


def test_a_new_bucket_is_its_owners_alone(bucket, s3):
    grants = stores.client(s3).get_bucket_acl(Bucket=bucket)["Grants"]

    assert [grant["Grantee"]["Type"] for grant in grants] == ["CanonicalUser"]


def test_a_bucket_is_made_in_the_region_that_is_set(aws, s3, monkeypatch):
    aws(s3)
    monkeypatch.setenv("AWS_REGION", "ap-southeast-1")
    name = f"photos-{uuid.uuid4()}"

    open_storage(f"s3://{name}").prepare()

    place = stores.client(s3).get_bucket_location(Bucket=name)
    assert place["LocationConstraint"] == "ap-southeast-1"


@pytest.mark.parametrize(
    "url", ["ftp://x/y", "s3://", "s3://UPPER", "s3://key:secret@bucket", "s3://bucket/a/../b"]
)
def test_an_address_that_names_no_place_is_refused(aws, url):
    aws(stores.closed())

    with pytest.raises(ValueError, match="STORAGE_URL"):
        open_storage(url)


def test_a_store_that_nobody_may_ask_is_refused_at_the_start(aws, monkeypatch):
    aws(stores.closed())
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    with pytest.raises(ValueError, match="AWS_ACCESS_KEY_ID"):
        open_storage("s3://photos")


def test_a_bucket_that_is_missing_loses_no_photo(aws, s3):
    aws(s3)

    with pytest.raises(StorageUnavailable):
        open_storage("s3://not-there").get("a/full")


# For these the address is enough, since nobody answers at it.
of_s3 = pytest.mark.parametrize("storage_url", ["s3://photos"])


@pytest.fixture
def away(aws):
    """With it, a store that is not there."""
    aws(stores.closed())


@of_s3
@pytest.mark.usefixtures("away")
def test_a_photo_is_refused_whole_while_the_store_is_away(client, session, headers):
    answer = send(client, headers | {"Accept-Language": "en"})

    assert (answer.status_code, answer.json["code"]) == (503, "storage_unavailable")
    assert answer.mimetype == "application/problem+json"
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.json["detail"].startswith("Photos cannot be stored")
    assert session.scalars(select(Upload)).all() == []
    assert session.scalar(text("SELECT count(*) FROM procrastinate_jobs")) == 0


@of_s3
@pytest.mark.usefixtures("away")
def test_a_photo_cannot_be_shown_while_the_store_is_away(
    client, session, citizen, headers, tmp_path
):
    upload_id = factories.an_upload(session, citizen, LocalStorage(tmp_path))
    urls = client.get(f"/api/v1/uploads/{upload_id}", headers=headers).json["urls"]

    answer = client.get(urls["full"])

    assert (answer.status_code, answer.json["code"]) == (503, "storage_unavailable")


def test_an_export_is_made_and_read_in_any_store(client, session, headers, context):
    photo = uuid.UUID(send(client, headers).json["id"])
    tasks.derive_photo(context, photo)

    asked = client.get("/api/v1/me/export", headers=headers)
    factories.do_jobs(session, context, export.TASK)
    made = client.get("/api/v1/me/export", headers=headers)

    assert (asked.status_code, made.status_code) == (202, 200)
    assert [each["id"] for each in made.json["photos"] if each["jpeg"]] == [str(photo)]


@of_s3
@pytest.mark.usefixtures("away")
def test_an_export_waits_for_its_store(client, session, citizen, headers, context, tmp_path):
    factories.an_upload(session, citizen, LocalStorage(tmp_path))
    client.get("/api/v1/me/export", headers=headers)
    with pytest.raises(StorageUnavailable):
        factories.do_jobs(session, context, export.TASK)
    meanwhile = client.get("/api/v1/me/export", headers=headers)
    factories.do_jobs(session, replace(context, storage=LocalStorage(tmp_path)), export.TASK)

    answer = client.get("/api/v1/me/export", headers=headers)

    assert meanwhile.status_code == 202
    assert (answer.status_code, answer.json["code"]) == (503, "storage_unavailable")


@of_s3
@pytest.mark.usefixtures("away")
def test_rows_go_while_the_store_is_away_and_files_when_it_is_back(
    session, citizen, context, clock, tmp_path
):
    upload_id = factories.an_upload(session, citizen, LocalStorage(tmp_path))
    clock.forward(hours=25)

    tasks.sweep(context, HOURLY)

    assert session.scalars(select(Upload)).all() == []
    with pytest.raises(StorageUnavailable):
        factories.do_jobs(session, context, uploads.DISCARD_TASK)
    factories.do_jobs(
        session, replace(context, storage=LocalStorage(tmp_path)), uploads.DISCARD_TASK
    )
    assert not is_there(LocalStorage(tmp_path), uploads.key(upload_id, "full"))


@pytest.fixture
def silent(aws):
    """With it, a store that takes connections and says nothing."""
    with stores.silent() as url:
        aws(url)
        yield


@pytest.mark.alone
@of_s3
@pytest.mark.usefixtures("silent")
def test_a_silent_store_holds_one_thread_for_some_seconds_and_nobody_else(live):
    with live.database.sessions() as session:
        headers = factories.bearer(live.app, session, factories.a_citizen(session))

    def post(_):
        began = time.monotonic()
        files = {"file": ("x", factories.jpeg())}
        answer = httpx.post(
            f"{live.url}/api/v1/uploads", files=files, headers=headers, timeout=30, trust_env=False
        )
        return answer.status_code, answer.json()["code"], time.monotonic() - began

    with ThreadPoolExecutor(2) as pool:
        both = pool.map(post, range(2))
        time.sleep(3)
        with live.database.sessions() as session:
            waiting = session.scalar(text(IDLE_IN_TRANSACTION))
        (_, _, quick), (_, _, slow) = sorted(both, key=lambda each: each[2])

    assert quick < TURN_S + 0.8
    assert READ_S < slow < TURN_S + ATTEMPTS * READ_S + 2
    assert waiting == 0
    with live.database.sessions() as session:
        assert session.scalars(select(Upload)).all() == []


IDLE_IN_TRANSACTION = """
    SELECT count(*) FROM pg_stat_activity
    WHERE state = 'idle in transaction' AND datname = current_database()
"""


@pytest.mark.parametrize("storage_url", ["bucket"], indirect=True)
def test_a_photo_waits_for_its_store_to_come_back(aws, storage, committed, clock):
    with committed.sessions() as session:
        actor = factories.citizen_actor(factories.a_citizen(session))
        content = factories.jpeg()
        upload = uploads.receive(session, actor, content, storage=storage, at=clock())
        session.commit()
    aws(stores.closed())
    gone = open_storage("s3://photos")

    def worker(place):
        return Context(
            db=committed, storage=place, vault=factories.VAULT, push=MemoryPush, now=clock
        )

    work_once(committed, worker(gone))
    meanwhile = state(committed, upload.id)
    with committed.transaction() as session:
        session.execute(text("UPDATE procrastinate_jobs SET scheduled_at = now()"))
    work_once(committed, worker(storage))

    assert meanwhile == (UploadState.PROCESSING, None, "todo", 1)
    assert state(committed, upload.id) == (UploadState.READY, None, "succeeded", 2)
    assert is_there(storage, uploads.key(upload.id, "thumb"))
    assert not is_there(storage, uploads.key(upload.id, "original"))


def work_once(database, context):
    """What is due now, done as a worker does it."""
    url = database.sessions.kw["bind"].url.render_as_string(hide_password=False)

    async def work():
        connector = procrastinate.PsycopgConnector(conninfo=url.replace("+psycopg", ""))
        app = tasks.make_app(context, connector)
        async with app.open_async():
            await app.run_worker_async(queues=["media"], wait=False, install_signal_handlers=False)

    asyncio.run(work())


def state(database, upload_id):
    """Of the photo and its job."""
    with database.sessions() as session:
        upload = session.get_one(Upload, upload_id)
        job = text("SELECT status::text, attempts FROM procrastinate_jobs WHERE task_name = :name")
        found = session.execute(job, {"name": uploads.TASK}).one()
        return (upload.state, upload.reason, *found)


@contextlib.contextmanager
def a_store_that_says(status, content):
    """Yield the address of a store with one answer to everything."""

    def answer(_environ, start_response):
        start_response(status, [("Content-Type", "application/xml")])
        return [content]

    with serving(lambda _url: answer) as url:
        yield url


DENIED = b"<Error><Code>AccessDenied</Code><Message>a secret</Message></Error>"
NOT_DELETED = b"<DeleteResult><Error><Key>k</Key><Code>AccessDenied</Code></Error></DeleteResult>"


@pytest.mark.parametrize(
    ("status", "content"),
    [("403 Forbidden", DENIED), ("500 Oh", b""), ("301 Moved", b"<Error/>"), ("200 OK", b"<html>")],
)
def test_an_odd_answer_is_no_answer(aws, capsys, status, content):
    with a_store_that_says(status, content) as url:
        aws(url)
        storage = open_storage("s3://photos")

        with pytest.raises(StorageUnavailable):
            list(storage.untouched_since(dt.datetime.now(dt.UTC)))

    assert "storage_unavailable" in (log := capsys.readouterr().out)
    assert "secret" not in log


LISTED = b"""<ListBucketResult><Contents><Key>a/full</Key></Contents></ListBucketResult>"""


def test_what_could_not_be_deleted_is_told(aws):
    def answer(environ, start_response):
        start_response("200 OK", [("Content-Type", "application/xml")])
        return [LISTED if environ["REQUEST_METHOD"] == "GET" else NOT_DELETED]

    with serving(lambda _url: answer) as url:
        aws(url)

        with pytest.raises(StorageUnavailable):
            open_storage("s3://photos").delete_all("a")
