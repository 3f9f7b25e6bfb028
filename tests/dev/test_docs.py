"""The generated pages of docs/ are those of this code."""

import pytest

from dev.docs import FOLDER, PAGES


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_up_to_date(name):
    assert (FOLDER / name).read_text("utf-8") == PAGES[name](), "run `make docs`"
