"""Trade-off curves: P, effect and raw values over quality, from the unprotected images over the operating points."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cloakbench.schemas.kinds import Role
from cloakbench.schemas.suite import Suite
from cloakbench_leaderboards import text
from cloakbench_leaderboards.board.tables import exact, limits
from cloakbench_leaderboards.board.view import CurvePoint, CurveSeries, Measure, TradeOffCurve
from cloakbench_leaderboards.scores.evidence import BoardEntry, Evidence
from cloakbench_leaderboards.scores.statistics import Estimate

UNIT_LIMIT = 30
"""Characters of a metric's unit that a page shows."""
LEAST_RANGE = 0.3
"""The P axis always spans at least this much, so that noise does not look like protection."""
NAMED_ENDS = 12
"""Curves that the text alternative of a plot describes."""

TITLES = {Measure.PROTECTION: "Protection", Measure.EFFECT: "Effect"}
"""Names of the vertical axis in titles; the distance is named by its metric."""


def curves(evidence: Evidence, attack: str, span: tuple[float, float]) -> tuple[TradeOffCurve, ...]:
    """Returns the trade-offs against one attack, the first of P over the metric that entries are matched by.

    The headline's attack also has effect and the raw distance over that metric, and P over every other quality metric.
    Empty where no entry has both a quality and a P.
    """
    first = first_metric(evidence.suite)
    axes = [(Measure.PROTECTION, first)]
    if attack == evidence.rank_attack:
        axes += [(Measure.EFFECT, first), (Measure.DISTANCE, first)]
        for name in quality_metrics(evidence.suite)[1:]:
            axes.append((Measure.PROTECTION, name))
    drawn = []
    for measure, metric in axes:
        drawn_curve = curve(evidence, attack, measure, metric, span)
        if drawn_curve is not None:
            drawn.append(drawn_curve)
    return tuple(drawn)


def span(evidence: Evidence) -> tuple[float, float]:
    """Returns the P axis that all curves of a board share, so that attacks can be compared by eye."""
    scored = []
    for point in evidence.scores.summary.values():
        if not point.reason:
            scored.append(point.p)
    return _span(scored, [0.0, LEAST_RANGE])


def first_metric(suite: Suite) -> str:
    """Returns the quality metric that entries are matched by, else the suite's first; empty where it has none."""
    return suite.matching.metric if suite.matching else next(iter(suite.metrics.quality), "")


def quality_metrics(suite: Suite) -> list[str]:
    """Returns the quality metrics, the one that entries are matched by first."""
    first = first_metric(suite)
    return [first, *(name for name in suite.metrics.quality if name != first)] if first else []


def curve(
    evidence: Evidence, attack: str, measure: Measure, metric: str, span: tuple[float, float]
) -> TradeOffCurve | None:
    """Returns a trade-off curve; None where no entry has both values.

    Args:
        evidence: The evidence of the board.
        attack: Name of the attack.
        measure: Quantity of the vertical axis.
        metric: Quality metric of the horizontal axis.
        span: Ends of the axis of P.
    """
    series = _series(evidence, attack, measure, metric)
    if not series:
        return None
    low, high = span if measure is Measure.PROTECTION else _own_span(evidence, attack, measure)
    facts = evidence.metric(metric)
    unit = f" ({text.plain(facts.unit, UNIT_LIMIT)})" if facts and facts.unit else ""
    label = _label(evidence, measure)
    title = TITLES.get(measure, label.capitalize())
    return TradeOffCurve(
        title=f"{title} against “{text.name(attack)}” over {text.name(metric)}",
        measure=measure,
        x_label=f"{text.name(metric)}{unit}",
        x_reversed=bool(facts and facts.higher_is_better),
        y_label="P, protection" if measure is Measure.PROTECTION else label,
        y_low=low,
        y_high=high,
        series=tuple(series),
        alternative=_alternative(attack, label, metric, series),
    )


def _label(evidence: Evidence, measure: Measure) -> str:
    return text.plain(evidence.suite.metrics.primary) if measure is Measure.DISTANCE else str(measure)


def _series(evidence: Evidence, attack: str, measure: Measure, metric: str) -> list[CurveSeries]:
    start = _start(evidence, attack, measure, metric)
    series = []
    for entry in evidence.entries:
        if entry.facts.role in (Role.IDENTITY, Role.FLOOR):
            continue
        points = _points(evidence, entry, attack, measure, metric)
        if points:
            series.append(CurveSeries(entry.label, entry.is_control, (*start, *points)))
    return series


def _own_span(evidence: Evidence, attack: str, measure: Measure) -> tuple[float, float]:
    values = []
    for entry in evidence.entries:
        for strength in entry.strengths:
            value = _value(evidence, entry.name, strength, attack, measure)
            if value is not None:
                values.append(value)
    return _span(values, [0.0, LEAST_RANGE] if measure is Measure.EFFECT else [])


def _span(values: Sequence[Estimate], ends: Sequence[float]) -> tuple[float, float]:
    ends = list(ends)
    for value in values:
        ends += [value.low, value.high] if value.has_interval else [value.value]
    margin = 0.04 * (max(ends) - min(ends))
    low, high = round(min(ends) - margin, 3), round(max(ends) + margin, 3)
    return low, max(high, low + 0.001)  # values that differ by less than a digit still need an axis


def _start(evidence: Evidence, attack: str, measure: Measure, metric: str) -> tuple[CurvePoint, ...]:
    for entry in evidence.entries:
        if entry.facts.role == Role.IDENTITY:
            return _points(evidence, entry, attack, measure, metric)[:1]
    return ()


def _points(
    evidence: Evidence, entry: BoardEntry, attack: str, measure: Measure, metric: str
) -> tuple[CurvePoint, ...]:
    points = []
    for strength in entry.strengths:
        quality = evidence.quality.get((entry.name, strength, metric))
        value = _value(evidence, entry.name, strength, attack, measure)
        if quality is None or value is None:
            continue
        points.append(CurvePoint(strength, exact(quality.value), exact(value.value), *limits(value)))
    return tuple(points)


def _value(evidence: Evidence, name: str, strength: float, attack: str, measure: Measure) -> Estimate | None:
    point = evidence.scores.summary.get((name, strength, attack))
    if point is None or point.reason:
        return None
    values = {Measure.PROTECTION: point.p, Measure.EFFECT: point.effect, Measure.DISTANCE: point.distance}
    value = values[measure]
    return value if math.isfinite(value.value) else None


def _alternative(attack: str, label: str, metric: str, series: Sequence[CurveSeries]) -> str:
    ends = []
    for line in series[:NAMED_ENDS]:
        last = line.points[-1]
        ends.append(f"{line.label} reaches {label} {text.number(last.y)} at {metric} {text.quality(last.x)}")
    return f"Plot of {label} against {metric}, attack {text.name(attack)}. {'; '.join(ends)}."
