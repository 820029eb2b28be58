"""One number of one entry as a table cell: the value, or the state in its place, with everything that limits it."""

from __future__ import annotations

import math
from dataclasses import replace

from cloakbench.schemas.kinds import PointState
from cloakbench_leaderboards import text
from cloakbench_leaderboards.board.tables import CellKind, IntervalBar, TableCell, clipped, estimate_cell
from cloakbench_leaderboards.scores.evidence import BoardEntry, Evidence
from cloakbench_leaderboards.scores.setting import Value
from cloakbench_leaderboards.scores.statistics import Estimate

AxisEnds = tuple[float, float]
"""Ends of the scale that all bars of P share."""
RETENTION, AREA, WORST, MEAN = "retention", "area", "worst case", "mean"
"""Keys of columns."""
SHOWN_STATES = (PointState.NOT_REACHED, PointState.NO_SIGNAL, PointState.NOT_DEFINED)
"""States that are written in a cell without a number; all others are a dash."""


def entry_number(evidence: Evidence, entry: BoardEntry, key: str) -> TableCell:
    """Returns one number of an entry; raises KeyError where the board has no such column."""
    value, estimate = evidence.standings.value(key, entry.name)
    if key not in (RETENTION, AREA):
        estimate = clipped(estimate, None, 1.0)
    return number_cell(value, estimate, evidence.suite.demonstration)


def number_cell(value: Value, estimate: Estimate, is_demonstration: bool = False) -> TableCell:
    """Returns a number with its interval, or the state in its place; the note of the cell explains both.

    Args:
        value: The contributions of the artists, their state, and what they lack.
        estimate: Their mean with its interval.
        is_demonstration: Whether the board has too few artists by design, so that no cell says so.
    """
    if not math.isfinite(estimate.value):
        words = value.state if value.state in SHOWN_STATES else text.NONE
        reasons = dict.fromkeys((value.note, *value.lacks))
        return TableCell(words, note=text.plain("; ".join(reasons)), kind=CellKind.STATE)
    reason = "" if is_demonstration else estimate.reason
    parts = [part for part in (reason, value.note, *value.lacks) if part]
    cell = estimate_cell(estimate, text.plain("; ".join(parts)))
    flags = limits(value)
    if value.lacks:
        flags.append(_short(value))
    return replace(cell, flag=" · ".join(flags)) if flags else cell


def limits(value: Value) -> list[str]:
    """Returns how the limits of quality affect a number: it is past one, or a second metric limits it."""
    flags = [str(value.state)] if value.state is PointState.OVER_TARGET else []
    if value.gate:
        flags.append(f"limited by {value.gate}")
    return flags


def _short(value: Value) -> str:
    """Returns what a number lacks in a few words; all of it stands in the cell's note."""
    if value.attacks is not None and value.attacks.is_partial:
        return f"{value.attacks.measured} of {value.attacks.planned} attacks"
    return value.lacks[0] if len(value.lacks) == 1 else f"{len(value.lacks)} blocks incomplete"


def fixed_cell(value: float) -> TableCell:
    """Returns a number that holds by definition."""
    return TableCell(f"{value:g}", value, detail="by definition")


def with_bar(cell: TableCell, ends: AxisEnds) -> TableCell:
    """Returns the cell with its number drawn to scale; the cell itself where it has no number."""
    if cell.value is None:
        return cell
    low = _percent(cell.value if cell.low is None else cell.low, ends)
    high = _percent(cell.value if cell.high is None else cell.high, ends)
    bar = IntervalBar(_percent(0.0, ends), _percent(1.0, ends), _percent(cell.value, ends), low, round(high - low, 1))
    return replace(cell, bar=bar)


def _percent(value: float, ends: AxisEnds) -> float:
    clipped = min(max(value, ends[0]), ends[1])
    return round(100 * (clipped - ends[0]) / (ends[1] - ends[0]), 1)
