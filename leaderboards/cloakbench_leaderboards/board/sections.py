"""One section per attack that imitates: the method of the mimic, the curve, and every number behind it."""

from __future__ import annotations

import math

from cloakbench.schemas.kinds import Role
from cloakbench.schemas.suite import AttackExplained, AttackSpec
from cloakbench_leaderboards import text
from cloakbench_leaderboards.board import curves
from cloakbench_leaderboards.board.equal_strength import metric_columns, p_cell, raw_metrics
from cloakbench_leaderboards.board.tables import (
    Better,
    Row,
    Table,
    TableCell,
    TableColumn,
    difference_words,
    estimate_cell,
    value_cell,
)
from cloakbench_leaderboards.board.view import AttackSection, Pair
from cloakbench_leaderboards.scores.evidence import BoardEntry, Evidence


def attack_sections(evidence: Evidence) -> tuple[AttackSection, ...]:
    """Returns the sections in the suite's order."""
    explained = evidence.explained
    axis = curves.span(evidence)
    sections = []
    for number, spec in enumerate(evidence.ranked, start=1):
        drawn = curves.curves(evidence, spec.name, axis)
        facts = explained.get(spec.name)
        sections.append(
            AttackSection(
                anchor=f"attack-{number}",
                name=text.name(spec.name),
                summary=text.plain(facts.summary, 1000) if facts else "",
                chain=chain(spec, "generate"),
                settings=settings(facts),
                curve=drawn[0] if drawn else None,
                more_curves=drawn[1:],
                no_curve="" if drawn else no_curve(evidence, spec.name),
                table=_table(evidence, spec.name),
            )
        )
    return tuple(sections)


def chain(spec: AttackSpec, *last: str) -> str:
    """Returns the stages of an attack in one line; `last` are the names of further stages."""
    cleaned = spec.countermeasures or ["no countermeasure"]
    stages = [*cleaned, f"{spec.mimicry} on {spec.model}", *last]
    return " → ".join(map(text.name, stages))


def settings(facts: AttackExplained | None) -> tuple[Pair, ...]:
    """Returns the settings of each stage of an attack."""
    pairs = []
    for stage, values in (facts.parameters if facts else {}).items():
        if values:
            words = ", ".join(f"{key} {value}" for key, value in values.items())
            pairs.append(Pair(text.name(stage), text.plain(words, 1000)))
    return tuple(pairs)


def no_curve(evidence: Evidence, attack: str) -> str:
    """Returns the reason why an attack has no curve."""
    reasons = set()
    for address, point in evidence.scores.summary.items():
        if address[2] == attack:
            reasons.add(point.reason)
    return text.plain(min(reasons - {""}, default="no record of this attack yet"))


def _table(evidence: Evidence, attack: str) -> Table:
    metrics, shown = raw_metrics(evidence), evidence.suite.metrics.quality[:1]
    columns = [TableColumn("Strength"), *metric_columns(evidence, shown)]
    columns += [TableColumn("P", "", Better.HIGHER), TableColumn("Effect", "", Better.HIGHER)]
    columns += metric_columns(evidence, metrics, "Δ to clean")
    rows = []
    for entry in evidence.entries:
        for strength in entry.strengths:
            cells = _cells(evidence, entry, strength, attack)
            rows.append(Row(entry.label, control_word(entry), entry.is_control, cells))
    note = "Second line of a raw metric: the difference to clean images under the same attack and seed."
    caption = f"Numbers against “{text.name(attack)}”: means over artists"
    return Table(caption, "Protection", tuple(columns), tuple(rows), (note,))


def control_word(entry: BoardEntry) -> str:
    """Returns `control` for a control, else nothing."""
    return "reference" if entry.is_control else ""


def _cells(evidence: Evidence, entry: BoardEntry, strength: float, attack: str) -> tuple[TableCell, ...]:
    cells = [strength_cell(entry, strength)]
    for name in evidence.suite.metrics.quality[:1]:
        cells.append(value_cell(evidence.quality.get((entry.name, strength, name))))
    cells += scores(evidence, entry, strength, attack)
    for name in raw_metrics(evidence):
        cells.append(metric_cell(evidence, entry, (entry.name, strength, attack, name)))
    return tuple(cells)


def scores(evidence: Evidence, entry: BoardEntry, strength: float, attack: str) -> tuple[TableCell, TableCell]:
    """Returns P and effect at an operating point, or why there is none."""
    point = evidence.scores.summary.get((entry.name, strength, attack))
    is_scored = point is not None and not point.reason
    effect = estimate_cell(point.effect) if point is not None and is_scored else TableCell(text.NONE)
    if entry.facts.role == Role.FLOOR:
        return TableCell("1", 1.0, detail="by definition"), effect
    return p_cell(point, len(evidence.artists), evidence.suite.demonstration), effect


def strength_cell(entry: BoardEntry, strength: float) -> TableCell:
    """Returns the strength, or a dash for a control that has none."""
    # The placebo's noise is 1/255 whatever its strength says.
    is_fixed = entry.facts.role in (Role.IDENTITY, Role.PLACEBO, Role.FLOOR)
    detail = "calibrated" if strength in entry.subject.calibrated_strengths else ""
    return TableCell(text.NONE) if is_fixed else TableCell(f"{strength:g}", strength, detail=detail)


def metric_cell(evidence: Evidence, entry: BoardEntry, address: tuple[str, float, str, str]) -> TableCell:
    """Returns a raw mean over artists, and on its second line the paired difference to the clean arm."""
    cell = value_cell(evidence.raw.get(address))
    change = evidence.change.get(address)
    if change is None or entry.facts.role == Role.IDENTITY or not math.isfinite(change.value):
        return cell
    return TableCell(cell.text, cell.value, detail=difference_words(change))
