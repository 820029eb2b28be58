from __future__ import annotations

import doctest
import math
import random

import numpy as np
import pandas as pd
import pytest
import synthetic
from synthetic import JPEG, LORA, PLAIN, TRANSFER, arms, lost, record

from cloakbench.schemas.kinds import Status
from cloakbench.schemas.record import Record
from cloakbench.schemas.suite import Suite
from cloakbench_leaderboards import text
from cloakbench_leaderboards.data import frames
from cloakbench_leaderboards.data.selection import select
from cloakbench_leaderboards.scores import statistics
from cloakbench_leaderboards.scores.scores import ScoredPoint, Scores, score
from cloakbench_leaderboards.scores.signal import signals
from tests.leaderboards.two_artists import ARMS, TWO, cells

WITH_JPEG = synthetic.suite(["a"], (PLAIN, JPEG))


def scored(records: list[Record], suite: Suite = TWO) -> Scores:
    return score(
        cells(select(records).records), [attack for attack in suite.attacks if attack.mimicry != "edit"], suite.artists
    )


def point(records: list[Record], suite: Suite = TWO, name: str = "x", attack: str = "dreambooth") -> ScoredPoint:
    return scored(records, suite).summary[name, 1.0, attack]


@pytest.mark.parametrize("module", [statistics, text])
def test_examples_in_docstrings(module):
    assert doctest.testmod(module).failed == 0


def test_p_is_a_ratio_of_sums_over_artists():
    scored_point = point([*ARMS, record("x", "a", [0.4, 0.6]), record("x", "b", 0.6)])
    # numerators 0.5 - 0.4 = 0.1 and 0.6 - 0.3 = 0.3; (0.1 + 0.3) / (0.4 + 0.6)
    assert scored_point.p.value == pytest.approx(0.4)
    assert scored_point.distance.value == pytest.approx(0.55)


def test_p_counts_at_most_one_per_artist_and_keeps_negative_values():
    scored_point = point([*ARMS, record("x", "a", 0.3), record("x", "b", 1.2)])
    # a: -0.1 / 0.4 stays; b: 0.9 / 0.6 counts as 1; (-0.1 + 0.6) / 1.0
    assert scored_point.p.value == pytest.approx(0.5)


def test_effect_compares_under_the_same_countermeasure():
    records = [*arms("a", 0.4, 0.8), record("identity", "a", 0.45, JPEG), record("x", "a", 0.55, JPEG)]
    scored_point = point(records, WITH_JPEG, attack="jpeg")
    assert scored_point.p.value == pytest.approx((0.55 - 0.40) / 0.4)
    assert scored_point.effect.value == pytest.approx((0.55 - 0.45) / 0.4)


def test_arms_pair_by_seed_and_the_denominator_uses_all_shared_seeds():
    suite = synthetic.suite(["a"])
    records = [*arms("a", 0.48, 0.9, seed=0), *arms("a", 0.52, 0.9, seed=1), record("x", "a", 0.58)]
    # denominator (0.42 + 0.38) / 2 = 0.4; numerator against seed 0 alone: 0.58 - 0.48
    assert point(records, suite).p.value == pytest.approx(0.25)
    signal = scored(records, suite).signals[0]
    # sd 0.02828 / root 2 = 0.02; 0.4 - 2 * 0.02; the noise is the sd of 0.48 and 0.52
    assert (signal.denominator, signal.lower) == (pytest.approx(0.4), pytest.approx(0.36))
    assert signal.noise == pytest.approx(0.02828, abs=1e-5)


def test_an_attack_that_learned_nothing_has_no_signal():
    noise = np.random.default_rng(0)
    artists = [f"artist{n}" for n in range(300)]
    rows = []
    for artist in artists:
        for seed in range(3):
            for role, spread in (("identity", 0.057), ("floor", 0.027)):
                rows.append((role, artist, "dreambooth", "", "dreambooth", "mini-a", seed, noise.normal(0.5, spread)))
    names = ["role", "artist", "attack", "countermeasure", "mimicry", "model", "seed", "distance"]
    drawn = signals(pd.DataFrame(rows, columns=names).assign(strength=0.0), [PLAIN], artists)
    # One in eleven has a lower limit above 0; three times the spread over seeds keeps out all.
    assert 20 <= sum(signal.lower > 0 for signal in drawn) <= 35
    for signal in drawn:
        assert not signal.has_signal


@pytest.mark.parametrize(("moved", "has_signal"), [(0.13, True), (0.14, False)])
def test_gate_asks_for_three_times_the_placebo_noise_where_no_artist_has_a_second_seed(moved, has_signal):
    suite = synthetic.suite(["a"])
    # one difference: its size is the noise; 3 * 0.13 = 0.39 < 0.4 < 0.42 = 3 * 0.14
    scored_point = point([*arms("a", 0.4, 0.8, placebo=0.4 + moved), record("x", "a", 0.5)], suite)
    assert (scored_point.reason == "") is has_signal
    assert math.isnan(scored_point.p.value) is not has_signal
    assert has_signal or "did not learn" in scored_point.reason


def test_placebo_noise_pools_artists_and_seeds():
    records = []
    for n, d in enumerate([0.01, 0.02, 0.03]):
        records += arms("abc"[n], 0.4, 0.8, placebo=0.4 + d)
    signals = scored(records, synthetic.suite(["a", "b", "c"])).signals
    assert [signal.noise for signal in signals] == pytest.approx([0.01] * 3)


@pytest.mark.parametrize(
    ("left_out", "reason"),
    [("floor", "no seed has both"), ("identity", "no seed has both"), ("placebo", "nor a placebo")],
)
def test_without_an_arm_nothing_is_scored_and_the_reason_is_given(left_out, reason):
    records = []
    for cell_record in arms("a", 0.4, 0.8):
        if cell_record.protection.role != left_out:
            records.append(cell_record)
    scored_point = point([*records, record("x", "a", 0.5)], synthetic.suite(["a"]))
    assert math.isnan(scored_point.p.value)
    assert reason in scored_point.reason


def test_without_a_plain_attack_there_is_nothing_to_compare_with():
    suite = synthetic.suite(["a"], (JPEG,))
    scored_point = point([*arms("a", 0.4, 0.8), record("x", "a", 0.5, JPEG)], suite, attack="jpeg")
    assert "no attack without countermeasure" in scored_point.reason


def test_each_mimicry_has_a_denominator_of_its_own():
    suite = synthetic.suite(["a"], (PLAIN, LORA))
    lora = [
        record("identity", "a", 0.2, LORA),
        record("floor", "a", 0.4, LORA),
        record("placebo", "a", 0.2, LORA),
    ]
    scores = scored([*arms("a", 0.4, 0.8), *lora, record("x", "a", 0.3, LORA)], suite)
    assert scores.summary["x", 1.0, "lora"].p.value == pytest.approx(0.1 / 0.2)


JPEG_TRANSFER = JPEG.model_copy(update={"name": "jpeg-transfer", "model": "mini-b"})


def test_each_base_model_has_a_denominator_of_its_own():
    suite = synthetic.suite(["a"], (PLAIN, JPEG, TRANSFER, JPEG_TRANSFER))
    other = [
        record("identity", "a", 0.1, TRANSFER),
        record("floor", "a", 0.3, TRANSFER),
        record("placebo", "a", 0.1, TRANSFER),
    ]
    other += [record("x", "a", 0.2, TRANSFER), record("x", "a", 0.15, JPEG_TRANSFER), record("x", "a", 0.6, JPEG)]
    other += [record("identity", "a", 0.12, JPEG_TRANSFER), record("identity", "a", 0.5, JPEG)]
    scores = scored([*arms("a", 0.4, 0.8), *other], suite)
    assert [(signal.model, signal.denominator) for signal in scores.signals] == [
        ("mini-a", pytest.approx(0.4)),
        ("mini-b", pytest.approx(0.2)),
    ]
    p = {}
    for (name, _, attack), scored_point in scores.summary.items():
        if name == "x":
            p[attack] = scored_point.p.value
    # clean, floor of mini-b: 0.1, 0.3; of mini-a: 0.4, 0.8; a cleaned attack takes those of its own model
    assert p == {
        "sd21-transfer": pytest.approx((0.2 - 0.1) / 0.2),
        "jpeg-transfer": pytest.approx((0.15 - 0.1) / 0.2),
        "jpeg": pytest.approx((0.6 - 0.4) / 0.4),
    }
    assert scores.summary["x", 1.0, "jpeg-transfer"].effect.value == pytest.approx((0.15 - 0.12) / 0.2)


@pytest.mark.parametrize("left_out", ["identity", "floor", "placebo"])
def test_an_arm_of_another_base_model_never_stands_in(left_out):
    suite = synthetic.suite(["a"], (PLAIN, TRANSFER))
    other = [
        record("identity", "a", 0.1, TRANSFER),
        record("floor", "a", 0.3, TRANSFER),
        record("placebo", "a", 0.1, TRANSFER),
    ]
    kept = [cell_record for cell_record in other if cell_record.protection.role != left_out]
    scores = scored([*arms("a", 0.4, 0.8), *kept, record("x", "a", 0.5), record("x", "a", 0.2, TRANSFER)], suite)
    assert math.isnan(scores.summary["x", 1.0, "sd21-transfer"].p.value)
    assert scores.summary["x", 1.0, "dreambooth"].p.value == pytest.approx(0.25)


@pytest.mark.parametrize("status", ["failed", "invalid_output", "timeout", "oom"])
def test_a_submissions_own_fault_counts_as_no_protection(status):
    broken = lost("x", "b", Status(status), "it broke", components={"protect": {}})
    scored_point = point([*ARMS, record("x", "a", 0.5), broken])
    # (0.1 + 0) / (0.4 + 0.6)
    assert scored_point.p.value == pytest.approx(0.1)
    assert (scored_point.failed, scored_point.missing) == (("b",), ())


def test_an_attack_that_runs_out_of_memory_is_missing_and_no_fault_of_the_submission():
    fields = {"components": {"protect": {}}, "digests": {"protect": ["0" * 64]}}
    scored_point = point([*ARMS, record("x", "a", 0.5), lost("x", "b", Status.OOM, "too large", **fields)])
    assert scored_point.p.value == pytest.approx(0.25)
    assert (scored_point.failed, scored_point.missing) == ((), ("b",))


def test_an_infrastructure_fault_is_missing_and_never_scored():
    scored_point = point([*ARMS, record("x", "a", 0.5), lost("x", "b", Status.INFRA_ERROR, "no space")])
    assert scored_point.p.value == pytest.approx(0.25)
    assert (scored_point.failed, scored_point.missing) == ((), ("b",))


def test_interval_over_six_artists_and_none_below():
    names = [f"artist{n}" for n in range(6)]
    records = []
    for name in names:
        records += arms(name, 0.0, 1.0)
    records += [record("x", name, (n + 1) / 10) for n, name in enumerate(names)]
    six = point(records, synthetic.suite(names)).p
    # all denominators 1, so the t-interval of 0.1 ... 0.6: 2.5706 * 0.18708 / root 6
    assert (six.value, six.high - 0.35) == (pytest.approx(0.35), pytest.approx(0.19633, abs=1e-4))
    assert six.low == pytest.approx(0.35 - 0.19633, abs=1e-4)
    five = point(records, synthetic.suite(names[:5])).p
    assert not five.has_interval
    assert five.reason == "5 artists, an interval needs 6"


def test_ratio_interval_by_linearisation():
    y, w = np.array([1.0, 3, 2, 2, 3, 1]), np.array([4.0, 4, 4, 4, 4, 4])
    # r = 12 / 24 = 0.5, e = -1, 1, 0, 0, 1, -1, no skewness, sum(e^2) = 4; se = root(6 / 5 * 4) / 24
    estimate = statistics.mean(statistics.contributions(y, w))
    assert estimate.high - 0.5 == pytest.approx(2.5706 * math.sqrt(4.8) / 24, rel=1e-4)


def test_a_skewed_sample_gets_an_interval_that_reaches_further_to_its_long_side():
    estimate = statistics.mean([0, 0, 0, 0, 0, 6])
    # mean 1, sd root(30 / 5) = 2.4495; population skewness 20 / 5^1.5 = 1.7889, times root(30) / 4 = 2.4495
    # bound = 1 - sd * 3 / g * (cbrt(1 + g * (x - g / 36)) - 1), x = +-2.5706 / root 6 = +-1.04944
    g, sd, x = 2.4495, 2.4495, 1.04944
    low = 1 - sd * 3 / g * (math.cbrt(1 + g * (x - g / 36)) - 1)
    high = 1 - sd * 3 / g * (math.cbrt(1 + g * (-x - g / 36)) - 1)
    assert (estimate.low, estimate.high) == (pytest.approx(low, rel=1e-3), pytest.approx(high, rel=1e-3))
    assert high - 1 > 4 * (1 - low)


def test_values_that_differ_by_rounding_alone_have_no_width():
    estimate = statistics.mean([0.1 + 0.2, 0.3, 0.3, 0.3, 0.3, 0.3])
    assert estimate.high - estimate.low == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_order_and_duplicates_change_nothing(seed):
    facts, records = synthetic.demonstration(artists=3, seeds=2)
    shuffled = [*records, *records[::3]]
    random.Random(seed).shuffle(shuffled)
    shuffled_scores, other = scored(shuffled, facts.suite), scored(records, facts.suite)
    pd.testing.assert_frame_equal(shuffled_scores.points, other.points)
    assert repr(shuffled_scores.summary) == repr(other.summary)


def test_another_entry_changes_nobodys_score():
    facts, records = synthetic.demonstration(artists=3, seeds=2)
    without = scored([cell_record for cell_record in records if cell_record.protection.name != "impasto"], facts.suite)
    everyone = scored(records, facts.suite)
    others = {key: value for key, value in everyone.summary.items() if key[0] != "impasto"}
    assert repr(without.summary) == repr(others)
    assert len(everyone.summary) > len(without.summary)


def test_selection_keeps_the_largest_environment_class_and_the_newest_version():
    other = record("x", "a", 9.9).environment.model_copy(update={"env_class": "aaa-gpu"})
    old = record("x", "a", 0.5).protection.model_copy(update={"version": "0.9"})
    elsewhere = record("x", "b", 9.9, environment=other)
    superseded = record("x", "b", 9.9, protection=old, created="2025-01-01T00:00:00+00:00", key="f" * 64)
    selected = select([*ARMS, record("x", "a", 0.5), elsewhere, superseded])
    assert selected.left_out == {"of another environment class or salt": 1, "of a superseded version": 1}
    assert [cell_record.artist for cell_record in selected.records if cell_record.protection.name == "x"] == ["a"]


def test_frames_hold_a_row_per_cell_image_and_generation():
    records = [record("x", "a", [0.4, 0.6], strength=0.5)]
    iloc = cells(records).iloc[0]
    assert iloc["distance"] == 0.5
    assert len(frames.images(records)) == 2 * 2
    assert len(frames.generations(records)) == 2 * 2
    values = frames.metrics(records).set_index("metric")["value"]
    assert values["style-distance"] == 0.5
    assert values["frechet"] == 5.0
    quality = frames.quality(frames.places(records), frames.images(records), ["dreambooth"])
    quality = quality.set_index("metric")["value"]
    assert quality["mini-lpips"] == pytest.approx(0.15)


def test_no_cell_gives_no_score_and_no_error():
    cells = frames.cells(frames.places([]), frames.rows([]), "style-distance")
    scores = score(cells, [synthetic.PLAIN], [])
    assert (scores.grid.p.shape, scores.summary, len(scores.points)) == ((0, 0), {}, 0)
    named = score(cells, [synthetic.PLAIN], ["a"])
    assert (named.grid.rows, [signal.has_signal for signal in named.signals]) == ({}, [False])


def test_two_results_of_one_recipe_are_counted_apart_from_a_repetition():
    first = record("x", "a", 0.4)
    again = first.model_copy(update={"created": "2027-01-01T00:00:00+00:00"})
    other = again.model_copy(update={"generations": {"style-distance": [0.9]}, "created": "2027-02-01T00:00:00+00:00"})
    assert select([first, again]).left_out == {"double": 1}
    [(reason, count)] = select([first, other]).left_out.items()
    assert ("another result" in reason, count) == (True, 1)
    assert select([other, first]).records == [other]
