"""Parts of the front page: rows of the table, heat map of attacks, picture strip, data of the plot."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from cloakbench.schemas.kinds import PointState, Role
from cloakbench_leaderboards import text
from cloakbench_leaderboards.board.completeness import Completeness, ProvisionalOrder, plain_number
from cloakbench_leaderboards.board.curves import first_metric, quality_metrics
from cloakbench_leaderboards.board.headline import rank_cell
from cloakbench_leaderboards.board.number_cells import (
    WORST,
    entry_number,
    fixed_cell,
    number_cell,
    with_bar,
)
from cloakbench_leaderboards.board.tables import TableCell, clipped
from cloakbench_leaderboards.board.view import ProtectionView
from cloakbench_leaderboards.board.words import CAVEATS
from cloakbench_leaderboards.pages.protection import Shade, shade_class, two_digits
from cloakbench_leaderboards.pages.strips import overview
from cloakbench_leaderboards.parts import addresses
from cloakbench_leaderboards.parts.lookup import Lookup
from cloakbench_leaderboards.parts.pictures import PictureFinder
from cloakbench_leaderboards.scores import aggregates, statistics
from cloakbench_leaderboards.scores import setting as scores_setting
from cloakbench_leaderboards.scores.evidence import BoardEntry, Evidence
from cloakbench_leaderboards.scores.setting import CLEAN

HEAT_ENTRIES = 50
"""Rows of the heat map: the front page stays light on a large board."""
STRIP_ENTRIES = 8
"""Entries whose pictures can be chosen on the front page."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A caveat of a number: one sign, and its explanation."""

    sign: str
    words: str


@dataclass(frozen=True, slots=True)
class FrontRow:
    """One entry of the front page."""

    facts: ProtectionView
    page: str
    """Page of the entry; empty for the floor, which has none."""
    number: int
    """Position in the board, which the data of the plot refer to."""
    rank: TableCell
    coverage: Completeness
    coverage_words: str
    plain: TableCell
    plain_marks: tuple[Mark, ...]
    cleaned: TableCell
    cleaned_marks: tuple[Mark, ...]
    is_cleaned_partial: bool
    """Whether the number after cleaning stands on a part of the attacks."""
    visibility: TableCell


@dataclass(frozen=True, slots=True)
class HeatCell:
    """P of one entry under one attack."""

    shade: Shade
    link: str
    value: float | None
    is_lowest: bool = False
    """Whether the entry has no lower P, where several attacks have one."""


@dataclass(frozen=True, slots=True)
class AttackHeatRow:
    """One entry in the heat map of attacks."""

    label: str
    page: str
    is_control: bool
    measured: int
    cells: tuple[HeatCell, ...]


@dataclass(frozen=True, slots=True)
class AttackHeat:
    """P of every entry under every attack at the middle stop."""

    attacks: tuple[tuple[str, str], ...]
    """Name and page of each attack."""
    rows: tuple[AttackHeatRow, ...]


def rows(lookup: Lookup, chosen: list[BoardEntry], runs: Mapping[str, Completeness]) -> tuple[FrontRow, ...]:
    """Returns the rows of the given entries."""
    evidence = lookup.evidence
    numbers = {entry.name: number for number, entry in enumerate(evidence.entries)}
    rows = []
    for entry in chosen:
        rows.append(_row(lookup, entry, numbers[entry.name], runs[entry.name]))
    return tuple(rows)


def _row(lookup: Lookup, entry: BoardEntry, number: int, coverage: Completeness) -> FrontRow:
    evidence = lookup.evidence
    share = None if entry.facts.role == Role.FLOOR else evidence.standings.value(WORST, entry.name)[0].attacks
    plain, cleaned = _numbers(evidence, entry)
    return FrontRow(
        facts=lookup.board.protections[number],
        page="" if entry.facts.role == Role.FLOOR else addresses.protection(entry.name),
        number=number,
        rank=rank_cell(evidence, entry),
        coverage=coverage,
        coverage_words=f"{coverage.measured:,} of {coverage.planned:,} runs",
        plain=plain,
        plain_marks=_plain_marks(evidence, entry),
        cleaned=cleaned,
        cleaned_marks=_cleaned_marks(evidence, entry),
        is_cleaned_partial=share is not None and share.is_partial,
        visibility=_visibility(evidence, entry),
    )


def _numbers(evidence: Evidence, entry: BoardEntry) -> tuple[TableCell, TableCell]:
    ends = (-0.25, 1.0)
    if entry.facts.role == Role.FLOOR:
        return with_bar(fixed_cell(1.0), ends), with_bar(fixed_cell(1.0), ends)
    cleaned = with_bar(entry_number(evidence, entry, WORST), ends)
    if entry.facts.role == CLEAN and not evidence.setting.attack.countermeasures:
        return with_bar(fixed_cell(0.0), ends), cleaned
    value, estimate = plain_number(evidence, entry.name)
    return with_bar(number_cell(value, clipped(estimate, None, 1.0), evidence.suite.demonstration), ends), cleaned


def _plain_marks(evidence: Evidence, entry: BoardEntry) -> tuple[Mark, ...]:
    if entry.facts.role == Role.FLOOR:
        return ()
    value, _ = plain_number(evidence, entry.name)
    marks = []
    if value.gate:
        marks.append(Mark("†", f"{CAVEATS['limited']} ({text.name(value.gate)})"))
    if value.lacks:
        marks.append(Mark("‡", text.plain("; ".join(value.lacks))))
    if value.state is PointState.OVER_TARGET:
        marks.append(Mark("!", "more visible on these artists than the limit allows, so without a rank"))
    if value.state is PointState.NOT_REACHED:
        marks.append(Mark("○", CAVEATS["less visible"]))
    return tuple(marks)


def _cleaned_marks(evidence: Evidence, entry: BoardEntry) -> tuple[Mark, ...]:
    if entry.is_control:
        return ()
    value, _ = evidence.standings.value(WORST, entry.name)
    if value.attacks is not None and value.attacks.is_partial:
        return (Mark(f"{value.attacks.measured} of {value.attacks.planned} attacks", CAVEATS["partial"]),)
    if value.lacks:
        return (Mark("‡", text.plain("; ".join(value.lacks))),)
    return ()


def _visibility(evidence: Evidence, entry: BoardEntry) -> TableCell:
    """Returns the quality that the entry reached at the middle stop: the matched metric, then the gates."""
    if entry.facts.role in (CLEAN, Role.FLOOR):
        return TableCell(text.NONE)
    setting = evidence.setting
    match = scores_setting.match(setting, entry.subject, setting.attack.name, setting.middle)
    names = list(setting.middle.limits) or [first_metric(evidence.suite)]
    shown = []
    for name in names:
        value = 0.0 if match.weights else math.nan
        for strength, weight in match.weights:
            source = CLEAN if strength == 0 else entry.name
            value += weight * setting.quality.get((source, strength, name), math.nan)
        shown.append((name, value))
    first = shown[0][1]
    if not math.isfinite(first):
        return TableCell(text.NONE, note=text.plain(match.note))
    gates = []
    for name, value in shown[1:]:
        gates.append(f"{text.name(name)} {text.quality(value)}")
    return TableCell(text.quality(first), first, detail=", ".join([text.name(names[0]), *gates]))


def heat(lookup: Lookup, order: ProvisionalOrder) -> AttackHeat:
    """Returns the heat map of the submissions, and of random noise, under the ranked attacks."""
    evidence = lookup.evidence
    noise = evidence.entries_with(Role.RANDOM_NOISE)
    attacks = []
    for spec in evidence.ranked:
        attacks.append((text.name(spec.name), addresses.attack(spec.name)))
    shown = []
    for entry in (*(*order.complete, *order.incomplete)[:HEAT_ENTRIES], *noise):
        cells = [_heat_cell(lookup, entry, number) for number in range(len(evidence.ranked))]
        values = [heat_cell.value for heat_cell in cells if heat_cell.value is not None]
        if len(values) > 1 and not entry.is_control:
            lowest = min(values)
            cells = [replace(heat_cell, is_lowest=heat_cell.value == lowest) for heat_cell in cells]
        page = addresses.protection(entry.name)
        shown.append(AttackHeatRow(entry.label, page, entry.is_control, len(values), tuple(cells)))
    return AttackHeat(tuple(attacks), tuple(shown))


def _heat_cell(lookup: Lookup, entry: BoardEntry, number: int) -> HeatCell:
    spec, setting = lookup.evidence.ranked[number], lookup.evidence.setting
    value = aggregates.protection(setting, entry.subject, spec.name, setting.middle)
    p = float(statistics.estimates(value.artists[None]).value[0])
    link = lookup.cell_link(entry, spec)
    if not math.isfinite(p):
        reason = "; ".join(dict.fromkeys((value.note, *value.lacks)))
        return HeatCell(Shade("", "missing", text.plain(reason) or "not run yet"), link, None)
    note = "; ".join(value.lacks)
    return HeatCell(Shade(two_digits(p), shade_class(p), text.plain(note)), link, p)


def strips(
    lookup: Lookup, pictures: PictureFinder, order: ProvisionalOrder
) -> dict[str, dict[str, list[dict[str, str]]]]:
    """Returns the pictures of the first entries by label and artist; empty where the source holds none."""
    if not pictures.has_any:
        return {}
    by_entry = {}
    for entry in (*order.complete, *order.incomplete, *order.controls)[:STRIP_ENTRIES]:
        if not entry.facts.role.changes_images:
            continue
        artists = overview(lookup, pictures, entry)
        if artists:
            by_entry[entry.label] = artists
    return by_entry


def points(evidence: Evidence, attack: str) -> list[list[Any]]:
    """Returns row, strength, quality by metric, P and its interval of every operating point under an attack."""
    names = quality_metrics(evidence.suite)
    packed = []
    for row, entry in enumerate(evidence.entries):
        for strength in entry.strengths:
            point = evidence.scores.summary.get((entry.name, strength, attack))
            if point is None or point.reason or entry.facts.role == Role.FLOOR:
                continue
            quality = [evidence.quality.get((entry.name, strength, name)) for name in names]
            shown = []
            for estimate in quality:
                shown.append(None if estimate is None else _four_digits(estimate.value))
            limits = [_four_digits(point.p.low), _four_digits(point.p.high)] if point.p.has_interval else [None, None]
            packed.append([row, strength, shown, _four_digits(point.p.value), *limits])
    return packed


def _four_digits(value: float) -> float:
    return float(f"{value:.4g}")
