"""Curves as geometry: a template writes them as SVG in a fraction of a millisecond, in the colours of the page."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cloakbench_leaderboards import text
from cloakbench_leaderboards.board.view import CurvePoint, CurveSeries, TradeOffCurve

Scale = Callable[[float], float]
COLOURS = 6
"""Colours of the style sheet, apart under all common colour blindness; then they come again, dashed."""
NAMED = 12
"""Protections with a colour and a name; the others are drawn thin and grey."""


class Size(NamedTuple):
    """Size of a chart and of the margins around its plot, in pixels."""

    width: int
    height: int
    left: int
    bottom: int
    ticks: int


WIDE = Size(600, 300, 52, 44, 6)
SMALL = Size(240, 132, 34, 20, 3)
TOP, RIGHT = 10, 10


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis."""

    place: str
    label: str


@dataclass(frozen=True, slots=True)
class Stroke:
    """One curve with its band and its points."""

    label: str
    kind: str
    """Classes of the style sheet: colour and dash."""
    path: str
    band: str
    """Outline of the interval; empty where there is none."""
    dots: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """A plot, all its coordinates ready."""

    title: str
    alternative: str
    x_label: str
    y_label: str
    has_words: bool
    """Whether the axes have their names; a small plot among others like it has none."""
    size: Size
    frame: tuple[int, int, int, int]
    """Left, top, right, bottom."""
    middle: tuple[str, str]
    """Where the names of both axes stand."""
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    levels: tuple[Tick, ...]
    """Where P is 0 and 1."""
    strokes: tuple[Stroke, ...]
    named: tuple[Stroke, ...]
    """Those that a legend names."""


def kinds(labels: Sequence[str], controls: Sequence[str]) -> dict[str, str]:
    """Returns the classes of each curve by label: one style for a protection in all charts of a page.

    Example:
        >>> kinds(["a", "b"], ["noise"])
        {'a': 'c0 d0', 'b': 'c1 d0', 'noise': 'g0'}
    """
    found = {label: f"c{n % COLOURS} d{n // COLOURS}" if n < NAMED else "rest" for n, label in enumerate(labels)}
    return found | {label: f"g{n % 2}" for n, label in enumerate(controls)}


def chart(curve: TradeOffCurve, kinds: Mapping[str, str], size: Size = WIDE, title: str = "") -> Chart:
    """Returns a curve as geometry."""
    xs = [point.x for series in curve.series for point in series.points]
    x_low, x_high = _span(xs, is_zero_in=not curve.x_reversed)
    left, top, right, bottom = frame = (size.left, TOP, size.width - RIGHT, size.height - size.bottom)

    def across(x: float) -> float:
        share = (x - x_low) / (x_high - x_low)
        return left + (right - left) * (1 - share if curve.x_reversed else share)

    def up(y: float) -> float:
        return bottom - (bottom - top) * (y - curve.y_low) / (curve.y_high - curve.y_low)

    drawn = tuple(
        _stroke(series, kinds.get(series.label, "rest"), across, up)
        for series in sorted(curve.series, key=lambda each: _depth(kinds.get(each.label, "rest")))
    )
    return Chart(
        title=title or curve.title,
        alternative=curve.alternative,
        x_label=f"{curve.x_label}, more visible →" if size is WIDE else curve.x_label,
        y_label=curve.y_label,
        has_words=size is WIDE,
        size=size,
        frame=frame,
        middle=(_place((left + right) / 2), _place((top + bottom) / 2)),
        x_ticks=tuple(Tick(_place(across(x)), words) for x, words in _ticks(x_low, x_high, size.ticks)),
        y_ticks=tuple(Tick(_place(up(y)), words) for y, words in _ticks(curve.y_low, curve.y_high, size.ticks)),
        levels=tuple(
            Tick(_place(up(y)), words)
            for y, words in ((0.0, "as from clean images"), (1.0, "as if never seen"))
            if curve.y_label in ("P, protection", "effect") and curve.y_low <= y <= curve.y_high
        ),
        strokes=drawn,
        named=tuple(stroke for stroke in reversed(drawn) if stroke.kind != "rest"),
    )


def _depth(kind: str) -> tuple[int, str, str]:
    """Returns what is drawn first: the nameless, then controls, then protections from the last to the first."""
    if kind == "rest":
        return (0, "", "")
    colour, _, dash = kind.partition(" ")
    backwards = str(9 - int(dash[1:] or 0)) if dash else ""
    return (1 if kind.startswith("g") else 2, backwards, str(9 - int(colour[1:])))


def _stroke(series: CurveSeries, kind: str, across: Scale, up: Scale) -> Stroke:
    dots = tuple((_place(across(point.x)), _place(up(point.y))) for point in series.points)
    path = "M" + "L".join(f"{x},{y}" for x, y in dots)
    return Stroke(series.label, kind, path, "" if kind == "rest" else _band(series.points, across, up), dots)


def _band(points: Sequence[CurvePoint], across: Scale, up: Scale) -> str:
    ends = [(each.x, each.low, each.high) for each in points if each.low is not None and each.high is not None]
    if len(ends) < 2:
        return ""
    above = [f"{_place(across(x))},{_place(up(high))}" for x, _, high in ends]
    below = [f"{_place(across(x))},{_place(up(low))}" for x, low, _ in reversed(ends)]
    return "M" + "L".join([*above, *below]) + "Z"


def _span(values: Sequence[float], is_zero_in: bool) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    low = min(low, 0.0) if is_zero_in else low
    margin = (high - low) * 0.04 or 0.5
    return (low if is_zero_in else low - margin), high + margin


def _ticks(low: float, high: float, count: int) -> list[tuple[float, str]]:
    """Returns round values between both ends, about `count` of them, with their text.

    Example:
        >>> [words for _, words in _ticks(-0.1, 1.04, 3)]
        ['0', '0.5', '1']
    """
    rough = (high - low) / count
    scale = 10.0 ** math.floor(math.log10(rough))
    step = next(scale * factor for factor in (1, 2, 5, 10) if scale * factor >= rough * 0.999)
    places = range(math.ceil(low / step), math.floor(high / step) + 1)
    return [(n * step, f"{n * step:.6g}".replace("-", text.MINUS)) for n in places]


def _place(value: float) -> str:
    # A tenth of a pixel is enough, and the last digits of a sum differ between processors.
    return f"{value:.1f}"
