"""References that a page offers for download."""

from __future__ import annotations

import re

import pytest
import synthetic
from seen import material_of

from cloakbench_leaderboards.parts import exports


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
