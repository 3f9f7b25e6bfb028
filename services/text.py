"""Vietnamese text: one spelling for storing, one folded form for finding."""

import re
import unicodedata

_MARKS = re.compile("[\u0300-\u036f]")
# Joiners stay: they hold emoji together.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
)
_SPACES = re.compile(r"\s+")
# After +84 or 0: nine digits of a mobile number, ten of a landline (02xx).
_PHONE = re.compile(r"(?:\+?84|0)([35789]\d{8}|2\d{9})", re.ASCII)


def fold(text: str) -> str:
    """`text` without tone marks, case and repeated spaces: "Ổ  gà ĐƯỜNG" becomes "o ga duong"."""
    plain = _MARKS.sub("", unicodedata.normalize("NFD", text))
    return _SPACES.sub(" ", plain.replace("đ", "d").replace("Đ", "D")).strip().lower()


def tidy(text: str) -> str:
    """`text` in composed form (NFC), so that equal words are equal strings.

    What nobody sees goes: control characters, blanks of no width, marks that turn the reading.
    """
    return unicodedata.normalize("NFC", _UNSEEN.sub("", text)).strip()


def masked_number(number: str) -> str:
    """Enough of a citizen number for who knows it to recognise it: 019*****0017."""
    return f"{number[:3]}*****{number[-4:]}"


def phone(text: str) -> str | None:
    """A Vietnamese number in E.164, mobile or of a landline; None when it is neither."""
    found = _PHONE.fullmatch(re.sub(r"[\s.()-]", "", text))
    return f"+84{found[1]}" if found else None
