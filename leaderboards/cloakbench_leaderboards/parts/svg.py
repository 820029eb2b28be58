"""Curves as geometry in pixels, which a template writes as SVG in the colours of the page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

from cloakbench_leaderboards import text
from cloakbench_leaderboards.board.view import CurveSeries, Measure, TradeOffCurve

COLOURS = 6
"""Colours of the style sheet, distinct under all common colour blindness; further entries repeat them with dashes."""
NAMED = 12
"""Protections with a colour and a name; the others are drawn thin and grey."""
LEVELS = ((0.0, "as from clean images"), (1.0, "as if never seen"))
"""Values of P and of the effect with a meaning of their own."""
LINE_HEIGHT = 13.0
"""Least distance between two labels, in pixels."""


class Size(NamedTuple):
    """Size of a chart and of the margins around its plot, in pixels."""

    width: int
    height: int
    left: int
    bottom: int
    ticks: int
    right: int = 10
    """Room for the labels at the ends of lines."""


FRONT = Size(960, 420, 52, 44, 7, 120)
WIDE = Size(600, 300, 52, 44, 6)
SMALL = Size(240, 132, 34, 20, 3)
TOP = 10


class CurveStyle(NamedTuple):
    """The look of one entry, the same in all charts of the site."""

    number: int | None
    """Position among the named submissions or among the controls; None for an entry without a name in the plot."""
    is_control: bool

    @property
    def is_named(self) -> bool:
        """Whether a legend names it."""
        return self.number is not None

    @property
    def css(self) -> str:
        """Classes of the style sheet: colour and dash.

        Example:
            >>> CurveStyle(7, False).css, CurveStyle(0, True).css, UNNAMED.css
            ('c1 d1', 'g0', 'rest')
        """
        if self.number is None:
            return "rest"
        if self.is_control:
            return f"g{self.number % 2}"
        return f"c{self.number % COLOURS} d{self.number // COLOURS}"

    @property
    def depth(self) -> tuple[int, int]:
        """The order of drawing: unnamed entries first, then controls, then submissions from the last to the first."""
        if self.number is None:
            return (0, 0)
        return (1 if self.is_control else 2, -self.number)


UNNAMED = CurveStyle(None, False)


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis."""

    at: str
    label: str


@dataclass(frozen=True, slots=True)
class Stroke:
    """One curve with its band and its points."""

    label: str
    css: str
    is_named: bool
    path: str
    band: str
    """Outline of the interval; empty where there is none."""
    dots: tuple[tuple[str, str], ...]
    label_at: tuple[str, str]
    """Position of the label at the right end of the line."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A plot with all coordinates as text."""

    title: str
    alternative: str
    x_label: str
    y_label: str
    has_words: bool
    """Whether the axes have names; small plots of a series have none."""
    has_end_labels: bool
    size: Size
    frame: tuple[int, int, int, int]
    """Left, top, right, bottom."""
    middle: tuple[str, str]
    """Position of the names of both axes."""
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    levels: tuple[Tick, ...]
    """Where P is 0 and 1."""
    strokes: tuple[Stroke, ...]
    named: tuple[Stroke, ...]
    """Those that a legend names."""


class Scale(NamedTuple):
    """A linear map from values to pixels."""

    low: float
    high: float
    start: float
    """Pixel of `low`."""
    end: float
    """Pixel of `high`."""

    def pixel(self, value: float) -> float:
        """Returns the pixel of a value."""
        return self.start + (self.end - self.start) * (value - self.low) / (self.high - self.low)

    def at(self, value: float) -> str:
        """Returns the pixel of a value as text."""
        return _pixel_text(self.pixel(value))

    def ticks(self, count: int) -> tuple[Tick, ...]:
        """Returns about `count` ticks at round values."""
        return tuple(Tick(self.at(value), label) for value, label in _round_values(self.low, self.high, count))


def styles(labels: Sequence[str], controls: Sequence[str]) -> dict[str, CurveStyle]:
    """Returns the style of each entry by label.

    Example:
        >>> {label: style.css for label, style in styles(["a", "b"], ["noise"]).items()}
        {'a': 'c0 d0', 'b': 'c1 d0', 'noise': 'g0'}
    """
    by_label = {}
    for number, label in enumerate(labels):
        by_label[label] = CurveStyle(number, False) if number < NAMED else UNNAMED
    for number, label in enumerate(controls):
        by_label[label] = CurveStyle(number, True)
    return by_label


def fitted(curve: TradeOffCurve) -> TradeOffCurve:
    """Returns the curve with a P axis that holds 0, 1 and all means; intervals may leave it."""
    means = []
    for series in curve.series:
        for point in series.points:
            means.append(point.y)
    return replace(curve, y_low=min(0.0, *means) - 0.05, y_high=max(1.0, *means) + 0.05)


def chart(curve: TradeOffCurve, styles: Mapping[str, CurveStyle], size: Size = WIDE, title: str = "") -> Chart:
    """Returns a curve as geometry.

    Args:
        curve: The curve of each entry in its own units.
        styles: The look of each entry by label; an entry without one is drawn thin and grey.
        size: Size of the chart.
        title: Caption in place of the curve's own.
    """
    left, top, right, bottom = frame = (size.left, TOP, size.width - size.right, size.height - size.bottom)
    low, high = _x_range(curve)
    x = Scale(low, high, right, left) if curve.x_reversed else Scale(low, high, left, right)
    y = Scale(curve.y_low, curve.y_high, bottom, top)
    strokes = _strokes(curve, styles, x, y)
    has_words = size is not SMALL
    return Chart(
        title=title or curve.title,
        alternative=curve.alternative,
        x_label=f"{curve.x_label}, more visible →" if has_words else curve.x_label,
        y_label=curve.y_label,
        has_words=has_words,
        has_end_labels=size is FRONT,
        size=size,
        frame=frame,
        middle=(_pixel_text((left + right) / 2), _pixel_text((top + bottom) / 2)),
        x_ticks=x.ticks(size.ticks),
        y_ticks=y.ticks(size.ticks),
        levels=_levels(curve, y),
        strokes=strokes,
        named=tuple(stroke for stroke in reversed(strokes) if stroke.is_named),
    )


def _levels(curve: TradeOffCurve, y: Scale) -> tuple[Tick, ...]:
    if curve.measure is Measure.DISTANCE:
        return ()
    return tuple(Tick(y.at(value), words) for value, words in LEVELS if curve.y_low <= value <= curve.y_high)


def _strokes(curve: TradeOffCurve, styles: Mapping[str, CurveStyle], x: Scale, y: Scale) -> tuple[Stroke, ...]:
    ordered = sorted(curve.series, key=lambda series: styles.get(series.label, UNNAMED).depth)
    ends = _label_heights([y.pixel(series.points[-1].y) for series in ordered])
    strokes = []
    for series, end in zip(ordered, ends, strict=True):
        style = styles.get(series.label, UNNAMED)
        dots = tuple((x.at(point.x), y.at(point.y)) for point in series.points)
        band = _band(series, x, y) if style.is_named else ""
        path = "M" + "L".join(map(",".join, dots))
        label_at = (x.at(series.points[-1].x), _pixel_text(end))
        strokes.append(Stroke(series.label, style.css, style.is_named, path, band, dots, label_at))
    return tuple(strokes)


def _label_heights(heights: Sequence[float]) -> list[float]:
    """Returns the heights moved apart, so that labels at the same end do not overlap."""
    moved = list(heights)
    order = sorted(range(len(heights)), key=heights.__getitem__)
    for above, below in pairwise(order):
        moved[below] = max(moved[below], moved[above] + LINE_HEIGHT)
    return moved


def _band(series: CurveSeries, x: Scale, y: Scale) -> str:
    above, below = [], []
    for point in series.points:
        if point.low is not None and point.high is not None:
            above.append(f"{x.at(point.x)},{y.at(point.high)}")
            below.append(f"{x.at(point.x)},{y.at(point.low)}")
    if len(above) < 2:
        return ""
    return "M" + "L".join([*above, *reversed(below)]) + "Z"


def _x_range(curve: TradeOffCurve) -> tuple[float, float]:
    values = []
    for series in curve.series:
        for point in series.points:
            values.append(point.x)
    low, high = min(values, default=0.0), max(values, default=1.0)
    is_zero_in = not curve.x_reversed
    low = min(low, 0.0) if is_zero_in else low
    margin = (high - low) * 0.04 or 0.5
    return (low if is_zero_in else low - margin), high + margin


def _round_values(low: float, high: float, count: int) -> list[tuple[float, str]]:
    """Returns round values between both ends, about `count` of them, with their text.

    Example:
        >>> [words for _, words in _round_values(-0.1, 1.04, 3)]
        ['0', '0.5', '1']
    """
    rough = (high - low) / count
    scale = 10.0 ** math.floor(math.log10(rough))
    step = next(scale * factor for factor in (1, 2, 5, 10) if scale * factor >= rough * 0.999)
    values = []
    for number in range(math.ceil(low / step), math.floor(high / step) + 1):
        values.append((number * step, f"{number * step:.6g}".replace("-", text.MINUS)))
    return values


def _pixel_text(value: float) -> str:
    # A tenth of a pixel is enough, and the last digits of a sum differ between processors.
    return f"{value:.1f}"
