"""Trade-off curves: a quality metric against P, from the identity point over the operating points."""

from __future__ import annotations

from collections.abc import Sequence

from leaderboards import text
from leaderboards.evidence import Entry, Evidence
from leaderboards.view import Curve, CurvePoint, Series, limits

LEAST_RANGE = 0.3
"""The P axis always spans at least this much, so that noise does not look like protection."""


def curve(evidence: Evidence, attack: str, span: tuple[float, float]) -> Curve | None:
    """Returns the trade-off against one attack, or None where no entry has both a quality and a P."""
    metric = evidence.suite.metrics.quality[0] if evidence.suite.metrics.quality else ""
    start = _start(evidence, attack, metric)
    series = []
    for entry in evidence.entries:
        if entry.facts.role in ("identity", "floor"):
            continue
        points = _points(evidence, entry, attack, metric)
        if points:
            series.append(Series(entry.label, entry.is_control, (*start, *points)))
    if not series:
        return None
    facts = evidence.metric(metric)
    unit = f" ({facts.unit})" if facts and facts.unit else ""
    return Curve(
        title=f"Protection against “{text.name(attack)}” over visibility",
        x_label=f"{metric}{unit}",
        x_reversed=bool(facts and facts.higher_is_better),
        y_low=span[0],
        y_high=span[1],
        series=tuple(series),
        alternative=_alternative(attack, metric, series),
    )


def span(evidence: Evidence) -> tuple[float, float]:
    """Returns the P axis that all curves of a board share, so that attacks can be compared by eye."""
    ends = [0.0, LEAST_RANGE]
    for point in evidence.scores.points.values():
        if not point.reason:
            half = point.p.half_width if point.p.has_interval else 0.0
            ends += [point.p.value - half, point.p.value + half]
    margin = 0.04 * (max(ends) - min(ends))
    return round(min(ends) - margin, 3), round(max(ends) + margin, 3)


def _start(evidence: Evidence, attack: str, metric: str) -> tuple[CurvePoint, ...]:
    for entry in evidence.entries:
        if entry.facts.role == "identity":
            return _points(evidence, entry, attack, metric)[:1]
    return ()


def _points(evidence: Evidence, entry: Entry, attack: str, metric: str) -> tuple[CurvePoint, ...]:
    points = []
    for strength in entry.strengths:
        quality = evidence.quality.get((entry.name, strength, metric))
        point = evidence.scores.points.get((entry.name, strength, attack))
        if quality is None or point is None or point.reason:
            continue
        low, high = limits(point.p)
        x, y = float(f"{quality.value:.10g}"), float(f"{point.p.value:.10g}")
        points.append(CurvePoint(strength, x, y, low, high))
    return tuple(points)


def _alternative(attack: str, metric: str, series: Sequence[Series]) -> str:
    ends = "; ".join(
        f"{each.label} reaches P {text.number(each.points[-1].y)} at {metric} {text.number(each.points[-1].x)}"
        for each in series[:12]
    )
    return f"Plot of P against {metric}, attack {text.name(attack)}. {ends}. The table below holds all values."
