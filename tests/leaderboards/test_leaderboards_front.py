from __future__ import annotations

import re
from pathlib import Path

import pytest
import synthetic
from synthetic import JPEG, PLAIN, arms, record

from cloakbench.schemas.kinds import Status
from cloakbench.schemas.suite_tables import Matching
from cloakbench.store.reading import Loaded
from cloakbench_leaderboards.board.board import view
from cloakbench_leaderboards.pages import front
from cloakbench_leaderboards.parts import bundles
from cloakbench_leaderboards.parts.page import Material
from cloakbench_leaderboards.scores import flags
from cloakbench_leaderboards.scores.evidence import gather
from cloakbench_leaderboards.site import site

NAMES = [f"artist{n}" for n in range(6)]
STRENGTHS = (0.25, 0.5, 1.0)
MATCHED = Matching(metric="mini-lpips", targets=[0.05, 0.1, 0.2], tolerance=0.01)
LIMIT, ENTRIES = 400_000, 200


def crowd(entries):
    """A board with so many submissions, variants of long names, each with its own numbers."""
    records = []
    for name in NAMES:
        records += arms(name, 0.3, 0.9)
    records += [record("identity", name, 0.32, JPEG) for name in NAMES]
    for n in range(entries):
        for a, name in enumerate(NAMES):
            for attack in (PLAIN, JPEG):
                for strength in STRENGTHS:
                    value = 0.3 + 0.4 * strength * (0.2 + 0.7 * n / entries) + 0.02 * ((a * 5 + n) % 7) / 7
                    records.append(record(f"method-{n}[base=advdm,steps={n}]", name, value, attack, strength=strength))
    suite = synthetic.suite(NAMES, (PLAIN, JPEG), STRENGTHS, matching=MATCHED)
    evidence = gather(Loaded(synthetic.facts(suite), records, []))
    return Material(evidence, view(evidence), Path("nowhere"))


def weight(material):
    """Bytes that a reader of the front page loads before he chooses anything, without the shared libraries."""
    wanted = {"index.html", bundles.FRONT, "static/style.css", "static/icon.svg"}
    files = [file for file in site.files(material, (front.pages,)) if file.path in wanted]
    assert {file.path for file in files} == wanted
    return sum(len(_bytes(file.content)) for file in files)


def _bytes(content):
    return content.read_bytes() if isinstance(content, Path) else content()


def test_a_front_page_of_200_protections_is_light():
    few, many = (weight(crowd(entries)) for entries in (20, 40))
    per_entry = (many - few) / 20
    assert per_entry < 1_800
    assert few + (ENTRIES - 20) * per_entry < LIMIT


@pytest.fixture(scope="module")
def three():
    old = {"version": "0.9", "distribution": "cloakbench-x"}
    new = {"version": "1.0", "distribution": "cloakbench-x"}
    records = []
    for name in NAMES:
        records += arms(name, 0.3, 0.9)
    for name in NAMES:
        plain, variant = record("x", name, 0.5), record("x[steps=9]", name, 0.4)
        records.append(plain.model_copy(update={"protection": plain.protection.model_copy(update=new)}))
        facts = variant.protection.model_copy(update={**old, "deterministic": False})
        records.append(variant.model_copy(update={"protection": facts, "created": "2025-01-01T00:00:00+00:00"}))
        records.append(record("y", name, 0.4, isolation="bubblewrap"))
    records[-1] = synthetic.lost("y", NAMES[-1], Status.TIMEOUT, "too slow", isolation="bubblewrap")
    return gather(Loaded(synthetic.facts(synthetic.suite(NAMES)), records, []))


def test_a_limit_of_visibility_is_named_only_where_the_suite_has_one(three):
    for material, has_limit in ((crowd(2), True), (Material(three, view(three), Path("nowhere")), False)):
        [page] = [file for file in site.files(material, (front.pages,)) if file.path == "index.html"]
        assert ("at the limit “visible”" in _bytes(page.content).decode()) is has_limit


def test_flags_come_from_records(three):
    words_by_entry = {}
    for name, entry_flags in flags.flags(three).items():
        words_by_entry[name] = [words for _, words in entry_flags]
    assert words_by_entry["x"] == ["front", "no wall"]
    assert words_by_entry["x[steps=9]"] == ["no wall", "varies", "superseded"]
    assert words_by_entry["y"] == ["1 failed"]
    assert words_by_entry["identity"] == []
    shown = {protection_view.label: protection_view for protection_view in view(three).protections}
    assert (shown["x[steps=9]"].family, shown["x[steps=9]"].is_superseded) == ("x", True)
    assert not shown["x"].is_superseded


def test_every_flag_that_occurs_is_explained(three):
    board = view(three)
    material = Material(three, board, Path("nowhere"))
    pages = {file.path: file for file in site.files(material, (front.pages,))}
    shown = pages["numbers.html"].content().decode()
    labels = ["failed", "front", "no wall", "superseded", "varies"]
    for label in labels:
        assert f"<dt>{label}</dt>" in shown
    assert all(flags.MEANINGS[label].split(":")[0].replace("'", "&#39;") in shown for label in labels)


def test_the_plot_library_is_a_plain_script():
    [library] = bundles.pages(None)
    script = library.content().decode()
    assert f"window.{bundles.DRAW}=" in script
    assert not re.search(r"export\s*\{", script)


def test_the_interactive_plot_is_a_third_lighter_than_with_the_compiler_in_it(three):
    assert len(bundles.plot_library()) < 650_000  # 898 kB with Vega-Lite
    pages = {}
    for file in site.files(Material(three, view(three), Path("nowhere")), (front.pages,)):
        pages[file.path] = file
    plot = pages[front.INTERACTIVE].content()
    assert plot.startswith(f'cloakbench.receive("{front.INTERACTIVE}",'.encode())
    assert len(plot) < 25_000
