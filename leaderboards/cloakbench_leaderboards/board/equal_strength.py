"""The tables beside the headline: entries at equal strength with raw values, and quality at equal protection."""

from __future__ import annotations

import math
from dataclasses import replace

from cloakbench_leaderboards import text
from cloakbench_leaderboards.board.tables import Row, Table, TableCell, TableColumn, estimate_cell, value_cell
from cloakbench_leaderboards.data.coverage import PERCEPTUAL
from cloakbench_leaderboards.scores import matching, setting, statistics
from cloakbench_leaderboards.scores.evidence import BoardEntry, Evidence
from cloakbench_leaderboards.scores.scores import ScoredPoint
from cloakbench_leaderboards.scores.setting import CLEAN, FIXED

UNIT_LIMIT = 30
LEVELS = (0.25, 0.5)
"""P at which quality is compared."""


def at_strength(evidence: Evidence) -> Table:
    """Returns one row per entry with an L-infinity budget: P at each strength, effect and raw values at the middle."""
    suite = evidence.suite
    attack = evidence.rank_attack
    metrics = list(dict.fromkeys([suite.metrics.primary, *suite.metrics.generation, *suite.metrics.sets]))
    # Without targets the headline holds P at each strength.
    strengths = sorted(suite.strengths) if suite.matching else []
    columns = (
        *(TableColumn(f"P at {strength:g}", f"{strength * suite.budget_255:g}/255", "↑") for strength in strengths),
        TableColumn("Effect", "", "↑"),
        *(metric_column(evidence, name) for name in (*metrics, *suite.metrics.quality)),
    )
    rows = tuple(
        Row(
            entry.label,
            "control" if entry.is_control else text.plain(entry.facts.version, 20),
            entry.is_control,
            (
                *_strengths(evidence, entry, strengths),
                _effect(evidence, entry),
                *(value_cell(evidence.raw.get((entry.name, evidence.focus(entry), attack, name))) for name in metrics),
                *(
                    value_cell(evidence.quality.get((entry.name, evidence.focus(entry), name)))
                    for name in suite.metrics.quality
                ),
            ),
        )
        for entry in evidence.entries
        if entry.facts.budget != PERCEPTUAL
    )
    note = f"Raw values and effect stand at strength {evidence.middle:g}; identity, placebo and floor have none."
    caption = "At equal strength" if strengths else f"Raw values at strength {evidence.middle:g}"
    return Table(f"{caption}, against “{text.name(attack)}”", "Protection", columns, rows, (note,))


def at_protection(evidence: Evidence) -> Table:
    """Returns one row per submission: every quality metric where its P first reaches each of `LEVELS`."""
    names = evidence.suite.metrics.quality
    columns = tuple(
        replace(metric_column(evidence, name), detail=f"at P {level:g}") for level in LEVELS for name in names
    )
    rows = tuple(
        Row(
            entry.label,
            text.plain(entry.facts.version, 20),
            False,
            tuple(cell for level in LEVELS for cell in _quality(evidence, entry, level)),
        )
        for entry in evidence.entries
        if not entry.is_control
    )
    note = "By straight lines between measured points of the mean curve, from the images as they are; never beyond it."
    caption = f"Quality at equal protection, against “{text.name(evidence.rank_attack)}”"
    return Table(caption, "Protection", columns, rows, (note,))


def metric_column(evidence: Evidence, name: str, detail: str = "") -> TableColumn:
    """Returns the column of a metric: its unit, and which way is better for the artist."""
    facts = evidence.metric(name)
    arrow = "" if facts is None else "↑" if facts.higher_is_better else "↓"
    unit = text.plain(facts.unit, UNIT_LIMIT) if facts else ""
    return TableColumn(text.name(name), ", ".join(part for part in (unit, detail) if part), arrow)


def p_cell(point: ScoredPoint | None, artists: int, is_demonstration: bool = False) -> TableCell:
    """Returns P with its interval, or the reason why there is none, and what is missing or failed."""
    if point is None:
        return TableCell(text.NONE, note="no record")
    if point.reason:
        kind = "no signal" if len(point.no_signal) == artists else "missing"
        return TableCell(kind, note=text.plain(point.reason), kind="warning")
    cell = estimate_cell(point.p, "" if is_demonstration else point.p.reason)
    flags = []
    if point.missing:
        flags.append(f"{len(point.missing)} missing")
    if point.failed:
        flags.append(f"{len(point.failed)} failed = 0")
    if point.no_signal:
        flags.append(f"{len(point.no_signal)} no signal")
    return replace(cell, flag=" · ".join(flags))


def _strengths(evidence: Evidence, entry: BoardEntry, strengths: list[float]) -> tuple[TableCell, ...]:
    if not strengths:
        return ()
    suite, count, attack = evidence.suite, len(evidence.artists), evidence.rank_attack
    role = entry.facts.role
    if role == "floor" or (role == CLEAN and not evidence.setting.attack.countermeasures):
        value = 1.0 if role == "floor" else 0.0
        return (TableCell(f"{value:g}", value, detail="by definition", span=len(strengths)),)
    shown = entry.strengths[:1] if role in FIXED else strengths
    points = [evidence.scores.summary.get((entry.name, strength, attack)) for strength in shown]
    cells = tuple(p_cell(point, count, suite.demonstration) for point in points)
    return (replace(cells[0], span=len(strengths)),) if role in FIXED else cells


def _effect(evidence: Evidence, entry: BoardEntry) -> TableCell:
    point = evidence.scores.summary.get((entry.name, evidence.focus(entry), evidence.rank_attack))
    if point is None or point.reason or entry.facts.role == CLEAN:
        return TableCell(text.NONE)
    return estimate_cell(point.effect)


def _quality(evidence: Evidence, entry: BoardEntry, level: float) -> tuple[TableCell, ...]:
    names, attack = evidence.suite.metrics.quality, evidence.rank_attack
    drawn = setting.curve(evidence.setting, entry.subject, attack)
    means = [
        evidence.scores.summary[CLEAN if strength == 0 else entry.name, strength, attack].p.value
        for strength in drawn.strengths
    ]
    if len(means) < 2 or any(map(math.isnan, means)):
        return tuple(TableCell(text.NONE, note="no curve") for _ in names)
    places = matching.at_protection(means, level)
    if not places:
        return tuple(TableCell("not reached", kind="state") for _ in names)
    values = [sum(weight * drawn.quality[name][place] for place, weight in places) for name in names]
    return tuple(value_cell(statistics.mean([value])) for value in values)
