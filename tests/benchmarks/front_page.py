"""The front page of the committed board of `mini` in Chromium: seconds on a slow processor, and the README's picture.

    python -m tests.benchmarks.front_page              # prints seconds and bytes
    python -m tests.benchmarks.front_page --picture    # draws the first screen into models/mini/board.png, too

Needs Chromium on the path.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from cloakbench_leaderboards.site import site

ROOT = Path(__file__).parents[2]
RECORDS = ROOT / "leaderboards" / "reference" / "mini"
PICTURE = ROOT / "benchmark" / "cloakbench" / "models" / "mini" / "board.png"
VIEWPORT = {"width": 1280, "height": 720}
SLOWDOWN = 4
"""How many times slower the processor is made: about a phone."""
REPEATS = 5


def draw(browser: Browser, page: Path) -> None:
    """Writes the first screen of a page as the README's picture."""
    tab = browser.new_page(viewport=VIEWPORT)
    tab.goto(page.as_uri())
    tab.screenshot(path=PICTURE)


def measure(browser: Browser, page: Path) -> tuple[float, float, float]:
    """Returns seconds from the start to the first paint, which has the plot, to the end of loading, and of the plot.

    The last are those from a click on "Interactive plot", with which its library is loaded, to the drawn plot.
    """
    context = browser.new_context(viewport=VIEWPORT)
    tab = context.new_page()
    context.new_cdp_session(tab).send("Emulation.setCPUThrottlingRate", {"rate": SLOWDOWN})
    tab.goto(page.as_uri())
    tab.wait_for_function("performance.getEntriesByName('first-contentful-paint').length")
    paint, load = tab.evaluate(
        "[performance.getEntriesByName('first-contentful-paint')[0].startTime,"
        " performance.getEntriesByType('navigation')[0].loadEventEnd]"
    )
    began = tab.evaluate("performance.now()")
    tab.click("[name=interactive]")
    tab.wait_for_selector("#plot .vega-embed svg")
    plot = tab.evaluate("performance.now()") - began
    context.close()
    return paint / 1000, load / 1000, plot / 1000


def weigh(site_folder: Path) -> int:
    """Returns the bytes that the front page loads before a reader asks for the interactive plot, pictures left out."""
    return sum((site_folder / name).stat().st_size for name in ("index.html", "static/style.css", "static/front.js"))


def main() -> None:
    """Builds the board in a temporary folder and prints a line per repetition."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--picture", action="store_true")
    options = parser.parse_args()
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page = site.build(RECORDS, Path(folder) / "site", unofficial=True).resolve()
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        if options.picture:
            draw(browser, page)
        print(f"{weigh(page.parent) / 1000:.0f} kB before the plot library")
        for _ in range(REPEATS):
            paint, load, plot = measure(browser, page)
            print(f"first paint {paint:.2f} s, loaded {load:.2f} s, interactive plot {plot:.2f} s after the click")
        browser.close()


if __name__ == "__main__":
    main()
