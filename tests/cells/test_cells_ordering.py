"""The order of a run: nothing lost, controls first, and a balanced board whenever it stops."""

from __future__ import annotations

import tomllib
from collections import Counter
from itertools import groupby

import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st

from cloakbench.cells.ordering import arranged, decides_rank

CONTROLS = [
    tiny.entry("random-noise", role="random-noise"),
    tiny.entry("placebo", role="placebo"),
    tiny.FLOOR_ENTRY,
    tiny.entry("identity", role="identity"),
]
ENTRIES = [*CONTROLS, *(tiny.entry(name) for name in ("one", "two", "three"))]
ARTISTS = [tiny.artist(name, 1) for name in ("vellmar", "kirin", "brix")]
SEEDS = {"protected": 2, "controls": 3}
MATCHING = {
    "metric": "mini-lpips",
    "targets": [0.04, 0.08, 0.14],
    "calibrated": [0.08],
    "tolerance": 0.01,
    "artists": ["swirl"],
}


def planner(**changes):
    whole = tomllib.loads(tiny.WHOLE) | {"seeds": SEEDS, "strengths": [0.25, 1.0, 0.5], "matching": MATCHING}
    return tiny.planner(**{**whole, **changes})


PLANNER = planner()
SUITE = PLANNER.suite
CELLS = [cell for cell in PLANNER.cells(ENTRIES, ARTISTS) if not decides_rank(cell, SUITE)]
"""Those of the two parts that no rank rests on: the order of rounds is the same in both."""
POSITION = {cell.key: n for n, cell in enumerate(arranged(CELLS, SUITE))}


def is_first(cell):
    """At the calibrated point or at the strongest there is; controls without a strength have one point."""
    return cell.strength in {None, 0.0, 1.0}


def is_control(cell):
    return cell.entry.facts.role != "submission"


def rounds(cells):
    return {
        "controls": [c for c in cells if c.seed == 0 and is_first(c) and is_control(c)],
        "protections": [c for c in cells if c.seed == 0 and is_first(c) and not is_control(c)],
        "rest": [c for c in cells if c.seed > 0 or not is_first(c)],
    }


@given(st.permutations(CELLS), st.integers(0, len(CELLS)))
def test_it_is_a_permutation_of_its_input(cells, count):
    arranged_cells = arranged(cells[:count], SUITE)
    assert Counter(cell.key for cell in arranged_cells) == Counter(cell.key for cell in cells[:count])
    for arranged_cell in arranged_cells:
        assert any(arranged_cell is cell for cell in cells)


@given(st.permutations(CELLS))
def test_controls_of_the_first_seed_come_first_then_one_look_at_everything(cells):
    arranged_cells = arranged(cells, SUITE)
    assert [
        name for name, _ in groupby(next(n for n, part in rounds([cell]).items() if part) for cell in arranged_cells)
    ] == [
        "controls",
        "protections",
        "rest",
    ]


@given(st.permutations(CELLS))
def test_whenever_it_stops_protections_are_a_block_apart_at_most(cells):
    """In each round, however the cells came: a block is one attack on one artist."""
    arranged_cells = arranged(cells, SUITE)
    for chosen in (
        lambda c: c.seed == 0 and is_first(c),
        lambda c: c.seed == 0 and c.strength == 0.5,
        lambda c: c.seed == 0 and c.strength == 0.25,
        lambda c: c.seed == 1 and is_first(c),
    ):
        done = Counter(dict.fromkeys(("one", "two", "three"), 0))
        of_round = [cell for cell in arranged_cells if not is_control(cell) and chosen(cell)]
        block = Counter((c.entry.facts.name, c.attack.name, c.artist.name) for c in of_round)
        assert len(set(block.values())) == 1
        for cell in of_round:
            done[cell.entry.facts.name] += 1
            assert max(done.values()) - min(done.values()) <= max(block.values())


@given(st.permutations(CELLS))
def test_cells_of_one_model_run_together_and_those_of_one_mimicry_among_them(cells):
    for part in rounds(arranged(cells, SUITE)).values():
        for of in (lambda c: c.attack.model, lambda c: (c.attack.model, c.attack.mimicry)):
            once = [c for c in part if c.seed == 0 and is_first(c)]
            runs = [value for value, _ in groupby(map(of, once))]
            assert len(runs) == len(set(runs))


def test_strong_points_come_before_weak_ones_and_further_seeds_of_controls_between():
    def mean(chosen):
        places = []
        for cell in CELLS:
            if chosen(cell):
                places.append(POSITION[cell.key])
        return sum(places) / len(places)

    order = [
        mean(lambda c: c.seed == 0 and is_first(c) and is_control(c)),
        mean(lambda c: c.seed == 0 and is_first(c) and not is_control(c)),
        mean(lambda c: c.seed == 1 and is_control(c)),
        mean(lambda c: c.seed == 2 and is_control(c)),
        mean(lambda c: c.seed == 0 and c.strength == 0.5),
        mean(lambda c: c.seed == 0 and c.strength == 0.25),
        mean(lambda c: c.seed == 1 and not is_control(c)),
    ]
    assert order == sorted(order)


def test_the_calibrated_point_runs_before_the_full_strength():
    [sought, full] = [
        c
        for c in arranged(CELLS, SUITE)
        if c.entry.facts.name == "two" and c.artist.name == "kirin" and c.attack.name == "noise" and c.seed == 0
    ][:2]
    assert sought.target == pytest.approx(0.08)
    assert full.strength == 1.0


def test_no_key_depends_on_the_order():
    assert {cell.key: cell.recipes for cell in arranged(CELLS, SUITE)} == {c.key: c.recipes for c in CELLS}
