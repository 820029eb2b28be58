"""The headline table: what each entry takes from the mimic, at what cost to the image and to the clock."""

from __future__ import annotations

import math
from dataclasses import replace

from leaderboards import statistics, text
from leaderboards.evidence import Entry, Evidence
from leaderboards.scores import OWN_FAULT, Point
from leaderboards.statistics import MIN_ARTISTS
from leaderboards.view import Bar, Cell, Column, Row, Table, estimate_cell, value_cell

BY_DEFINITION = {"identity": (0.0, "0"), "floor": (1.0, "1")}


def headline(evidence: Evidence) -> Table:
    """Returns one row per entry: rank, P at each strength, raw values at the middle strength, cost, failures."""
    suite = evidence.suite
    attack = evidence.rank_attack
    ranks = _ranks(evidence)
    scale = _scale(evidence)
    metrics = _metric_names(evidence)
    columns = (
        Column("Rank"),
        *(Column(f"P at {strength:g}", _levels(evidence, strength), "↑") for strength in sorted(suite.strengths)),
        Column("P, drawn", f"at {evidence.middle:g}", kind="bar"),
        Column("Effect", "", "↑"),
        *(_metric_column(evidence, name) for name in (*metrics, *suite.metrics.quality)),
        Column("Protecting", "s / image", "↓"),
        Column("Failed", "cells", "↓"),
    )
    rows = tuple(
        Row(
            entry.label,
            _head_detail(entry),
            entry.is_control,
            (
                ranks[entry.name],
                *_p_cells(evidence, entry),
                _bar(evidence, entry, scale),
                _effect(evidence, entry),
                *(value_cell(evidence.raw.get((entry.name, evidence.focus(entry), attack, name))) for name in metrics),
                *(
                    value_cell(evidence.quality.get((entry.name, evidence.focus(entry), name)))
                    for name in suite.metrics.quality
                ),
                _seconds(evidence, entry),
                _failures(evidence, entry),
            ),
        )
        for entry in evidence.entries
    )
    return Table(f"All entries against “{text.name(attack)}”", "Protection", columns, rows, _notes(evidence))


def _levels(evidence: Evidence, strength: float) -> str:
    return f"{strength * evidence.suite.budget_255:g}/255"


def _metric_names(evidence: Evidence) -> list[str]:
    chosen = evidence.suite.metrics
    return list(dict.fromkeys([chosen.primary, *chosen.generation, *chosen.sets]))


def _metric_column(evidence: Evidence, name: str) -> Column:
    facts = evidence.metric(name)
    if facts is None:
        return Column(name)
    return Column(name, facts.unit, "↑" if facts.higher_is_better else "↓")


def _head_detail(entry: Entry) -> str:
    return "control" if entry.is_control else text.plain(entry.facts.version, 20)


def _notes(evidence: Evidence) -> tuple[str, ...]:
    middle = f"{evidence.middle:g}"
    notes = [
        f"Raw values and effect stand at strength {middle}; identity, placebo and floor have no strengths.",
        "± is the half-width of the 95 % interval over artists; digits are rounded to it.",
    ]
    if len(evidence.artists) < MIN_ARTISTS:
        notes[1] = f"No intervals and no ranks: {statistics.too_few(len(evidence.artists))}."
    if evidence.suite.rank_by == evidence.rank_attack:
        notes.insert(0, f"Ranked by P against “{evidence.rank_attack}” at strength {middle}; controls carry no rank.")
    else:
        notes.insert(0, f"The suite ranks by “{evidence.suite.rank_by}”, which this page does not hold: no ranks.")
    return tuple(notes)


def _ranks(evidence: Evidence) -> dict[str, Cell]:
    cells: dict[str, Cell] = {}
    place = 0
    for entry in evidence.entries:
        why = _unranked(evidence, entry)
        if why:
            cells[entry.name] = Cell(text.NONE, note=why)
            continue
        place += 1
        cells[entry.name] = Cell(str(place), place)
    return cells


def _unranked(evidence: Evidence, entry: Entry) -> str:
    if entry.is_control:
        return "control"
    if evidence.suite.rank_by != evidence.rank_attack:
        return f"ranked by {evidence.suite.rank_by}"
    if evidence.suite.demonstration:
        return "demonstration"
    point = evidence.scores.points.get((entry.name, evidence.middle, evidence.rank_attack))
    if point is None:
        return "no cell at the strength that carries the rank"
    if point.reason or not point.p.has_interval:
        return point.reason or point.p.reason
    return f"{len(point.missing)} artists missing" if point.missing else ""


def p_cell(point: Point | None, artists: int, is_demonstration: bool = False) -> Cell:
    """Returns P with its interval, or the reason why there is none, and what is missing or failed."""
    if point is None:
        return Cell(text.NONE, note="no record")
    if point.reason:
        kind = "no signal" if len(point.no_signal) == artists else "missing"
        return Cell(kind, note=text.plain(point.reason), kind="warning")
    cell = estimate_cell(point.p, "" if is_demonstration else point.p.reason)
    flags = []
    if point.missing:
        flags.append(f"{len(point.missing)} missing")
    if point.failed:
        flags.append(f"{len(point.failed)} failed = 0")
    if point.no_signal:
        flags.append(f"{len(point.no_signal)} no signal")
    if not flags:
        return cell
    detail = " · ".join([cell.detail, *flags] if cell.detail else flags)
    return replace(cell, detail=detail, kind="warning")


def _p_cells(evidence: Evidence, entry: Entry) -> tuple[Cell, ...]:
    suite, count = evidence.suite, len(evidence.artists)
    plain = {attack.name for attack in evidence.ranked if attack.countermeasure is None}
    fixed = BY_DEFINITION.get(entry.facts.role)
    if fixed and (entry.facts.role == "floor" or evidence.rank_attack in plain):
        return (Cell(fixed[1], fixed[0], detail="by definition", span=len(suite.strengths)),)
    points = evidence.scores.points
    if entry.facts.role in ("identity", "placebo"):
        own = entry.strengths[0]
        cell = p_cell(points.get((entry.name, own, evidence.rank_attack)), count, suite.demonstration)
        return (replace(cell, span=len(suite.strengths)),)
    return tuple(
        p_cell(points.get((entry.name, strength, evidence.rank_attack)), count, suite.demonstration)
        for strength in sorted(suite.strengths)
    )


def _scale(evidence: Evidence) -> tuple[float, float]:
    points = [
        point.p
        for (name, strength, attack), point in evidence.scores.points.items()
        if attack == evidence.rank_attack and not point.reason
    ]
    halves = [p.half_width if p.has_interval else 0.0 for p in points]
    low = min([0.0, *(p.value - half for p, half in zip(points, halves, strict=True))])
    high = max([1.0, *(p.value + half for p, half in zip(points, halves, strict=True))])
    return low - 0.03, high + 0.03


def _bar(evidence: Evidence, entry: Entry, scale: tuple[float, float]) -> Cell:
    point = evidence.scores.points.get((entry.name, evidence.focus(entry), evidence.rank_attack))
    if point is None or point.reason:
        return Cell("", kind="bar")

    def place(value: float) -> float:
        return round(100 * (value - scale[0]) / (scale[1] - scale[0]), 2)

    half = point.p.half_width if point.p.has_interval else 0.0
    low = place(point.p.value - half)
    width = round(place(point.p.value + half) - low, 2)
    return Cell("", kind="bar", bar=Bar(place(0.0), place(1.0), place(point.p.value), low, width))


def _effect(evidence: Evidence, entry: Entry) -> Cell:
    point = evidence.scores.points.get((entry.name, evidence.focus(entry), evidence.rank_attack))
    if point is None or point.reason or entry.facts.role == "identity":
        return Cell(text.NONE)
    return estimate_cell(point.effect)


def _seconds(evidence: Evidence, entry: Entry) -> Cell:
    if entry.facts.role in ("identity", "floor"):
        return Cell(text.NONE)
    strength = evidence.focus(entry)
    found, cached = {}, False
    for record in evidence.records:
        cost = record.cost.get("protect")
        if record.protection.name != entry.name or record.strength != strength or cost is None:
            continue
        cached = cached or cost.cached
        images = len(next(iter(record.quality.values()), [])) or evidence.suite.images_per_artist
        if not cost.cached:
            found[record.artist] = cost.wall_s / images
    if not found:
        return Cell("cached" if cached else text.NONE, kind="words", note="taken from the store, not timed")
    value = math.fsum(found.values()) / len(found)
    return Cell(text.number(value), float(f"{value:.10g}"))


def _failures(evidence: Evidence, entry: Entry) -> Cell:
    own = [gap for gap in evidence.gaps if gap.protection == entry.name]
    failed = sum(gap.cells for gap in own if gap.status in OWN_FAULT)
    absent = sum(gap.cells for gap in own) - failed
    detail = f"{absent} missing" if absent else ""
    return Cell(str(failed), failed, detail=detail, kind="warning" if failed else "number")
