"""Curves as SVG, drawn once at build time: a page needs no script to show them."""

from __future__ import annotations

import json
import re
from typing import Any

import altair as alt
import vl_convert

from leaderboards.view import Curve

# Okabe and Ito's palette, apart under all common colour blindness and on white; yellow and black left out.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
GREYS = ("#6b7280", "#9ca3af")
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
DASHES = ((1, 0), (6, 3), (2, 2), (8, 3, 2, 3))
INK = "currentColor"
"""Text takes the page's colour, so that it is legible in light and dark."""
FONT = "system-ui, sans-serif"


def svg(curve: Curve, number: int) -> str:
    """Returns the curve as an SVG element without scripts or references; `number` keeps its ids apart on a page."""
    drawn = vl_convert.vegalite_to_svg(json.dumps(_chart(curve).to_dict(validate=False), sort_keys=True))
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r'(id="|url\(#)((?:clip|gradient)\d+)', rf"\1c{number}-\2", drawn)
    # The figure around it carries the text alternative; the page's width rules its size.
    return re.sub(r'<svg ([^>]*?)width="([\d.]+)" height="[\d.]+"', r'<svg aria-hidden="true" \1', drawn, count=1)


def _chart(curve: Curve) -> alt.LayerChart:
    rows = [
        {"label": s.label, "x": p.x, "y": p.y, "low": p.low, "high": p.high, "strength": p.strength}
        for s in curve.series
        for p in s.points
    ]
    x = alt.X(
        "x:Q",
        title=f"{curve.x_label}, more visible →",
        scale=alt.Scale(reverse=curve.x_reversed, zero=not curve.x_reversed, nice=True),
    )
    y = alt.Y("y:Q", title=curve.y_label, scale=alt.Scale(domain=[curve.y_low, curve.y_high], nice=False))
    style = _styles(curve)
    base = alt.Chart(alt.InlineData(values=rows)).encode(color=style["color"])
    bands = base.transform_filter("datum.low !== null").mark_area(opacity=0.1, aria=False)
    bars = base.transform_filter("datum.low !== null").mark_rule(strokeWidth=1.4, opacity=0.5, aria=False)
    lines = base.mark_line(strokeWidth=2, aria=False).encode(
        x=x, y=y, strokeDash=style["dash"], order=alt.Order("strength:Q")
    )
    points = base.mark_point(filled=True, size=64, opacity=1, aria=False).encode(x=x, y=y, shape=style["shape"])
    bands = bands.encode(x=x, y=alt.Y("low:Q"), y2="high:Q")
    layers = [*_references(curve), bands, bars.encode(x=x, y=alt.Y("low:Q"), y2="high:Q"), lines, points]
    chart: alt.LayerChart = (
        alt.layer(*layers).properties(width=620, height=300, background="transparent").configure(**_look())
    )
    return chart


def _references(curve: Curve) -> list[alt.Chart]:
    if not curve.y_low <= 0 <= curve.y_high:
        return []
    levels = [{"y": 0, "words": "as from clean images"}]
    if curve.y_high >= 1:
        levels.append({"y": 1, "words": "as if never seen"})
    base = alt.Chart(alt.InlineData(values=levels)).encode(y=alt.Y("y:Q"))
    rule = base.mark_rule(color="#9ca3af", strokeWidth=1, strokeDash=[3, 3], aria=False)
    # Pixel offsets keep the words at the left edge, whatever the axis.
    words = base.mark_text(align="right", dx=-4, dy=-6, fontSize=10, color="#5b6472", aria=False)
    return [rule, words.encode(x=alt.value("width"), text="words:N")]


def _styles(curve: Curve) -> dict[str, Any]:
    labels, colours, shapes, dashes = [], [], [], []
    counts = {True: 0, False: 0}
    for series in curve.series:
        position = counts[series.is_control]
        counts[series.is_control] += 1
        palette = GREYS if series.is_control else COLOURS
        labels.append(series.label)
        colours.append(palette[position % len(palette)])
        shapes.append(SHAPES[(position + position // len(palette)) % len(SHAPES)])
        dashes.append(list(DASHES[(2 if series.is_control else position // len(palette)) % len(DASHES)]))
    legend = alt.Legend(
        title=None, symbolStrokeWidth=2, labelLimit=240, columns=6 if max(map(len, labels)) <= 14 else 3
    )
    return {
        "color": alt.Color("label:N", sort=labels, scale=alt.Scale(domain=labels, range=colours), legend=legend),
        "shape": alt.Shape("label:N", sort=labels, scale=alt.Scale(domain=labels, range=shapes), legend=legend),
        "dash": alt.StrokeDash("label:N", scale=alt.Scale(domain=labels, range=dashes), legend=None),
    }


def _look() -> dict[str, Any]:
    return {
        "font": FONT,
        "view": {"fill": "white", "stroke": "#d4d8de"},
        "axis": {
            "labelColor": INK,
            "titleColor": INK,
            "domainColor": "#9ca3af",
            "tickColor": "#9ca3af",
            "gridColor": "#eceef1",
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
