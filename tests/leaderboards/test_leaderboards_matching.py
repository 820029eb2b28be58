from __future__ import annotations

import doctest
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloakbench.schemas.suite_tables import Matching
from cloakbench_leaderboards.scores import matching
from cloakbench_leaderboards.scores.matching import CalibratedStrength, OperatingPoint, QualityCurve

LOWER, HIGHER = {"lpips": False}, {"psnr": True}
RULES = Matching(
    metric="lpips", targets=[0.05, 0.1, 0.2], tolerance=0.01, calibrated=[0.1], gates={"psnr": [40, 35, 30]}
)
BOTH = LOWER | HIGHER


def curve(*lpips, psnr=None):
    strengths = tuple(n / (len(lpips) - 1) for n in range(len(lpips)))
    return QualityCurve(strengths, {"lpips": lpips} | ({"psnr": psnr} if psnr else {}))


def reached(found, values, strengths):
    """The value at a match by its weights."""
    return sum(weight * values[strengths.index(strength)] for strength, weight in found.weights)


def test_examples_in_docstrings():
    assert doctest.testmod(matching).failed == 0


def test_stops_hold_the_limit_of_every_gate():
    assert [stop.limits for stop in matching.stops(RULES)] == [
        {"lpips": 0.05, "psnr": 40},
        {"lpips": 0.1, "psnr": 35},
        {"lpips": 0.2, "psnr": 30},
    ]


def test_a_target_between_two_points_is_met_on_the_line_between_them():
    met = matching.meet(curve(0.0, 0.08, 0.16), {"lpips": 0.1}, LOWER)
    # 0.1 lies a quarter of the way from 0.08 to 0.16
    assert (met.state, met.binding) == ("interpolated", "lpips")
    assert met.weights == ((0.5, pytest.approx(0.75)), (1.0, pytest.approx(0.25)))


def test_a_measured_point_at_the_target_stands_for_itself():
    met = matching.meet(curve(0.0, 0.1, 0.2), {"lpips": 0.1}, LOWER)
    assert (met.state, met.weights) == ("measured", ((0.5, 1.0),))


def test_beyond_the_strongest_point_the_target_is_not_reached():
    met = matching.meet(curve(0.0, 0.05, 0.09), {"lpips": 0.1}, LOWER)
    assert (met.state, met.weights, met.note) == ("not reached", (), "the strongest point has lpips 0.09")


def test_the_gate_that_is_met_first_binds():
    drawn = curve(0.0, 0.08, 0.16, psnr=(60, 40, 30))
    # psnr 38 is met 2 / 10 of the way from the second point, lpips 0.1 at 2 / 8 of it
    met = matching.meet(drawn, {"lpips": 0.1, "psnr": 38}, BOTH)
    assert (met.binding, met.weights[1]) == ("psnr", (1.0, pytest.approx(0.2)))
    assert matching.meet(drawn, {"lpips": 0.1, "psnr": 30}, BOTH).binding == "lpips"


def test_a_stronger_point_counts_as_no_less_visible_than_a_weaker_one():
    drawn = QualityCurve((0.0, 0.25, 0.5, 1.0), {"lpips": (0.0, 0.08, 0.04, 0.16)})
    # From 0.5 on the line starts at 0.08, not at 0.04: 0.12 is half way.
    assert matching.meet(drawn, {"lpips": 0.12}, LOWER).weights == (
        (0.5, pytest.approx(0.5)),
        (1.0, pytest.approx(0.5)),
    )


def test_below_the_weakest_point_nothing_is_extrapolated():
    drawn = QualityCurve((0.5, 1.0), {"lpips": (0.12, 0.2)})
    met = matching.meet(drawn, {"lpips": 0.1}, LOWER)
    assert (met.state, met.weights) == ("no curve", ())
    assert met.note == "the weakest point measured is already past the target"


def test_without_a_metric_or_a_point_there_is_no_curve():
    assert matching.meet(curve(0.0, 0.1), {"psnr": 30}, BOTH).note == "no measured quality"
    assert matching.meet(QualityCurve((0.0,), {"lpips": (0.0,)}), {"lpips": 0.1}, LOWER).note == "no point measured"


STOP = OperatingPoint("lpips 0.1", 0.1, {"lpips": 0.1, "psnr": 35}, math.nan)


@pytest.mark.parametrize(
    ("strength", "lpips", "psnr", "state"),
    [
        (0.5, 0.095, 36, "calibrated"),
        (0.5, 0.109, 36, "calibrated"),  # within the tolerance of 0.01
        (0.5, 0.111, 36, "over target"),
        (0.5, 0.095, 34, "over target"),
        (0.5, 0.05, 36, "calibrated"),  # better than asked: the entry's own loss
        (1.0, 0.05, 36, "not reached"),
        (1.0, 0.095, 36, "calibrated"),
    ],
)
def test_a_calibrated_point_is_judged_by_the_artists_own_images(strength, lpips, psnr, state):
    met = matching.calibrated(
        CalibratedStrength(STOP.limits, strength, "lpips", ""), {"lpips": lpips, "psnr": psnr}, BOTH, 0.01
    )
    assert met.state == state
    assert met.weights == (() if state == "not reached" else ((strength, 1.0),))


def test_a_point_over_target_says_which_limit_it_breaks():
    met = matching.calibrated(CalibratedStrength(STOP.limits, 0.5, "lpips", ""), {"lpips": 0.2, "psnr": 30}, BOTH, 0.01)
    assert met.note == "over target on the artists' images: lpips 0.2 past 0.1, psnr 30 past 35"


@pytest.mark.parametrize(
    ("tries", "binding"),
    [
        ([(1.0, {"lpips": 0.2, "psnr": 30}), (0.5, {"lpips": 0.09, "psnr": 36})], "lpips"),
        # of the stronger ones, the next is what the search could not go to
        ([(1.0, {"lpips": 0.2, "psnr": 30}), (0.75, {"lpips": 0.09, "psnr": 34})], "psnr"),
        ([(0.5, {"lpips": 0.09, "psnr": 36})], "lpips"),
        ([], "lpips"),
    ],
)
def test_the_limit_that_a_stronger_try_broke_binds(tries, binding):
    assert matching.binding(0.5, tries, STOP.limits, BOTH) == binding
    met = matching.calibrated(
        CalibratedStrength(STOP.limits, 0.5, binding, ""), {"lpips": 0.09, "psnr": 36}, BOTH, 0.01
    )
    assert (met.state, met.binding) == ("calibrated", binding)


def test_the_area_stops_at_the_limit_within_a_segment():
    # From 0 to 0.3 with values y0, y1, y2 at 0, 0.2, 0.4; half of the second segment counts.
    # 0.2 (y0 + y1) / 2 + 0.1 (y1 + (y1 + y2) / 2) / 2, over 0.3
    weights = matching.area([0.0, 0.2, 0.4], 0.3)
    assert weights == (pytest.approx(0.1 / 0.3), pytest.approx(0.175 / 0.3), pytest.approx(0.025 / 0.3))


def test_the_area_of_a_metric_that_falls_with_visibility():
    assert matching.area([60, 40, 20], 20) == pytest.approx((0.25, 0.5, 0.25))
    assert matching.area([60, 40], 20) == ()


values = st.lists(st.floats(0, 1, allow_nan=False), min_size=2, max_size=6)


@given(values, st.floats(0, 1), st.data())
def test_interpolation_never_leaves_what_was_measured(quality, limit, data):
    drawn = curve(*quality)
    p = data.draw(st.lists(st.floats(-1, 1), min_size=len(quality), max_size=len(quality)))
    met = matching.meet(drawn, {"lpips": limit}, LOWER)
    if quality[0] > limit:
        assert met.state == "no curve"
        return
    if max(quality) < limit:
        assert met.state == "not reached"
        return
    assert sum(weight for _, weight in met.weights) == pytest.approx(1)
    for _, weight in met.weights:
        assert weight >= 0
    assert min(p) - 1e-9 <= reached(met, p, drawn.strengths) <= max(p) + 1e-9


@given(values, st.floats(0.01, 1), st.data())
def test_a_dominated_curve_never_beats_its_dominator(quality, limit, data):
    better = data.draw(st.lists(st.floats(-1, 1), min_size=len(quality), max_size=len(quality)))
    losses = data.draw(st.lists(st.floats(0, 1), min_size=len(quality), max_size=len(quality)))
    worse = [value - loss for value, loss in zip(better, losses, strict=True)]
    drawn = curve(0.0, *quality[1:])
    met = matching.meet(drawn, {"lpips": limit}, LOWER)
    if met.weights:
        assert reached(met, worse, drawn.strengths) <= reached(met, better, drawn.strengths) + 1e-9
    weights = matching.area(drawn.quality["lpips"], limit)
    for weight in weights:
        assert weight >= -1e-12
    assert not weights or sum(weights) == pytest.approx(1)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=6), st.floats(0.01, 1))
def test_quality_at_equal_protection_is_read_between_points_or_not_at_all(protection, level):
    weights = matching.at_protection(protection, level)
    assert bool(weights) is (max(protection) >= level)
    if len(weights) == 2:
        (before, one), (after, other) = weights
        assert after == before + 1
        assert one * protection[before] + other * protection[after] == pytest.approx(level, abs=1e-6)
