"""The committed board against a recomputation that shares no code with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloakbench.store.reading import load
from cloakbench_leaderboards.scores.evidence import gather
from cloakbench_leaderboards.scores.standings import stop_key
from tests.independent_scores import numbers

MINI = Path(__file__).parents[1] / "leaderboards" / "reference" / "mini-3"


@pytest.mark.long
def test_p_worst_case_ranks_and_header_are_what_another_program_computes():
    expected, evidence = numbers(MINI), gather(load(MINI))
    standings = evidence.standings
    key = stop_key(evidence.setting.middle)
    assert len(expected.p) >= 2
    for entry, p in expected.p.items():
        assert standings.value(key, entry)[1].value == pytest.approx(p, abs=1e-9), entry
    whole = [entry for entry in expected.p if standings.value("worst case", entry)[0].is_whole]
    assert set(whole) <= expected.worst.keys()
    for entry in whole:
        assert standings.value("worst case", entry)[1].value == pytest.approx(expected.worst[entry], abs=1e-9), entry
    ranks = {}
    for name, standing in standings.places.items():
        ranks[name] = (standing.rank, standing.best, standing.worst)
    assert ranks == {name: limits for name, limits in expected.ranks.items() if name in ranks}
    assert len(ranks) == (len(whole) if len(whole) > 1 else 0)
    assert evidence.noise.least_difference == pytest.approx(expected.least_difference, abs=1e-9)
