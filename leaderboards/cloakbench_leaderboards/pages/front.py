"""The front page: who protects how much at which quality, and what its filters put in place of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cloakbench_leaderboards import text
from cloakbench_leaderboards.board import headline, vega
from cloakbench_leaderboards.board.curves import span
from cloakbench_leaderboards.board.tables import TableCell, TableColumn
from cloakbench_leaderboards.board.view import Board, Pair, ProtectionView, TradeOffCurve
from cloakbench_leaderboards.parts import bundles, commands
from cloakbench_leaderboards.parts.page import INDEX, Material, Page, slug
from cloakbench_leaderboards.scores import aggregates, flags, statistics
from cloakbench_leaderboards.scores.evidence import BoardEntry, Evidence
from cloakbench_leaderboards.scores.setting import CLEAN, Value
from cloakbench_leaderboards.scores.statistics import Estimate

EQUAL, MISSING = "equal.html", "missing.html"
PLACES = 2
"""Columns of the headline that say where an entry stands: rank and tie group."""


@dataclass(frozen=True, slots=True)
class FrontRow:
    """One entry of the front page."""

    rank: TableCell
    tie: str
    page: str
    """Address of the entry's own page."""
    protection: ProtectionView
    cells: tuple[TableCell, ...]
    seconds: TableCell


@dataclass(frozen=True, slots=True)
class FrontTable:
    """The headline as the front page shows it."""

    caption: str
    columns: tuple[TableColumn, ...]
    rows: tuple[FrontRow, ...]
    zero: float
    """Where P is 0 on the bars, in per cent."""
    one: float
    notes: tuple[str, ...]
    flags: tuple[Pair, ...]
    """What the flags on this page mean."""


def pages(material: Material) -> Iterator[Page]:
    """Yields the front page, the tables beside it, and one file of numbers for each attack that can be chosen."""
    board, evidence = material.board, material.evidence
    curve = _curve(board, evidence)
    # What these pages do not show must not make them change.
    shown = replace(board, points=(), entries=(), attacks=(), editing=None)
    yield Page(
        INDEX,
        "front.html",
        board.title,
        {
            "board": shown,
            "table": table(board, evidence),
            "curve": curve,
            "island": _island(evidence, curve),
            "enter": commands.enter(evidence.suite),
        },
        section=INDEX,
        scripts=(bundles.TABLES, bundles.PLOTS, bundles.FRONT),
    )
    yield Page(EQUAL, "equal.html", "Equal strength, equal protection", {"board": shown}, section=INDEX)
    yield Page(MISSING, "missing.html", "What is missing", {"board": shown}, section=INDEX)
    for spec in evidence.ranked:
        # Those of the headline's own attack stand in the page.
        cells = [] if spec.name == evidence.rank_attack else _cells(evidence, spec.name)
        numbers = {"cells": cells, "points": _points(evidence, spec.name)}
        yield Page(_data(spec.name), "data.js", "", {"name": text.name(spec.name), "data": numbers})


def table(board: Board, evidence: Evidence) -> FrontTable:
    """Returns the headline with what is known about each entry."""
    headed = board.headline
    numbers = len(evidence.standings.columns)
    rows = tuple(
        FrontRow(
            rank=row.cells[0],
            tie=row.cells[1].text if row.cells[0].value is not None else "",
            page=f"protections/{slug(entry.name)}.html",
            protection=protection,
            cells=row.cells[PLACES : PLACES + numbers],
            seconds=row.cells[PLACES + numbers],
        )
        for row, entry, protection in zip(headed.rows, evidence.entries, board.protections, strict=True)
    )
    bars = [cell.bar for row in rows for cell in row.cells if cell.bar]
    told = {flag.words for row in rows for flag in row.protection.flags}
    return FrontTable(
        caption=headed.caption,
        columns=headed.columns[PLACES:-2],
        rows=rows,
        zero=bars[0].zero if bars else 0.0,
        one=bars[0].one or 0.0 if bars else 100.0,
        notes=headed.notes,
        flags=tuple(Pair(kind, words) for kind, words in sorted(flags.MEANINGS.items()) if words in told),
    )


def _curve(board: Board, evidence: Evidence) -> TradeOffCurve | None:
    name = text.name(evidence.rank_attack)
    return next((section.curve for section in board.attacks if section.name == name), None)


def _data(attack: str) -> str:
    return f"data/{slug(attack)}.js"


def _island(evidence: Evidence, curve: TradeOffCurve | None) -> dict[str, Any]:
    metrics = [evidence.metric(name) for name in quality_metrics(evidence)]
    own, controls = vega.named(curve) if curve else ([], [])
    return {
        "attack": text.name(evidence.rank_attack),
        "attacks": [
            {
                "name": text.name(spec.name),
                "mimicry": text.name(spec.mimicry),
                "countermeasure": text.name(spec.countermeasure or "none"),
                "data": _data(spec.name),
            }
            for spec in evidence.ranked
        ],
        "metrics": [
            {
                "name": text.name(m.name),
                "title": text.plain(f"{m.name}{f' ({m.unit})' * bool(m.unit)}", 80),
                "isReversed": m.higher_is_better,
            }
            for m in metrics
            if m
        ],
        "stops": len(evidence.setting.stops),
        "clean": next((row for row, each in enumerate(evidence.entries) if each.facts.role == CLEAN), None),
        "named": own,
        "controls": controls,
        "most": vega.NAMED,
        "titles": [text.plain(entry.facts.title, 120) for entry in evidence.entries],
        "suite": {
            "name": evidence.suite.name,
            "version": evidence.suite.version,
            "title": text.plain(evidence.suite.title),
            "updated": max(record.created for record in evidence.records)[:10],
        },
        "plot": vega.specification(curve) if curve else None,
    }


def quality_metrics(evidence: Evidence) -> list[str]:
    """Returns the quality metrics, the one that entries are matched by first."""
    chosen = evidence.suite.metrics.quality
    first = evidence.suite.matching.metric if evidence.suite.matching else next(iter(chosen), "")
    return [first, *(name for name in chosen if name != first)] if first else []


def _cells(evidence: Evidence, attack: str) -> list[list[list[Any]]]:
    ends = span(evidence)
    values = [
        aggregates.protection(evidence.setting, entry.subject, attack, stop)
        for entry in evidence.entries
        if entry.facts.role != "floor"
        for stop in evidence.setting.stops
    ]
    stacked = np.asarray([value.artists for value in values])
    found = statistics.estimates(stacked)
    estimates = iter(zip(values, (found.at(place) for place in range(len(values))), strict=True))
    return [
        [_packed(_cell(entry, estimates, evidence.suite.demonstration), ends) for _ in evidence.setting.stops]
        for entry in evidence.entries
    ]


def _cell(entry: BoardEntry, estimates: Iterator[tuple[Value, Estimate]], demonstration: bool) -> TableCell:
    if entry.facts.role == "floor":
        return TableCell("1", 1.0, detail="by definition")
    value, estimate = next(estimates)
    return headline.number(value, estimate, demonstration)


def _packed(cell: TableCell, ends: tuple[float, float]) -> list[Any]:
    """Returns a cell as the page's script takes it: text, second line, flag, kind, then the bar."""
    bar = headline.bar(cell, ends)
    shown = [cell.text, cell.detail, cell.flag, cell.kind if cell.kind == "state" else ""]
    return [*shown, bar.value, bar.low, bar.width] if bar else shown


def _points(evidence: Evidence, attack: str) -> list[list[Any]]:
    """Returns row, strength, quality by metric, P and its interval of every operating point."""
    names = quality_metrics(evidence)
    made = []
    for row, entry in enumerate(evidence.entries):
        for strength in entry.strengths:
            point = evidence.scores.summary.get((entry.name, strength, attack))
            if point is None or point.reason or entry.facts.role == "floor":
                continue
            quality = [evidence.quality.get((entry.name, strength, name)) for name in names]
            p = point.p
            limits = [_short(p.low), _short(p.high)] if p.has_interval else [None, None]
            shown = [None if each is None else _short(each.value) for each in quality]
            made.append([row, strength, shown, _short(p.value), *limits])
    return made


def _short(value: float) -> float:
    return float(f"{value:.4g}")
