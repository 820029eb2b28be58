"""Equal quality and equal protection: where a curve over strengths meets a limit, never outside what was measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from cloakbench.schemas.suite import Matching

State = Literal["calibrated", "interpolated", "measured", "over target", "not reached", "no curve"]


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
    """The place on a curve at which an entry is compared."""

    state: State
    weights: tuple[tuple[float, float], ...]
    """Strengths with their weights, which sum to 1: one measured point, or two neighbours to interpolate between."""
    binding: str
    """The metric that stops the curve here; empty where none does."""
    note: str
    """What a reader needs to know: why there is no value, or what is wrong with it."""


def stops(matching: Matching) -> list[OperatingPoint]:
    """Returns the three targets with the limits of all gates, from better to worse quality."""
    return [
        OperatingPoint(f"{matching.metric} {target:g}", target, matching.limits(target), math.nan)
        for target in matching.targets
    ]


def meet(curve: QualityCurve, limits: Mapping[str, float], higher_is_better: Mapping[str, bool]) -> Match:
    """Returns where the curve first meets one of `limits`, by straight lines between neighbouring points.

    A stronger point counts as at least as visible as every weaker one, so that the curve is monotone. Where the last
    point is still better than all limits, the state is `not reached`.
    """
    if not limits.keys() <= curve.quality.keys():
        return Match("no curve", (), "", "no measured quality")
    if len(curve.strengths) < 2:
        return Match("no curve", (), "", "no point measured")
    visible = {name: _visibility(curve.quality[name], higher_is_better[name], limit) for name, limit in limits.items()}
    if max(values[0] for values in visible.values()) > 0:
        return Match("no curve", (), "", "the weakest point measured is already past the target")
    place, name = min(((_crossing(values), name) for name, values in visible.items()), key=lambda found: found[0])
    if math.isinf(place):
        first = next(iter(limits))
        return Match("not reached", (), "", f"the strongest point has {first} {curve.quality[first][-1]:.3g}")
    before, share = int(place), place - int(place)
    if share == 0:
        return Match("measured", ((curve.strengths[before], 1.0),), name, "")
    ends = (curve.strengths[before], 1 - share), (curve.strengths[before + 1], share)
    return Match("interpolated", ends, name, "")


class CalibratedStrength(NamedTuple):
    """A strength that a run sought for a target."""

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
    above = min((each for each in tries if each[0] > strength), key=lambda each: each[0], default=None)
    quality = above[1] if above else {}
    past = [n for n, limit in limits.items() if n in quality and _excess(quality[n], limit, higher_is_better[n]) > 0]
    return next(iter([*past, *limits]), "")


def calibrated(
    sought: CalibratedStrength, quality: Mapping[str, float], higher_is_better: Mapping[str, bool], tolerance: float
) -> Match:
    """Returns the match at a calibrated strength, judged by the quality that the artists' own images have there.

    `over target` where that is worse than the limit by more than the tolerance, or any gate is broken; `not reached`
    where the protection at full strength is still better than the target by more than the tolerance.
    """
    metric = next(iter(sought.limits))
    excess = {
        name: _excess(quality[name], limit, higher_is_better[name])
        for name, limit in sought.limits.items()
        if name in quality
    }
    if len(excess) < len(sought.limits):
        return Match("no curve", (), "", "no measured quality")
    broken = [name for name, by in excess.items() if by > (tolerance if name == metric else 0.0)]
    if broken:
        told = ", ".join(f"{name} {quality[name]:.3g} past {sought.limits[name]:g}" for name in broken)
        return Match("over target", ((sought.strength, 1.0),), broken[0], f"over target on the artists' images: {told}")
    if sought.strength >= 1 and excess[metric] < -tolerance:
        return Match("not reached", (), "", f"at full strength {metric} is {quality[metric]:.3g}")
    return Match("calibrated", ((sought.strength, 1.0),), sought.binding, "")


def at_protection(protection: Sequence[float], level: float) -> tuple[tuple[int, float], ...]:
    """Returns the places (number of the point, weight) where P over rising strengths first reaches `level`.

    Empty where it never does.

    Example:
        >>> at_protection([0.0, 0.2, 0.6], 0.5)
        ((1, 0.25), (2, 0.75))
        >>> at_protection([0.0, 0.2, 0.6], 0.7)
        ()
    """
    place = _crossing([value - level for value in protection])
    if math.isinf(place):
        return ()
    before, share = int(place), round(place - int(place), 12)
    return ((before, 1 - share), (before + 1, share)) if share else ((before, 1.0),)


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
    for place in range(math.ceil(end)):
        share = min(1.0, end - place)
        width = (level[place + 1] - level[place]) * share
        weights[place] += width * (1 - share / 2)
        weights[place + 1] += width * share / 2
    return tuple(weight / -level[0] for weight in weights)


def _visibility(values: Sequence[float], higher_is_better: bool, limit: float) -> list[float]:
    return _monotone([_excess(value, limit, higher_is_better) for value in values])


def _excess(value: float, limit: float, higher_is_better: bool) -> float:
    """Returns by how much a value is worse than its limit."""
    return limit - value if higher_is_better else value - limit


def _monotone(values: Sequence[float]) -> list[float]:
    return [max(values[: place + 1]) for place in range(len(values))]


def _crossing(values: Sequence[float]) -> float:
    """Returns the place, in points, where the values first reach 0; infinity where they never do."""
    for place, value in enumerate(values):
        if value >= 0:
            if place == 0:
                return 0.0
            before = values[place - 1]
            return place - 1 + before / (before - value)
    return math.inf
