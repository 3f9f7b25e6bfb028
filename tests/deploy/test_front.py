"""nginx and the application together, as they are deployed: floods, refusals, and what is kept."""

import contextlib
import re
import socket
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from models import Report, Visibility
from services.storage import LocalStorage
from tests import factories
from tests.conftest import a_database
from tests.deploy.conftest import needs_nginx
from tests.deploy.stack import a_stack

pytestmark = needs_nginx

PUBLIC = "/api/v1/public/reports"
FLOOD = 400
PROBES = 10
PATIENCE_S = 0.25
BOUNDARY = "----boundary"


@pytest.fixture
def client(stack):
    with httpx.Client(base_url=stack.url, trust_env=False, timeout=30) as client:
        yield client


@contextlib.contextmanager
def a_flood(url, first, count=FLOOD):
    """So many connections that each sent `first` and then hardly anything more."""
    address = urlsplit(url)
    with contextlib.ExitStack() as stack:
        connections = []
        for _ in range(count):
            connection = socket.create_connection((address.hostname, address.port))
            stack.callback(connection.close)
            connection.sendall(first)
            connections.append(connection)
        done = threading.Event()
        drip = threading.Thread(target=drip_into, args=(connections, first, done))
        drip.start()
        yield
        done.set()
        drip.join()


def drip_into(connections, first, done):
    """A byte now and then, so that no connection counts as dead."""
    while first and not done.wait(0.5):
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.send(b"x")


SLOW_HEADER = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
SLOW_BODY = (
    b"POST /api/v1/uploads HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3000000\r\n"
    b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
)


@pytest.mark.alone
@pytest.mark.parametrize(
    "first", [b"", SLOW_HEADER, SLOW_BODY], ids=["idle", "slow header", "slow body"]
)
def test_a_flood_of_slow_connections_holds_up_nobody(stack, first):
    took = []
    with a_flood(stack.url, first):
        time.sleep(1)  # The flood is there before anybody is measured.
        for _ in range(PROBES):
            began = time.monotonic()
            # Not a list that nginx would have: the application has to answer.
            answer = httpx.get(f"{stack.url}/api/v1/config", trust_env=False)
            assert answer.status_code == 200
            took.append(time.monotonic() - began)

    assert max(took) <= PATIENCE_S


def until(status, client):
    """The first answer of this status, or the last one of ten seconds."""
    for _ in range(50):
        answer = client.get("/api/v1/config")
        if answer.status_code == status:
            break
        time.sleep(0.2)
    return answer


def test_an_address_with_too_many_requests_under_way_is_told_to_come_again(postgres):
    with (
        tempfile.TemporaryDirectory(prefix="stack-") as directory,
        a_database(postgres) as url,
        a_stack(Path(directory), url, connections=20) as stack,
        httpx.Client(base_url=stack.url, trust_env=False) as client,
    ):
        stack.start_web("a")
        before = client.get("/api/v1/config")
        # On a busy machine nginx needs its time to see them all come, and go.
        with a_flood(stack.url, SLOW_BODY, count=30):
            refused = until(503, client)
        after = until(200, client)

    assert [before.status_code, refused.status_code, after.status_code] == [200, 503, 200]
    assert refused.headers["Retry-After"] == "1"
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.json()["code"] == "unavailable"


def multipart(size):
    head = (
        f"--{BOUNDARY}\r\nContent-Disposition: form-data; name=file; filename=a.jpg\r\n"
        "Content-Type: image/jpeg\r\n\r\n"
    )
    return head.encode() + bytes(size) + f"\r\n--{BOUNDARY}--\r\n".encode()


SIZES = (200_000, 1_000_000, 5_000_000, 11_000_000, 15_000_000)


def test_uploads_that_are_refused_unread_get_clean_problem_documents(stack, client):
    with stack.database.sessions() as session:
        mine = {"Authorization": stack.bearer(factories.a_citizen(session))}
    form = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    text = {"Content-Type": "text/plain"}
    seen = []
    for size in SIZES:
        wanted = 413 if size > 10 * 1024 * 1024 else 401
        seen += [
            (client.post("/api/v1/uploads", content=multipart(size), headers=form), wanted),
            (client.post("/api/v1/uploads", content=multipart(size), headers=form), wanted),
            (client.post("/api/v1/reports", content=bytes(size), headers=text), (401, 413)),
            (client.post("/api/v1/reports", content=bytes(size), headers=text | mine), (413, 415)),
            (client.post("/api/v1/auth/login", content=bytes(size), headers=text), (413, 415)),
        ]

    assert len(seen) == 25
    for answer, wanted in seen:
        assert answer.status_code in (wanted if isinstance(wanted, tuple) else (wanted,))
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["status"] == answer.status_code
        assert answer.json()["request_id"]


def publish(stack, text):
    with stack.database.sessions() as session:
        report = factories.a_report(session, factories.a_citizen(session))
        report.visibility, report.public_text = Visibility.PUBLIC, text
        session.commit()
        return report.id


def hide(stack, report_id):
    with stack.database.sessions() as session:
        session.get_one(Report, report_id).visibility = Visibility.PRIVATE
        session.commit()


def texts(answer):
    return [item["text"] for item in answer.json()["items"]]


def place_of(stack, report_id):
    with stack.database.sessions() as session:
        return session.get_one(Report, report_id).place_code


def test_a_public_list_is_kept_for_a_moment_only(stack, client):
    first = publish(stack, "Kept for a moment.")
    address = f"{PUBLIC}?place={place_of(stack, first)}&limit=90"
    assert "Kept for a moment." in texts(client.get(address))
    hide(stack, first)

    assert "Kept for a moment." in texts(client.get(address))

    time.sleep(3.1)  # nginx reckons in whole seconds.
    assert "Kept for a moment." not in texts(client.get(address))


def test_a_kept_list_is_told_by_its_etag(client):
    address = f"{PUBLIC}?limit=91"
    tag = client.get(address).headers["ETag"]

    again = client.get(address, headers={"If-None-Match": tag})

    assert (again.status_code, again.content) == (304, b"")


def test_a_kept_list_bears_the_id_of_each_request(client):
    ids = [
        client.get(f"{PUBLIC}?limit=92", headers={"X-Request-Id": f"request-{number}"}).headers[
            "X-Request-Id"
        ]
        for number in range(2)
    ]

    assert ids == ["request-0", "request-1"]
    assert re.fullmatch("[0-9a-f]{32}", client.get(f"{PUBLIC}?limit=92").headers["X-Request-Id"])


def test_whoever_is_signed_in_is_answered_anew(stack, client):
    with stack.database.sessions() as session:
        mine = {"Authorization": stack.bearer(factories.a_citizen(session))}
    report = publish(stack, "Seen at once.")
    address = f"{PUBLIC}?limit=93"
    client.get(address)
    hide(stack, report)

    assert "Seen at once." not in texts(client.get(address, headers=mine))


def test_how_long_a_list_is_kept_is_nobodys_business(client):
    assert "X-Accel-Expires" not in client.get(PUBLIC).headers


def test_what_is_personal_is_never_kept(stack, client):
    with stack.database.sessions() as session:
        people = [factories.a_citizen(session, name) for name in ("Một", "Hai")]

    names = [
        client.get("/api/v1/me", headers={"Authorization": stack.bearer(person)}).json()["name"]
        for person in people
    ]

    assert names == ["Một", "Hai"]


def test_a_photo_may_be_kept_and_the_lack_of_one_may_not(stack, client):
    storage = LocalStorage(stack.directory / "files")
    with stack.database.sessions() as session:
        citizen = factories.a_citizen(session)
        upload_id = factories.an_upload(session, citizen, storage)
    mine = {"Authorization": stack.bearer(citizen)}
    link = client.get(f"/api/v1/uploads/{upload_id}", headers=mine).json()["urls"]["full"]

    found = client.get(link)
    storage.delete_all(str(upload_id))
    lost = client.get(link)

    assert (found.status_code, found.headers["Content-Type"]) == (200, "image/jpeg")
    assert found.headers["Cache-Control"] == "max-age=1800, private, immutable"
    assert (lost.status_code, lost.json()["code"]) == (404, "not_found")
    assert lost.headers["Cache-Control"] == "private, no-store"


def raw(stack, line, host):
    """The head of the answer to a request that no client of HTTP would write."""
    address = urlsplit(stack.url)
    with socket.create_connection((address.hostname, address.port), 10) as connection:
        head = f"GET {line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode())
        received = b""
        while piece := connection.recv(4096):
            received += piece
    return received.decode()


@pytest.mark.parametrize(
    "path", ["/api/v1/config", f"{PUBLIC}?limit=94", "/admin", "/admin/", "/healthz", "/nothing"]
)
def test_a_foreign_name_is_refused_also_where_an_answer_is_kept(client, path):
    client.get(path)

    answer = client.get(path, headers={"Host": "evil.test"})

    assert answer.status_code == 400
    assert "evil" not in answer.text + str(answer.headers)
    assert client.get(path).status_code != 400


def test_a_name_that_the_client_says_was_forwarded_is_not_believed(client):
    answer = client.get("/api/v1/config", headers={"X-Forwarded-Host": "evil.test"})

    assert answer.status_code == 200


@pytest.mark.parametrize("scheme", ["http", "https", "HTTP"])
def test_a_request_that_names_two_hosts_is_refused(stack, scheme):
    own = urlsplit(stack.url).netloc

    assert raw(stack, f"{scheme}://{own}/api/v1/config", own).startswith("HTTP/1.1 200 ")
    for named, host in (("evil.test", own), (own, "evil.test"), (f"x{own}", own)):
        answer = raw(stack, f"{scheme}://{named}/api/v1/config", host)
        assert answer.startswith("HTTP/1.1 400 ")
        assert '"code":"host_unknown"' in answer
        assert "evil" not in answer


def test_the_staff_view_without_its_slash_is_a_redirect_without_a_host(client):
    answer = client.get("/admin")

    assert answer.status_code == 303
    assert answer.headers["Location"] == "/admin/login?next=%2Fadmin"
