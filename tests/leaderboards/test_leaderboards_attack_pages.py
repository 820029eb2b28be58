"""The pages of attacks: intervals of cells, and attacks without a signal or a run."""

from __future__ import annotations

import synthetic
from seen import made, pages, words
from synthetic import LORA, PLAIN, arms, record

from tests.leaderboards.small_boards import NAMES


def test_cells_show_their_own_interval():
    values = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    records = []
    for name in NAMES:
        records += [*arms(name, 0.0, 1.0), record("x", name, values)]
    site_pages = pages(made(synthetic.facts(synthetic.suite(NAMES)), records))["cells/x/dreambooth.html"]
    # mean 0.35, and t(5) = 2.571 times the standard error 0.0764
    assert "0.35 0.15 to 0.55" in words(site_pages)


def test_no_signal_is_told_with_its_reason():
    records = []
    for name in NAMES:
        records += [*arms(name, 0.5, 0.5), record("x", name, 0.6)]
    site_pages = pages(made(synthetic.facts(synthetic.suite(NAMES)), records))
    for path in ("cells/x/dreambooth.html", "attacks/dreambooth.html", "protections/x.html"):
        page = site_pages[path]
        assert "the attack did not learn" in words(page) + " ".join(page.all("title")), path
    assert "no signal" in words(site_pages["protections/x.html"])
    assert "No protection of this board has a rank" in words(site_pages["compare.html"])


def test_an_attack_that_has_not_run_is_not_said_to_have_learned_nothing():
    records = []
    for name in NAMES:
        records += [*arms(name, 0.2, 1.0, 0.21), record("x", name, 0.6)]
    site_pages = pages(made(synthetic.facts(synthetic.suite(NAMES, (PLAIN, LORA))), records))
    league = words(site_pages["attacks/index.html"])
    assert "6 of 6" in league
    assert "not run yet" in league
    assert "0 of 6" not in league
    assert "learned nothing" not in words(site_pages["protections/x.html"])
    assert "not tested" in words(site_pages["missing.html"])
