"""Chromium, as the tests of pages drive it, and what axe-core says of a page."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.processes import ROOT

CHROMIUM = Path("/usr/bin/chromium")
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"

needs_chromium = pytest.mark.skipif(not CHROMIUM.exists(), reason="chromium is missing")
needs_axe = pytest.mark.skipif(not AXE.exists(), reason="axe-core is missing; run npm ci")


@contextmanager
def chromium() -> Iterator[Browser]:
    # Chromium refuses its sandbox to root, as which containers run.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


def complaints_of_axe(page: Page) -> list[tuple[str, str, list[str]]]:
    # By the debugging protocol, because the policy of the page lets no foreign script in.
    page.evaluate(AXE.read_text())
    result = page.evaluate("axe.run()")
    return [
        (page.url, violation["id"], [node["target"] for node in violation["nodes"]])
        for violation in result["violations"]
    ]
