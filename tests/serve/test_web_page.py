"""The page at /, in headless Chromium: a person pastes a program and sees rewrite, edit, diff and verdicts."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install -e '.[dev]'")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PROGRAM = "def run(xs):\n    return sum([x * 2 for x in xs if x > 3])"
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs a Chromium on the path: apt-get install chromium")


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(params=[1300, 400])
def page(request, browser, server):
    """The page at a width; a picture of how it was left goes to $SEMREP_PICTURES."""
    page = browser.new_page(viewport={"width": request.param, "height": 900})
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.goto(server.url)
    yield page
    assert not page.faults
    assert page.evaluate("document.documentElement.scrollWidth") <= request.param, "it scrolls sideways"
    if "SEMREP_PICTURES" in os.environ:
        path = Path(os.environ["SEMREP_PICTURES"]) / f"{request.node.originalname}-{request.param}.png"
        page.screenshot(path=path, full_page=True)
    page.close()


def test_a_person_sees_rewrite_edit_diff_and_verdicts(page):
    page.fill("#program", PROGRAM)
    page.fill("#instruction", "use 5 instead of 3")
    page.select_option("#n", "4")
    page.fill("#temperature", "1")
    for seed in range(8):  # a rewrite of this one is accepted in every third attempt or so
        page.fill("#seed", str(seed))
        page.click("#go")
        page.wait_for_selector("#go:enabled", timeout=90_000)
        if "Rewrite, found to do the same" in page.inner_text("#results"):
            break
    assert "The rewrite did the same as the program" in page.inner_text("#results")
    assert page.locator("section.card").count() == 4
    assert "def run(" in page.inner_text("section.card >> nth=0")
    assert page.locator("pre.diff span.added").count() >= 1 and page.locator("pre.diff span.removed").count() >= 1
    verdicts = page.inner_text("#results")
    assert "Behaves differently now: run(" in verdicts and "of 4 attempts wrote this program" in verdicts
    assert "tokens read" in page.inner_text("#status")


def test_what_is_refused_is_said_and_a_program_is_never_taken_for_markup(page):
    page.fill("#program", "x = 1\n" * 300)
    page.click("#go")
    page.wait_for_selector("#status.bad")
    assert "this server takes 192" in page.inner_text("#status")
    page.fill("#program", "def f(x):\n    return '<img src=x onerror=document.title=1>'")
    page.fill("#temperature", "0")
    page.click("#go")
    page.wait_for_selector("section.card", timeout=90_000)
    assert page.title() == "semrep: rewrite, verify, edit" and page.locator("main img").count() == 0
