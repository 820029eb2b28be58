"""Tables of the view-model: cells that hold a number with its text, and how an estimate becomes one."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cloakbench_leaderboards import text
from cloakbench_leaderboards.scores.statistics import Estimate


@dataclass(frozen=True, slots=True)
class TableCell:
    """One cell of a table."""

    text: str
    value: float | None = None
    low: float | None = None
    """Limits of the 95 % interval, where there is one."""
    high: float | None = None
    detail: str = ""
    """Second line, smaller: an interval, a difference, a caveat."""
    flag: str = ""
    """Third line: what is missing in the number or wrong with it."""
    note: str = ""
    """Longer explanation."""
    span: int = 1
    kind: str = "number"
    """`number`, `words`, `state` (words instead of a number) or `warning`."""
    bar: IntervalBar | None = None
    """The interval drawn, on the front page."""


@dataclass(frozen=True, slots=True)
class IntervalBar:
    """An interval drawn to scale, in per cent of its track."""

    zero: float
    one: float | None
    value: float
    low: float
    width: float


@dataclass(frozen=True, slots=True)
class TableColumn:
    """One column of a table."""

    label: str
    detail: str = ""
    better: str = ""
    """`↑` or `↓`: which way is better for the artist."""
    kind: str = "number"
    """`number`, `carrier` (it carries the rank) or `words`."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its head, and the cells behind it."""

    head: str
    detail: str
    is_control: bool
    cells: tuple[TableCell, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """One table with its caption; `head` names the column of row heads."""

    caption: str
    head: str
    columns: tuple[TableColumn, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over artists with its 95 % interval, which is None where there are too few."""

    value: float | None
    low: float | None
    high: float | None


def estimate_cell(estimate: Estimate, note: str = "") -> TableCell:
    """Returns a number with its interval on the second line, rounded to its noise."""
    if not math.isfinite(estimate.value):
        return TableCell(text.NONE, note=note or estimate.reason)
    if not estimate.has_interval:
        return TableCell(text.number(estimate.value), _exact(estimate.value), note=note)
    return TableCell(
        text.number(estimate.value, (estimate.high - estimate.low) / 2),
        _exact(estimate.value),
        _exact(estimate.low),
        _exact(estimate.high),
        detail=text.interval(estimate.low, estimate.high) if estimate.high > estimate.low else "",
        note=note,
    )


def interval_of(estimate: Estimate) -> Interval:
    """Returns an estimate as data."""
    known = _exact(estimate.value) if math.isfinite(estimate.value) else None
    return Interval(known, *limits(estimate))


def value_cell(estimate: Estimate | None) -> TableCell:
    """Returns a raw mean to three digits, without its interval over artists: artists differ by nature."""
    if estimate is None or not math.isfinite(estimate.value):
        return TableCell(text.NONE)
    return TableCell(text.number(estimate.value), _exact(estimate.value))


def limits(estimate: Estimate) -> tuple[float | None, float | None]:
    """Returns the interval's ends, or None twice."""
    if not estimate.has_interval:
        return None, None
    return _exact(estimate.low), _exact(estimate.high)


def _exact(value: float) -> float:
    # Ten digits: the last bits of a sum differ between processors, and the page shows fewer anyway.
    return float(f"{value:.10g}")
