"""Photos in pieces: the protocol tus 1.0.0, as its text has it."""

import base64
import datetime as dt
import hashlib
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime

import pytest
from sqlalchemy import func, select

from api.app import create_app
from api.current import EXTENSION
from models import ResumableUpload, Upload, UploadPiece, UploadState
from services import photos, resumable, uploads
from services.privacy import erasure
from tests import factories

TUS = "/api/v1/uploads/tus"
CONTENT = "application/offset+octet-stream"
PHOTO = factories.jpeg(1600, 1200)
SIZE = len(PHOTO)


class Phone:
    """Somebody's app; `where` is the address of its upload."""

    def __init__(self, client, headers):
        self.client = client
        self.headers = headers | {"Tus-Resumable": "1.0.0"}
        self.where = ""

    def begin(self, length=SIZE):
        answer = self.client.post(TUS, headers=self.headers | {"Upload-Length": str(length)})
        self.where = answer.headers.get("Location", "")
        return answer

    def send(self, piece, offset, **headers):
        told = self.headers | {"Upload-Offset": str(offset), "Content-Type": CONTENT}
        return self.client.patch(self.where, data=piece, headers=told | renamed(headers))

    def ask(self):
        return self.client.head(self.where, headers=self.headers)

    def offset(self):
        return int(self.ask().headers["Upload-Offset"])

    def give_up(self):
        return self.client.delete(self.where, headers=self.headers)

    def send_all(self, content=PHOTO, size=100_000):
        self.begin(len(content))
        for start in range(0, len(content), size):
            answer = self.send(content[start : start + size], start)
        return answer

    @property
    def id(self):
        return uuid.UUID(self.where.rpartition("/")[2])


def renamed(headers):
    return {name.replace("_", "-"): value for name, value in headers.items()}


@pytest.fixture
def phone(client, headers):
    return Phone(client, headers)


@pytest.fixture
def storage(app):
    return app.extensions[EXTENSION].storage


def counted(session, table):
    return session.scalar(select(func.count()).select_from(table))


def test_the_server_says_without_a_token_what_it_can(client):
    answer = client.options(TUS)

    assert answer.status_code == 204
    assert {name: text for name, text in answer.headers.items() if name.startswith("Tus")} == {
        "Tus-Resumable": "1.0.0",
        "Tus-Version": "1.0.0",
        "Tus-Extension": "creation,expiration,checksum,termination",
        "Tus-Max-Size": str(10 * 1024 * 1024),
        "Tus-Checksum-Algorithm": "sha1,sha256",
    }


def test_a_photo_in_pieces_becomes_the_photo_that_it_would_have_been_whole(phone, session, storage):
    answer = phone.send_all()

    assert (answer.status_code, answer.headers["Upload-Offset"]) == (204, str(len(PHOTO)))
    assert storage.get(uploads.key(phone.id, "original")) == PHOTO
    assert session.get_one(Upload, phone.id).state is UploadState.PROCESSING
    assert counted(session, UploadPiece) == 0
    uploads.finish(session, phone.id, uploads.derive(phone.id, storage=storage))
    session.commit()
    told = phone.client.get(f"/api/v1/uploads/{phone.id}", headers=phone.headers).json
    assert (told["state"], told["width"]) == ("ready", 1600)


def test_a_report_takes_a_photo_that_came_in_pieces(phone, headers):
    phone.send_all()

    answer = phone.client.post(
        "/api/v1/reports",
        json={
            "category": "giao-thong",
            "description": "Ổ gà.",
            "upload_ids": [str(phone.id)],
            **factories.CITY,
        },
        headers=headers | {"Idempotency-Key": str(uuid.uuid4())},
    )

    assert answer.status_code == 201
    assert [photo["id"] for photo in answer.json["photos"]] == [str(phone.id)]


def test_the_address_is_relative_so_that_it_holds_behind_any_proxy(phone):
    answer = phone.begin()

    assert answer.status_code == 201
    assert answer.headers["Location"].startswith(f"{TUS}/")


def test_somebody_who_lost_an_answer_asks_and_goes_on(phone, session):
    phone.begin()
    phone.send(PHOTO[:5000], 0)
    lost = phone.send(PHOTO[5000:9000], 5000)
    assert lost.status_code == 204

    again = phone.send(PHOTO[5000:9000], 5000)
    found = phone.offset()
    rest = phone.send(PHOTO[found:], found)

    assert (again.status_code, again.json["code"], again.json["offset"]) == (
        *(409, "offset_wrong"),
        9000,
    )
    assert (found, rest.status_code) == (9000, 204)
    assert counted(session, Upload) == 1


def test_who_lost_the_last_answer_hears_that_all_is_there(phone, session):
    phone.send_all()

    assert phone.offset() == len(PHOTO)
    assert phone.send(b"", len(PHOTO)).status_code == 204
    assert phone.send(PHOTO[-10:], len(PHOTO) - 10).status_code == 409
    assert counted(session, Upload) == 1


def test_an_empty_piece_changes_nothing(phone):
    phone.begin()

    answer = phone.send(b"", 0)

    assert (answer.status_code, phone.offset()) == (204, 0)


def test_each_piece_gives_more_time_and_then_it_is_over(phone, clock):
    begun = phone.begin()
    assert parsedate_to_datetime(begun.headers["Upload-Expires"]) == (
        clock() + dt.timedelta(hours=24)
    ).replace(microsecond=0)
    clock.forward(hours=23)
    assert phone.send(PHOTO[:5000], 0).status_code == 204
    clock.forward(hours=23)
    assert phone.ask().status_code == 200

    clock.forward(hours=1)

    assert phone.ask().status_code == 410
    answer = phone.send(PHOTO[5000:6000], 5000)
    assert (answer.status_code, answer.json["code"]) == (410, "upload_expired")


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_a_piece_that_was_damaged_on_its_way_is_not_kept(phone, algorithm):
    phone.begin()
    right = base64.b64encode(hashlib.new(algorithm, PHOTO[:5000]).digest()).decode()
    told = {"Upload_Checksum": f"{algorithm} {right}"}

    damaged = phone.send(PHOTO[1:5001], 0, **told)

    assert (damaged.status_code, damaged.json["code"]) == (460, "checksum_mismatch")
    assert damaged.json["title"] == "Sai mã kiểm"
    assert phone.offset() == 0
    assert phone.send(PHOTO[:5000], 0, **told).status_code == 204


@pytest.mark.parametrize("told", ["", "sha1", "sha1 ", "sha1 é", "md5 AAAA", "crc32 AAAA", "AAAA"])
def test_a_checksum_that_cannot_be_checked_is_refused(phone, told):
    phone.begin()

    answer = phone.send(PHOTO[:5000], 0, Upload_Checksum=told)

    assert answer.status_code in {400, 460}
    assert phone.offset() == 0


@pytest.mark.parametrize("version", [None, "", "0.2.2", "2.0.0", "1.0.0, 2.0.0"])
def test_another_version_of_the_protocol_is_refused_and_ours_named(phone, version):
    phone.begin()
    phone.headers |= {"Tus-Resumable": version}
    if version is None:
        del phone.headers["Tus-Resumable"]

    for answer in (phone.ask(), phone.send(b"x", 0), phone.give_up(), phone.begin()):
        assert (answer.status_code, answer.headers["Tus-Version"]) == (412, "1.0.0")


@pytest.mark.parametrize("length", ["", "-1", "1e3", "1.0", "٣", "x", "9" * 13, "0x10"])
def test_a_length_is_a_number(phone, length):
    answer = phone.begin(length)

    assert (answer.status_code, answer.json["code"]) == (400, "header_malformed")


def test_a_length_that_no_photo_has_is_refused_before_it_is_sent(phone, session):
    empty, large = phone.begin(0), phone.begin(photos.MAX_BYTES + 1)

    assert (empty.status_code, empty.json["code"]) == (422, "length_unlikely")
    assert (large.status_code, large.json["code"]) == (413, "photo_too_large")
    assert counted(session, ResumableUpload) == 0


def test_a_piece_of_another_type_is_refused(phone):
    phone.begin()

    answer = phone.send(PHOTO[:100], 0, Content_Type="application/octet-stream")

    assert (answer.status_code, answer.json["code"]) == (415, "not_a_piece")


def test_a_piece_has_256_kib_at_most(phone):
    phone.begin(photos.MAX_BYTES)

    fits, too_large = (phone.send(b"x" * size, 0) for size in (256 * 1024, 256 * 1024 + 1))

    assert fits.status_code == 204
    assert (too_large.status_code, too_large.json["code"]) == (413, "piece_too_large")


def test_a_piece_does_not_go_beyond_the_length(phone):
    phone.begin(100)

    answer = phone.send(b"x" * 101, 0)

    assert (answer.status_code, answer.json["code"]) == (422, "piece_too_long")
    assert phone.offset() == 0


@pytest.mark.parametrize("offset", [1, 4999, 5001, 2**39])
def test_a_piece_at_another_place_is_refused(phone, offset):
    phone.begin()
    phone.send(PHOTO[:5000], 0)

    answer = phone.send(PHOTO[5000:6000], offset)

    assert (answer.status_code, answer.json["code"]) == (409, "offset_wrong")
    assert phone.offset() == 5000


def test_what_is_no_photo_is_refused_at_the_end_and_gone(phone, session):
    answer = phone.send_all(b"<svg onload=alert(1)>" * 1000)

    assert (answer.status_code, answer.json["code"]) == (415, "photo_not_accepted")
    assert phone.ask().status_code == 404
    assert (counted(session, Upload), counted(session, UploadPiece)) == (0, 0)


def test_an_upload_that_was_given_up_is_gone(phone, session):
    phone.begin()
    phone.send(PHOTO[:5000], 0)

    answer = phone.give_up()

    assert (answer.status_code, phone.ask().status_code) == (204, 404)
    assert counted(session, UploadPiece) == 0
    assert phone.give_up().status_code == 404


def test_a_photo_stays_when_its_upload_is_given_up_afterwards(phone, session):
    phone.send_all()

    assert phone.give_up().status_code == 204
    assert counted(session, Upload) == 1


def test_nobody_else_finds_continues_or_ends_an_upload(app, client, session, phone):
    phone.begin()
    phone.send(PHOTO[:5000], 0)
    stranger = Phone(client, factories.bearer(app, session, factories.a_citizen(session)))
    stranger.where = phone.where

    refused = [stranger.ask(), stranger.send(PHOTO[5000:6000], 5000), stranger.give_up()]

    assert {answer.status_code for answer in refused} == {404}
    assert phone.offset() == 5000


def test_without_a_token_there_is_nothing(client, phone):
    phone.begin()
    nobody = Phone(client, {})
    nobody.where = phone.where

    refused = [nobody.ask(), nobody.send(b"x", 0), nobody.give_up(), nobody.begin()]

    assert {answer.status_code for answer in refused} == {401}


def test_staff_send_photos_of_a_result_in_pieces_too(app, client, session):
    staff = factories.a_staff(session, (("handler", "so-xay-dung"),))
    phone = Phone(client, factories.bearer(app, session, staff))

    phone.send_all()

    assert session.get_one(Upload, phone.id).staff_id == staff.id


def test_the_eleventh_unfinished_upload_takes_the_place_of_the_oldest(phone, session):
    begun = []
    for _ in range(resumable.UNFINISHED + 1):
        phone.begin()
        begun.append(phone.id)

    assert set(session.scalars(select(ResumableUpload.id))) == set(begun[1:])


def test_beginning_counts_among_the_fifty_photos_of_a_day(phone):
    answers = [phone.begin().status_code for _ in range(51)]

    assert answers == [201] * 50 + [429]


def test_a_thousand_tiny_pieces_are_enough(phone, monkeypatch):
    monkeypatch.setattr(resumable, "MOST_PIECES", 3)
    phone.begin()
    for start in range(3):
        assert phone.send(PHOTO[start : start + 1], start).status_code == 204

    answer = phone.send(PHOTO[3:4], 3)

    assert (answer.status_code, answer.json["code"], answer.json["most"]) == (
        *(422, "pieces_too_small"),
        3,
    )
    assert phone.send(PHOTO[3:], 3).status_code == 204


def test_a_last_piece_that_comes_late_leaves_no_file_as_it_was_sent(
    phone, session, storage, monkeypatch
):
    """Between reading the pieces and writing the file, the same piece completes the photo."""
    phone.begin()
    phone.send(PHOTO[:5000], 0)
    put = type(storage).put

    def late(self, key, content):
        monkeypatch.setattr(type(storage), "put", put)
        assert phone.send(PHOTO[5000:], 5000).status_code == 204
        uploads.finish(session, phone.id, uploads.derive(phone.id, storage=storage))
        session.commit()
        uploads.discard_original(session, phone.id, storage=storage)
        put(self, key, content)

    monkeypatch.setattr(type(storage), "put", late)
    answer = phone.send(PHOTO[5000:], 5000)

    assert (answer.status_code, answer.json["code"]) == (409, "offset_wrong")
    with pytest.raises(FileNotFoundError):
        storage.get(uploads.key(phone.id, "original"))
    assert storage.get(uploads.key(phone.id, "full"))


def test_who_is_erased_leaves_no_piece(phone, session, citizen):
    phone.begin()
    phone.send(PHOTO[:5000], 0)
    citizen.deletion_due_at = factories.NOON
    session.commit()

    assert erasure.erase(session, citizen.id, at=factories.NOON)
    assert (counted(session, ResumableUpload), counted(session, UploadPiece)) == (0, 0)


def test_of_two_last_pieces_at_once_one_makes_the_photo(settings, committed):
    app = create_app(settings, db=committed)
    with committed.sessions() as session:
        headers = factories.bearer(app, session, factories.a_citizen(session))
    phone = Phone(app.test_client(), headers)
    phone.begin()
    phone.send(PHOTO[:5000], 0)
    together = threading.Barrier(4)

    def finish(_):
        mine = Phone(app.test_client(), headers)
        mine.where = phone.where
        together.wait(10)
        return mine.send(PHOTO[5000:], 5000).status_code

    with ThreadPoolExecutor(4) as threads:
        answers = sorted(threads.map(finish, range(4)))

    assert answers == [204, 409, 409, 409]
    with committed.sessions() as session:
        assert counted(session, Upload) == 1
