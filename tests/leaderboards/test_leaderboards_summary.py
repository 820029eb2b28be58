"""The leaderboard in a terminal, and what a protection's records lack."""

from __future__ import annotations

import pytest
import synthetic

from cloakbench.store.reading import load
from cloakbench_leaderboards.board.summary import lacks, summary
from cloakbench_leaderboards.scores.evidence import gather


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    facts, records = synthetic.demonstration()
    return synthetic.save(tmp_path_factory.mktemp("store"), facts, records)


def test_rows_hold_p_with_its_interval_the_missing_runs_and_the_rank(store):
    evidence = gather(load(store, None))
    table = summary(evidence)
    rows = {row[0]: row for row in table.rows}
    assert table.heads[0] == "protection"
    assert table.heads[-2:] == ["runs missing", "rank"]
    for row in table.rows:
        assert len(row) == len(table.heads)
    assert rows["identity"][-1] == "reference"
    assert "floor" not in rows
    ranks = {}
    for entry in evidence.submissions:
        ranks[entry.label] = str(evidence.standings.places[entry.name].rank)
    assert {label: rows[label][-1] for label in ranks} == ranks
    assert any(" to " in cell for cell in rows["photoguard"])
    assert "95 % interval" in table.notes[0]


def test_a_partial_protection_is_told_what_a_rank_needs(tmp_path):
    facts, records = synthetic.demonstration()
    kept = []
    for record in records:
        if record.protection.name != "photoguard" or record.artist != "artist-1":
            kept.append(record)
    assert len(kept) < len(records)
    store = synthetic.save(tmp_path / "store", facts, kept)
    sentences = lacks(store, None, "photoguard")
    planned = sum(record.protection.name == "photoguard" for record in records)
    left = sum(record.protection.name == "photoguard" for record in kept)
    assert f"{left} of the {planned} cells" in sentences[0]
    assert "A rank needs" in sentences[1]
    assert "cloakbench run mini --protection photoguard" in sentences[1]


def test_a_whole_protection_lacks_nothing(store):
    assert lacks(store, None, "photoguard") == []
