"""Tests the page in Debian's Chromium: what a user does, what is shown, and that no script runs.

Screenshots are written to build/screenshots.
"""

import io
import json
import os
import re
import shutil
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

SLOW = 60_000  # milliseconds, for machines with much other work
SHOTS = Path(__file__).resolve().parents[2] / "build" / "screenshots"


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed; run apt-get install chromium")
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    playwright.expect.set_options(timeout=SLOW)
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=chromium, args=root)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def context(browser, running):
    """One window that knows the token; downloads and the clipboard are allowed."""
    opened = browser.new_context(viewport={"width": 1300, "height": 850})
    opened.set_default_timeout(SLOW)
    opened.grant_permissions(["clipboard-read", "clipboard-write"], origin=running.base)
    page = opened.new_page()
    page.goto(running.address)
    page.wait_for_selector(".card")
    assert "token" not in page.url
    page.close()
    yield opened
    opened.close()


@pytest.fixture
def page(context):
    """A page whose console must stay empty."""
    opened = context.new_page()
    said = []
    opened.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    opened.on("pageerror", lambda error: said.append(f"error: {error}"))
    yield opened
    hacked = opened.evaluate("window.hacked")
    opened.close()
    assert said == [] and hacked is None


def shot(page, name):
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png")


def visit(page, running, route, ready=".card, .empty, [data-loaded]"):
    page.goto(f"{running.base}/#/{route}")
    page.wait_for_selector(ready)


def expect(*args):
    from playwright.sync_api import expect as expected  # late, as the package may be missing

    return expected(*args)


def at_page(page, number):
    expect(page.locator(".at")).to_have_text(re.compile(f"^page {number} "))


def settled(page):
    page.wait_for_selector('.cards[aria-busy="false"]')


def ids(page):
    return page.locator(".card .id").all_inner_texts()


def test_the_list_is_filtered_sorted_and_paged(page, running):
    visit(page, running, "data/images")
    settled(page)
    total = page.locator(".total").inner_text()
    first = ids(page)
    page.get_by_role("button", name="Next", exact=True).click()
    at_page(page, 2)
    assert not set(first) & set(ids(page)) and "page=2" in page.url
    page.keyboard.press("p")
    at_page(page, 1)
    page.get_by_label("grading", exact=True).check()
    page.get_by_label("test", exact=True).check()
    expect(page.locator(".total")).not_to_have_text(total)
    settled(page)
    assert "task=grading" in page.url and "split=test" in page.url
    for card in page.locator(".card").all():
        assert "grading" in card.inner_text() and "· test" in card.inner_text()
    counts = page.locator(".values li", has=page.get_by_label("grading", exact=True))
    assert counts.locator(".count").inner_text() == page.locator(".total").inner_text().split()[0]
    page.get_by_label("Sort by").select_option("annotations")
    page.get_by_label("Order").select_option("desc")
    settled(page)
    expect(page).to_have_url(re.compile("order=desc"))
    shot(page, "viewer-list")
    page.get_by_role("button", name="Clear filters").click()
    expect(page.locator(".total")).to_have_text(total)


def test_a_text_is_searched_in_the_ids(page, running, odd):
    visit(page, running, "data/images")
    page.keyboard.press("/")
    page.keyboard.type("ODD/ü <B>")
    expect(page.locator(".total")).to_have_text("1 image")
    assert ids(page) == [odd.id]
    page.get_by_role("link", name=odd.id).click()
    page.wait_for_selector("[data-loaded]")
    assert page.locator("h1").inner_text() == odd.id


def test_a_deep_link_opens_an_image_or_a_filter(page, running, odd):
    visit(page, running, f"data/image/{quote(odd.id, safe='')}?split=test", "[data-loaded]")
    assert page.locator("h1").inner_text() == odd.id
    assert " of " in page.locator(".image-head nav").inner_text()
    visit(page, running, "data/images?view=LATERAL&sort=id")
    settled(page)
    assert page.get_by_label("LATERAL").is_checked()
    assert set(ids(page)) >= {"deep/png", "deep/dicom"}
    page.go_back()
    page.wait_for_selector("[data-loaded]")
    assert page.locator("h1").inner_text() == odd.id


def test_hostile_text_is_shown_as_text(page, running, odd):
    visit(page, running, f"data/image/{quote(odd.id, safe='')}", "[data-loaded]")
    shown = page.locator("main").inner_text()
    assert odd.hostile in shown and odd.forged in shown
    assert page.locator("main script, main svg[onload], main img").count() == 0


def grey(page):
    """Mean grey of the middle of the image."""
    shown = Image.open(io.BytesIO(page.locator("canvas").screenshot())).convert("L")
    wide, high = shown.size
    part = shown.crop((wide * 9 // 20, high // 5, wide * 11 // 20, high * 4 // 5))
    return float(np.asarray(part).mean())


def windowed(page, pattern):
    expect(page.locator(".image-page")).to_have_attribute("data-window", re.compile(pattern))


def window(page):
    low, high, inverted = page.locator(".image-page").get_attribute("data-window").split()
    return float(low), float(high), inverted == "true"


def test_the_image_is_zoomed_moved_windowed_and_inverted(page, running):
    visit(page, running, "data/image/deep%2Fpng", "[data-loaded]")
    zoom = page.locator(".zoomed")
    fitted = zoom.inner_text()
    before = grey(page)
    assert 120 < before < 135 and window(page) == (0, 65535, False)
    page.keyboard.press("i")
    windowed(page, "true$")
    page.keyboard.press("i")
    for _ in range(4):
        page.keyboard.press("s")
    windowed(page, "^-")
    assert grey(page) > before + 20
    page.keyboard.press("r")
    windowed(page, "^0 65535 false")
    page.get_by_label("Window width").fill("20000")
    page.get_by_label("Window level").fill("10000")
    page.get_by_label("Window level").press("Enter")
    windowed(page, "^0 20000 false")
    assert grey(page) > 200  # most values are above the window
    page.get_by_role("button", name="Zoom in").click()
    assert zoom.inner_text() != fitted
    at = page.locator(".viewport").bounding_box()
    x, y = at["x"] + at["width"] / 2, at["y"] + at["height"] / 2
    page.mouse.move(x, y)
    page.mouse.wheel(0, -600)
    assert int(zoom.inner_text().rstrip(" %")) > 300
    moved = page.evaluate("document.querySelector('.where').textContent")
    page.mouse.down()
    page.mouse.move(x + 60, y + 40)
    page.mouse.up()
    page.mouse.move(x, y)
    assert page.evaluate("document.querySelector('.where').textContent") != moved
    low, high, _ = window(page)
    page.keyboard.down("Shift")
    page.mouse.down()
    page.mouse.move(x + 90, y)
    page.mouse.up()
    page.keyboard.up("Shift")
    windowed(page, "^(?!0 20000 )")
    wide = window(page)
    assert wide[1] - wide[0] > high - low  # dragged sideways: a wider window
    page.get_by_role("button", name="Fit the image").click()
    assert zoom.inner_text() == fitted


def test_the_value_of_a_pixel_is_that_of_the_file(page, running):
    visit(page, running, "data/image/deep%2Fpng", "[data-loaded]")
    at = page.locator(".viewport").bounding_box()
    page.mouse.move(at["x"] + at["width"] / 2, at["y"] + at["height"] / 2)
    said = page.locator(".where").inner_text()
    place, value = said.split(": ")
    x, y = (int(part.split()[1]) for part in place.split(", "))
    assert abs(int(value) - (y * 80 + x) * 65535 / (120 * 80 - 1)) <= 1


def test_boxes_are_shown_and_hidden(page, running, odd):
    visit(page, running, f"data/image/{quote(odd.id, safe='')}", "[data-loaded]")
    boxes = page.locator("svg.boxes .box")
    shown = boxes.count()
    assert shown and page.locator("svg.boxes .anatomy").count() == 0
    page.get_by_label("regions of anatomy").check()
    assert boxes.count() > shown
    page.get_by_label("answers of bad").check()
    assert page.locator("svg.boxes .arm-1").count() >= 1
    assert page.locator("svg.boxes .truth").count() == 0
    page.get_by_label("targets of entries").check()
    assert page.locator("svg.boxes .truth").count() >= 1
    shot(page, "viewer-image")
    page.locator("h1").click()
    page.keyboard.press("b")
    assert boxes.count() == 0
    page.keyboard.press("b")
    assert boxes.count() > shown
    # a box lies where the table says, under any zoom
    page.keyboard.press("+")
    line = page.locator("svg.boxes .finding .line").first
    assert float(line.get_attribute("width")) > 1


def test_two_arms_side_by_side(page, running, odd):
    visit(page, running, f"data/image/{quote(odd.id, safe='')}", "[data-loaded]")
    part = page.locator("section", has=page.locator("#section-two-arms-side-by-side"))
    part.scroll_into_view_if_needed()
    assert part.get_by_text("✓ right").count() > 0 and part.get_by_text("✗ wrong").count() > 0
    text = part.inner_text()
    assert "good: " in text and "right (100 %)" in text
    rows = part.locator("tbody tr").count()
    part.get_by_label("with", exact=True).select_option("good")
    part.get_by_label("only entries").check()
    assert "agree on every entry" in part.inner_text()
    part.get_by_label("with", exact=True).select_option("bad")
    assert 0 < part.locator("tbody tr").count() <= rows
    shot(page, "viewer-arms")


def test_an_image_and_an_annotation_are_marked(page, running, odd):
    visit(page, running, f"data/image/{quote(odd.id, safe='')}", "[data-loaded]")
    page.locator("h1").click()
    page.keyboard.press("m")
    page.get_by_label("doubtful").check()
    page.get_by_role("textbox", name="Note").fill("rotated <i>film</i>")
    page.get_by_role("button", name="Save the mark").click()
    page.wait_for_selector(".badges .mark.doubtful")
    page.get_by_role("button", name="Mark report").first.click()
    page.get_by_role("button", name="Save the mark").click()
    page.wait_for_selector("td .mark.wrong")
    page.get_by_role("button", name="Marks", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("rotated").wait_for()
    assert "rotated <i>film</i>" in dialog.inner_text()
    with page.expect_download() as download:
        dialog.get_by_text("Export").click()
    lines = [json.loads(line) for line in Path(download.value.path()).read_text().splitlines()]
    of_odd = [
        (one["verdict"], one["annotation"] is None) for one in lines if one["image_id"] == odd.id
    ]
    assert of_odd == [("doubtful", True), ("wrong", False)]
    page.keyboard.press("Escape")
    visit(page, running, "data/images?mark=doubtful")
    settled(page)
    assert ids(page) == [odd.id]
    visit(page, running, f"data/image/{quote(odd.id, safe='')}", "[data-loaded]")
    for button in ("Mark the image", "Mark report"):
        page.get_by_role("button", name=button).first.click()
        page.get_by_label("no mark").check()
        page.get_by_role("button", name="Save the mark").click()
        page.get_by_role("dialog").wait_for(state="hidden")
    assert page.locator(".chip.mark").count() == 0


def test_what_cannot_be_shown_is_one_sentence(page, running):
    visit(page, running, "data/image/deep%2Foutside", ".note")
    page.get_by_text("because its path leads out of the folder of its release").wait_for()
    visit(page, running, "data/image/deep%2Fgone", ".note")
    page.get_by_text("because its file is not in the folder").wait_for()


def test_a_late_answer_for_an_earlier_address_changes_nothing(context, running):
    page = context.new_page()
    waiting = []
    page.route(
        re.compile(r"/api/about\?dataset=none"),
        lambda route: waiting.append(route) if not waiting else route.continue_(),
    )
    page.goto(f"{running.base}/#/none/images")
    page.goto(f"{running.base}/#/data/image/none")
    told = page.locator(".problem", has_text="id of an image")
    expect(told).to_be_visible()
    with page.expect_response(re.compile("dataset=none")) as late:
        waiting[0].continue_()
    assert late.value.status == 404
    page.wait_for_timeout(200)  # for the page to take the answer in
    expect(told).to_be_visible()


def test_a_link_with_nonsense_is_one_sentence_and_leads_back(context, running):
    page = context.new_page()  # the browser writes refused requests to its console
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    for route, said in {
        "none/images": "one of the datasets",
        "%E0%A4%A/images": "one of the datasets",
        "data/image/none": "id of an image",
        "data/image/": "id of an image",
        "data/images?page=abc": "page to be a number",
        "data/images?sort=foo": "sort to be one of",
        "data/images?low=NaN": "low to be a share",
        "data/images?task=%3Cb%3E": "but got <b>",
    }.items():
        page.goto(f"{running.base}/#/{route}")
        expect(page.locator(".problem", has_text=said)).to_be_visible()
        assert page.locator(".card").count() == 0
    for route in ("//////", "data", "data/foo", "?", "data/images?" + "task=rec&" * 2000):
        page.goto(f"{running.base}/#/{route}")
        expect(page.locator(".card").first).to_be_visible()
        expect(page.locator(".problem")).to_be_hidden()
        expect(page.locator("#said")).to_be_hidden()  # what was said of the page before
    page.goto(f"{running.base}/#/data/images?page=99999")  # of a list that was longer once
    expect(page.locator(".at")).to_have_text(re.compile(r"page (\d+) of \1$"))
    page.goto(f"{running.base}/#/data/image/deep%2Fpng?task=none")
    expect(page.locator("#said")).to_have_text(re.compile("task to be one of"))
    expect(page.locator("h1")).to_have_text("deep/png")
    assert errors == []
    page.close()


def test_an_image_with_odd_annotations_is_shown(page, running):
    visit(page, running, "data/image/deep%2Fmany")
    rows = page.locator("table", has_text="provenance").locator("tbody tr")
    expect(rows.filter(has_text="200 boxes")).not_to_contain_text("not lie within")
    expect(rows.filter(has_text="outside")).to_contain_text("3 boxes do not lie within the image")
    derived = rows.filter(has_text="derivations.parquet")
    expect(derived).not_to_contain_text("row")  # it stands in no row of a release
    assert page.locator(".box").count() == 203
    wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide[0] <= wide[1]
    shot(page, "odd-annotations")


def test_a_file_of_another_size_than_the_table_says_is_told(page, running):
    visit(page, running, "data/image/deep%2Fother-size")
    note = page.locator(".note")
    expect(note).to_contain_text("80 × 120 pixels; the table states 800 × 1200")
    visit(page, running, "data/image/deep%2Fcolour")
    expect(note).to_contain_text("40 × 30 pixels")


def test_keys_are_listed_and_python_is_copied(page, running, viewed_root):
    visit(page, running, "data/image/deep%2Fpng", "[data-loaded]")
    page.keyboard.press("?")
    assert page.get_by_role("dialog").get_by_text("zoom in").is_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("c")
    page.get_by_role("button", name="Copy", exact=True).click()
    page.get_by_text("The code is copied.").wait_for()
    code = page.evaluate("navigator.clipboard.readText()")
    found = {}
    exec(code, found)
    assert found["image"]["image_id"] == "deep/png"
    assert (
        found["path"] == viewed_root / "data" / ".." / "deep" / "ramp.png"
        or found["path"].is_file()
    )


def test_the_list_is_copied_as_python_by_key_and_by_button(page, running):
    visit(page, running, "data/images?split=test")
    settled(page)
    found = {}
    page.keyboard.press("c")
    exec(page.get_by_label("Python code").input_value(), found)
    assert f"{found['images'].height:,} images" == page.locator(".total").inner_text()
    assert set(found["images"]["split"]) == {"test"}
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Copy as Python").click()
    page.get_by_label("Python code").wait_for()


def test_the_way_to_mark_an_annotation_is_in_sight(page, running, odd):
    page.set_viewport_size({"width": 1400, "height": 900})
    visit(page, running, f"data/image/{quote(odd.id, safe='')}", "[data-loaded]")
    region = page.get_by_role("region", name="Annotations with their provenance").bounding_box()
    button = page.get_by_role("button", name="Mark report").first.bounding_box()
    assert button["x"] + button["width"] <= region["x"] + region["width"]
    assert page.get_by_role("link", name="Back to the list").is_visible()


def test_on_a_narrow_page_images_stand_on_the_first_screen(page, running):
    page.set_viewport_size({"width": 600, "height": 900})
    visit(page, running, "data/images")
    settled(page)
    assert page.locator(".card").first.bounding_box()["y"] < 400
    page.keyboard.press("/")
    assert page.get_by_label("Id of image, patient or study").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_violation(browser, running, odd, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    # axe itself is a script from outside, which the policy of the page forbids
    context = browser.new_context(
        bypass_csp=True, color_scheme=scheme, viewport={"width": 1300, "height": 850}
    )
    context.set_default_timeout(SLOW)
    page = context.new_page()
    page.goto(running.address)
    visit(page, running, "data/images")
    settled(page)
    check(axe, page)
    visit(page, running, f"data/image/{quote(odd.id, safe='')}", "[data-loaded]")
    if scheme == "light":
        check(axe, page)
        page.keyboard.press("m")
        check(axe, page, "dialog")
        page.keyboard.press("Escape")
    page.keyboard.press("?")
    check(axe, page, "dialog")
    shot(page, f"viewer-keys-{scheme}")
    context.close()


def check(axe, page, part=None):
    found = axe.Axe().run(page, context=part).response["violations"]
    serious = [
        (one["id"], [node["html"][:200] for node in one["nodes"][:3]])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    assert serious == []


def test_a_stranger_without_the_token_sees_nothing(browser, running):
    context = browser.new_context()
    page = context.new_page()
    answer = page.goto(f"{running.base}/")
    assert answer.status == 403 and "imaxray view" in page.inner_text("body")
    context.close()


def test_a_page_of_another_origin_reads_and_writes_nothing(context, running):
    """A page of a stranger in the same browser, which even guessed the port."""
    page = context.new_page()
    page.route("http://evil.example/", lambda route: route.fulfill(body="<p>hello</p>"))
    page.goto("http://evil.example/")
    tried = page.evaluate(
        """async (base) => {
            const tries = [
                fetch(`${base}/api/images`, {credentials: "include"}),
                fetch(`${base}/api/marks`, {method: "POST", credentials: "include", mode: "no-cors",
                    body: JSON.stringify({image_id: "deep/png", verdict: "wrong"})}),
            ];
            return (await Promise.allSettled(tries)).map((one) => one.value?.type ?? one.status);
        }""",
        running.base,
    )
    assert tried[0] == "rejected" and tried[1] in ("opaque", "rejected")
    marks = running.marks.read_text() if running.marks.exists() else ""
    assert '"deep/png", "verdict": "wrong"' not in marks
    page.close()
