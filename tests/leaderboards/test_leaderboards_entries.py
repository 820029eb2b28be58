from __future__ import annotations

import doctest
import math

import pytest
import synthetic
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import FLOOR, JPEG, LORA, PLAIN, arms, record

from cloakbench.schemas.suite_tables import Matching
from cloakbench.store.reading import Loaded
from cloakbench_leaderboards.scores import aggregates, ranking, resolution, standings
from cloakbench_leaderboards.scores.evidence import gather
from tests.benchmarks import growth
from tests.leaderboards.few_artists import FAMILY, RULES, SIX, TWO, evidence, number

# artist  clean  floor  denominator
# a       0.4    0.8    0.4
# b       0.3    0.9    0.6
# mini-lpips of a synthetic record is 0.3 x strength: the targets are those of strengths 0.25, 0.5 and 1.
CLEAN = {"a": 0.4, "b": 0.3}
ARMS = [*arms("a", 0.4, 0.8), *arms("b", 0.3, 0.9)]


def at(target: float) -> str:
    return f"p at mini-lpips {target:g}"


def test_examples_in_docstrings():
    assert not sum(doctest.testmod(module).failed for module in (aggregates, standings, ranking, resolution))


def two_strengths(half=(0.5, 0.6), full=(0.6, 0.9)):
    records = []
    for s, distances in ((0.5, half), (1.0, full)):
        for i, name in enumerate(TWO):
            records.append(record("x", name, distances[i], strength=s))
    return records


def test_p_at_three_targets_by_interpolation():
    board = evidence([*ARMS, *two_strengths()])
    # P at 0.5: (0.1 + 0.3) / 1.0 = 0.4; at 1: (0.2 + 0.6) / 1.0 = 0.8; at 0: 0
    assert number(board, at(0.075)) == (pytest.approx(0.2), "interpolated")
    assert number(board, at(0.15)) == (pytest.approx(0.4), "measured")
    assert number(board, at(0.3)) == (pytest.approx(0.8), "measured")


def test_a_target_beyond_the_strongest_point_is_not_reached():
    board = evidence([*ARMS, *two_strengths()[:2]], strengths=(0.5,))
    value, state = number(board, at(0.3))
    assert (math.isnan(value), state) == (True, "not reached")


def test_the_binding_gate_is_named():
    # psnr of a synthetic record is 45 - 15 x strength, the clean arm's 45: 41.25 is met at strength 0.25
    rules = RULES.model_copy(update={"gates": {"psnr": [44, 41.25, 30]}})
    board = evidence([*ARMS, *two_strengths()], matching=rules)
    value, _ = board.standings.value(at(0.15), "x")
    assert (value.gate, number(board, at(0.15))[0]) == ("psnr", pytest.approx(0.2))
    assert board.standings.value(at(0.3), "x")[0].gate == ""


def calibrated(strength, lpips, distances=(0.48, 0.54), tries=()):
    fields = {"target": 0.15, "quality": {"mini-lpips": [lpips] * 2, "psnr": [40.0] * 2}, "calibration": list(tries)}
    return [record("x", name, distances[i], strength=strength, **fields) for i, name in enumerate(TWO)]


RULES_CALIBRATED = RULES.model_copy(update={"calibrated": [0.15]})


@pytest.mark.parametrize(("lpips", "state"), [(0.148, "calibrated"), (0.159, "calibrated"), (0.17, "over target")])
def test_a_calibrated_point_wins_over_interpolation(lpips, state):
    records = [*ARMS, *two_strengths(), *calibrated(0.4, lpips)]
    board = evidence(records, matching=RULES_CALIBRATED)
    # (0.08 + 0.24) / 1.0, not the 0.4 of the line
    assert number(board, at(0.15)) == (pytest.approx(0.32), state)
    assert board.standings.value(at(0.15), "x")[0].is_whole is (state == "calibrated")


def test_a_gate_that_stopped_the_search_is_named():
    tries = [(1.0, {"mini-lpips": 0.3, "psnr": 30.0}), (0.5, {"mini-lpips": 0.12, "psnr": 38.0})]
    rules = RULES_CALIBRATED.model_copy(update={"gates": {"psnr": [44, 39, 30]}})
    board = evidence([*ARMS, *two_strengths(), *calibrated(0.4, 0.1, tries=tries)], matching=rules)
    value, _ = board.standings.value(at(0.15), "x")
    assert (value.state, value.gate) == ("calibrated", "psnr")


def test_where_no_strength_meets_the_target_it_is_not_reached():
    skipped = []
    for name in TWO:
        skipped.append(
            record("x", name, [], strength=0.0, target=0.15, status="skipped", reason="past it", quality={}, sets={})
        )
    board = evidence([*ARMS, *two_strengths(), *skipped], matching=RULES_CALIBRATED)
    assert number(board, at(0.15))[1] == "not reached"
    assert board.standings.value(at(0.15), "x")[0].note == "past it"
    assert ("x", 0.0, "dreambooth") not in board.scores.grid.rows


def test_every_column_caps_a_point_before_it_interpolates():
    records = [*(cell_record for name in SIX for cell_record in arms(name, 0.0, 1.0))]
    records += [record("identity", name, 0.0, JPEG) for name in SIX]
    for attack in (PLAIN, JPEG):
        for strength, distance in ((0.5, 0.2), (1.0, 1.6)):
            records += [record("x", name, distance, attack, strength) for name in SIX]
    rules = Matching(metric="mini-lpips", targets=[0.075, 0.225, 0.3], tolerance=0.01)
    board = evidence(records, SIX, (PLAIN, JPEG), matching=rules)
    # Half way between P 0.2 and P 1.6, which counts as 1; not capped it would be 0.9.
    for column in (at(0.225), "worst case", "mean"):
        assert number(board, column) == (pytest.approx(0.6), "interpolated")


def test_what_has_a_rank_is_listed_before_what_has_more_and_lacks_something():
    whole = []
    for name, value in (("x", 0.2), ("y", 0.3)):
        for artist in SIX:
            whole.append(record(name, artist, [value, value]))
    lacking = [record("z", artist, [0.9, 0.9]) for artist in SIX[1:]]
    clean = []
    for artist in SIX:
        clean += arms(artist, 0.0, 1.0)
    board = evidence([*clean, *whole, *lacking], SIX, (PLAIN,), (1.0,), matching=None)
    assert board.standings.unranked["z"].words == "1 artist missing"
    assert [entry.name for entry in board.entries][:3] == ["y", "x", "z"]


def test_a_missing_countermeasure_is_told_and_leaves_the_entry_unranked():
    records = []
    for name in SIX:
        records += [*arms(name, 0.0, 1.0), record("x", name, [0.5, 0.5])]
    board = evidence(records, SIX, FAMILY, (1.0,), matching=None, rank_by="worst-case")
    value, estimate = board.standings.value("worst case", "x")
    assert (value.note, estimate.value) == ("over 1 of 3 attacks", 0.5)
    assert board.standings.unranked["x"].words == "jpeg: no record at this strength; blur: no record at this strength"


def test_an_attack_whose_curve_ends_before_the_others_leaves_the_mean_incomplete():
    records = [*ARMS, *two_strengths(), *(record("identity", n, CLEAN[n], JPEG) for n in TWO)]
    records += [record("x", n, CLEAN[n] + 0.1, JPEG, strength=0.25) for n in TWO]
    board = evidence(records, attacks=(PLAIN, JPEG))
    value, estimate = board.standings.value("mean", "x")
    # jpeg was measured to mini-lpips 0.075 alone, the target is 0.15: only dreambooth's 0.4 is there
    assert (value.lacks, estimate.value) == (("over 1 of 2 attacks; 1 not reached",), pytest.approx(0.4))
    assert number(board, "worst case") == (pytest.approx(0.4), "not reached")


def test_retention_needs_protection_without_countermeasure():
    records = [*ARMS, *[record("identity", n, CLEAN[n], JPEG) for n in TWO]]
    records += [record("x", n, CLEAN[n] - 0.1) for n in TWO] + [record("x", n, 0.6, JPEG) for n in TWO]
    board = evidence(records, attacks=(PLAIN, JPEG), strengths=(1.0,), matching=None)
    value, estimate = board.standings.value("retention", "x")
    assert (math.isnan(estimate.value), value.state) == (True, "not defined")


def test_area_is_the_mean_of_p_over_quality_to_the_middle_target():
    board = evidence([*ARMS, *two_strengths()], strengths=(0.5, 1.0))
    # From 0 at quality 0 to 0.4 at quality 0.15: mean 0.2
    assert number(board, "area")[0] == pytest.approx(0.2)
    beyond = evidence([*ARMS, *two_strengths()], matching=RULES.model_copy(update={"targets": [0.1, 0.4, 0.5]}))
    assert number(beyond, "area")[1] == "not reached"


def test_attacks_that_learn_from_other_artists_are_averaged_without_moving_their_ratios():
    lora = []
    for n, d in zip(SIX, (0.5, 0.5, 0.5, 0.5, 0.5, 0.0), strict=True):
        lora += learned(n, d)
    records = []
    for name in SIX:
        records += [*arms(name, 0.0, 1.0), record("x", name, 0.2)]
    records += [*lora, *(record("x", name, 0.2, LORA) for name in SIX)]
    board = evidence(records, SIX, (PLAIN, LORA), (1.0,), matching=None)
    # dreambooth 0.2 over six artists, lora 0.2 / 0.5 = 0.4 over the five that it learned from
    assert number(board, "mean")[0] == pytest.approx((0.2 + 0.4) / 2)


def learned(artist, denominator):
    floor = FLOOR.model_copy(update={"mimicry": "lora"})
    return [
        record("identity", artist, 0.0, LORA),
        record("placebo", artist, 0.0, LORA),
        record("floor", artist, denominator, floor),
    ]


def test_scores_start_from_frames_too():
    measured = growth.measure(2)
    # 13 attacks, 15 artists, 3 seeds: 2 entries at 4 strengths, two controls, and the floor of 5 mimicries and models
    assert measured.cells == 15 * 3 * (13 * (2 * 4 + 2) + 5)
    assert measured.rows == measured.cells * growth.GENERATIONS


DEMONSTRATION = synthetic.demonstration(artists=6, seeds=2)


@settings(max_examples=5)
@given(st.randoms(use_true_random=False))
def test_order_duplicates_and_labels_change_no_number(draw):
    facts, records = DEMONSTRATION
    base = gather(Loaded(facts, records, [])).standings.frame
    shuffled = [*records, *records[::7]]
    draw.shuffle(shuffled)
    names = {name: f"z{name}" for name in ("impasto", "mist")}
    renamed = []
    for shuffled_record in shuffled:
        renamed.append(
            shuffled_record.model_copy(
                update={
                    "key": shuffled_record.key[::-1],
                    "protection": shuffled_record.protection.model_copy(
                        update={"name": names.get(shuffled_record.protection.name, shuffled_record.protection.name)}
                    ),
                }
            )
        )
    again = gather(Loaded(facts, renamed, [])).standings.frame
    again["protection"] = again["protection"].replace({new: old for old, new in names.items()})
    order = ["protection", "column"]
    assert again.sort_values(order).to_csv(index=False) == base.sort_values(order).to_csv(index=False)


@pytest.mark.parametrize("left_out", ["impasto", "glaze"])
def test_another_entry_changes_nobodys_numbers(left_out):
    facts, records = DEMONSTRATION
    everyone = gather(Loaded(facts, records, [])).standings.frame
    without = gather(Loaded(facts, [r for r in records if r.protection.name != left_out], [])).standings.frame
    others = everyone[everyone["protection"] != left_out]
    assert without.to_csv(index=False) == others.to_csv(index=False)
