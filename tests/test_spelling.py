"""One spelling of Vietnamese: at the end of a word oa, oe and uy bear their tone on the first."""

import re
import unicodedata

import pytest

from tests.processes import ROOT

FOLDERS = (
    ".",
    *("admin", "api", "deploy", "dev", "docs", "jobs", "migrations", "models", "notifications"),
    *("services", "simulators", "tests"),
)
KINDS = {".csv", ".html", ".json", ".md", ".py", ".sh"}
# "quý" and "quả" begin with qu, and before a last consonant ("hoàn") both spellings agree.
OTHER = re.compile(
    r"\w*(?:o[àáảãạèéẻẽẹ]|(?<!q)u[ỳýỷỹỵ])(?!\w)",
    re.IGNORECASE,
)


def other_spellings(text: str) -> list[str]:
    return OTHER.findall(unicodedata.normalize("NFC", text))


# Written as escapes, since this file is read as well.
@pytest.mark.parametrize(
    "word",
    ["kho\u00e1", "Xo\u00e1", "hu\u1ef7", "U\u1ef7 ban", "kho\u1ebb", "xoa\u0301"],
)
def test_the_other_spelling_is_found(word):
    assert other_spellings(f"Đã {word}.")


@pytest.mark.parametrize(
    "word", ["khóa", "hủy", "khỏe", "hoàn", "quý", "Quỹ", "quả", "thoại", "toán"]
)
def test_ours_is_not(word):
    assert other_spellings(f"Đã {word}.") == []


# Names of places and offices are spelt as the authority spells them, so `reference` is not read.
@pytest.mark.parametrize("folder", FOLDERS)
def test_what_people_read_has_one_spelling(folder):
    files = [
        file
        for file in (ROOT.glob("*") if folder == "." else (ROOT / folder).rglob("*"))
        if file.suffix in KINDS and "vendor" not in file.parts
    ]

    assert files
    found = {
        str(file.relative_to(ROOT)): words
        for file in files
        if (words := other_spellings(file.read_text("utf-8")))
    }
    assert found == {}
