"""What turns on one artist, against t-tests and the step-up procedure written out."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from cloakbench_leaderboards.board.precision import pair_words
from cloakbench_leaderboards.scores.sensitivity import decisive_artists, decisive_pairs, equivalent, pair_counts

NAMES = [f"artist{n}" for n in range(8)]


def apart(values):
    """Pairs of rows that differ: paired t-tests, largest k with p(k) <= 0.05 k / pairs."""
    pairs = list(itertools.combinations(range(len(values)), 2))
    p = [stats.ttest_rel(values[a], values[b]).pvalue for a, b in pairs]
    ordered = sorted(p)
    passing = [value for k, value in enumerate(ordered, start=1) if value <= 0.05 * k / len(pairs)]
    return {pair for pair, value in zip(pairs, p, strict=True) if passing and value <= passing[-1]}


@pytest.fixture
def values():
    rng = np.random.default_rng(11)
    return np.array([0.0, 0.1, 0.12, 0.35])[:, None] + rng.normal(0, 0.12, (4, 8))


def test_pairs_are_counted_with_all_artists_and_without_each(values):
    counts = pair_counts(values, NAMES, 0.1)
    without = [len(apart(np.delete(values, column, axis=1))) for column in range(8)]
    assert (counts.pairs, counts.apart) == (6, len(apart(values)))
    assert (counts.least, counts.most) == (min(without), max(without))
    assert without[NAMES.index(counts.artist)] == min(without)
    assert 0 < counts.apart < 6
    words = pair_words(counts)
    assert words.startswith(f"{counts.apart} of 6")
    assert f"{counts.least} to {counts.most}" in words


def test_equivalence_is_two_one_sided_tests():
    rng = np.random.default_rng(2)
    differences = rng.normal(0, 1, (200, 8)) * rng.uniform(0.02, 0.3, (200, 1)) + rng.uniform(-0.1, 0.1, (200, 1))
    expected = []
    for row in differences:
        above = stats.ttest_1samp(row, -0.1, alternative="greater").pvalue
        below = stats.ttest_1samp(row, 0.1, alternative="less").pvalue
        expected.append(max(above, below) < 0.05)
    assert equivalent(differences, 0.1).tolist() == expected
    assert 20 < sum(expected) < 180


def test_a_rank_that_rests_on_one_artist_names_it():
    # x and y differ by 0.1 give or take 0.05 on all artists but the last, where both directions cancel without it.
    base = np.linspace(0, 0.4, 8)
    difference = np.array([0.2, -0.05, 0.15, -0.02, 0.2, -0.01, 0.16, 0.2])
    pair = np.array([base, base + difference])
    assert (0, 1) in apart(pair)
    expected = []
    for column, name in enumerate(NAMES):
        if (0, 1) not in apart(np.delete(pair, column, axis=1)):
            expected.append(name)
    assert expected
    assert decisive_artists(pair, NAMES) == [tuple(expected)] * 2
    # Far apart on every artist: nothing rests on any of them.
    assert decisive_artists(np.array([base, base + 1 + difference]), NAMES) == [(), ()]


def test_the_verdict_on_a_pair_names_the_artists_that_it_turns_on(values):
    expected = {}
    for pair in itertools.combinations(range(4), 2):
        turning = []
        for column, name in enumerate(NAMES):
            if (pair in apart(values)) != (pair in apart(np.delete(values, column, axis=1))):
                turning.append(name)
        if turning:
            expected[pair] = tuple(turning)
    assert expected
    assert decisive_pairs(values, NAMES) == expected
    assert decisive_pairs(np.array([values[0], values[0] + 1 + values[1] / 9]), NAMES) == {}


def test_too_few_entries_or_artists_have_no_counts(values):
    assert pair_counts(values[:1], NAMES, 0.1) is None
    assert pair_counts(values[:, :5], NAMES[:5], 0.1) is None
    missing = values.copy()
    missing[0, :4] = math.nan
    assert pair_counts(missing, NAMES, 0.1).pairs == 3
