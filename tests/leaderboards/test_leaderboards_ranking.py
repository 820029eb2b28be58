from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloakbench_leaderboards.scores import ranking
from cloakbench_leaderboards.scores.ranking import Standing, discoveries, flips, front, paired_p, places
from cloakbench_leaderboards.scores.resolution import Resolution, artists_needed, detectable
from cloakbench_leaderboards.scores.statistics import mean
from tests.benchmarks.interval_coverage import ARTISTS, coverage, false_alarms

ARTIST = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5])
WOBBLE = np.array([0.01, -0.01, 0.02, -0.02, 0.01, -0.01])


def test_entries_far_apart_have_a_place_each_and_near_ones_share_a_group():
    # b is 0.5 under a on every artist, give or take 0.02; c is b but for the wobble, whose mean is 0.
    values = np.array([ARTIST, ARTIST - 0.5 + WOBBLE, ARTIST - 0.5])
    assert places(values) == [Standing(1, 1, 1, "A"), Standing(2, 2, 3, "B"), Standing(3, 2, 3, "B")]


def test_differences_are_paired_by_artist():
    # Artists differ by 0.5 among themselves and the entries by 0.05 everywhere: told apart only because paired.
    values = np.array([ARTIST, ARTIST - 0.05 + WOBBLE / 10])
    assert [standing.group for standing in places(values)] == ["A", "B"]
    shuffled = np.array([ARTIST, ARTIST[::-1] - 0.05])
    assert [standing.group for standing in places(shuffled)] == ["A", "A"]


def test_p_of_a_paired_t_test():
    # mean 2, sd root(2 / 3), n 4: t = 2 / (0.8165 / 2) = 4.899 with 3 degrees of freedom, between p 0.02 and 0.01
    differences = np.array([[1.0, 2.0, 2.0, 3.0]])

    assert 0.01 < paired_p(differences)[0] < 0.02  # table of t(3): 4.541 and 5.841
    assert paired_p(np.zeros((1, 6)))[0] == 1
    assert paired_p(np.array([[0.3, math.nan]]))[0] == 1


def test_discoveries_step_up():
    # sorted 0.01, 0.02, 0.04, 0.045 against 0.0125, 0.025, 0.0375, 0.05: the last holds, so all fall
    assert discoveries(np.array([0.045, 0.01, 0.04, 0.02])).all()
    assert not discoveries(np.array([0.06, 0.9])).any()
    assert discoveries(np.empty(0)).size == 0


def test_one_entry_and_equal_entries():
    assert places(ARTIST[None]) == [Standing(1, 1, 1, "A")]
    assert [standing[1:] for standing in places(np.array([ARTIST, ARTIST]))] == [(1, 2, "A"), (1, 2, "A")]


@given(st.integers(2, 6), st.integers(0, 10_000))
def test_rank_intervals_hold_the_rank_and_each_other(entries, seed):
    values = np.random.default_rng(seed).normal(size=(entries, 8)) + np.arange(entries)[:, None] / 3
    standings = places(values)
    for standing in standings:
        assert standing.best <= standing.rank <= standing.worst
    assert sorted(standing.rank for standing in standings) == list(range(1, entries + 1))
    order = np.random.default_rng(seed + 1).permutation(entries)
    assert [places(values[order])[list(order).index(row)] for row in range(entries)] == standings


def test_flips_count_pairs():
    # orders a > b > c > d and b > a > d > c: (a, b) and (c, d) turn round
    assert flips([4, 3, 2, 1], [3, 4, 1, 2]) == (2, 6)


def test_front_leaves_out_what_another_curve_beats_at_the_same_visibility():
    strong = [(0, 0), (0.1, 0.4), (0.2, 0.5)]
    weak = [(0, 0), (0.05, 0.1), (0.2, 0.45)]  # 0.1 < 0.2 at 0.05, 0.45 < 0.5 at 0.2
    beyond = [(0, 0), (0.4, 0.6)]  # more than strong's end
    assert front({"strong": strong, "weak": weak}) == {"strong"}
    assert front({"strong": strong, "beyond": beyond}) == {"strong", "beyond"}
    assert front({"useless": [(0, 0), (0.1, -0.1)]}) == set()


def test_planner_counts_seeds_and_artists():
    # sd of a difference 0.2 from 3 seeds, of a seed 0.1: artists' part 0.04 - 2 * 0.01 / 3 = 0.0333
    noise = Resolution(8, mean([0.0] * 8), seed=0.1, spread=0.2, seeds=3)
    with_one_seed, many = (artists_needed(noise, 0.1, seeds) for seeds in (1, 100))
    # with n artists: (t(0.975) + t(0.8)) * root(0.0333 + 0.02) / root n <= 0.1, and root(0.0333 + 0.0002)
    assert detectable(math.sqrt(0.0533333), with_one_seed) <= 0.1 < detectable(math.sqrt(0.0533333), with_one_seed - 1)
    assert detectable(math.sqrt(0.0335333), many) <= 0.1 < detectable(math.sqrt(0.0335333), many - 1)
    assert many < with_one_seed
    assert artists_needed(noise._replace(spread=math.nan), 0.1, 1) is None
    assert math.isnan(detectable(0.2, 5))


@pytest.mark.parametrize("shape", ["normal", "skewed", "capped"])
@pytest.mark.parametrize("artists", ARTISTS)
def test_intervals_hold_the_truth_as_often_as_they_say(shape, artists):
    # 92 to 98 %, and two standard errors of 1,000 truths: 2 * root(0.95 * 0.05 / 1000) = 1.4 %
    assert 0.92 - 0.014 <= coverage(shape, artists).ours <= 0.98 + 0.014


def test_a_plain_t_interval_would_not_hold():
    assert coverage("skewed", 8).t < 0.92


@pytest.mark.parametrize("shape", ["normal", "skewed"])
def test_equal_entries_are_told_apart_in_five_of_a_hundred_boards_at_most(shape):
    # two standard errors of 1,000 boards
    assert false_alarms(shape, 8, 5) <= ranking.RATE + 0.014
