"""Statistics of the board on synthetic data whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import synthetic
from scipy import stats
from synthetic import JPEG, PLAIN, arms, record

from cloakbench.store.reading import Loaded
from cloakbench_leaderboards.history.history import HistoryPoint, MeasuredScore
from cloakbench_leaderboards.history.tracking import tracks
from cloakbench_leaderboards.scores import ranking, statistics
from cloakbench_leaderboards.scores.evidence import gather
from cloakbench_leaderboards.scores.resolution import Resolution, artists_needed
from cloakbench_leaderboards.scores.signal import SignalState
from cloakbench_leaderboards.scores.statistics import Estimate
from cloakbench_leaderboards.scores.suspicion import NOISE, suspicions

EIGHT = [f"artist{n}" for n in range(8)]


def board(records, attacks=(PLAIN,), artists=EIGHT, **changes):
    return gather(Loaded(synthetic.facts(synthetic.suite(artists, attacks, **changes)), records, []))


@pytest.mark.parametrize(("spread", "state"), [(0.02, SignalState.LEARNED), (0.2, SignalState.NOT_LEARNED)])
def test_a_signal_is_three_times_the_spread_over_seeds_whatever_the_placebo_says(spread, state):
    records = []
    for seed, step in enumerate((-1, 0, 1)):
        # Floor minus clean is 0.5 at every seed; the placebo never differs from the clean arm.
        for name in EIGHT:
            records += arms(name, 0.3 + step * spread, 0.8 + step * spread, seed=seed)
    shown_board = board(records)
    assert {signal.state for signal in shown_board.scores.signals} == {state}
    # Standard deviation of -s, 0, s.
    assert [signal.noise for signal in shown_board.scores.signals] == pytest.approx([spread] * 8)


def test_what_countermeasures_do_to_unprotected_images_is_shown_and_taken_off():
    records = []
    for name in EIGHT:
        records += arms(name, 0.3, 0.8)
        # Cleaning alone makes the imitation better by 0.1 of P, and that of the protected images by 0.3.
        records += [record("identity", name, 0.25, JPEG), record("x", name, 0.6), record("x", name, 0.45, JPEG)]
    board_ = board(records, (PLAIN, JPEG), rank_by="worst-case").standings
    assert board_.value("worst case", "identity")[1].value == pytest.approx(-0.1)
    assert board_.value("worst case", "x")[1].value == pytest.approx(0.3 + 0.1)


def covers(intervals, truth):
    return np.mean((intervals.low <= truth) & (intervals.high >= truth))


@pytest.mark.parametrize("kind", ["t3", "laplace", "normal", "contaminated"])
def test_intervals_of_differences_cover_heavy_tailed_truths(kind):
    rng = np.random.default_rng(7)
    draws = {
        "t3": lambda: rng.standard_t(3, (4000, 8)),
        "laplace": lambda: rng.laplace(size=(4000, 8)),
        "normal": lambda: rng.normal(size=(4000, 8)),
        "contaminated": lambda: rng.normal(size=(4000, 8)) * np.where(rng.random((4000, 8)) < 0.1, 5.0, 1.0),
    }[kind]()
    assert 0.94 <= covers(statistics.difference_estimates(draws), 0.0) <= 0.98


def test_an_interval_of_a_difference_excludes_0_exactly_where_its_test_rejects():
    draws = np.random.default_rng(1).normal(0.5, 1, (500, 9))
    draws[::3, 0] = math.nan
    intervals = statistics.difference_estimates(draws)
    p = ranking.paired_p(draws)
    assert ((intervals.low > 0) | (intervals.high < 0)).tolist() == (p < 0.05).tolist()
    assert p == pytest.approx([stats.ttest_1samp(row[np.isfinite(row)], 0.0).pvalue for row in draws])


def test_fiellers_interval_of_a_quotient_covers_it():
    rng = np.random.default_rng(5)
    hits, finite = 0, 0
    for _ in range(3000):
        x = rng.normal(0.5, 0.3, 8)
        y = 0.6 * x + rng.normal(0, 0.15, 8)
        low, high = statistics.quotient(y, x)[1:3]
        if math.isfinite(low):
            finite += 1
            hits += low <= 0.6 <= high
    assert finite > 2500
    assert 0.935 <= hits / finite <= 0.975


def test_a_quotient_by_a_number_that_is_not_clear_of_0_has_no_interval():
    x = np.array([-1.0, 1, -1, 1, -0.9, 1])
    ratio = statistics.quotient(np.ones(6), x)
    assert (math.isfinite(ratio.value), math.isnan(ratio.low), "denominator" in ratio.reason) == (True, True, True)


def test_noise_is_compared_under_the_attacks_that_an_entry_has():
    """Random noise falls to P -0.4 under jpeg, where the entry has no cell: a minimum over more attacks."""
    records = []
    for n, name in enumerate(EIGHT):
        wobble = (n % 3 - 1) / 100
        records += arms(name, 0.3, 0.8)
        records.append(record("identity", name, 0.3, JPEG))
        records.append(record("cloak", name, 0.32 + wobble))
        records += [record("random-noise", name, 0.32 - wobble), record("random-noise", name, 0.1, JPEG)]
    shown_board = board(records, (PLAIN, JPEG), rank_by="worst-case")
    assert suspicions(shown_board) == {"cloak": ((NOISE, NOISE),)}


def test_the_header_counts_every_pair_on_the_shared_attack_and_artists_with_a_signal():
    records = []
    for n, name in enumerate(EIGHT):
        records += arms(name, 0.3, 0.8 if n else 0.3)  # nothing is learned from the first
        for entry, size in (("x", 0.02), ("y", 0.05), ("z", 0.1)):
            records.append(record(entry, name, 0.4 + size * (-1) ** n))
    noise = board(records).noise
    assert (noise.artists, noise.pairs) == (7, 3)
    # Differences alternate between -d and d, d = 0.03, 0.05 and 0.08 over a denominator of 0.5; the median is 0.05.
    values = np.array([-1, 1, -1, 1, -1, 1, -1]) * 0.05 / 0.5
    expected = (stats.t.ppf(0.975, 6) + stats.t.ppf(0.8, 6)) * values.std(ddof=1) / math.sqrt(7)
    assert noise.least_difference == pytest.approx(expected)


def test_more_artists_never_resolve_less_however_large_the_noise_of_a_seed():
    noise = Resolution(8, Estimate(0.0, 0.0, 0.0, 8, ""), seed=0.09, spread=0.05, seeds=1)
    assert artists_needed(noise, noise.least_difference, 1) == 8


def test_null_entries_are_the_clean_arm_of_one_seed_against_another():
    records = []
    for seed, clean in enumerate((0.3, 0.32)):
        for name in EIGHT:
            records += arms(name, clean, 0.8, seed=seed)
    # Denominators (0.5 + 0.48) / 2 = 0.49; P of either seed against the other is 0.02 / 0.49 and its negative.
    assert board(records).noise.null == pytest.approx(0.02 / 0.49)


def test_one_whole_entry_alone_has_no_rank():
    records = []
    for name in EIGHT:
        records += arms(name, 0.3, 0.8)
    lone = [record("x", name, 0.5 + n / 100) for n, name in enumerate(EIGHT)]
    partial = [record("y", name, 0.6 + n / 100) for n, name in enumerate(EIGHT)][1:]
    standings = board([*records, *lone, *partial]).standings
    assert (standings.places, set(standings.unranked) >= {"x", "y"}, standings.provisional) == ({}, True, ("x",))
    second = [record("z", name, 0.7 + n / 100) for n, name in enumerate(EIGHT)]
    assert set(board([*records, *lone, *second]).standings.places) == {"x", "z"}


def test_a_series_holds_only_values_over_the_same_number_of_artists():
    def point(day, p, artists):
        value = MeasuredScore(attack="jpeg", kind="strength", value=1.0, p=p, low=None, high=None, artists=artists)
        return HistoryPoint(
            suite="s", suite_version=1, protection="x", version="1", package="a", env_class="e", device="cpu",
            salt="", measured=day, cells=artists, values=(value,),
        )  # fmt: skip

    [track] = tracks([point("2026-01-01", 0.63, 3), point("2026-01-02", 0.48, 8), point("2026-01-03", 0.49, 8)], 0.1)
    assert [value.p for value in track.series[0].values] == [0.48, 0.49]
