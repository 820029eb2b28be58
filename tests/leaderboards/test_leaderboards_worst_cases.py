"""The worst case of an entry: chosen on other artists or seeds than those it is scored on."""

from __future__ import annotations

import random

import numpy as np
import pytest
from synthetic import BLUR, FLOOR, JPEG, PLAIN, arms, record

from cloakbench.schemas.suite import Seeds
from tests.leaderboards.few_artists import FAMILY, SIX, TWO, evidence, number


def seeds_of(name, artist, values, attack=PLAIN):
    """One record per seed."""
    strength = 1.0 if name == "x" else None
    return [record(name, artist, value, attack, strength, seed) for seed, value in enumerate(values)]


def test_worst_case_is_chosen_on_the_other_artist_over_all_seeds():
    clean, mine = [], []
    for name in TWO:
        for attack in FAMILY:
            clean += seeds_of("identity", name, (0.4, 0.4), attack)
        clean += [record("floor", name, 0.8, FLOOR, seed=seed) for seed in (0, 1)]
    first, second = TWO
    mine += seeds_of("x", first, (0.70, 0.60))  # P of the seeds: 0.75, 0.5
    mine += seeds_of("x", first, (0.48, 0.56), JPEG)  # 0.2, 0.4
    mine += seeds_of("x", first, (0.52, 0.50), BLUR)  # 0.3, 0.25
    mine += seeds_of("x", second, (0.60, 0.60))  # 0.5
    mine += seeds_of("x", second, (0.40, 0.48), JPEG)  # 0, 0.2
    mine += seeds_of("x", second, (0.50, 0.54), BLUR)  # 0.25, 0.35
    seeds = Seeds(protected=2, controls=2)
    board = evidence([*clean, *mine], TWO, FAMILY, (1.0,), matching=None, seeds=seeds)
    # Least on the first artist: blur, 0.3 on the second. Least on the second: jpeg, 0.3 on the first. The least mean
    # over both is that of jpeg, 0.2.
    assert number(board, "worst case")[0] == pytest.approx(0.3)
    # Means over both artists: 0.5625, 0.2 and 0.2875.
    assert number(board, "mean")[0] == pytest.approx((0.5625 + 0.2 + 0.2875) / 3)
    assert number(board, "retention")[0] == pytest.approx((0.2 + 0.2875) / 2 / 0.5625)


def test_with_one_seed_the_countermeasure_is_chosen_on_the_other_artists_of_the_frozen_list():
    names = ["a", "b", "c"]
    clean = []
    for name in names:
        clean += arms(name, 0.0, 1.0)
    for name, value in zip(names, (0.1, 0.0, 0.2), strict=True):
        clean.append(record("identity", name, value, JPEG))
    clean += [record("identity", name, 0.0, BLUR) for name in names]
    mine = []
    for attack, values in ((PLAIN, (0.9, 0.8, 0.9)), (JPEG, (0.2, 0.6, 0.7)), (BLUR, (0.0, 0.0, 0.0))):
        for name, value in zip(names, values, strict=True):
            mine.append(record("x", name, value, attack))
    changes = {"matching": None, "rank_by": "worst-case", "worst_case": ["jpeg"]}
    board = evidence([*clean, *mine], names, FAMILY, (1.0,), **changes)
    # Blur is not on the list. Jpeg is lower than no countermeasure on any two artists: 0.2, 0.6, 0.7. Unprotected
    # images: without a countermeasure 0, with jpeg above on any two artists; so nothing is taken off.
    assert number(board, "worst case")[0] == pytest.approx(0.5)
    assert number(board, "worst case", "identity")[0] == pytest.approx(0.0)
    assert board.standings.value("worst case", "x")[0].attacks.planned == 2


def test_a_worst_case_without_all_unprotected_images_is_not_whole():
    records = [*(cell_record for name in SIX for cell_record in arms(name, 0.0, 1.0))]
    records += [record("identity", name, 0.0, JPEG) for name in SIX[1:]]
    for name in SIX:
        for attack in (PLAIN, JPEG):
            records.append(record("x", name, 0.5, attack))
    value, estimate = evidence(records, SIX, (PLAIN, JPEG), (1.0,), matching=None).standings.value("worst case", "x")
    assert (estimate.value, value.is_whole) == (pytest.approx(0.5), False)
    assert [words.split()[:4] for words in value.lacks] == [["unprotected", "images", "of", "1"]]


def test_placebos_worst_case_is_0_within_noise():
    draw = random.Random(1)
    names = [f"artist{n}" for n in range(30)]
    records = [record("floor", name, 1.0, FLOOR) for name in names]
    for name in names:
        for attack in FAMILY:
            for entry in ("identity", "placebo"):
                records.append(record(entry, name, [0.3 + draw.gauss(0, 0.05) for _ in range(20)], attack))
    board = evidence(records, names, FAMILY, (1.0,), matching=None)
    _, estimate = board.standings.value("worst case", "placebo")
    assert abs(estimate.value) < 0.02 < estimate.high - estimate.low + 0.01
    # A plain minimum over three noisy values would not be 0.
    grid = board.scores.grid
    plain = np.min([grid.p[grid.rows["placebo", 1.0, attack.name]] for attack in FAMILY], axis=0)
    assert plain.mean() < -0.01
