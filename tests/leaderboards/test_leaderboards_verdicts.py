from __future__ import annotations

import doctest
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloakbench_leaderboards.scores import resolution as noise
from cloakbench_leaderboards.scores.resolution import Resolution, detectable, seeds_needed
from cloakbench_leaderboards.scores.statistics import mean
from cloakbench_leaderboards.versions import changes as recipes
from cloakbench_leaderboards.versions import drift as drifting
from cloakbench_leaderboards.versions import references, verdicts
from cloakbench_leaderboards.versions.verdicts import Verdict, holm, judge, overall

WOBBLE = np.array([0.01, -0.01, 0.02, -0.02, 0.01, -0.01])
MIRROR = {"regressed": "improved", "improved": "regressed"}


@pytest.mark.parametrize("module", [verdicts, noise, recipes, drifting, references])
def test_examples(module):
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    ("shift", "spread", "verdict"),
    [
        (0.0, 1, Verdict.EQUIVALENT),
        (-0.05, 1, Verdict.EQUIVALENT),  # certain, and certainly under the margin of 0.1
        (-0.3, 1, Verdict.REGRESSED),
        (0.3, 1, Verdict.IMPROVED),
        (0.0, 20, Verdict.INCONCLUSIVE),  # mean 0, standard error 0.13: within no margin, no difference either
        (-0.1, 1, Verdict.REGRESSED),  # on the margin: not equivalent, and a difference
    ],
)
def test_verdicts(shift, spread, verdict):
    verdicts = judge((spread * WOBBLE + shift)[None], 0.1)
    assert list(verdicts.verdicts) == [verdict]


def test_equal_everywhere_is_equivalent_and_few_artists_decide_nothing():
    assert list(judge(np.zeros((1, 6)), 0.1).verdicts) == [Verdict.EQUIVALENT]
    few = judge(np.full((1, 6), -0.5) * [1, 1, 1, 1, 1, math.nan], 0.1)
    assert list(few.verdicts) == [Verdict.INCONCLUSIVE]
    assert math.isnan(few.p[0])


def test_many_attacks_raise_the_bar():
    # t(5) of one attack: mean -0.03, sd 0.0424, error 0.0173: p 0.15 alone; p 0.02 becomes 0.2 among ten
    fallen = np.array([-0.10, -0.02, -0.09, -0.03, -0.08, -0.04]) * 2
    alone = judge(fallen[None], 0.01)
    many = judge(np.vstack([fallen, *[20 * WOBBLE * (-1) ** n for n in range(9)]]), 0.01)
    assert alone.p[0] < 0.05
    assert math.isclose(many.p[0], 10 * alone.p[0])


@given(st.integers(0, 10_000), st.integers(1, 8), st.integers(6, 12))
def test_swapping_both_sides_mirrors_every_verdict(seed, attacks, artists):
    rng = np.random.default_rng(seed)
    differences = rng.normal(rng.normal(0, 0.2, (attacks, 1)), rng.uniform(0.01, 0.3), (attacks, artists))
    judged, mirrored = judge(differences, 0.1), judge(-differences, 0.1)
    assert [MIRROR.get(str(verdict), str(verdict)) for verdict in judged.verdicts] == [
        str(verdict) for verdict in mirrored.verdicts
    ]
    np.testing.assert_allclose(judged.change.low, -mirrored.change.high, atol=1e-12)
    np.testing.assert_allclose(judged.p, mirrored.p)


@given(st.integers(0, 10_000))
def test_repetitions_are_judged_as_if_alone(seed):
    differences = np.random.default_rng(seed).normal(-0.1, 0.1, (3, 4, 8))
    together = judge(differences, 0.1)
    for number in range(3):
        alone = judge(differences[number], 0.1)
        assert list(alone.verdicts) == list(together.verdicts[number])
        np.testing.assert_array_equal(alone.p, together.p[number])


def test_holm_against_hand_arithmetic():
    # sorted 0.01, 0.02, 0.03, 0.5 times 4, 3, 2, 1: 0.04, 0.06, 0.06, 0.5
    np.testing.assert_allclose(holm(np.array([0.5, 0.01, 0.03, 0.02])), [0.5, 0.04, 0.06, 0.06])
    assert np.isnan(holm(np.array([np.nan, np.nan]))).all()


def test_the_verdict_on_all():
    regressed, improved, same, undecided = (
        Verdict.REGRESSED,
        Verdict.IMPROVED,
        Verdict.EQUIVALENT,
        Verdict.INCONCLUSIVE,
    )
    assert overall([same, improved, regressed]) is regressed
    assert overall([same, improved]) is improved
    assert overall([same, same]) is same
    assert overall([same, undecided]) is undecided
    assert overall([]) is undecided


def test_seeds_needed_are_enough_and_no_fewer():
    planned = Resolution(8, mean([0.0] * 8), seed=0.09, spread=0.15, seeds=1)
    resolution = 0.12
    count = seeds_needed(planned, resolution)
    between = 0.15**2 - 2 * 0.09**2
    assert count is not None
    assert detectable(math.sqrt(between + 2 * 0.09**2 / count), 8) <= resolution
    assert detectable(math.sqrt(between + 2 * 0.09**2 / (count - 1)), 8) > resolution
    assert seeds_needed(planned._replace(seed=0.0), resolution) is None
    assert seeds_needed(planned._replace(spread=0.5), resolution) is None
