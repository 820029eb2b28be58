"""The view-model: what a page says, as numbers with their text; templates only place it, `board.json` serialises it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from leaderboards import text
from leaderboards.statistics import Estimate


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table."""

    text: str
    value: float | None = None
    low: float | None = None
    """Limits of the 95 % interval, where there is one."""
    high: float | None = None
    detail: str = ""
    """Second line, smaller: an interval, a difference, a caveat."""
    note: str = ""
    """Longer explanation."""
    span: int = 1
    kind: str = "number"
    """`number`, `words`, `warning` or `bar`."""
    bar: Bar | None = None


@dataclass(frozen=True, slots=True)
class Bar:
    """An interval drawn to scale, in per cent of its track."""

    zero: float
    one: float | None
    value: float
    low: float
    width: float


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    label: str
    detail: str = ""
    better: str = ""
    """`↑` or `↓`: which way is better for the artist."""
    kind: str = "number"


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its head, and the cells behind it."""

    head: str
    detail: str
    is_control: bool
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """One table with its caption; `head` names the column of row heads."""

    caption: str
    head: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One operating point on a trade-off curve."""

    strength: float
    x: float
    y: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Series:
    """One protection's curve."""

    label: str
    is_control: bool
    points: tuple[CurvePoint, ...]


@dataclass(frozen=True, slots=True)
class Curve:
    """The trade-off against one attack: what it costs the image, what it takes from the mimic."""

    title: str
    x_label: str
    x_reversed: bool
    """Whether the metric falls where the protection gets more visible."""
    y_low: float
    y_high: float
    series: tuple[Series, ...]
    alternative: str
    """The plot in words."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A label with what stands behind it."""

    label: str
    words: str


@dataclass(frozen=True, slots=True)
class AttackSection:
    """One attack: what the mimic does, how protections fare."""

    anchor: str
    name: str
    summary: str
    chain: str
    """Countermeasure, mimicry and base model in one line."""
    settings: tuple[Pair, ...]
    curve: Curve | None
    no_curve: str
    """Why there is no curve; empty where there is one."""
    table: Table


@dataclass(frozen=True, slots=True)
class EditSection:
    """One attack that edits images: what the mimic does, how much of the edit protections left."""

    anchor: str
    name: str
    summary: str
    chain: str
    settings: tuple[Pair, ...]
    table: Table


@dataclass(frozen=True, slots=True)
class Editing:
    """What stands beside the ranking: edits of single images, where nothing is learned."""

    explanation: tuple[str, ...]
    attacks: tuple[EditSection, ...]


@dataclass(frozen=True, slots=True)
class ProtectionView:
    """Metadata of an entry."""

    label: str
    title: str
    role: str
    version: str
    distribution: str
    paper: str
    """Web address, or empty."""
    paper_text: str
    licence: str
    budget: str
    deterministic: str


@dataclass(frozen=True, slots=True)
class MetricView:
    """What a metric means."""

    name: str
    version: str
    kind: str
    unit: str
    better: str
    summary: str


@dataclass(frozen=True, slots=True)
class GapView:
    """Something that is not there, and why."""

    what: str
    where: str
    status: str
    reason: str


@dataclass(frozen=True, slots=True)
class Board:
    """The leaderboard of exactly one suite version."""

    suite: str
    version: int
    title: str
    description: str
    banner: str
    demonstration: str
    """The line that says so where the suite is a demonstration."""
    updated: str
    """Date of the newest record."""
    explanation: tuple[str, ...]
    headline: Table
    attacks: tuple[AttackSection, ...]
    editing: Editing | None
    """None where the suite edits nothing."""
    protections: tuple[ProtectionView, ...]
    controls: tuple[Pair, ...]
    gaps: tuple[GapView, ...]
    no_signal: tuple[GapView, ...]
    damaged: tuple[GapView, ...]
    metrics: tuple[MetricView, ...]
    environment: tuple[Pair, ...]
    counts: tuple[Pair, ...]


def estimate_cell(estimate: Estimate, note: str = "") -> Cell:
    """Returns a number with its interval on the second line, rounded to its noise."""
    if not math.isfinite(estimate.value):
        return Cell(text.NONE, note=note or estimate.reason)
    if not estimate.has_interval:
        return Cell(text.number(estimate.value), _exact(estimate.value), note=note)
    value, half = estimate.value, estimate.half_width
    return Cell(
        text.number(value, half),
        _exact(value),
        _exact(value - half),
        _exact(value + half),
        detail=text.interval(value, half) if half else "",
        note=note,
    )


def value_cell(estimate: Estimate | None) -> Cell:
    """Returns a raw mean to three digits, without its interval over artists: artists differ by nature."""
    if estimate is None or not math.isfinite(estimate.value):
        return Cell(text.NONE)
    return Cell(text.number(estimate.value), _exact(estimate.value))


def limits(estimate: Estimate) -> tuple[float | None, float | None]:
    """Returns the interval's ends, or None twice."""
    if not estimate.has_interval:
        return None, None
    return _exact(estimate.value - estimate.half_width), _exact(estimate.value + estimate.half_width)


def _exact(value: float) -> float:
    # Ten digits: the last bits of a sum differ between processors, and the page shows fewer anyway.
    return float(f"{value:.10g}")
