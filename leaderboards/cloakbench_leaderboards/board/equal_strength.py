"""Two further tables: entries at equal strength with raw values, and quality at equal protection."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from cloakbench.schemas.kinds import Role
from cloakbench_leaderboards import text
from cloakbench_leaderboards.board.curves import UNIT_LIMIT
from cloakbench_leaderboards.board.tables import (
    Better,
    CellKind,
    Row,
    Table,
    TableCell,
    TableColumn,
    clipped,
    estimate_cell,
    value_cell,
)
from cloakbench_leaderboards.data.coverage import PERCEPTUAL
from cloakbench_leaderboards.scores import matching, setting, statistics
from cloakbench_leaderboards.scores.evidence import BoardEntry, Evidence
from cloakbench_leaderboards.scores.scores import ScoredPoint
from cloakbench_leaderboards.scores.setting import CLEAN, FIXED
from cloakbench_leaderboards.scores.statistics import Estimate

LEVELS = (0.25, 0.5)
"""P at which quality is compared."""


def at_strength(evidence: Evidence) -> Table:
    """Returns one row per entry with an L-infinity budget: P at each strength, effect and raw values at the middle."""
    suite = evidence.suite
    # Without targets the headline holds P at each strength.
    strengths = sorted(suite.strengths) if suite.matching else []
    columns = []
    for strength in strengths:
        columns.append(TableColumn(f"P at {strength:g}", f"{strength * suite.budget_255:g}/255", Better.HIGHER))
    columns.append(TableColumn("Effect", "", Better.HIGHER))
    columns += metric_columns(evidence, [*raw_metrics(evidence), *suite.metrics.quality])
    rows = []
    for entry in evidence.entries:
        if entry.facts.budget != PERCEPTUAL:
            rows.append(_strength_row(evidence, entry, strengths))
    notes = [
        f"Raw values and effect stand at strength {evidence.middle:g}; identity, placebo and floor have none. A dash: "
        "the protection was not run at this strength."
    ]
    left_out = [entry.label for entry in evidence.entries if entry.facts.budget == PERCEPTUAL]
    if left_out:
        notes.append(f"Left out, because they have no limit on single pixels: {text.listed(left_out)}.")
    caption = "At equal strength" if strengths else f"Raw values at strength {evidence.middle:g}"
    title = f"{caption}, against “{text.name(evidence.rank_attack)}”"
    return Table(title, "Protection", tuple(columns), tuple(rows), tuple(notes))


def raw_metrics(evidence: Evidence) -> list[str]:
    """Returns the metrics of generations and of sets of them, the primary distance first."""
    chosen = evidence.suite.metrics
    return list(dict.fromkeys([chosen.primary, *chosen.generation, *chosen.sets]))


def _strength_row(evidence: Evidence, entry: BoardEntry, strengths: list[float]) -> Row:
    strength, attack = equal_strength(evidence, entry), evidence.rank_attack
    cells = [*_strengths(evidence, entry, strengths), _effect(evidence, entry)]
    for name in raw_metrics(evidence):
        cells.append(value_cell(evidence.raw.get((entry.name, strength, attack, name))))
    for name in evidence.suite.metrics.quality:
        cells.append(value_cell(evidence.quality.get((entry.name, strength, name))))
    return Row(entry.label, version_words(entry), entry.is_control, tuple(cells))


def equal_strength(evidence: Evidence, entry: BoardEntry) -> float:
    """Returns the strength of the table: the middle one, or the only strength of a control that has one."""
    return evidence.focus(entry) if entry.is_control and len(entry.strengths) == 1 else evidence.middle


def version_words(entry: BoardEntry) -> str:
    """Returns the second line under an entry's name: its version, or that it is a reference."""
    return "reference" if entry.is_control else text.plain(entry.facts.version, 20)


def at_protection(evidence: Evidence) -> Table:
    """Returns one row per submission: every quality metric where its P first reaches each of `LEVELS`."""
    names = evidence.suite.metrics.quality
    columns = []
    for level in LEVELS:
        columns += metric_columns(evidence, names, f"at P {level:g}")
    rows = []
    for entry in evidence.entries:
        if not entry.is_control:
            cells = []
            for level in LEVELS:
                cells += _quality(evidence, entry, level)
            rows.append(Row(entry.label, version_words(entry), False, tuple(cells)))
    note = "By straight lines between measured points of the mean curve, from the images as they are; never beyond it."
    caption = f"Quality at equal protection, against “{text.name(evidence.rank_attack)}”"
    return Table(caption, "Protection", tuple(columns), tuple(rows), (note,))


def metric_column(evidence: Evidence, name: str, detail: str = "") -> TableColumn:
    """Returns the column of a metric: its unit, and which way is better for the artist."""
    facts = evidence.metric(name)
    if facts is None:
        return TableColumn(text.name(name), detail)
    unit = text.plain(facts.unit, UNIT_LIMIT).replace("^2", "²")
    better = Better.HIGHER if facts.higher_is_better else Better.LOWER
    return TableColumn(text.name(name), ", ".join(part for part in (unit, detail) if part), better)


def metric_columns(evidence: Evidence, names: Sequence[str], detail: str = "") -> list[TableColumn]:
    """Returns one column per metric, all with the same second line."""
    return [metric_column(evidence, name, detail) for name in names]


def bounded_cell(evidence: Evidence, name: str, estimate: Estimate, note: str = "") -> TableCell:
    """Returns the mean of a metric with an interval inside the range of the metric."""
    facts = evidence.metric(name)
    low, high = (facts.low, facts.high) if facts else (None, None)
    return estimate_cell(clipped(estimate, low, high), note)


def p_cell(point: ScoredPoint | None, artists: int, is_demonstration: bool = False) -> TableCell:
    """Returns P with its interval, or the reason why there is none.

    Args:
        point: The operating point; None where there is no record of it.
        artists: Number of artists of the board.
        is_demonstration: Whether the board has too few artists by design, so that no cell says so.
    """
    if point is None:
        return TableCell(text.NONE, note="no record")
    if point.reason:
        words = "no signal" if len(point.no_signal) == artists else "missing"
        return TableCell(words, note=text.plain(point.reason), kind=CellKind.WARNING)
    cell = estimate_cell(clipped(point.p, None, 1.0), "" if is_demonstration else point.p.reason)
    flags = []
    if point.missing:
        flags.append(f"{len(point.missing)} missing")
    if point.failed:
        flags.append(f"{len(point.failed)} failed = 0")
    if point.no_signal:
        flags.append(f"{len(point.no_signal)} no signal")
    return replace(cell, flag=" · ".join(flags))


def _strengths(evidence: Evidence, entry: BoardEntry, strengths: list[float]) -> list[TableCell]:
    if not strengths:
        return []
    suite, count, attack = evidence.suite, len(evidence.artists), evidence.rank_attack
    role = entry.facts.role
    if role == Role.FLOOR or (role == CLEAN and not evidence.setting.attack.countermeasures):
        value = 1.0 if role == Role.FLOOR else 0.0
        return [TableCell(f"{value:g}", value, detail="by definition", span=len(strengths))]
    cells = []
    for strength in entry.strengths[:1] if role in FIXED else strengths:
        point = evidence.scores.summary.get((entry.name, strength, attack))
        cells.append(p_cell(point, count, suite.demonstration))
    return [replace(cells[0], span=len(strengths))] if role in FIXED else cells


def _effect(evidence: Evidence, entry: BoardEntry) -> TableCell:
    point = evidence.scores.summary.get((entry.name, equal_strength(evidence, entry), evidence.rank_attack))
    if point is None or point.reason or entry.facts.role == CLEAN:
        return TableCell(text.NONE)
    return estimate_cell(point.effect)


def _quality(evidence: Evidence, entry: BoardEntry, level: float) -> list[TableCell]:
    names, attack = evidence.suite.metrics.quality, evidence.rank_attack
    curve = setting.curve(evidence.setting, entry.subject, attack)
    means = []
    for strength in curve.strengths:
        name = CLEAN if strength == 0 else entry.name
        means.append(evidence.scores.summary[name, strength, attack].p.value)
    if len(means) < 2 or any(map(math.isnan, means)):
        return [TableCell(text.NONE, note="no curve")] * len(names)
    weights = matching.at_protection(means, level)
    if not weights:
        return [TableCell("not reached", kind=CellKind.STATE)] * len(names)
    cells = []
    for name in names:
        facts = evidence.metric(name)
        value = matching.blend(curve.quality[name], weights, is_decibel=facts is not None and facts.unit == "dB")
        cells.append(value_cell(statistics.mean([value])))
    return cells
