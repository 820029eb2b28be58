"""Tables of the view-model: cells that hold a number with its text, and how an estimate becomes a cell."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from cloakbench_leaderboards import text
from cloakbench_leaderboards.scores.statistics import Estimate


class CellKind(StrEnum):
    """What a cell or a column holds."""

    NUMBER = "number"
    WORDS = "words"
    STATE = "state"
    """Words in place of a number."""
    WARNING = "warning"
    RANKING = "ranking"
    """A column whose numbers decide the rank."""


class Better(StrEnum):
    """Which way a number is better for the artist."""

    HIGHER = "higher"
    LOWER = "lower"
    NEITHER = ""


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
    kind: CellKind = CellKind.NUMBER
    bar: IntervalBar | None = None
    """The interval drawn, on the front page."""


@dataclass(frozen=True, slots=True)
class IntervalBar:
    """An interval drawn to scale, in per cent of its track."""

    zero: float
    full: float | None
    """Where P is 1."""
    value: float
    low: float
    width: float


@dataclass(frozen=True, slots=True)
class TableColumn:
    """One column of a table."""

    label: str
    detail: str = ""
    better: Better = Better.NEITHER
    kind: CellKind = CellKind.NUMBER


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its head, and the cells behind it."""

    head: str
    detail: str
    is_control: bool
    cells: tuple[TableCell, ...]
    link: str = ""
    """Page behind the head, from the site's folder; empty where there is none."""


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


def word_columns(labels: Iterable[str]) -> tuple[TableColumn, ...]:
    """Returns columns that hold words."""
    return tuple(TableColumn(label, kind=CellKind.WORDS) for label in labels)


def word_cells(sentences: Iterable[str], limit: int) -> tuple[TableCell, ...]:
    """Returns cells that hold words, each at most `limit` characters long."""
    return tuple(TableCell(text.plain(sentence, limit), kind=CellKind.WORDS) for sentence in sentences)


def clipped(estimate: Estimate, low: float | None, high: float | None) -> Estimate:
    """Returns the estimate with an interval inside the range of its metric; None is an open end.

    Example:
        >>> clipped(Estimate(0.9, 0.7, 1.2, 8, ""), 0.0, 1.0)[:3]
        (0.9, 0.7, 1.0)
    """
    if not estimate.has_interval:
        return estimate
    lower = estimate.low if low is None else max(estimate.low, low)
    upper = estimate.high if high is None else min(estimate.high, high)
    return estimate._replace(low=lower, high=upper)


def estimate_cell(estimate: Estimate, note: str = "") -> TableCell:
    """Returns a number rounded to its noise, with its interval on the second line.

    Args:
        estimate: Mean over artists with its limits.
        note: Explanation of the number; where there is no number, the estimate's own reason is the default.
    """
    if not math.isfinite(estimate.value):
        return TableCell(text.NONE, note=note or estimate.reason)
    if not estimate.has_interval:
        return TableCell(text.number(estimate.value), exact(estimate.value), note=note)
    return TableCell(
        text.number(estimate.value, half_width(estimate)),
        exact(estimate.value),
        exact(estimate.low),
        exact(estimate.high),
        detail=text.interval(estimate.low, estimate.high) if estimate.high > estimate.low else "",
        note=note,
    )


def interval_of(estimate: Estimate) -> Interval:
    """Returns an estimate as data."""
    value = exact(estimate.value) if math.isfinite(estimate.value) else None
    return Interval(value, *limits(estimate))


def value_cell(estimate: Estimate | None) -> TableCell:
    """Returns a raw mean to three digits, without its interval over artists: artists differ by nature."""
    if estimate is None or not math.isfinite(estimate.value):
        return TableCell(text.NONE)
    return TableCell(text.number(estimate.value), exact(estimate.value))


def difference_words(difference: Estimate) -> str:
    """Returns a difference with its sign and, in brackets, its interval.

    Example:
        >>> difference_words(Estimate(0.25, 0.15, 0.35, 8, ""))
        '+0.25 (0.15 to 0.35)'
    """
    shown = text.number(difference.value, half_width(difference))
    sign = "" if shown.startswith(text.MINUS) else "+"
    interval = text.interval(difference.low, difference.high)
    return f"{sign}{shown}" + (f" ({interval})" if interval else "")


def limits(estimate: Estimate) -> tuple[float | None, float | None]:
    """Returns the interval's ends, or None twice."""
    if not estimate.has_interval:
        return None, None
    return exact(estimate.low), exact(estimate.high)


def half_width(estimate: Estimate) -> float:
    """Returns half of the interval; NaN where there is none."""
    return (estimate.high - estimate.low) / 2


def exact(value: float) -> float:
    """Returns the value to ten digits: the last bits of a sum differ between processors."""
    return float(f"{value:.10g}")


def without_empty_columns(table: Table) -> Table:
    """Returns the table without the columns in which every row has a dash; a note names them."""
    is_filled = _filled_columns(table)
    if all(is_filled):
        return table
    columns, empty = [], []
    for number, (column, filled) in enumerate(zip(table.columns, is_filled, strict=True)):
        if filled:
            columns.append(column)
        else:
            empty.append(f"{column.label}{_details(table, number)}")
    rows = []
    for row in table.rows:
        rows.append(replace(row, cells=_cells_of(row.cells, is_filled)))
    note = f"Left out, because every row has a dash: {', '.join(empty)}."
    return replace(table, columns=tuple(columns), rows=tuple(rows), notes=(*table.notes, note))


def _filled_columns(table: Table) -> list[bool]:
    """Returns for each column whether a row has more than a dash in it; a table without rows keeps its columns."""
    is_filled = [not table.rows] * len(table.columns)
    for row in table.rows:
        start = 0
        for cell in row.cells:
            if cell.text != text.NONE:
                is_filled[start : start + cell.span] = [True] * cell.span
            start += cell.span
    return is_filled


def _cells_of(cells: tuple[TableCell, ...], is_kept: list[bool]) -> tuple[TableCell, ...]:
    """Returns the cells of the kept columns; a cell over several columns becomes as wide as what is kept of them."""
    kept_cells, start = [], 0
    for cell in cells:
        width = sum(is_kept[start : start + cell.span])
        start += cell.span
        if width:
            kept_cells.append(replace(cell, span=width))
    return tuple(kept_cells)


def _details(table: Table, number: int) -> str:
    """Returns in brackets what stands beside the dashes of a column; nothing where the dashes stand alone."""
    details = set()
    for row in table.rows:
        end = 0
        for cell in row.cells:
            end += cell.span
            if number < end:
                details |= {cell.detail, cell.flag}
                break
    words = ", ".join(sorted(details - {""}))
    return f" ({words})" if words else ""
