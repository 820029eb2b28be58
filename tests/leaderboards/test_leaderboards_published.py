"""Figures of the papers beside those measured here."""

from __future__ import annotations

from pathlib import Path

import synthetic
from synthetic import PLAIN, arms, record

from cloakbench.schemas.suite_tables import PublishedFigure
from cloakbench.store.reading import Loaded
from cloakbench_leaderboards.board import board
from cloakbench_leaderboards.board.published import published
from cloakbench_leaderboards.parts.page import Material
from cloakbench_leaderboards.scores.evidence import gather
from cloakbench_leaderboards.site import site

NAMES = [f"artist{n}" for n in range(6)]
ROWS = [
    PublishedFigure(
        paper="A paper", table="1", row="X", protection="x", attack=PLAIN.name, values={"style-distance": 7.5}
    ),
    PublishedFigure(paper="A paper", table="1", row="Y", values={"mini-lpips": 0.125}),
    PublishedFigure(paper="B", table="2", row="X", protection="x", values={"mini-lpips": 0.25, "unknown": 3.0}),
    PublishedFigure(paper="B", table="2", row="Z", protection="absent", attack=PLAIN.name, values={"kid": 1.0}),
]


def table(rows):
    records = []
    for name in NAMES:
        records += [*arms(name, 0.0, 1.0), record("x", name, 0.5)]
    return published(gather(Loaded(synthetic.facts(synthetic.suite(NAMES, published=rows)), records, [])))


def test_a_papers_value_has_the_measured_one_on_its_second_line():
    shown = table(ROWS)
    labels = [column.label for column in shown.columns]
    assert labels == ["Source", "style-distance", "mini-lpips", "unknown", "kid"]
    cells = [dict(zip(labels, row.cells, strict=True)) for row in shown.rows]
    first = cells[0]["style-distance"]
    assert (first.value, first.detail) == (7.5, "here 0.500")
    assert (cells[1]["mini-lpips"].value, cells[1]["mini-lpips"].detail) == (0.125, "")
    assert cells[2]["mini-lpips"].detail.startswith("here ")
    assert (cells[2]["unknown"].value, cells[2]["unknown"].detail) == (3.0, "")
    assert cells[3]["kid"].detail == ""
    assert cells[0]["kid"].value is None
    assert "A paper" in cells[0]["Source"].text
    assert "direction" in shown.notes[0]


def test_a_suite_without_figures_has_no_table():
    assert table([]) is None


def test_the_method_page_shows_it():
    facts, records = synthetic.demonstration(artists=6, seeds=2)
    changed = facts.model_copy(update={"suite": facts.suite.model_copy(update={"published": ROWS})})
    pages = {}
    for name, chosen in {"with": changed, "without": facts}.items():
        evidence = gather(Loaded(chosen, records, []))
        material = Material(evidence, board.view(evidence), Path("nowhere"))
        files = {file.path: file for file in site.files(material)}
        pages[name] = files["method.html"].content().decode()
    assert "A paper, table 1" in pages["with"]
    assert "What papers report" not in pages["without"]
