"""Files that a page offers for download, and the project's addresses."""

from __future__ import annotations

import re
from email.message import Message
from xml.etree import ElementTree

import pytest
import synthetic
from seen import SeenPage, made, material_of

from cloakbench.schemas.suite_tables import Matching
from cloakbench_leaderboards.parts import commands, exports, project


def references(**facts):
    """Returns the fields of each reference by its key, for a board on which these facts are those of every entry."""
    suite, records = synthetic.demonstration(artists=2, seeds=1)
    changed = []
    for record in records:
        if record.protection.role == "submission":
            record = record.model_copy(update={"protection": record.protection.model_copy(update=facts)})
        changed.append(record)
    bib = exports.bibtex(material_of(suite, changed)).decode()
    assert bib.count("{") == bib.count("}")
    entries = {}
    for entry in bib.split("@misc{")[1:]:
        key, _, rest = entry.partition(",\n")
        entries[key] = dict(re.findall(r"^  (\w+) = \{(.*)\},?$", rest, re.MULTILINE))
    return entries


def test_a_paper_has_the_authors_and_the_title_that_its_submission_states():
    board, paper = references(
        paper="https://arxiv.org/abs/2303.15433", authors="Van Le and others", paper_title="A Title & More"
    ).values()
    assert paper["author"] == "{Van Le} and others"
    assert paper["title"] == r"{A Title \& More}"
    assert (paper["year"], paper["eprint"]) == ("2023", "2303.15433")
    assert board["author"] == "{cloakbench contributors}"


def test_a_paper_lacks_what_its_submission_does_not_state():
    [_, paper] = references(paper="https://example.org/paper", title="Mist").values()
    assert paper.keys() == {"howpublished", "note"}
    assert "Mist" in paper["note"]


def test_keys_follow_from_the_name_and_one_paper_has_one_reference():
    keys = list(references(paper="https://example.org/paper"))
    assert keys[0] == "cloakbench-mini-1"
    assert len(keys) == 2
    assert keys == list(references(paper="https://example.org/paper", authors="Wu, A. and {B", title="}{"))


@pytest.mark.parametrize("text", ["}\n@misc{evil,", "\\input{/etc/passwd}", "{{{{"])
def test_a_hostile_text_stays_within_its_field(text):
    entries = references(paper="https://example.org/}{", authors=text, paper_title=text, title=text)
    assert len(entries) == 2
    for field in ("author", "title", "note"):
        assert "\\input" not in [*entries.values()][1][field]


def test_every_plot_is_a_file_of_its_own_with_title_and_version():
    facts, records = synthetic.demonstration(artists=2, seeds=1)
    files = made(facts, records)
    plots = {}
    for path, file in files.items():
        if path.startswith("plots/"):
            plots[path] = file.content()
    assert {"plots/trade-off.svg", "plots/jpeg-1.svg"} <= plots.keys()
    for content in plots.values():
        root = ElementTree.fromstring(content)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        words = " ".join(root.itertext())
        assert f"version {facts.suite.version}" in words
        assert "impasto" in words
    linked = set()
    for path in ("index.html", "attacks/jpeg.html"):
        linked |= {link.removeprefix("../") for link in SeenPage(files[path].content().decode()).all("href")}
    assert {"plots/trade-off.svg", "plots/jpeg-1.svg"} <= linked


def test_a_board_names_the_addresses_that_the_package_is_installed_with(monkeypatch):
    message = Message()
    for line in ("Leaderboard, https://example.org/board", "Issues, https://example.org/issues", "Bad, javascript:x"):
        message["Project-URL"] = line
    monkeypatch.setattr(project, "metadata", lambda _: message)
    files = made(*synthetic.demonstration(artists=2, seeds=1))
    links = SeenPage(files["method.html"].content().decode()).all("href")
    assert {"https://example.org/board", "https://example.org/issues"} <= set(links)
    assert "javascript:x" not in links
    assert r"\url{https://example.org/board}" in files["data/references.bib"].content().decode()


def test_without_an_address_a_reference_names_none():
    [board, *_] = references(paper="https://example.org/paper").values()
    assert "howpublished" not in board


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "cloakbench run mini --only attack=dreambooth"),
        (
            {"matching": Matching(metric="mini-lpips", targets=[0.05, 0.1, 0.2], calibrated=[0.1], tolerance=0.01)},
            "cloakbench run mini --only target=0.1 --only attack=dreambooth",
        ),
    ],
)
def test_the_command_for_the_ranks_names_only_what_they_rest_on(changes, expected):
    facts, records = synthetic.demonstration(artists=2, seeds=1)
    facts = facts.model_copy(update={"suite": facts.suite.model_copy(update={"rank_by": "dreambooth", **changes})})
    assert commands.fill_ranks(material_of(facts, records).evidence.setting) == expected
