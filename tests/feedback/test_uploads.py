"""Photos on their way from the phone into a report."""

import datetime as dt
import io
import os
import uuid

import pytest
from PIL import Image

from api.current import EXTENSION
from models import Upload, UploadState
from services import uploads
from tests import factories

REPORT = {"category": "giao-thong", "description": "Ổ gà sâu.", **factories.CITY}


@pytest.fixture
def storage(app):
    return app.extensions[EXTENSION].storage


def send(client, headers, **changes):
    key = {"Idempotency-Key": str(uuid.uuid4())}
    return client.post("/api/v1/reports", json=REPORT | changes, headers=headers | key)


def test_an_upload_is_processing_until_the_job_has_cleaned_it(client, session, headers, storage):
    files = {"file": (io.BytesIO(factories.jpeg()), "x")}
    sent = client.post("/api/v1/uploads", data=files, headers=headers).json

    upload_id = uuid.UUID(sent["id"])
    uploads.finish(session, upload_id, uploads.derive(upload_id, storage=storage))
    session.commit()

    ready = client.get(f"/api/v1/uploads/{sent['id']}", headers=headers).json
    assert (sent["state"], sent["urls"]) == ("processing", None)
    assert (ready["state"], ready["width"]) == ("ready", 640)
    assert set(ready["urls"]) == {"full", "thumb"}


def test_the_file_as_sent_is_deleted_once_it_is_cleaned(session, citizen, storage):
    upload_id = factories.an_upload(session, citizen, storage)

    with pytest.raises(FileNotFoundError):
        storage.get(uploads.key(upload_id, "original"))
    assert Image.open(io.BytesIO(storage.get(uploads.key(upload_id, "full")))).size == (640, 480)


def test_deriving_again_after_a_crash_changes_nothing(session, citizen, storage):
    upload_id = factories.an_upload(session, citizen, storage)

    uploads.finish(session, upload_id, uploads.derive(upload_id, storage=storage))

    upload = session.get_one(Upload, upload_id)
    assert (upload.state, upload.reason) == (UploadState.READY, None)


def test_a_photo_whose_file_is_lost_does_not_stay_in_processing(client, session, headers, storage):
    files = {"file": (io.BytesIO(factories.jpeg()), "x")}
    upload_id = uuid.UUID(client.post("/api/v1/uploads", data=files, headers=headers).json["id"])
    storage.delete(uploads.key(upload_id, "original"))

    uploads.finish(session, upload_id, uploads.derive(upload_id, storage=storage))

    assert session.get_one(Upload, upload_id).reason == "photo_lost"


def test_a_broken_photo_is_rejected_with_a_reason(client, session, citizen, headers, storage):
    upload_id = factories.an_upload(session, citizen, storage, factories.jpeg()[:2500])

    answer = client.get(f"/api/v1/uploads/{upload_id}", headers=headers).json

    assert (answer["state"], answer["reason"]) == ("rejected", "photo_broken")


def test_a_photo_is_served_by_its_signed_link_as_nothing_but_a_picture(
    client, session, citizen, headers, storage
):
    upload_id = factories.an_upload(session, citizen, storage)
    urls = client.get(f"/api/v1/uploads/{upload_id}", headers=headers).json["urls"]

    answer = client.get(urls["thumb"])

    assert answer.status_code == 200
    assert answer.mimetype == "image/jpeg"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert Image.open(io.BytesIO(answer.data)).size == (400, 300)


def with_another_start(signed):
    return ("B" if signed[0] == "A" else "A") + signed[1:]


@pytest.mark.parametrize("change", [lambda s: s[:-2], with_another_start, lambda s: s + "AA"])
def test_a_changed_link_opens_nothing(client, session, citizen, headers, storage, change):
    upload_id = factories.an_upload(session, citizen, storage)
    url = client.get(f"/api/v1/uploads/{upload_id}", headers=headers).json["urls"]["full"]
    head, _, signed = url.rpartition("/")

    answer = client.get(f"{head}/{change(signed)}")

    assert (answer.status_code, answer.json["code"]) == (404, "link_invalid")


def test_a_link_dies_within_two_hours(client, session, citizen, headers, storage, clock):
    upload_id = factories.an_upload(session, citizen, storage)
    url = client.get(f"/api/v1/uploads/{upload_id}", headers=headers).json["urls"]["full"]

    clock.forward(minutes=59)
    alive = client.get(url)
    clock.forward(minutes=61)
    dead = client.get(url)

    assert (alive.status_code, dead.status_code) == (200, 404)


def test_behind_nginx_only_the_name_of_the_file_is_sent(client, session, citizen, storage, app):
    upload_id = factories.an_upload(session, citizen, storage)
    state = app.extensions[EXTENSION]
    object.__setattr__(state.settings, "accel_redirect", "/_files/")
    headers = factories.bearer(app, session, citizen)
    url = client.get(f"/api/v1/uploads/{upload_id}", headers=headers).json["urls"]["full"]

    answer = client.get(url)

    assert answer.headers["X-Accel-Redirect"] == f"/_files/{upload_id}/full"
    assert answer.data == b""


def test_somebody_elses_upload_is_not_found(app, client, session, citizen, storage):
    upload_id = factories.an_upload(session, citizen, storage)
    stranger = factories.bearer(app, session, factories.a_citizen(session))

    answer = client.get(f"/api/v1/uploads/{upload_id}", headers=stranger)

    assert (answer.status_code, answer.json["code"]) == (404, "upload_not_found")


def test_a_report_takes_its_photos_in_their_order(client, session, citizen, headers, storage):
    ids = [str(factories.an_upload(session, citizen, storage)) for _ in range(3)][::-1]

    answer = send(client, headers, upload_ids=ids)

    assert [photo["id"] for photo in answer.json["photos"]] == ids


def test_a_photo_that_is_still_processing_is_taken(client, headers):
    files = {"file": (io.BytesIO(factories.jpeg()), "x")}
    sent = client.post("/api/v1/uploads", data=files, headers=headers).json

    answer = send(client, headers, upload_ids=[sent["id"]])

    assert answer.status_code == 201
    assert answer.json["photos"][0]["state"] == "processing"


@pytest.mark.parametrize("whose", ["nobody's", "a stranger's", "used", "twice", "rejected"])
def test_photos_that_may_not_be_used_refuse_the_report_whole(
    client, session, citizen, headers, storage, whose
):
    own = factories.an_upload(session, citizen, storage)
    stranger = factories.a_citizen(session)
    ids = {
        "nobody's": [uuid.uuid4()],
        "a stranger's": [factories.an_upload(session, stranger, storage)],
        "used": [own],
        "twice": [own, own],
        "rejected": [factories.an_upload(session, citizen, storage, factories.jpeg()[:2500])],
    }[whose]
    if whose == "used":
        factories.a_report(session, citizen, upload_ids=[own])

    answer = send(client, headers, upload_ids=[str(name) for name in ids])

    assert (answer.status_code, answer.json["code"]) == (422, "uploads_unusable")
    assert client.get("/api/v1/reports", headers=headers).json["items"][1:] == []


def test_more_than_five_photos_are_refused(client, headers):
    answer = send(client, headers, upload_ids=[str(uuid.uuid4()) for _ in range(6)])

    assert answer.status_code == 422
    assert answer.json["errors"][0]["pointer"] == "/upload_ids"


def test_the_fifty_first_upload_of_a_day_waits(client, session, citizen, headers, clock):
    actor = factories.citizen_actor(citizen)
    for _ in range(uploads.A_DAY):
        uploads.count_upload(session, actor, at=clock())
    session.commit()

    files = {"file": (io.BytesIO(factories.jpeg()), "x")}
    answer = client.post("/api/v1/uploads", data=files, headers=headers)

    assert (answer.status_code, answer.json["code"]) == (429, "rate_limited")
    assert int(answer.headers["Retry-After"]) > 0


def test_a_file_whose_row_never_came_goes_after_a_day(session, citizen, storage):
    kept = factories.an_upload(session, citizen, storage)
    lost = uuid.uuid4()
    storage.put(uploads.key(lost, "original"), b"of a process that died before its commit")
    tomorrow = dt.datetime.now(dt.UTC) + dt.timedelta(hours=25)

    (storage.root / "lost+found").mkdir()
    os.utime(storage.root / "lost+found", (0, 0))

    early = uploads.sweep_files(session, storage=storage, at=tomorrow - dt.timedelta(hours=2))
    late = uploads.sweep_files(session, storage=storage, at=tomorrow)

    assert (early, late) == (0, 1)
    assert storage.get(uploads.key(kept, "full"))
    with pytest.raises(FileNotFoundError):
        storage.get(uploads.key(lost, "original"))


def test_storage_never_leaves_its_folder(storage):
    with pytest.raises(ValueError, match="left its folder"):
        storage.get("../../etc/passwd")
