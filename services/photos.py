"""The one safe path for photos: what is let in, and what leaves.

Names and declared types are ignored; the content decides. What is stored for good is drawn anew
from the pixels, so nothing of the file that came in survives: no metadata, no comment, no bytes
after the end.
"""

import io
import warnings
from dataclasses import dataclass

import pillow_heif
from PIL import Image, ImageOps

from services.errors import TooLarge, UnsupportedMedia

MAX_BYTES = 10 * 1024 * 1024
MAX_PIXELS = 50_000_000
FULL_SIDE = 2000  # Half of a 4,000-pixel photo, so the JPEG decoder may skip three quarters.
THUMB_SIDE = 400
FORMATS = ("JPEG", "PNG", "WEBP", "HEIF")
# Phones put a second picture into JPEG and HEIC files too; there the first is the photo.
MAY_MOVE = ("PNG", "WEBP")
QUALITY = 82

pillow_heif.register_heif_opener(thumbnails=False)
# Our own limit is checked on the header, before any pixel is decoded.
Image.MAX_IMAGE_PIXELS = None


class PhotoTooLarge(TooLarge):
    """The photo is larger than {limit_mb} MB."""

    vi = "Ảnh lớn hơn giới hạn {limit_mb} MB."


class PhotoTooManyPixels(TooLarge):
    """The photo has {megapixels} megapixels; at most {limit_megapixels} are accepted."""

    vi = "Ảnh có {megapixels} megapixel; chỉ nhận tối đa {limit_megapixels} megapixel."


class PhotoNotAccepted(UnsupportedMedia):
    """This file is not a photo; accepted are {accepted}."""

    vi = "Tệp này không phải ảnh chụp; chỉ nhận {accepted}."


class PhotoAnimated(UnsupportedMedia):
    """Animated pictures are not accepted; accepted are still photos in {accepted}."""

    vi = "Không nhận ảnh động; chỉ nhận ảnh tĩnh dạng {accepted}."


class PhotoBroken(UnsupportedMedia):
    """The photo is damaged and cannot be opened; accepted are whole photos in {accepted}."""

    vi = "Ảnh bị hỏng, không mở được; chỉ nhận ảnh nguyên vẹn dạng {accepted}."


ACCEPTED = "JPEG, PNG, WebP, HEIC"
# What the decoders raise at pixels that are not what the header promised; libheif's is the odd one.
BROKEN = (OSError, ValueError, SyntaxError, MemoryError, EOFError, RuntimeError)


@dataclass(frozen=True, slots=True)
class Sizes:
    """The two pictures that are kept, both JPEG, and the measures of the larger in pixels."""

    full: bytes
    thumb: bytes
    width: int
    height: int


def check(content: bytes) -> None:
    """Let `content` in, or say why not; reads the header only, so a bomb costs nothing.

    Raises:
        PhotoTooLarge, PhotoTooManyPixels, PhotoNotAccepted, PhotoAnimated
    """
    if len(content) > MAX_BYTES:
        raise PhotoTooLarge(limit_mb=MAX_BYTES // 1024 // 1024)
    with _opened(content) as image:
        if image.format in MAY_MOVE and getattr(image, "n_frames", 1) > 1:
            raise PhotoAnimated(accepted=ACCEPTED)
        pixels = image.width * image.height
        if pixels > MAX_PIXELS:
            raise PhotoTooManyPixels(
                megapixels=round(pixels / 1_000_000),
                limit_megapixels=MAX_PIXELS // 1_000_000,
            )


def derive(content: bytes) -> Sizes:
    """Draw the two sizes that are kept, upright and without any metadata.

    Raises:
        PhotoBroken: the header was fine, the pixels are not.
        PhotoTooLarge, PhotoTooManyPixels, PhotoNotAccepted, PhotoAnimated: as `check`.
    """
    check(content)
    with _opened(content) as image:
        try:
            full = _drawn(image, FULL_SIDE)
        except BROKEN as error:
            raise PhotoBroken(accepted=ACCEPTED) from error
    thumb = full.copy()
    thumb.thumbnail((THUMB_SIDE, THUMB_SIDE))
    return Sizes(_jpeg(full), _jpeg(thumb), full.width, full.height)


def _opened(content: bytes) -> Image.Image:
    try:
        with warnings.catch_warnings():
            # A file with crooked metadata is not our trouble: the metadata are thrown away.
            warnings.simplefilter("ignore")
            return Image.open(io.BytesIO(content), formats=FORMATS)
    except (OSError, ValueError, SyntaxError) as error:
        raise PhotoNotAccepted(accepted=ACCEPTED) from error


def _drawn(image: Image.Image, side: int) -> Image.Image:
    """The picture at most `side` long, upright, in RGB on white, and nothing but its pixels."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # The longer side is aimed at, so that a panorama is not decoded at full size.
        image.draft("RGB", (side, side))
        image.thumbnail((side, side))  # First, since turning a small picture is cheap.
        upright = ImageOps.exif_transpose(image)
    if upright.mode in {"RGBA", "LA", "PA"} or "transparency" in upright.info:
        upright = upright.convert("RGBA")
        canvas = Image.new("RGB", upright.size, "white")
        canvas.paste(upright, mask=upright.getchannel("A"))
        return canvas
    # A fresh canvas: the old picture's info would carry a JPEG comment into the new file.
    canvas = Image.new("RGB", upright.size)
    canvas.paste(upright.convert("RGB"))
    return canvas


def _jpeg(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=QUALITY, optimize=True)
    return out.getvalue()
