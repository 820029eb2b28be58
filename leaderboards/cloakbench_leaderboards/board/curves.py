"""Trade-off curves: P, effect and raw values over quality, from the identity point over the operating points."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cloakbench_leaderboards import text
from cloakbench_leaderboards.board.equal_strength import UNIT_LIMIT
from cloakbench_leaderboards.board.tables import limits
from cloakbench_leaderboards.board.view import CurvePoint, CurveSeries, TradeOffCurve
from cloakbench_leaderboards.scores.evidence import BoardEntry, Evidence
from cloakbench_leaderboards.scores.statistics import Estimate

LEAST_RANGE = 0.3
"""The P axis always spans at least this much, so that noise does not look like protection."""
P, EFFECT = "P", "effect"


def curves(evidence: Evidence, attack: str, span: tuple[float, float]) -> tuple[TradeOffCurve, ...]:
    """Returns the trade-offs against one attack, the first of P over the metric that entries are matched by.

    The headline's attack also has effect and the raw distance over that metric, and P over every other quality metric.
    None at all where no entry has both a quality and a P.
    """
    chosen, first = evidence.suite.metrics, first_metric(evidence)
    shown = [(P, first)]
    if attack == evidence.rank_attack:
        others = [name for name in chosen.quality if name != first]
        shown += [(EFFECT, first), (chosen.primary, first), *((P, name) for name in others)]
    found = [curve(evidence, attack, measure, metric, span) for measure, metric in shown]
    return tuple(each for each in found if each is not None)


def span(evidence: Evidence) -> tuple[float, float]:
    """Returns the P axis that all curves of a board share, so that attacks can be compared by eye."""
    found = [point.p for point in evidence.scores.summary.values() if not point.reason]
    return _span(found, [0.0, LEAST_RANGE])


def first_metric(evidence: Evidence) -> str:
    """Returns the quality metric that entries are matched by, else the suite's first; empty where it has none."""
    suite = evidence.suite
    return suite.matching.metric if suite.matching else next(iter(suite.metrics.quality), "")


def curve(
    evidence: Evidence, attack: str, measure: str, metric: str, span: tuple[float, float]
) -> TradeOffCurve | None:
    """Returns `P`, `effect` or the raw distance over a quality metric; None where no entry has both.

    `span` is the axis of P.
    """
    start = _start(evidence, attack, measure, metric)
    series = []
    for entry in evidence.entries:
        if entry.facts.role in ("identity", "floor"):
            continue
        points = _points(evidence, entry, attack, measure, metric)
        if points:
            series.append(CurveSeries(entry.label, entry.is_control, (*start, *points)))
    if not series:
        return None
    y = span
    if measure != P:
        found = [_value(evidence, e.name, s, attack, measure) for e in evidence.entries for s in e.strengths]
        y = _span([each for each in found if each is not None], [0.0, LEAST_RANGE] if measure == EFFECT else [])
    facts = evidence.metric(metric)
    unit = f" ({text.plain(facts.unit, UNIT_LIMIT)})" if facts and facts.unit else ""
    title = {P: "Protection", EFFECT: "Effect"}.get(measure, text.plain(measure).capitalize())
    return TradeOffCurve(
        title=f"{title} against “{text.name(attack)}” over {text.name(metric)}",
        x_label=f"{text.name(metric)}{unit}",
        x_reversed=bool(facts and facts.higher_is_better),
        y_label={P: "P, protection", EFFECT: "effect"}.get(measure, measure),
        y_low=y[0],
        y_high=y[1],
        series=tuple(series),
        alternative=_alternative(attack, measure, metric, series),
    )


def _span(found: Sequence[Estimate], ends: Sequence[float]) -> tuple[float, float]:
    ends = list(ends)
    for each in found:
        ends += [each.low, each.high] if each.has_interval else [each.value]
    margin = 0.04 * (max(ends) - min(ends))
    low, high = round(min(ends) - margin, 3), round(max(ends) + margin, 3)
    return low, max(high, low + 0.001)  # values that differ by less than a digit still need an axis


def _start(evidence: Evidence, attack: str, measure: str, metric: str) -> tuple[CurvePoint, ...]:
    for entry in evidence.entries:
        if entry.facts.role == "identity":
            return _points(evidence, entry, attack, measure, metric)[:1]
    return ()


def _points(evidence: Evidence, entry: BoardEntry, attack: str, measure: str, metric: str) -> tuple[CurvePoint, ...]:
    points = []
    for strength in entry.strengths:
        quality = evidence.quality.get((entry.name, strength, metric))
        value = _value(evidence, entry.name, strength, attack, measure)
        if quality is None or value is None:
            continue
        x, y = float(f"{quality.value:.10g}"), float(f"{value.value:.10g}")
        points.append(CurvePoint(strength, x, y, *limits(value)))
    return tuple(points)


def _value(evidence: Evidence, name: str, strength: float, attack: str, measure: str) -> Estimate | None:
    point = evidence.scores.summary.get((name, strength, attack))
    if point is None or point.reason:
        return None
    value = {P: point.p, EFFECT: point.effect}.get(measure, point.distance)
    return value if math.isfinite(value.value) else None


def _alternative(attack: str, measure: str, metric: str, series: Sequence[CurveSeries]) -> str:
    ends = "; ".join(
        f"{each.label} reaches {measure} {text.number(each.points[-1].y)} at {metric} {text.number(each.points[-1].x)}"
        for each in series[:12]
    )
    return f"Plot of {measure} against {metric}, attack {text.name(attack)}. {ends}. The table below holds all values."
