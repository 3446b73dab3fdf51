"""The pages in a real browser: no page is wider than its window, the theme switches, the filters filter."""

from __future__ import annotations

import shutil

import made_run as made
import pytest

from semrep_jax.report import comparison, html

playwright = pytest.importorskip("playwright.sync_api", reason='needs playwright: pip install -e ".[dev]"')
CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")
SMALLEST_TEXT = 9.5  # pixels, of a plot on a phone


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        one = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield one
        one.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    directory = tmp_path_factory.mktemp("pages")
    runs = [made.run(directory / f"seed{seed}", seed) for seed in range(2)] + [made.run(directory / "other", alpha=0.1)]
    for run in runs:
        made.curve(run)
    return {"run": html.write(runs[0]), "comparison": comparison.write(runs, directory / "comparison.html")}


@pytest.fixture
def opened(browser, pages, request):
    """A page in a window, and what its console said."""
    name, width, scheme = request.param
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda asked: asked.url.startswith("file:") or said.append(asked.url))
    page.goto(pages[name].as_uri())
    yield page, said
    page.close()


def background(page) -> str:
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


@pytest.mark.parametrize(
    "opened",
    [(name, width, "light") for name in ("run", "comparison") for width in (1300, 400, 320)],
    indirect=True,
    ids=lambda param: f"{param[0]} {param[1]}",
)
def test_no_page_is_wider_than_its_window_and_plots_can_be_read(opened):
    page, said = opened
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth") and not said
    heights = page.evaluate(
        "[...document.querySelectorAll('figure svg text')].filter(t => t.checkVisibility())"
        ".map(t => parseFloat(getComputedStyle(t).fontSize) * t.ownerSVGElement.getScreenCTM().a)"
    )
    assert heights and min(heights) >= SMALLEST_TEXT * page.viewport_size["width"] / max(
        400, page.viewport_size["width"]
    )


@pytest.mark.parametrize("opened", [("run", 1300, "dark"), ("run", 400, "light")], indirect=True, ids=["dark", "light"])
def test_the_theme_follows_the_system_and_the_switch(opened):
    page, _ = opened
    system = background(page)
    page.click("#theme")
    light = background(page)
    page.click("#theme")
    dark = background(page)
    assert light == "rgb(255, 255, 255)" != dark
    assert system in (light, dark)
    page.reload()
    assert background(page) == dark
    page.click("#theme")
    assert background(page) == system


@pytest.mark.parametrize(
    "opened", [("run", 1300, "light"), ("run", 400, "light")], indirect=True, ids=["wide", "phone"]
)
def test_filters_leave_the_cards_and_the_arms_that_are_asked_for(opened):
    page, _ = opened
    cards, side = page.locator(".card:visible"), page.viewport_size["width"] > 760
    arms = page.locator("th[data-arm]:visible" if side else "section[data-arm]:visible")
    assert (cards.count(), arms.count()) == (4, 12 if side else 8)
    page.select_option("select[name=suite]", "new_kinds")
    assert cards.count() == 2
    page.select_option("select[name=arm]", "semrep")
    assert arms.count() == 2
    page.select_option("select[name=verdict]", "wrong")
    assert cards.count() == 0 and page.locator("#gallery output").inner_text() == "0 tasks"
    page.select_option("select[name=arm]", "base")
    assert cards.count() == 2


@pytest.mark.parametrize("opened", [("run", 1300, "light")], indirect=True, ids=["wide"])
def test_a_card_shows_the_view_that_is_chosen(opened):
    page, _ = opened
    card = page.locator(".card").first
    assert card.locator(".view.after").is_visible() and not card.locator(".view.direct").is_visible()
    card.locator("label", has_text="directly").click()
    assert card.locator(".view.direct").is_visible() and not card.locator(".view.after").is_visible()
