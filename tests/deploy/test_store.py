"""nginx, the application and an S3 store together: photos by links that only nginx follows."""

import io
import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs

import httpx
import pytest
from PIL import Image

from services.storage import Storage, open_storage
from tests import factories, stores
from tests.conftest import a_database
from tests.deploy.conftest import needs_nginx
from tests.deploy.stack import Stack, a_stack
from tests.processes import wait_for

pytestmark = needs_nginx

# All that a photo's answer may carry; what nginx and the application say of it.
HEADERS = {
    "cache-control",
    "connection",
    "content-disposition",
    "content-length",
    "content-security-policy",
    "content-type",
    "date",
    "expires",
    "server",
    "x-content-type-options",
    "x-request-id",
}
HOSTS = {"HTTP_HOST", "HTTP_CONNECTION"}


@dataclass
class Shop:
    """A deployment, its store, and a photo that somebody uploaded to it."""

    stack: Stack
    store: stores.Gossip
    storage: Storage
    upload_id: uuid.UUID
    links: dict[str, str]


@pytest.fixture(scope="module")
def shop(postgres):
    store = stores.Gossip()
    store.open()
    variables = stores.variables(store.url)
    bucket = f"s3://photos-{uuid.uuid4()}/of/reports"
    with (
        tempfile.TemporaryDirectory(prefix="store-") as directory,
        a_database(postgres) as url,
        pytest.MonkeyPatch.context() as patch,
        a_stack(Path(directory), url, store=store.url, STORAGE_URL=bucket, **variables) as stack,
    ):
        for name, value in variables.items():
            patch.setenv(name, value)
        storage = open_storage(bucket)
        storage.prepare()
        stack.start_web("a")
        stack.start_worker("media", "media")
        yield Shop(stack, store, storage, *a_photo(stack))
    store.close()


def a_photo(stack):
    """Upload one, and wait until both sizes are there."""
    with stack.database.sessions() as session:
        headers = {"Authorization": stack.bearer(factories.a_citizen(session))}
    with httpx.Client(base_url=stack.url, headers=headers, trust_env=False) as client:
        files = {"file": ("x", factories.jpeg())}
        upload_id = client.post("/api/v1/uploads", files=files).json()["id"]
        links = wait_for(
            "the photo", lambda: client.get(f"/api/v1/uploads/{upload_id}").json()["urls"]
        )
    return uuid.UUID(upload_id), links


@pytest.fixture
def store(shop):
    """The store as it works again after the test."""
    shop.store.links.clear()
    yield shop.store
    shop.store.status, shop.store.silence_s = "", 0.0


def get(link, **options):
    return httpx.get(link, trust_env=False, **options)


def is_a_problem(answer, status, code):
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == code
    assert set(answer.headers) <= HEADERS | {"retry-after"}
    assert answer.headers.get("Cache-Control", "private, no-store") == "private, no-store"
    assert "Expires" not in answer.headers
    assert "OfTheStore" not in answer.text
    return True


@pytest.mark.usefixtures("store")
def test_both_sizes_come_from_the_store_as_nothing_but_pictures(shop):
    for size, measures in (("full", (640, 480)), ("thumb", (400, 300))):
        answer = get(shop.links[size])

        assert answer.status_code == 200
        assert Image.open(io.BytesIO(answer.content)).size == measures
        assert answer.headers["Content-Type"] == "image/jpeg"
        assert answer.headers.get_list("X-Content-Type-Options") == ["nosniff"]
        assert answer.headers.get_list("Content-Security-Policy") == ["default-src 'none'; sandbox"]
        assert answer.headers.get_list("Content-Disposition") == ["inline; filename=photo.jpg"]
        assert answer.headers["Cache-Control"] == "max-age=1800, private, immutable"


@pytest.mark.usefixtures("store")
def test_nothing_of_the_stores_headers_goes_further(shop):
    answer = get(shop.links["full"], headers={"X-Request-Id": "of-the-client"})

    assert set(answer.headers) <= HEADERS
    assert answer.headers["Server"] == "nginx"
    assert answer.headers.get_list("X-Request-Id") == ["of-the-client"]


def test_nothing_of_the_clients_goes_to_the_store(shop, store):
    theirs = {"Authorization": "Bearer of-the-client", "Cookie": "a=b", "Range": "bytes=0-9"}

    answer = get(f"{shop.links['full']}?evil=1", headers=theirs)

    (link,) = store.links
    assert answer.status_code == 200
    assert {name for name in link if name.startswith("HTTP_")} <= HOSTS
    assert {name.partition("-")[0] for name in parse_qs(link["QUERY_STRING"])} <= {"X", "x"}
    assert link["HTTP_HOST"] == f"127.0.0.1:{store.port}"


def test_asking_for_the_headers_alone_asks_the_store_for_what_was_signed(shop, store):
    answer = httpx.head(shop.links["full"], trust_env=False)

    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/jpeg")
    assert [link["REQUEST_METHOD"] for link in store.links] == ["GET"]


def test_no_log_has_a_signature(shop, store):
    get(shop.links["full"])
    store.status = "500 Oh"
    get(shop.links["full"])

    directory = shop.stack.directory
    logs = [directory / "nginx" / "access.log", directory / "nginx.err", shop.stack.log("a")]
    said = "".join(log.read_text() for log in logs)
    assert "/api/v1/files/-" in said
    assert "Amz" not in said
    for link in store.links:
        assert parse_qs(link["QUERY_STRING"])["X-Amz-Signature"][0] not in said
    assert shop.links["full"].rpartition("/")[2] not in said


def test_a_photo_that_the_store_has_lost_is_not_found(shop):
    upload_id, links = a_photo(shop.stack)
    shop.storage.delete_all(str(upload_id))

    assert is_a_problem(get(links["full"]), 404, "not_found")


@pytest.mark.parametrize(
    "status", ["301 Elsewhere", "307 Later", "400 No", "403 No", "416 No", "500 Oh", "503 Slow"]
)
def test_what_else_the_store_says_is_that_it_is_away(shop, store, status):
    store.status = status

    answer = get(shop.links["full"])

    assert is_a_problem(answer, 503, "unavailable")
    assert answer.headers["Retry-After"] == "1"


def test_a_store_that_is_not_there_is_away(shop, store):
    store.close()
    try:
        assert is_a_problem(get(shop.links["full"]), 503, "unavailable")
    finally:
        store.open()


def test_a_silent_store_holds_no_thread_of_the_application(shop, store):
    store.silence_s = 7.0
    with ThreadPoolExecutor(6) as pool:
        slow = [pool.submit(get, shop.links["full"], timeout=20) for _ in range(6)]
        time.sleep(1)
        began = time.monotonic()

        answer = get(f"{shop.stack.url}/api/v1/public/reports?limit=1")

        assert (answer.status_code, time.monotonic() - began < 1) == (200, True)
        assert all(is_a_problem(each.result(), 503, "unavailable") for each in slow)


@pytest.mark.usefixtures("store")
def test_nobody_reaches_the_store_past_the_application(shop):
    assert is_a_problem(get(f"{shop.stack.url}/_files/s3/photos/x"), 404, "not_found")
