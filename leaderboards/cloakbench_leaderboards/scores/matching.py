"""Equal quality and equal protection: where a curve over strengths meets a limit, never outside what was measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from cloakbench.schemas.kinds import PointState
from cloakbench.schemas.suite_tables import Matching


class OperatingPoint(NamedTuple):
    """Where on its curve an entry is compared."""

    label: str
    """The target, or the strength."""
    target: float | None
    """None where entries are compared at a strength."""
    limits: dict[str, float]
    """Worst value allowed of each quality metric, the matched one first; empty where compared at a strength."""
    strength: float
    """NaN where entries are compared at a target."""


class QualityCurve(NamedTuple):
    """Mean quality of one entry over its operating points, from the unprotected images to the strongest."""

    strengths: tuple[float, ...]
    """Rising; the first is 0 and stands for the images as they are."""
    quality: dict[str, tuple[float, ...]]
    """By metric, one value per strength."""


class Match(NamedTuple):
    """Where on its curve an entry is compared."""

    state: PointState
    weights: tuple[tuple[float, float], ...]
    """Strengths with their weights, which sum to 1: one measured point, or two neighbours to interpolate between."""
    binding: str
    """The metric that stops the curve here; empty where none does."""
    note: str
    """What a reader needs to know: why there is no value, or what is wrong with it."""


def stops(matching: Matching) -> list[OperatingPoint]:
    """Returns the three targets with the limits of all gates, from better to worse quality."""
    stops = []
    for target in matching.targets:
        stops.append(OperatingPoint(f"{matching.metric} {target:g}", target, matching.limits(target), math.nan))
    return stops


def meet(curve: QualityCurve, limits: Mapping[str, float], higher_is_better: Mapping[str, bool]) -> Match:
    """Returns where the curve first meets one of `limits`, by straight lines between neighbouring points.

    A stronger point counts as at least as visible as every weaker one, so that the curve is monotone. Where the last
    point is still better than all limits, the state is `not reached`.
    """
    if not limits.keys() <= curve.quality.keys():
        return Match(PointState.NO_CURVE, (), "", "no measured quality")
    if len(curve.strengths) < 2:
        return Match(PointState.NO_CURVE, (), "", "no point measured")
    crossing, name = math.inf, ""
    for metric, limit in limits.items():
        excess = _visibility(curve.quality[metric], higher_is_better[metric], limit)
        if excess[0] > 0:
            return Match(PointState.NO_CURVE, (), "", "the weakest point measured is already past the target")
        if _crossing(excess) < crossing:
            crossing, name = _crossing(excess), metric
    if math.isinf(crossing):
        first = next(iter(limits))
        return Match(PointState.NOT_REACHED, (), "", f"the strongest point has {first} {curve.quality[first][-1]:.3g}")
    before, share = int(crossing), crossing - int(crossing)
    if share == 0:
        return Match(PointState.MEASURED, ((curve.strengths[before], 1.0),), name, "")
    ends = (curve.strengths[before], 1 - share), (curve.strengths[before + 1], share)
    return Match(PointState.INTERPOLATED, ends, name, "")


class CalibratedStrength(NamedTuple):
    """The result of a search for the strength that meets a target."""

    limits: Mapping[str, float]
    """Worst value allowed of each quality metric, the target first."""
    strength: float
    """0 where none keeps the limits."""
    binding: str
    """The metric whose limit kept it from being stronger."""
    why: str
    """Why there is none; empty where there is."""


def binding(
    strength: float,
    tries: Sequence[tuple[float, Mapping[str, float]]],
    limits: Mapping[str, float],
    higher_is_better: Mapping[str, bool],
) -> str:
    """Returns the metric that kept a search from a stronger strength: past its limit at the next one that was tried.

    The matched metric, first of `limits`, where it is among several, or nothing stronger was tried.
    """
    stronger = []
    for tried_strength, quality in tries:
        if tried_strength > strength:
            stronger.append((tried_strength, quality))
    if stronger:
        _, quality = min(stronger, key=_strength)
        for name, limit in limits.items():
            if name in quality and _excess(quality[name], limit, higher_is_better[name]) > 0:
                return name
    return next(iter(limits), "")


def calibrated(
    search: CalibratedStrength, quality: Mapping[str, float], higher_is_better: Mapping[str, bool], tolerance: float
) -> Match:
    """Returns the match at a calibrated strength, judged by the quality that the artists' own images have there.

    `over target` where that is worse than the limit by more than the tolerance, or any gate is broken; `not reached`
    where the protection at full strength is still better than the target by more than the tolerance.
    """
    metric = next(iter(search.limits))
    if not search.limits.keys() <= quality.keys():
        return Match(PointState.NO_CURVE, (), "", "no measured quality")
    excess: dict[str, float] = {}
    broken: list[str] = []
    past: list[str] = []
    for name, limit in search.limits.items():
        excess[name] = _excess(quality[name], limit, higher_is_better[name])
        if excess[name] > (tolerance if name == metric else 0.0):
            broken.append(name)
            past.append(f"{name} {quality[name]:.3g} past {limit:g}")
    weights = ((search.strength, 1.0),)
    if broken:
        note = f"over target on the artists' images: {', '.join(past)}"
        return Match(PointState.OVER_TARGET, weights, broken[0], note)
    if search.strength >= 1 and excess[metric] < -tolerance:
        return Match(PointState.NOT_REACHED, (), "", f"at full strength {metric} is {quality[metric]:.3g}")
    return Match(PointState.CALIBRATED, weights, search.binding, "")


def at_protection(protection: Sequence[float], level: float) -> tuple[tuple[int, float], ...]:
    """Returns the places (number of the point, weight) where P over rising strengths first reaches `level`.

    Empty where it never does.

    Example:
        >>> at_protection([0.0, 0.2, 0.6], 0.5)
        ((1, 0.25), (2, 0.75))
        >>> at_protection([0.0, 0.2, 0.6], 0.7)
        ()
    """
    crossing = _crossing([value - level for value in protection])
    if math.isinf(crossing):
        return ()
    before, share = int(crossing), round(crossing - int(crossing), 12)
    return ((before, 1 - share), (before + 1, share)) if share else ((before, 1.0),)


def blend(values: Sequence[float], weights: Sequence[tuple[int, float]], is_decibel: bool) -> float:
    """Returns a quality metric between measured points; decibels are averaged as squared errors.

    Args:
        values: One value per point.
        weights: Number of a point and its weight; the weights sum to 1.
        is_decibel: Whether the values are 10 log10(1 / squared error).

    Example:
        >>> round(blend([80.0, 30.0], [(0, 0.5), (1, 0.5)], True), 2)  # half the squared error of 30 dB
        33.01
        >>> blend([80.0, 30.0], [(0, 0.5), (1, 0.5)], False)
        55.0
    """
    if not is_decibel:
        return sum(weight * values[point] for point, weight in weights)
    error = sum(weight * 10 ** (-values[point] / 10) for point, weight in weights)
    return -10 * math.log10(error)


def area(quality: Sequence[float], limit: float) -> tuple[float, ...]:
    """Returns the weight of each point in the mean over quality of what is drawn, from the first point to `limit`.

    The trapezoid rule over the monotone curve of `meet`; the weights sum to 1. Empty where the curve ends before.

    Example:
        >>> area([0.0, 0.5, 1.0], 1.0)  # of values y: 0.5 * (y0 + y1) / 2 + 0.5 * (y1 + y2) / 2
        (0.25, 0.5, 0.25)
        >>> area([0.0, 0.5], 1.0)
        ()
    """
    level = _visibility(quality, limit < quality[0], limit)
    end = _crossing(level)
    if math.isinf(end) or level[0] >= 0:
        return ()
    weights = [0.0] * len(quality)
    for start in range(math.ceil(end)):
        share = min(1.0, end - start)
        width = (level[start + 1] - level[start]) * share
        weights[start] += width * (1 - share / 2)
        weights[start + 1] += width * share / 2
    return tuple(weight / -level[0] for weight in weights)


def _visibility(values: Sequence[float], higher_is_better: bool, limit: float) -> list[float]:
    """Returns by how much each value is worse than the limit; a later point counts as no better than an earlier one."""
    excess: list[float] = []
    for value in values:
        worst = excess[-1] if excess else -math.inf
        excess.append(max(worst, _excess(value, limit, higher_is_better)))
    return excess


def _excess(value: float, limit: float, higher_is_better: bool) -> float:
    """Returns by how much a value is worse than its limit."""
    return limit - value if higher_is_better else value - limit


def _strength(attempt: tuple[float, Mapping[str, float]]) -> float:
    return attempt[0]


def _crossing(values: Sequence[float]) -> float:
    """Returns where the values first reach 0, in steps from the first; infinity where they never do."""
    for number, value in enumerate(values):
        if value >= 0:
            if number == 0:
                return 0.0
            before = values[number - 1]
            return number - 1 + before / (before - value)
    return math.inf
