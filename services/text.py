"""Vietnamese text: one spelling for storing, one folded form for finding."""

import re
import unicodedata

_MARKS = re.compile("[\u0300-\u036f]")
# Joiners stay: they hold emoji together.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
)
_SPACES = re.compile(r"\s+")


def fold(text: str) -> str:
    """`text` without tone marks, case and repeated spaces: "Ổ  gà ĐƯỜNG" becomes "o ga duong"."""
    plain = _MARKS.sub("", unicodedata.normalize("NFD", text))
    return _SPACES.sub(" ", plain.replace("đ", "d").replace("Đ", "D")).strip().lower()


def tidy(text: str) -> str:
    """`text` in composed form (NFC), so that equal words are equal strings.

    What nobody sees goes: control characters, blanks of no width, marks that turn the reading.
    """
    return unicodedata.normalize("NFC", _UNSEEN.sub("", text)).strip()
