"""The reason that a board names for having no ranking is the true one, and what is missing is grouped by entry."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
import synthetic
from synthetic import JPEG, PLAIN, arms, record

from cloakbench.store.reading import Loaded
from cloakbench_leaderboards.board.board import view
from cloakbench_leaderboards.board.completeness import completeness
from cloakbench_leaderboards.board.ranking_words import no_ranking
from cloakbench_leaderboards.board.summary import lacks, summary
from cloakbench_leaderboards.pages import front
from cloakbench_leaderboards.parts.page import Material
from cloakbench_leaderboards.scores.barriers import Barrier
from cloakbench_leaderboards.scores.evidence import gather
from cloakbench_leaderboards.site import site

EIGHT = [f"artist{number}" for number in range(8)]


def loaded(artists, whole=("x", "y"), partial=(), **changes):
    """A board of whole entries, and of entries that lack the first artist."""
    records = []
    for number, artist in enumerate(artists):
        records += arms(artist, 0.3, 0.8)
        for name in (*whole, *(partial if number else ())):
            records.append(record(name, artist, 0.5 + number / 100))
    return Loaded(synthetic.facts(synthetic.suite(artists, **changes)), records, [])


def barriers(evidence):
    return {name: reason.barrier for name, reason in evidence.standings.unranked.items()}


def test_two_artists_are_the_reason_although_every_run_is_measured():
    evidence = gather(loaded(EIGHT[:2]))
    assert barriers(evidence)["x"] is Barrier.FEW_ARTISTS
    sentence = no_ranking(evidence)
    assert re.findall(r"\d+", sentence) == ["2", "6"]
    assert "artist" in sentence
    assert "attack" not in sentence
    assert sentence in summary(evidence).notes


def test_a_demonstration_is_the_reason_whatever_is_missing():
    evidence = gather(loaded(EIGHT[:2], partial=("z",), demonstration=True))
    assert {barriers(evidence)[name] for name in "xyz"} == {Barrier.DEMONSTRATION}
    assert "demonstration on 2 artists" in no_ranking(evidence)
    assert completeness(evidence)["z"].needed == 0
    whole = gather(loaded(EIGHT, demonstration=True))
    assert "demonstration" in no_ranking(whole)
    assert not re.search(r"\d", no_ranking(whole))


def test_missing_runs_are_the_reason_where_they_are():
    evidence = gather(loaded(EIGHT, whole=("x",), partial=("y", "z")))
    assert barriers(evidence) | {"x": Barrier.ALONE, "y": Barrier.RUNS_MISSING} == barriers(evidence)
    assert "1 of 3 is; 2 lack runs" in no_ranking(evidence)
    assert completeness(evidence)["y"].needed == 1


def test_a_board_with_a_ranking_names_no_reason():
    evidence = gather(loaded(EIGHT))
    assert set(evidence.standings.places) == {"x", "y"}
    assert no_ranking(evidence) == ""


@pytest.mark.parametrize(("artists", "word"), [(EIGHT[:2], "2 artists"), (EIGHT, "A rank needs 1 more")])
def test_an_archive_is_packed_with_the_true_reason(tmp_path, artists, word):
    source = loaded(artists, partial=("z",))
    store = synthetic.save(tmp_path / "store", source.facts, source.records)
    _, reason = lacks(store, None, "z")
    assert word in reason
    assert lacks(synthetic.save(tmp_path / "whole", source.facts, source.records), None, "x") == (
        [] if artists == EIGHT else [reason.replace("z", "x")]
    )


def test_what_is_missing_stands_by_entry_with_a_command_each():
    found = loaded(EIGHT, partial=("z",), attacks=(PLAIN, JPEG), rank_by=PLAIN.name)
    evidence = gather(found)
    pages = {}
    for file in site.files(Material(evidence, view(evidence), Path("none")), (front.pages,)):
        pages[file.path] = file
    shown = html.unescape(pages["missing.html"].content().decode())
    blocks = re.findall(r'<details class="entry">.*?</details>', shown, flags=re.DOTALL)
    labels = [re.search(r"<summary><b>(.*?)</b>", block)[1] for block in blocks]
    assert labels[0] == "z"  # its runs decide a rank
    assert set(labels) == {"x", "y", "z"}
    assert "9 runs not made yet, 1 of them needed for a rank" in blocks[0]
    for label, block in zip(labels, blocks, strict=True):
        assert re.findall(r"cloakbench run mini --protection (\w+)", block) == [label]
