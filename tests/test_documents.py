"""The pages are finished: nothing to be filled in is left, and every link leads somewhere."""

import re

import pytest

from tests.processes import ROOT

PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_nothing_is_left_to_be_filled_in(page):
    assert not re.search("«FIGURE|FIGURES-|TODO|TBD", page.read_text("utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page):
    linked = LINK.findall(page.read_text("utf-8"))

    assert [each for each in linked if not (page.parent / each).exists()] == []


def test_the_security_page_names_tests_that_there_are():
    named = re.findall(r"`(tests/[\w/]+\.py)`", (ROOT / "docs" / "security.md").read_text("utf-8"))

    assert named
    assert [each for each in named if not (ROOT / each).exists()] == []
