"""The interactive trade-off plot: written in Vega-Lite, compiled to Vega, drawn by the page's script on request."""

from __future__ import annotations

from typing import Any

import altair as alt

from cloakbench_leaderboards.board.view import TradeOffCurve

# Okabe and Ito's palette, distinct under all common colour blindness and on white; yellow and black left out.
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
"""Name of the data that the page's script provides."""
NEUTRAL = "#8b929c"


def compiled(curve: TradeOffCurve) -> dict[str, Any]:
    """Returns the plot in Vega without its data, which the page's script provides under the name `points`.

    A click on a name brings its curve forward; the wheel and dragging zoom and move. It is compiled here because that
    takes a browser longer than all else that it does before the plot appears.
    """
    import vl_convert

    plot: dict[str, Any] = vl_convert.vegalite_to_vega(_chart(curve).to_dict(validate=False))
    return plot


def named(curve: TradeOffCurve) -> tuple[list[str], list[str]]:
    """Returns the labels of the submissions and of the controls in the legend."""
    submissions = [series.label for series in curve.series if not series.is_control]
    return submissions[:NAMED], [series.label for series in curve.series if series.is_control]


def _chart(curve: TradeOffCurve) -> alt.LayerChart:
    data, style, tooltip = alt.NamedData(name=POINTS), _styles(curve), _tooltip(curve)
    chosen = alt.selection_point(name="chosen", fields=["label"], bind="legend")
    moved = alt.selection_interval(name="moved", bind="scales")
    is_reversed = curve.x_reversed
    scale = alt.Scale(reverse=is_reversed, zero=not is_reversed, nice=True)
    x = alt.X("x:Q", title=f"{curve.x_label}, more visible →", scale=scale)
    y = alt.Y("y:Q", title=curve.y_label, scale=alt.Scale(domain=[curve.y_low, curve.y_high], nice=False))
    by_strength = alt.Order("strength:Q")
    base = alt.Chart(data).encode(x=x, detail=alt.Detail("label:N"))
    rest = base.transform_filter("datum.kind === 'rest'").encode(y=y, order=by_strength)
    opacity = alt.condition(chosen, alt.value(1), alt.value(0.12))
    entries = base.transform_filter("datum.kind !== 'rest'").encode(color=style["color"], opacity=opacity)
    bands = entries.transform_filter("datum.low !== null").mark_area(fillOpacity=0.12, strokeOpacity=0, aria=False)
    lines = entries.mark_line(strokeWidth=2, aria=False)
    points = entries.mark_point(filled=True, size=64, aria=False)
    layers = [
        *_references(curve),
        bands.encode(y=alt.Y("low:Q"), y2=alt.Y2("high:Q")),
        rest.mark_line(color=NEUTRAL, strokeWidth=1, opacity=0.35, aria=False),
        rest.mark_point(color=NEUTRAL, filled=True, size=24, opacity=0.5, aria=False).encode(tooltip=tooltip),
        _front(alt.Chart(data), x, y),
        lines.encode(y=y, strokeDash=style["dash"], order=by_strength),
        points.encode(y=y, shape=style["shape"], tooltip=tooltip).add_params(chosen, moved).properties(name=POINTS),
    ]
    chart: alt.LayerChart = (
        alt.layer(*layers).properties(width=760, height=380, background="transparent").configure(**_configuration())
    )
    return chart


def _front(base: alt.Chart, x: alt.X, y: alt.Y) -> alt.Chart:
    """Returns the Pareto front: points of submissions that no less visible submission exceeds, joined by steps."""
    front: alt.Chart = (
        base.transform_filter("datum.kind !== 'control' && datum.strength > 0")
        .transform_window(best="max(y)", sort=[alt.SortField("shown")], frame=[None, 0])
        .transform_filter("datum.y >= datum.best && datum.y > 0")
        .mark_line(interpolate="step-after", color=NEUTRAL, strokeWidth=7, opacity=0.3, aria=False)
        .encode(x=x, y=y, order=alt.Order("shown:Q"))
    )
    return front


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


def _styles(curve: TradeOffCurve) -> dict[str, Any]:
    submissions, controls = named(curve)
    labels = [*submissions, *controls]
    colours, shapes, dashes = [], [], []
    # A script gives unused styles to entries that it alone shows.
    for number in range(NAMED):
        colours.append(COLOURS[number % len(COLOURS)])
        shapes.append(SHAPES[(number + number // len(COLOURS)) % len(SHAPES)])
        dashes.append(list(DASHES[number // len(COLOURS) % 2]))
    for number in range(len(controls)):
        colours.append(GREYS[number % len(GREYS)])
        shapes.append(SHAPES[number % len(SHAPES)])
        dashes.append(list(DASHES[2]))
    columns = 6 if max(map(len, labels), default=0) <= 14 else 3
    legend = alt.Legend(title=None, symbolStrokeWidth=2, symbolDash=[1, 0], labelLimit=240, columns=columns)
    colour_scale, shape_scale, dash_scale = (
        alt.Scale(domain=labels, range=colours),
        alt.Scale(domain=labels, range=shapes),
        alt.Scale(domain=labels, range=dashes),
    )
    return {
        "color": alt.Color("label:N", sort=labels, scale=colour_scale, legend=legend),
        "shape": alt.Shape("label:N", sort=labels, scale=shape_scale, legend=legend),
        "dash": alt.StrokeDash("label:N", scale=dash_scale, legend=legend),
    }


def _configuration() -> dict[str, Any]:
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
