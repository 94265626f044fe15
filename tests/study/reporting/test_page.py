"""Opens the report of a study in a browser: no error, no request, and accessible to everybody."""

import shutil

import pytest

from study.made_study import SCRIPT, TITLE

CHROMIUM = shutil.which("chromium")

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="there is no chromium here (apt-get install chromium)"
)


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="the report needs playwright")
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def opened(browser, report):
    """A function that opens the report; what the page said and asked for is in its lists."""
    contexts = []

    def open_page(**options):
        context = browser.new_context(
            viewport={"width": 1280, "height": 900}, bypass_csp=True, **options
        )
        contexts.append(context)
        page = context.new_page()
        page.said, page.asked = [], []
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.on("dialog", lambda dialog: (page.said.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(report.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()


def test_it_opens_without_an_error_and_asks_for_nothing(opened, report):
    page = opened()
    assert page.said == []
    assert [url for url in page.asked if not url.startswith("data:")] == [report.as_uri()]
    assert page.title() == TITLE  # no script of an answer has run
    assert page.locator("h1").inner_text() == TITLE
    assert page.get_by_text(SCRIPT).count() > 0


def test_the_first_screen_holds_verdict_numbers_and_forest(opened):
    page = opened()
    for place in (".verdict", ".card >> nth=3", ".front figure svg"):
        box = page.locator(place).first.bounding_box()
        assert box["y"] + min(box["height"], 400) < 900, place


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_violation(opened, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = opened(color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    found = axe.Axe().run(page).response["violations"]
    serious = [v for v in found if v["impact"] in ("serious", "critical")]
    told = [(v["id"], [node["html"][:200] for node in v["nodes"][:3]]) for v in serious]
    assert not told


def test_dark_mode_changes_page_and_figures(opened):
    ink = "getComputedStyle(document.body).color"
    text = "getComputedStyle(document.querySelector('.front figure svg text')).fill"
    paper = "getComputedStyle(document.body).backgroundColor"
    seen = {
        scheme: [page.evaluate(script) for script in (ink, text, paper)]
        for scheme in ("light", "dark")
        for page in [opened(color_scheme=scheme)]
    }
    assert all(a != b for a, b in zip(seen["light"], seen["dark"], strict=True))


def test_a_table_is_downloaded_from_its_link(opened, tmp_path):
    page = opened()
    for name, start in (("results-equal-entries.csv", "task,metric,"),
                        ("results-equal-entries.tex", "% ")):  # fmt: skip
        with page.expect_download() as waiting:
            page.locator(f'a[download="{name}"]').click()
        waiting.value.save_as(tmp_path / name)
        assert (tmp_path / name).read_text().startswith(start)


def test_the_keyboard_reaches_results_sections_and_tables(opened):
    page = opened()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the results"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    link = page.locator("nav a", has_text="Methods")
    link.focus()
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#methods"
    region = page.locator("#results .scroll").first
    region.focus()
    assert region.evaluate("e => e === document.activeElement")


def test_it_fits_a_phone_and_paper(opened):
    page = opened()
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.emulate_media(media="print", color_scheme="dark")
    assert not page.locator("nav").is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(254, 254, 254)"
