"""The worst case of an entry: its bias, its spread, and the halves of artists that it is chosen on."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from cloakbench_leaderboards.scores import ranking, worst_case
from tests.benchmarks import worst_case_rules

NAMES = ("photoguard, calibrated", "equal attacks")


def by_hand(values, weights):
    """The mean over artists and over every half of the others, written out."""
    total, artists = 0.0, range(len(weights))
    for artist in artists:
        others = [other for other in artists if other != artist]
        scores = []
        for half in itertools.combinations(others, len(weights) // 2):
            sums = []
            for option in values:
                sums.append(sum(option[other] * weights[other] for other in half))
            scores.append(values[sums.index(min(sums))][artist])
        total += weights[artist] * sum(scores) / len(scores)
    return total / sum(weights)


@pytest.mark.parametrize("artists", [2, 3, 6, 7])
def test_the_number_and_its_pseudo_values_are_those_written_out(artists):
    rng = np.random.default_rng(artists)
    values, weights = rng.normal(0.2, 0.1, (3, artists)), rng.uniform(0.2, 0.6, artists)
    whole = by_hand(values.tolist(), weights.tolist())
    without = []
    for artist in range(artists):
        remaining = np.delete(values, artist, axis=1).tolist(), np.delete(weights, artist).tolist()
        without.append(by_hand(*remaining))
    pseudo = [artists * whole - (artists - 1) * value for value in without]
    least = worst_case.least(values, weights)
    assert least.mean() == pytest.approx(whole)
    assert least - least.mean() == pytest.approx(np.asarray(pseudo) - np.mean(pseudo))


def test_an_attack_that_is_lower_everywhere_is_chosen_and_absent_artists_stay_out():
    values = np.zeros((3, 8))
    values[1] = -0.5
    assert worst_case.least(values, np.ones(8)) == pytest.approx(np.full(8, -0.5))
    values[1, 3] = math.nan
    least = worst_case.least(values, np.ones(8))
    assert np.flatnonzero(np.isnan(least)).tolist() == [3]
    assert np.delete(least, 3) == pytest.approx(np.full(7, -0.5))
    weights = np.ones(8)
    weights[0] = math.nan
    assert np.flatnonzero(np.isnan(worst_case.least(values, weights))).tolist() == [0, 3]
    assert np.isnan(worst_case.least(values, np.full(8, math.nan))).all()


def test_one_artist_gets_the_first_option():
    assert worst_case.least(np.array([[0.3], [0.1]]), np.ones(1)).tolist() == [0.3]


def test_many_artists_have_as_many_drawn_halves_as_few_have_in_all():
    half = worst_case._halves(30)
    assert half.shape == (worst_case.MOST_HALVES, 30)
    assert set(half.sum(1).tolist()) == {15.0}
    assert (half == worst_case._halves(30)).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_rule_has_a_small_bias_and_its_test_keeps_its_level(name):
    """400 boards of 12 artists: the interval and the test of two equal entries hold what they say."""
    truth = worst_case_rules.truths()[name]
    first, second = (worst_case_rules.draw(truth, (400, 12, 1), seed)[:, :, 0] for seed in (1, 2))
    weights = np.ones(12)
    ours, others = (np.asarray([worst_case.least(values, weights) for values in draws]) for draws in (first, second))
    assert abs(ours.mean() - truth.means.min()) < 0.01
    plain = np.asarray([values.mean(1).min() for values in first])
    assert plain.mean() < truth.means.min() - 0.008
    assert np.mean(ranking.paired_p(ours - others) < 0.05) <= 0.075
    # The spread of the scores alone says nothing about the choice.
    assert ours.std(1, ddof=1).mean() / math.sqrt(12) > 0.95 * ours.mean(1).std()


def test_unprotected_images_are_not_biased():
    truth = worst_case_rules.truths()["identity, all attacks equal"]
    draws = worst_case_rules.draw(truth, (600, 16, 1), 3)[:, :, 0]
    means = [worst_case.least(values, np.ones(16)).mean() for values in draws]
    assert abs(np.mean(means)) < 0.01
    assert np.std(means) / math.sqrt(len(means)) < 0.0025
