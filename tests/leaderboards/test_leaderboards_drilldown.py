"""The pages behind the front page in a real browser."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import synthetic
from PIL import Image
from synthetic import JPEG, PLAIN

from cloakbench.store.paths import StorePaths
from cloakbench.store.reading import load
from cloakbench_leaderboards.parts.differences import Differences
from cloakbench_leaderboards.scores.evidence import gather
from cloakbench_leaderboards.site import site

axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs the package axe-playwright-python")

DEEP = ("attacks/jpeg.html", "protections/impasto.html", "cells/impasto/jpeg.html", "compare.html", "method.html")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A site of six artists, with pictures of two protections under two attacks."""
    root = tmp_path_factory.mktemp("drilldown")
    facts, records = synthetic.demonstration(artists=6, seeds=1)
    shown = []
    for n, cell_record in enumerate(records):
        is_entry = cell_record.protection.name in ("impasto", "glaze") and cell_record.attack.name in (
            PLAIN.name,
            JPEG.name,
        )
        is_shown = is_entry or cell_record.protection.name == "identity"
        keys = {}
        for index, stage in enumerate(("protect", "countermeasure", "generate")):
            keys[stage] = f"{index}{n:063x}"
        shown.append(
            cell_record.model_copy(update={"components": synthetic.components(keys)}) if is_shown else cell_record
        )
        for stage, key in keys.items() if is_shown else ():
            _picture(StorePaths(root / "store"), key, cell_record.environment.env_class, stage)
    synthetic.save(root / "store", facts, shown)
    return site.build(root / "store", root / "site", unofficial=True).parent


def _picture(paths, key, where, stage):
    path = paths.gallery_path(key, where) if stage == "generate" else paths.image_path(key, where, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((64, 256 if stage == "generate" else 64, 3), 90, np.uint8)).save(path)


@pytest.fixture
def page(browser, built):
    """A page that fails the test where the console shows an error or a request leaves the folder."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(120_000)  # machines with more work than cores are slow, not wrong
    opened, faults = context.new_page(), []
    opened.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("request", lambda asked: None if asked.url.startswith(built.as_uri()) else faults.append(asked.url))
    yield opened
    context.close()
    assert faults == []


def test_clicks_lead_from_the_front_page_to_the_pictures_of_one_cell(page, built):
    page.goto((built / "index.html").as_uri())
    page.locator("main").get_by_role("link", name="impasto", exact=True).first.click()
    assert page.url.endswith("protections/impasto.html")
    assert page.get_by_role("link", name="Its history over versions and suites").count() == 1
    page.get_by_role("table").first.get_by_role("link", name="jpeg", exact=True).click()
    assert page.url.endswith("cells/impasto/jpeg.html")
    page.get_by_role("link", name="artist-3").first.click()
    strip = page.locator(":target .strip")
    assert [caption.strip() for caption in strip.locator("figcaption").all_inner_texts()][:4] == [
        "original PNG",
        "protected PNG",
        "difference \N{MULTIPLICATION SIGN}10",
        "after countermeasure PNG",
    ]
    first = strip.locator("img").first
    first.scroll_into_view_if_needed()
    page.wait_for_function("image => image.complete", arg=first.element_handle())
    assert first.evaluate("image => image.naturalWidth") == 64
    evidence = page.locator(":target details")
    evidence.locator("summary").click()
    assert "--only artist=artist-3 --only attack=jpeg --only strength=0.25" in evidence.inner_text()


def test_any_two_are_compared_as_the_board_does_and_the_address_holds_the_choice(page, built):
    differences = Differences(gather(load(built.parent / "store")))
    page.goto((built / "compare.html").as_uri() + "#impasto&glaze&mist")
    table = page.get_by_role("region", name="Comparison")
    carrier = differences.evidence.standings.rank_column
    [line] = [element for element in table.locator("tbody tr").all() if "carries the rank" in element.inner_text()]
    cells = line.locator("td").all_inner_texts()
    for column_number, other in ((2, "glaze"), (5, "mist")):
        [difference] = differences.differences_from("impasto", [other])[differences.columns.index(carrier)]
        interval, _, artists = cells[column_number].partition(", ")
        assert artists == f"{difference.n} artists"
        shown = interval.replace("\N{MINUS SIGN}", "-").replace("(", "").replace(")", "").split()
        assert [float(shown_row) for shown_row in shown if shown_row != "to"] == pytest.approx(
            [difference.value, difference.low, difference.high], abs=0.006
        )
        apart = differences.told_apart[differences.names.index("impasto"), differences.names.index(other)]
        assert cells[column_number + 1] == ("ahead" if apart else "not told apart")
    page.get_by_role("button", name="remove mist").click()
    page.get_by_label("with").select_option("photoguard")
    assert page.url.endswith("compare.html#impasto&photoguard")
    page.reload()
    assert page.get_by_label("with").input_value() == "photoguard"


def test_a_comparison_shows_pictures_of_an_artist_that_all_chosen_have(page, built):
    page.goto((built / "compare.html").as_uri() + "#impasto&glaze")
    captions = page.locator("#chooser .strip figcaption").all_inner_texts()
    assert captions[:2] == ["original", "imitation of the original"]
    assert [caption.partition(":")[0] for caption in captions[2:]] == ["impasto", "impasto", "glaze", "glaze"]
    image = page.locator("#chooser .strip img").last
    page.wait_for_function("image => image.complete", arg=image.element_handle())
    assert image.evaluate("image => image.naturalWidth") > 0
    page.get_by_label("with").select_option("mist")  # which has no pictures
    assert page.locator("#chooser .strip").count() == 0


@pytest.mark.parametrize("path", DEEP)
def test_pages_have_no_serious_barrier_and_fit_a_phone(page, built, path):
    page.goto((built / path).as_uri())
    response = axe.Axe().run(page, options={"preload": False}).response["violations"]
    assert [
        (each["id"], each["nodes"][0]["html"]) for each in response if each["impact"] in ("serious", "critical")
    ] == []
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("path", DEEP)
def test_pages_are_readable_without_script(browser, built, path):
    context = browser.new_context(java_script_enabled=False)
    context.set_default_timeout(120_000)
    page = context.new_page()
    page.goto((built / path).as_uri())
    text = page.locator("main").inner_text()
    context.close()
    said = {"compare.html": "not told apart", "method.html": "denominator", "cells/impasto/jpeg.html": "style-distance"}
    assert said.get(path, "impasto") in text
    assert Path(path).stem != "compare" or "add another" not in text
