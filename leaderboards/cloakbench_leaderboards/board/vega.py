"""The trade-off plot: one specification, drawn as SVG at build time and again by the page's script."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import altair as alt
import vl_convert

from cloakbench_leaderboards.board.view import TradeOffCurve

# Okabe and Ito's palette, apart under all common colour blindness and on white; yellow and black left out.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
GREYS = ("#6b7280", "#9ca3af")
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
DASHES = ((1, 0), (6, 3), (2, 2), (8, 3, 2, 3))
NAMED = 12
"""Submissions with a colour and a name; further ones are drawn thin and grey."""
INK = "currentColor"
"""Text takes the page's colour, so that it is legible in light and dark."""
FONT = "system-ui, sans-serif"
POINTS = "points"
"""Name of the data that the page's script puts in."""
NEUTRAL = "#8b929c"
_GROUP = (
    r'<g transform="translate\(0,0\)"><g><g><path d="[^"]*" '
    rf'(stroke="{NEUTRAL}" stroke-width="1" [^>]*)/></g></g></g>'
)
_THIN = re.compile(f"(?:{_GROUP}){{2,}}")
_PATH = re.compile(r'd="([^"]*)"')
# What says nothing in a picture with one alternative for the whole: parts without ink, names of parts, defaults.
_SILENT = re.compile(
    r'<path class="(?:fore|back)ground"[^>]*/>'
    r'| (?:class|role|aria-[a-z]+|pointer-events|font-family|xmlns:xlink|version)="[^"]*"'
    r'| (?:fill-|stroke-)?opacity="1"| stroke-dasharray="1,0"'
)
_TAG = re.compile("<[^>]+>")
_COORDINATES = re.compile(r' (?:d|transform)="[^"]*"')


def svg(curve: TradeOffCurve, number: int) -> str:
    """Returns the curve as an SVG element without scripts or references; `number` keeps its ids apart on a page."""
    # Altair copies its data at every step, so they come last.
    plot = _dict(_chart(curve, [])) | {"datasets": {POINTS: rows(curve)}}
    drawn = vl_convert.vegalite_to_svg(json.dumps(plot))
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r'(id="|url\(#)((?:clip|gradient)\d+)', rf"\1c{number}-\2", drawn)
    # Tags alone: the text between them is what the records say.
    drawn = _TAG.sub(lambda tag: _COORDINATES.sub(_rounded, _SILENT.sub("", tag[0])), drawn)
    drawn = _THIN.sub(lambda found: f'<path d="{"".join(_PATH.findall(found[0]))}" {found[1]}/>', drawn)
    # The figure around it carries the text alternative; the page's width rules its size.
    head = f'<svg aria-hidden="true" font-family="{FONT}" '
    return re.sub(r'<svg ([^>]*?)width="[\d.]+" height="[\d.]+" ', rf"{head}\1", drawn, count=1)


def _rounded(found: re.Match[str]) -> str:
    # Places far below a pixel; numbers that are read, such as those of an axis, stand elsewhere.
    return re.sub(r"\d+\.\d{2,}", lambda place: f"{float(place[0]):.1f}".removesuffix(".0"), found[0])


def specification(curve: TradeOffCurve) -> dict[str, Any]:
    """Returns the same plot for a script that puts in the data `points`: rows as of `rows`.

    A click on a name brings its curve forward, the wheel and dragging zoom and move.
    """
    chosen = alt.selection_point(name="chosen", fields=["label"], bind="legend")
    moved = alt.selection_interval(name="moved", bind="scales")
    return _dict(_chart(curve, [chosen, moved]))


def rows(curve: TradeOffCurve) -> list[dict[str, object]]:
    """Returns the points of a curve as the plot takes them: `shown` rises with visibility."""
    sign = -1 if curve.x_reversed else 1
    kinds = _kinds(curve)
    return [
        {
            "label": series.label,
            "kind": kinds[series.label],
            "x": point.x,
            "shown": sign * point.x,
            "y": point.y,
            "low": point.low,
            "high": point.high,
            "strength": point.strength,
        }
        for series in curve.series
        for point in series.points
    ]


def named(curve: TradeOffCurve) -> tuple[list[str], list[str]]:
    """Returns the submissions and the controls that the legend names."""
    own = [series.label for series in curve.series if not series.is_control]
    return own[:NAMED], [series.label for series in curve.series if series.is_control]


def _kinds(curve: TradeOffCurve) -> dict[str, str]:
    own, controls = named(curve)
    kinds = dict.fromkeys(own, "named") | dict.fromkeys(controls, "control")
    return {series.label: kinds.get(series.label, "rest") for series in curve.series}


def _dict(chart: alt.LayerChart) -> dict[str, Any]:
    made: dict[str, Any] = chart.to_dict(validate=False)
    return made


def _chart(curve: TradeOffCurve, parameters: Sequence[alt.Parameter]) -> alt.LayerChart:
    data = alt.NamedData(name=POINTS)
    x = alt.X(
        "x:Q",
        title=f"{curve.x_label}, more visible →",
        scale=alt.Scale(reverse=curve.x_reversed, zero=not curve.x_reversed, nice=True),
    )
    y = alt.Y("y:Q", title=curve.y_label, scale=alt.Scale(domain=[curve.y_low, curve.y_high], nice=False))
    style = _styles(curve, bool(parameters))
    base = alt.Chart(data).encode(x=x, detail=alt.Detail("label:N"))
    rest = base.transform_filter("datum.kind === 'rest'").encode(y=y, order=alt.Order("strength:Q"))
    rest_lines = rest.mark_line(color=NEUTRAL, strokeWidth=1, opacity=0.35, aria=False)
    rest_points = rest.mark_point(color=NEUTRAL, filled=True, size=24, opacity=0.5, aria=False)
    known = base.transform_filter("datum.kind !== 'rest'").encode(color=style["color"])
    if parameters:
        known = known.encode(opacity=alt.condition(parameters[0], alt.value(1), alt.value(0.12)))
    bands = known.transform_filter("datum.low !== null").mark_area(fillOpacity=0.12, strokeOpacity=0, aria=False)
    lines = known.mark_line(strokeWidth=2, aria=False).encode(
        y=y, strokeDash=style["dash"], order=alt.Order("strength:Q")
    )
    points = known.mark_point(filled=True, size=64, aria=False).encode(
        y=y, shape=style["shape"], **({"tooltip": _tooltip(curve)} if parameters else {})
    )
    layers = [
        *_references(curve),
        bands.encode(y=alt.Y("low:Q"), y2=alt.Y2("high:Q")),
        rest_lines,
        *([rest_points.encode(tooltip=_tooltip(curve))] if parameters else []),
        _front(alt.Chart(data), x, y),
        lines,
        points.add_params(*parameters).properties(name=POINTS) if parameters else points,
    ]
    chart: alt.LayerChart = (
        alt.layer(*layers).properties(width=760, height=380, background="transparent").configure(**_look())
    )
    return chart


def _front(base: alt.Chart, x: alt.X, y: alt.Y) -> alt.Chart:
    """Returns the Pareto front: points of submissions that nobody beats who shows less, joined by steps."""
    drawn: alt.Chart = (
        base.transform_filter("datum.kind !== 'control' && datum.strength > 0")
        .transform_window(best="max(y)", sort=[alt.SortField("shown")], frame=[None, 0])
        .transform_filter("datum.y >= datum.best && datum.y > 0")
        .mark_line(interpolate="step-after", color=NEUTRAL, strokeWidth=7, opacity=0.3, aria=False)
        .encode(x=x, y=y, order=alt.Order("shown:Q"))
    )
    return drawn


def _tooltip(curve: TradeOffCurve) -> list[alt.Tooltip]:
    return [
        alt.Tooltip("label:N", title="protection"),
        alt.Tooltip("strength:Q", title="strength", format=".3~g"),
        alt.Tooltip("x:Q", title="visible", format=".3~g"),
        alt.Tooltip("y:Q", title=curve.y_label, format=".3~g"),
        alt.Tooltip("low:Q", title="from", format=".3~g"),
        alt.Tooltip("high:Q", title="to", format=".3~g"),
    ]


def _references(curve: TradeOffCurve) -> list[alt.Chart]:
    if not curve.y_low <= 0 <= curve.y_high:
        return []
    levels = [{"y": 0, "words": "as from clean images"}]
    if curve.y_high >= 1:
        levels.append({"y": 1, "words": "as if never seen"})
    base = alt.Chart(alt.InlineData(values=levels)).encode(y=alt.Y("y:Q"))
    rule = base.mark_rule(color=NEUTRAL, strokeWidth=1, strokeDash=[3, 3], aria=False)
    # Pixel offsets keep the words at the right edge, whatever the axis.
    words = base.mark_text(align="right", dx=-4, dy=-6, fontSize=11, color=INK, opacity=0.75, aria=False)
    return [rule, words.encode(x=alt.value("width"), text=alt.Text("words:N"))]


def _styles(curve: TradeOffCurve, is_open: bool) -> dict[str, Any]:
    own, controls = named(curve)
    labels = [*own, *controls]
    # A script gives the looks that are left over to entries that only it shows.
    places = range(NAMED if is_open else len(own))
    colours = [COLOURS[n % len(COLOURS)] for n in places] + [GREYS[n % len(GREYS)] for n in range(len(controls))]
    shapes = [SHAPES[(n + n // len(COLOURS)) % len(SHAPES)] for n in (*places, *range(len(controls)))]
    dashes = [list(DASHES[n // len(COLOURS) % 2]) for n in places] + [list(DASHES[2]) for _ in controls]
    legend = alt.Legend(
        title=None,
        symbolStrokeWidth=2,
        symbolDash=[1, 0],
        labelLimit=240,
        columns=6 if max(map(len, labels), default=0) <= 14 else 3,
    )
    return {
        "color": alt.Color("label:N", sort=labels, scale=alt.Scale(domain=labels, range=colours), legend=legend),
        "shape": alt.Shape("label:N", sort=labels, scale=alt.Scale(domain=labels, range=shapes), legend=legend),
        "dash": alt.StrokeDash("label:N", scale=alt.Scale(domain=labels, range=dashes), legend=legend),
    }


def _look() -> dict[str, Any]:
    return {
        "font": FONT,
        "view": {"stroke": None},
        "axis": {
            "labelColor": INK,
            "titleColor": INK,
            "domainColor": NEUTRAL,
            "tickColor": NEUTRAL,
            "gridColor": NEUTRAL,
            "gridOpacity": 0.18,
            "labelFontSize": 12,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "tickCount": 6,
        },
        "legend": {
            "labelColor": INK,
            "labelFontSize": 12,
            "orient": "bottom",
            "columnPadding": 18,
            "symbolSize": 80,
            "symbolOpacity": 1,
        },
    }
