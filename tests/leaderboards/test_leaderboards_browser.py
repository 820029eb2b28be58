"""The pages in a real browser: what a reader does with them, opened from a folder without network."""

from __future__ import annotations

import json

import pandas as pd
import pytest
import synthetic

from cloakbench.schemas.suite_tables import Matching
from cloakbench.store.reading import Loaded
from cloakbench_leaderboards.board.board import view
from cloakbench_leaderboards.parts.exports import COLUMNS
from cloakbench_leaderboards.parts.page import Material
from cloakbench_leaderboards.scores.evidence import gather
from cloakbench_leaderboards.site import site

PATIENCE = 180_000
"""Milliseconds that a step may take on a machine with much else to do."""
VARIANT = "impasto[base=glaze]"
ENTRIES = ["impasto", "mist", "photoguard", VARIANT]
ENTRIES_BY_NAME = sorted(ENTRIES)
CONTROLS = ["identity", "placebo", "random-noise", "floor"]
MATCHED = Matching(metric="mini-lpips", targets=[0.05, 0.1, 0.2], tolerance=0.01)


def variant(record):
    """Glaze as an older variant of Impasto, so that there is a family, and something superseded in it."""
    if record.protection.name == "impasto":
        return record.model_copy(update={"created": "2026-02-01T00:00:00+00:00"})
    if record.protection.name != "glaze":
        return record
    facts = {"name": VARIANT, "distribution": "cloakbench-impasto", "version": "0.9"}
    return record.model_copy(update={"protection": record.protection.model_copy(update=facts)})


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    facts, records = synthetic.demonstration(artists=6, seeds=1)
    facts = facts.model_copy(update={"suite": facts.suite.model_copy(update={"matching": MATCHED})})
    evidence = gather(Loaded(facts, [variant(cell_record) for cell_record in records], []))
    folder = tmp_path_factory.mktemp("browser")
    site.write(Material(evidence, view(evidence), folder / "store"), folder / "site")
    return folder / "site"


@pytest.fixture
def visit(browser, built):
    """Opens a page of the site; at the end nothing may have gone wrong or left the folder."""
    contexts, faults = [], []

    def opened(path="index.html", **options):
        options.setdefault("viewport", {"width": 1280, "height": 900})
        context = browser.new_context(**options)
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on("console", heard)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda each: None if allowed(each.url) else faults.append(each.url))
        page.goto(f"{built.as_uri()}/{path}")
        return page

    def heard(message):
        if message.type in ("error", "warning"):
            faults.append(message.text)

    def allowed(url):
        return url.startswith((f"{built.as_uri()}/", "blob:", "data:"))

    yield opened
    for context in contexts:
        context.close()
    assert faults == []


def names(page):
    shown = page.locator("#headline tbody tr:not([hidden]) th").evaluate_all(
        "all => all.map(head => head.firstChild.textContent)"
    )
    return [shown_row.strip() for shown_row in shown]


def column(page, key):
    return page.evaluate(
        """key => {
            const heads = [...document.querySelectorAll("#headline thead th")];
            const place = heads.findIndex(head => head.dataset.key === key);
            const rows = [...document.querySelectorAll("#headline tbody tr")];
            return rows.map(row => row.cells[place].dataset.value);
        }""",
        key,
    )


def test_a_click_sorts_within_a_group_and_entries_without_a_number_stay_last(visit):
    page = visit()
    assert names(page)[-4:] == CONTROLS
    assert set(names(page)[:4]) == set(ENTRIES)
    for way, sign in (("desc", 1), ("asc", -1)):
        page.click("th[data-key=plain] button")
        values = [float(value) for value in column(page, "plain")[:4] if value]
        assert values == sorted(values, key=lambda value: -sign * value)
        assert names(page)[-4:] != names(page)[:4]
        assert set(names(page)[-4:]) == set(CONTROLS)
        assert page.evaluate("location.hash") == f"#sort=plain.{way}"
    page.focus("th[data-key=protection] button")
    page.keyboard.press("Enter")
    assert names(page)[:4] == sorted(ENTRIES)


def test_filters_show_what_they_say_and_the_address_holds_the_view(visit):
    page = visit()
    page.uncheck("[name=controls]")
    assert sorted(names(page)) == ENTRIES_BY_NAME
    page.fill("[name=find]", "IMPASTO")
    assert sorted(names(page)) == ["impasto", VARIANT]
    assert "2 of 8" in page.inner_text("#count")
    again = visit("index.html" + page.evaluate("location.hash"))
    assert sorted(names(again)) == ["impasto", VARIANT]
    assert not again.is_checked("[name=controls]")
    again.click("#filters [type=reset]")
    assert len(names(again)) == len(ENTRIES) + len(CONTROLS)
    assert again.evaluate("location.hash") == ""
    again.fill("[name=find]", "nobody of this name")
    assert names(again) == []


def test_the_plot_library_is_loaded_only_when_a_reader_asks_for_it(visit):
    page = visit()
    assert page.evaluate("window.drawPlot === undefined")
    assert page.locator("#plot svg.chart").is_visible()
    page.select_option("[name=attack]", "jpeg")
    page.wait_for_selector("#plot .vega-embed svg")
    page.wait_for_selector("#plot-title:has-text('jpeg')")
    page.select_option("[name=metric]", "psnr")
    page.wait_for_selector("#plot-title:has-text('over psnr')")
    again = visit("index.html" + page.evaluate("location.hash"))
    again.wait_for_selector("#plot-title:has-text('over psnr')")
    assert again.input_value("[name=attack]") == "jpeg"


def test_exported_numbers_are_unrounded_and_complete(built):
    table = pd.read_csv(built / "data/results.csv")
    assert list(table.columns) == list(COLUMNS)
    own = table[(table["protection"] == "mist") & (table["quantity"] == "mean")]
    data = json.loads((built / "board.json").read_text())
    [entry] = [item for item in data["entries"] if (item["protection"], item["column"]) == ("mist", "mean")]
    assert own["value"].item() == pytest.approx(entry["estimate"]["value"])
    assert own["artists"].item() == 6
    assert len(pd.read_parquet(built / "data/results.parquet")) == len(table)
    references = (built / "data/references.bib").read_text()
    assert "@misc{impasto," in references
    assert "file:" not in references
    assert (built / "data/table.tex").read_text().count("\\\\\n") == 1 + len(ENTRIES) + len(CONTROLS)


def test_the_plot_answers_and_needs_no_eval(visit):
    page = visit()
    page.click("[name=interactive]")
    page.wait_for_selector("#plot .vega-embed svg")
    assert page.locator("#plot .points_marks path").count() > 10
    page.locator("#plot .points_marks path").last.hover(force=True)
    page.wait_for_selector("#vg-tooltip-element.visible")
    policy = page.get_attribute("meta[http-equiv]", "content")
    assert "script-src 'self';" in policy
    assert "unsafe-eval" not in policy


def test_without_a_script_the_page_says_the_same(visit):
    page = visit(java_script_enabled=False)
    assert page.locator("#headline tbody tr").count() == len(ENTRIES) + len(CONTROLS)
    assert page.is_hidden("#filters")
    assert page.locator("#plot svg").is_visible()
    assert "Plot of P against" in page.locator("#plot").get_attribute("aria-label")


def test_from_the_front_page_to_the_evidence_by_clicks(visit):
    page = visit()
    page.click("#headline th a >> text=mist")
    assert page.inner_text("h1") == "mist"
    page.click("table.heat th a >> text=jpeg")
    assert "/cells/mist/jpeg.html" in page.url
    page.wait_for_load_state()
    assert "cloakbench run" in page.inner_text("main")
    page.click("nav[aria-label=Site] >> text=Leaderboard")
    assert page.locator("#plot svg.chart").is_visible()


PAGES = [
    "index.html",
    "artists.html",
    "numbers.html",
    "equal.html",
    "missing.html",
    "attacks/index.html",
    "attacks/jpeg.html",
    "protections/index.html",
    "protections/mist.html",
    "cells/mist/jpeg.html",
    "compare.html",
    "method.html",
]


@pytest.mark.parametrize("path", PAGES)
def test_pages_are_accessible_and_fit_a_phone(visit, path):
    from axe_playwright_python.sync_playwright import Axe

    for scheme, width in (("light", 1280), ("dark", 390)):
        page = visit(path, color_scheme=scheme, viewport={"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        violations = []
        for violation in Axe().run(page, options={"preload": False}).response["violations"]:
            if violation["impact"] in ("serious", "critical"):
                for node in violation["nodes"][:3]:
                    violations.append((violation["id"], node["target"], node["failureSummary"]))
        assert violations == []
