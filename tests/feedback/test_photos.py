"""The one safe path for photos."""

import io
import json
import shutil
import struct
import subprocess
import time
import zlib
from pathlib import Path

import pytest
from PIL import Image

from services import photos
from tests import factories

EXIFTOOL = shutil.which("exiftool")


def png_bomb(width: int = 13_000, height: int = 13_000) -> bytes:
    """A true PNG of 169 megapixels in some twenty kilobytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    compressor = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    body = b"".join(compressor.compress(row) for _ in range(height)) + compressor.flush()
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


def gps_jpeg() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # Turned by a quarter.
    exif.get_ifd(0x8825).update({1: "N", 2: (21.0, 35.0, 0.0), 3: "E", 4: (105.0, 50.0, 0.0)})
    return factories.jpeg(800, 600, exif=exif, comment=b"<svg onload=alert(1)>") + b"PK\x03\x04tail"


def animated(kind: str) -> bytes:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    out = io.BytesIO()
    frames[0].save(out, kind, save_all=True, append_images=frames[1:])
    return out.getvalue()


def saved(kind: str, mode: str = "RGB") -> bytes:
    out = io.BytesIO()
    Image.new(mode, (64, 48)).save(out, kind)
    return out.getvalue()


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


@pytest.fixture
def upload(app, client, session):
    headers = factories.bearer(app, session, factories.a_citizen(session))

    def send(content: bytes, name: str = "photo.jpg"):
        files = {"file": (io.BytesIO(content), name)}
        # Only a client that follows redirects closes the temporary file of a large body.
        options = {"headers": headers, "follow_redirects": True, "buffered": True}
        with client.post("/api/v1/uploads", data=files, **options) as answer:
            return answer

    return send


def test_a_photo_keeps_nothing_but_its_pixels():
    sizes = photos.derive(gps_jpeg())

    for kept in (sizes.full, sizes.thumb):
        picture = Image.open(io.BytesIO(kept))
        assert not picture.getexif()
        assert set(picture.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
        assert b"<svg" not in kept
        assert kept.endswith(b"\xff\xd9")


@pytest.mark.skipif(not EXIFTOOL, reason="exiftool is missing")
@pytest.mark.parametrize("size", ["full", "thumb"])
def test_exiftool_finds_nothing_but_the_picture_itself(tmp_path, size):
    kept = tmp_path / "kept.jpg"
    kept.write_bytes(getattr(photos.derive(gps_jpeg()), size))

    told = subprocess.run([EXIFTOOL, "-a", "-G0", "-j", kept], capture_output=True, check=True)

    (tags,) = json.loads(told.stdout)
    groups = {name.partition(":")[0] for name in tags}
    assert groups <= {"SourceFile", "ExifTool", "File", "JFIF", "Composite"}
    assert "File:Comment" not in tags


def test_the_orientation_is_drawn_into_the_picture():
    sizes = photos.derive(gps_jpeg())

    assert (sizes.width, sizes.height) == (600, 800)


def test_the_long_sides_are_two_thousand_and_four_hundred():
    sizes = photos.derive(factories.jpeg(4000, 3000))

    assert (sizes.width, sizes.height) == (2000, 1500)
    assert Image.open(io.BytesIO(sizes.thumb)).size == (400, 300)


@pytest.mark.parametrize(
    "content",
    [
        saved("PNG", "RGBA"),
        saved("PNG", "P"),
        saved("WEBP"),
        saved("PNG", "I;16"),
        saved("JPEG", "CMYK"),
        saved("HEIF"),
    ],
)
def test_every_accepted_kind_becomes_a_jpeg(content):
    sizes = photos.derive(content)

    assert Image.open(io.BytesIO(sizes.full)).format == "JPEG"


@pytest.mark.parametrize(
    ("content", "status", "code", "named"),
    [
        (png_bomb(), 413, "photo_too_many_pixels", "50 megapixel"),
        (SVG, 415, "photo_not_accepted", "JPEG, PNG, WebP, HEIC"),
        (factories.jpeg() + bytes(11 * 1024 * 1024), 413, "photo_too_large", "10 MB"),
        (bytes(10 * 1024 * 1024 + 1), 413, "photo_too_large", "10 MB"),
        (b"", 415, "photo_not_accepted", "JPEG"),
        (b"<html>", 415, "photo_not_accepted", "JPEG"),
        (saved("TIFF"), 415, "photo_not_accepted", "JPEG"),
        (saved("GIF", "P"), 415, "photo_not_accepted", "JPEG"),
        (animated("PNG"), 415, "photo_animated", "JPEG"),
        (animated("WEBP"), 415, "photo_animated", "JPEG"),
    ],
    ids=["bomb", "svg", "11 MB", "10 MB and one", "empty", "html", "tiff", "gif", "apng", "webp"],
)
def test_a_bad_photo_is_refused_at_once_with_the_limit_named(upload, content, status, code, named):
    began = time.monotonic()
    answer = upload(content)

    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert named in answer.json["detail"]
    assert time.monotonic() - began < 2


def test_a_refused_photo_leaves_nothing_behind(upload, settings):
    upload(SVG)

    folder = Path(settings.storage_url.removeprefix("file://"))
    assert not list(folder.rglob("*"))


def test_a_photo_whose_pixels_are_broken_is_refused_by_the_job():
    with pytest.raises(photos.PhotoBroken):
        photos.derive(factories.jpeg()[:2500])


def test_a_damaged_heic_is_broken_too_although_its_decoder_raises_otherwise():
    content = bytearray(saved("HEIF"))
    at = content.index(b"mdat") + 4
    content[at : at + 4] = b"\x7f\xff\xff\xff"

    with pytest.raises(photos.PhotoBroken):
        photos.derive(bytes(content))


def test_a_motion_photo_is_taken_by_its_first_picture():
    frames = [Image.new("RGB", (64, 48), colour) for colour in ("red", "blue")]
    out = io.BytesIO()
    frames[0].save(out, "MPO", save_all=True, append_images=frames[1:])

    sizes = photos.derive(out.getvalue())

    assert (sizes.width, sizes.height) == (64, 48)


def test_text_instead_of_a_file_is_a_clear_problem(app, client, session):
    headers = factories.bearer(app, session, factories.a_citizen(session))

    answer = client.post("/api/v1/uploads", data={"file": "hello"}, headers=headers)

    assert (answer.status_code, answer.json["code"]) == (400, "file_missing")
