"""Photos in pieces by clients of others, over links that break, at whichever process answers."""

import io
import itertools
import os
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

import pytest
from PIL import Image
from sqlalchemy import select
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError

from api.app import create_app
from models import Database, ResumableUpload, Upload
from services import uploads
from services.storage import open_storage
from tests import factories
from tests.node import Program, needs_node

CUT_AFTER = 300_000
PIECE = 128 * 1024


def noise() -> bytes:
    """A photo of some five megabytes, as noise does not compress."""
    size = 2140, 2000
    pixels = random.Random(1).randbytes(size[0] * size[1] * 3)  # noqa: S311 - the same each time
    out = io.BytesIO()
    Image.frombytes("RGB", size, pixels).save(out, "JPEG", quality=95)
    return out.getvalue()


PHOTO = noise()


@dataclass
class BadLink:
    """A proxy that ends whatever is under way each time 300 KB have gone up.

    Each connection leads to another server than the one before.
    """

    servers: Iterator[str]
    url: str = ""
    cut: int = 0
    sent: int = 0
    used: set[str] = field(default_factory=set)

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                phone, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.carry, args=[phone], daemon=True).start()

    def carry(self, phone: socket.socket) -> None:
        where = urlsplit(next(self.servers))
        self.used.add(where.netloc)
        with phone, socket.create_connection((where.hostname, where.port)) as server:
            back = threading.Thread(target=self.answer, args=[server, phone], daemon=True)
            back.start()
            while (left := (self.cut + 1) * CUT_AFTER - self.sent) > 0:
                try:
                    chunk = phone.recv(min(65536, left))
                    server.sendall(chunk)
                except OSError:
                    break
                if not chunk:
                    server.shutdown(socket.SHUT_WR)
                    back.join(30)
                    return
                self.sent += len(chunk)
            self.cut += 1
            for end in (phone, server):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def answer(server: socket.socket, phone: socket.socket) -> None:
        try:
            while chunk := server.recv(65536):
                phone.sendall(chunk)
            phone.shutdown(socket.SHUT_WR)
        except OSError:
            return


@contextmanager
def bad_link(servers: list[str]) -> Iterator[BadLink]:
    listener = socket.create_server(("127.0.0.1", 0))
    link = BadLink(itertools.cycle(servers), f"http://127.0.0.1:{listener.getsockname()[1]}")
    thread = threading.Thread(target=link.serve, args=[listener])
    thread.start()
    try:
        yield link
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@pytest.fixture
def link(two_servers):
    _, servers = two_servers
    with bad_link(servers) as link:
        yield link


@pytest.fixture
def served(two_servers):
    """The database of the two servers."""
    database = Database.at(two_servers[0])
    yield database
    database.close()


@pytest.fixture
def headers(settings, served):
    with served.sessions() as session:
        app = create_app(replace(settings, public_url="http://127.0.0.1"), db=served)
        return factories.bearer(app, session, factories.a_citizen(session))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(PHOTO)
    return path


def came_whole(settings, served) -> bool:
    """Whether the one photo that came is the one that was sent."""
    storage = open_storage(settings.storage_url)
    with served.sessions() as session:
        (upload,) = session.scalars(select(Upload))
        (begun,) = session.scalars(select(ResumableUpload))
        return begun.id == upload.id and storage.get(uploads.key(upload.id, "original")) == PHOTO


def upload_by_tuspy(link, headers, file):
    """As an app would: begin, and go on where the server says whenever the link broke."""
    client = TusClient(f"{link.url}/api/v1/uploads/tus", headers=headers)
    url = None
    for _ in range(200):
        with file.open("rb") as stream:
            try:
                uploader = client.uploader(
                    file_stream=stream, chunk_size=PIECE, upload_checksum=True, url=url
                )
                uploader.upload()
            except (TusCommunicationError, OSError):
                url = uploader.url
            else:
                return
    raise AssertionError("It never came to an end.")


def test_tuspy_finishes_over_a_link_that_breaks_and_sends_no_more_than_the_last_piece_twice(
    settings, served, link, headers, file
):
    upload_by_tuspy(link, headers, file)

    assert came_whole(settings, served)
    assert link.cut >= len(PHOTO) // CUT_AFTER - 1
    assert len(link.used) == 2
    # Each connection that broke cost a piece at most, and some headers.
    assert link.sent <= len(PHOTO) + link.cut * PIECE + 200_000


@needs_node("tus-js-client")
def test_tus_js_client_finishes_over_a_link_that_breaks(settings, served, link, headers, file):
    task = {"file": os.fspath(file), "endpoint": f"{link.url}/api/v1/uploads/tus"}
    with Program("tus.mjs", **task, headers=headers, chunkSize=PIECE) as program:
        said = program.hear()

    assert said["done"], said
    assert came_whole(settings, served)
    assert link.cut >= len(PHOTO) // CUT_AFTER - 1
    assert len(link.used) == 2
