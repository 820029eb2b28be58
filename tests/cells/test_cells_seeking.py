"""The search for a strength: where it looks, and what it says where there is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloakbench.cells.calibration import GRID, CalibrationTarget, NotReached, bisect

DISTANCE = CalibrationTarget({"mini-lpips": 0.1}, 0.01)
GATED = CalibrationTarget({"mini-lpips": 0.1, "psnr": 35.0}, 0.01)


def searched(aim, quality):
    """The strength that is found in sixty-fourths, and the tries that led there; `quality` has one value a limit."""
    tries = {}

    def measure(strength):
        figures = quality(strength)
        tries[strength * GRID] = dict(
            zip(aim.limits, figures if isinstance(figures, tuple) else [figures], strict=True)
        )
        return tries[strength * GRID]

    return bisect(aim, measure) * GRID, tries


@pytest.mark.parametrize(
    ("aim", "quality", "found", "tried"),
    [
        # 0.1 is met within 0.01 at 32/64 * 0.2 = 0.1
        (DISTANCE, lambda s: 0.2 * s, 32, [64, 32]),
        # 0.4 s: 16/64 gives 0.1 again, by way of 0.2
        (DISTANCE, lambda s: 0.4 * s, 16, [64, 32, 16]),
        # strength 1 is within the tolerance
        (DISTANCE, lambda s: 0.095 * s, 64, [64]),
        # steps of 0.05 a sixty-fourth: 2/64 hits, and float rounding does not lift it over
        (DISTANCE, lambda s: 0.05 * s * 64, 2, [64, 32, 16, 8, 4, 2]),
        # a jump from 0.02 to 0.3 between 40/64 and 41/64: no strength is within the tolerance, 40 is rounded down to
        (DISTANCE, lambda s: 0.02 if s <= 40 / 64 else 0.3, 40, [64, 32, 48, 40, 44, 42, 41]),
        # not monotone: worst in the middle
        (DISTANCE, lambda s: 0.3 if 0.2 < s < 0.9 else 0.11 if s >= 0.9 else 0.4 * s, 12, [64, 32, 16, 8, 12, 14, 13]),
        # decibels fall with strength: 40 - 10 s is at most 5 above 30 from 32/64 on
        (CalibrationTarget({"psnr": 30.0}, 5.0), lambda s: 40 - 12 * s, 32, [64, 32]),
        # the gate is kept up to 20/64: it stops the search where the matched metric is short of its target
        (GATED, lambda s: (0.2 * s, 35 if s <= 20 / 64 else 34), 20, [64, 32, 16, 24, 20, 22, 21]),
        # a gate that is kept wherever the target is changes nothing
        (GATED, lambda s: (0.2 * s, 35 if s <= 40 / 64 else 34), 32, [64, 32]),
        # strength 1 falls short of the target and is past the gate
        (GATED, lambda s: (0.05 * s, 35 if s <= 48 / 64 else 34), 48, [64, 32, 48, 56, 52, 50, 49]),
    ],
)
def test_the_search_bisects_on_the_grid(aim, quality, found, tried):
    assert searched(aim, quality)[0] == found
    assert list(searched(aim, quality)[1]) == tried


@pytest.mark.parametrize(
    ("aim", "quality", "reason"),
    [
        (DISTANCE, lambda s: 0.03 * s, "target 0.1 not reached: at strength 1 mini-lpips is 0.03"),
        (DISTANCE, lambda s: 0.2, "target 0.1 not met: even at strength 1/64 mini-lpips is 0.2"),
        (CalibrationTarget({"psnr": 30.0}, 1.0), lambda s: 60.0, "target 30 not reached: at strength 1 psnr is 60"),
        (GATED, lambda s: (0.01, 40), "target 0.1 not reached: at strength 1 mini-lpips is 0.01"),
        (GATED, lambda s: (0.01, 20), "target 0.1 not met: even at strength 1/64 psnr is 20"),
        (GATED, lambda s: (0.3, 20), "target 0.1 not met: even at strength 1/64 mini-lpips is 0.3, psnr is 20"),
    ],
)
def test_a_target_out_of_reach_says_so(aim, quality, reason):
    with pytest.raises(NotReached) as told_:
        searched(aim, quality)
    assert told_.value.message == reason


CURVES = st.lists(st.tuples(st.floats(0, 1), st.floats(20, 60)), min_size=GRID, max_size=GRID)


@given(CURVES, st.floats(0.01, 0.9), st.floats(0.001, 0.2))
def test_whatever_the_curve_the_found_strength_was_measured_and_keeps_all_limits(values, target, tolerance):
    aim = CalibrationTarget({"mini-lpips": target, "psnr": 40.0}, tolerance)
    try:
        found, tries = searched(aim, lambda strength: values[int(strength * GRID) - 1])
    except NotReached:
        return
    assert found in tries
    assert found == int(found)
    assert len(tries) <= 7
    assert not aim.broken(tries[found])
    assert not aim.is_short(tries[found]) or aim.broken(tries[found + 1])
