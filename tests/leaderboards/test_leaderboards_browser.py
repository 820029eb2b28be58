"""The pages in a real browser: what a reader does with them, opened from a folder without network."""

from __future__ import annotations

import csv
import io
import json
import shutil

import pytest
import synthetic

from cloakbench.schemas.suite import Matching
from cloakbench.store.reading import Loaded
from cloakbench_leaderboards import text
from cloakbench_leaderboards.board.board import view
from cloakbench_leaderboards.parts.page import Material
from cloakbench_leaderboards.scores.evidence import gather
from cloakbench_leaderboards.site import site

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 180_000
"""Milliseconds that a step may take on a machine with much else to do."""
VARIANT = "impasto[base=glaze]"
ENTRIES = ["impasto", "mist", "photoguard", VARIANT]
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
    evidence = gather(Loaded(facts, [variant(each) for each in records], []))
    folder = tmp_path_factory.mktemp("browser")
    site.write(Material(evidence, view(evidence), folder / "store"), folder / "site")
    return folder / "site"


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


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
        if "index.html" in path and options.get("java_script_enabled", True) and "/" not in path.partition("#")[0]:
            page.wait_for_selector("#plot .vega-embed svg")
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
    shown = page.locator("#headline tbody th").evaluate_all("all => all.map(each => each.firstChild.textContent)")
    return [each.strip() for each in shown]


def column(page, key):
    return page.evaluate(
        """key => {
            const heads = [...document.querySelectorAll("#headline thead th")];
            const place = heads.findIndex(head => head.dataset.key === key);
            const rows = [...document.querySelectorAll("#headline tbody tr")];
            return rows.map(row => row.cells[place].firstChild.textContent);
        }""",
        key,
    )


def drawn_anew(page, work):
    """Does what sorts the table and waits for its rows, which follow the address by some milliseconds."""
    page.evaluate("() => { window.isDrawn = false; $('#headline').one('draw.dt', () => { window.isDrawn = true; }); }")
    work()
    for _ in range(PATIENCE // 10):  # the page's policy forbids `wait_for_function`
        if page.evaluate("window.isDrawn"):
            return
        page.wait_for_timeout(10)
    pytest.fail("the table was not drawn anew")


def test_a_click_sorts_and_entries_without_a_number_stay_last(visit):
    page = visit()
    assert names(page) == [*ENTRIES, *CONTROLS]
    for way, sign in (("desc", 1), ("asc", -1)):
        drawn_anew(page, lambda: page.click("th[data-key=protecting]"))
        values = column(page, "protecting")
        numbers = [float(each) for each in values if each != text.NONE]
        assert numbers == sorted(numbers, key=lambda each: -sign * each)
        assert set(values[len(numbers) :]) == {text.NONE}
        assert page.evaluate("location.hash") == f"#sort=protecting.{way}"
    page.focus("th[data-key=protection] [role=button]")
    drawn_anew(page, lambda: page.keyboard.press("Enter"))
    assert names(page) == sorted(names(page), key=str.lower)


def test_filters_show_what_they_say_and_the_address_holds_the_view(visit):
    page = visit()
    page.uncheck("[name=controls]")
    assert names(page) == ENTRIES
    page.select_option("[name=family]", "impasto")
    assert names(page) == ["impasto", VARIANT]
    assert page.inner_text("#count") == "2 of 8 entries."
    page.check("[name=superseded]")
    assert names(page) == ["impasto"]
    page.select_option("[name=metric]", "psnr")
    page.wait_for_selector("#plot-title:has-text('over psnr')")
    again = visit("index.html" + page.evaluate("location.hash"))
    assert names(again) == ["impasto"]
    assert not again.is_checked("[name=controls]")
    assert again.input_value("[name=metric]") == "psnr"
    again.click("[type=reset]")
    assert names(again) == [*ENTRIES, *CONTROLS]
    assert again.evaluate("location.hash") == ""
    again.fill("[name=find]", "PHOTO")
    assert names(again) == ["photoguard"]


def test_another_attack_brings_its_own_numbers(visit, built):
    page = visit()
    before = column(page, "p-at-0.1")
    page.select_option("[name=countermeasure]", "jpeg")
    page.wait_for_selector("#headline-caption:has-text('jpeg')")
    assert page.input_value("[name=attack]") == "jpeg"
    script = (built / "data/jpeg.js").read_text()
    cells = json.loads(script[script.index(",") + 1 : script.rindex(")")])["cells"]
    assert column(page, "p-at-0.1") == [row[1][0] for row in cells]
    assert column(page, "p-at-0.1") != before
    page.click("[type=reset]")
    page.wait_for_selector("#headline-caption:has-text('dreambooth')")
    assert column(page, "p-at-0.1") == before


def exported(page, kind):
    with page.expect_download() as download:
        page.click(f"[data-export={kind}]")
    return download.value.path().read_text(encoding="utf-8")


def test_exports_hold_exactly_what_is_shown(visit):
    page = visit("index.html#controls=0&sort=protection.desc")
    shown = names(page)
    assert shown == sorted(ENTRIES, reverse=True)
    table = list(csv.DictReader(io.StringIO(exported(page, "csv"))))
    assert [row["Protection"] for row in table] == shown
    assert [row["P at 0.1 mini-lpips"] for row in table] == column(page, "p-at-0.1")
    assert all("to" in row["P at 0.1, 95 % interval"] for row in table)
    data = json.loads(exported(page, "json"))
    assert data["entries"] == table
    assert data["view"].endswith("#controls=0&sort=protection.desc")
    latex = exported(page, "tex")
    assert latex.count("\\\\\n") == len(shown) + 1
    assert all(f" {name} " in latex for name in shown)
    references = exported(page, "bib")
    assert references.count("@misc{") == 1 + len(shown)
    assert "arxiv.org" in references
    assert "suite mini version 1" in references


def test_the_plot_answers_and_needs_no_eval(visit):
    page = visit()
    assert page.locator("#plot .points_marks path").count() > 10
    page.uncheck("[name=controls]")
    page.select_option("[name=family]", "mist")
    sync_api.expect(page.locator("#plot .role-legend-label text")).to_have_count(1, timeout=PATIENCE)
    page.locator("#plot .points_marks path").last.hover(force=True)
    page.wait_for_selector("#vg-tooltip-element.visible")
    assert "mist" in page.inner_text("#vg-tooltip-element")
    policy = page.get_attribute("meta[http-equiv]", "content")
    assert "script-src 'self';" in policy
    assert "unsafe-eval" not in policy


def test_without_a_script_the_page_says_the_same(visit):
    page = visit(java_script_enabled=False)
    assert page.locator("#headline tbody tr").count() == len(ENTRIES) + len(CONTROLS)
    assert page.is_hidden("#filters")
    assert page.is_hidden("#exports")
    assert page.locator("#plot svg").is_visible()
    assert page.locator("#plot").get_attribute("aria-label").startswith("Plot of P against")


def test_from_the_front_page_to_the_evidence_by_clicks(visit):
    page = visit()
    page.click("#headline th a >> text=mist")
    assert page.inner_text("h1") == "mist"
    page.click("table.heat th a >> text=jpeg")
    assert "/cells/mist/jpeg.html" in page.url
    assert "cloakbench run" in page.inner_text("main")
    page.click("nav[aria-label=Site] >> text=Leaderboard")
    page.wait_for_selector("#plot .vega-embed svg")


PAGES = [
    "index.html",
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
        found = [
            (each["id"], node["target"], node["failureSummary"])
            for each in Axe().run(page, options={"preload": False}).response["violations"]
            if each["impact"] in ("serious", "critical")
            for node in each["nodes"][:3]
        ]
        assert found == []
