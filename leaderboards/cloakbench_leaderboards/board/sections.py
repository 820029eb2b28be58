"""One section per attack that imitates: what the mimic does, the curve, and every number behind it."""

from __future__ import annotations

import math

from cloakbench.schemas.suite import AttackExplained, AttackSpec
from cloakbench_leaderboards import text
from cloakbench_leaderboards.board import curves
from cloakbench_leaderboards.board.equal_strength import metric_column, p_cell
from cloakbench_leaderboards.board.tables import Row, Table, TableCell, TableColumn, estimate_cell, value_cell
from cloakbench_leaderboards.board.view import AttackSection, Pair
from cloakbench_leaderboards.scores.evidence import BoardEntry, Evidence


def attack_sections(evidence: Evidence) -> tuple[AttackSection, ...]:
    """Returns the sections in the suite's order."""
    explained = {each.name: each for each in evidence.facts.attacks}
    axis = curves.span(evidence)
    sections = []
    for number, spec in enumerate(evidence.ranked, start=1):
        curve, *more = curves.curves(evidence, spec.name, axis) or [None]
        facts = explained.get(spec.name)
        sections.append(
            AttackSection(
                anchor=f"attack-{number}",
                name=text.name(spec.name),
                summary=text.plain(facts.summary, 1000) if facts else "",
                chain=chain(spec, "generate"),
                settings=settings(facts),
                curve=curve,
                more_curves=tuple(each for each in more if each),
                no_curve="" if curve else no_curve(evidence, spec.name),
                table=_table(evidence, spec.name),
            )
        )
    return tuple(sections)


def chain(spec: AttackSpec, *then: str) -> str:
    """Returns the stages of an attack in one line."""
    cleaned = spec.countermeasures or ["no countermeasure"]
    stages = [*cleaned, f"{spec.mimicry} on {spec.model}", *then]
    return " → ".join(text.name(stage) for stage in stages)


def settings(facts: AttackExplained | None) -> tuple[Pair, ...]:
    """Returns the settings of each stage of an attack."""
    parameters = facts.parameters if facts else {}
    return tuple(
        Pair(text.name(stage), text.plain(", ".join(f"{key} {value}" for key, value in values.items()), 1000))
        for stage, values in parameters.items()
        if values
    )


def no_curve(evidence: Evidence, attack: str) -> str:
    """Returns why there is nothing to draw of an attack."""
    reasons = sorted({point.reason for key, point in evidence.scores.summary.items() if key[2] == attack})
    return text.plain(next((reason for reason in reasons if reason), "no record of this attack yet"))


def _table(evidence: Evidence, attack: str) -> Table:
    chosen = evidence.suite.metrics
    metrics = list(dict.fromkeys([chosen.primary, *chosen.generation, *chosen.sets]))
    shown = chosen.quality[:1]
    columns = (
        TableColumn("Strength"),
        *(metric_column(evidence, name) for name in shown),
        TableColumn("P", "", "↑"),
        TableColumn("Effect", "", "↑"),
        *(metric_column(evidence, name, "Δ to clean") for name in metrics),
    )
    rows = [
        _row(evidence, entry, strength, attack, (shown, metrics))
        for entry in evidence.entries
        for strength in entry.strengths
    ]
    note = "Second line of a raw metric: the difference to clean images under the same attack and seed."
    return Table(
        f"Numbers against “{text.name(attack)}”: means over artists", "Protection", columns, tuple(rows), (note,)
    )


def _row(
    evidence: Evidence, entry: BoardEntry, strength: float, attack: str, names: tuple[list[str], list[str]]
) -> Row:
    shown, metrics = names
    return Row(
        entry.label,
        "control" if entry.is_control else "",
        entry.is_control,
        (
            strength_cell(entry, strength),
            *(value_cell(evidence.quality.get((entry.name, strength, name))) for name in shown),
            *scores(evidence, entry, strength, attack),
            *(metric_cell(evidence, entry, (entry.name, strength, attack, name)) for name in metrics),
        ),
    )


def scores(evidence: Evidence, entry: BoardEntry, strength: float, attack: str) -> tuple[TableCell, TableCell]:
    """Returns P and effect at an operating point, or why there is none."""
    point = evidence.scores.summary.get((entry.name, strength, attack))
    is_scored = point is not None and not point.reason
    effect = estimate_cell(point.effect) if point is not None and is_scored else TableCell(text.NONE)
    if entry.facts.role == "floor":
        return TableCell("1", 1.0, detail="by definition"), effect
    return p_cell(point, len(evidence.artists), evidence.suite.demonstration), effect


def strength_cell(entry: BoardEntry, strength: float) -> TableCell:
    """Returns the strength, or a dash for a control that has none."""
    # The placebo's noise is 1/255 whatever its strength says.
    is_fixed = entry.facts.role in ("identity", "placebo", "floor")
    detail = "calibrated" if strength in entry.subject.calibrated_strengths else ""
    return TableCell(text.NONE) if is_fixed else TableCell(f"{strength:g}", strength, detail=detail)


def metric_cell(evidence: Evidence, entry: BoardEntry, address: tuple[str, float, str, str]) -> TableCell:
    """Returns a raw mean over artists, and on its second line the paired difference to the clean arm."""
    cell = value_cell(evidence.raw.get(address))
    change = evidence.change.get(address)
    if change is None or entry.facts.role == "identity" or not math.isfinite(change.value):
        return cell
    shift = text.number(change.value, (change.high - change.low) / 2)
    sign = "" if shift.startswith(text.MINUS) else "+"
    interval = text.interval(change.low, change.high)
    detail = f"{sign}{shift}" + (f" ({interval})" if interval else "")
    return TableCell(cell.text, cell.value, detail=detail)
