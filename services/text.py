"""Vietnamese text: one spelling for storing, one folded form for finding."""

import re
import unicodedata

_MARKS = re.compile("[\u0300-\u036f]")
_SPACES = re.compile(r"\s+")


def fold(text: str) -> str:
    """`text` without tone marks, case and repeated spaces: "Ổ  gà ĐƯỜNG" becomes "o ga duong"."""
    plain = _MARKS.sub("", unicodedata.normalize("NFD", text))
    return _SPACES.sub(" ", plain.replace("đ", "d").replace("Đ", "D")).strip().lower()


def tidy(text: str) -> str:
    """`text` in composed form (NFC), so that equal words are equal strings."""
    return unicodedata.normalize("NFC", text).strip()
