"""The section on editing: how far protections disturb an edit, outside the ranking."""

from __future__ import annotations

from dataclasses import replace

from cloakbench.schemas.kinds import Role
from cloakbench.schemas.suite import AttackSpec
from cloakbench_leaderboards import text
from cloakbench_leaderboards.board.equal_strength import bounded_cell, metric_columns
from cloakbench_leaderboards.board.sections import chain, control_word, settings, strength_cell
from cloakbench_leaderboards.board.tables import Row, Table, TableCell, TableColumn, value_cell
from cloakbench_leaderboards.board.view import Editing, EditSection, Pair
from cloakbench_leaderboards.scores import statistics
from cloakbench_leaderboards.scores.evidence import BoardEntry, Evidence
from cloakbench_leaderboards.scores.statistics import MIN_ARTISTS

EXPLANATION = (
    "Here the mimic learns nothing: it edits each image under a prompt. The edit of the protected image is compared "
    "with the edit of the clean image under the same prompt and seed.",
    "A similarity of 1, or a PSNR of many decibels, means that the protection did not disturb the edit; a lower value "
    "means more disturbance. None of the metrics says whether the other edit is a bad one.",
    "The placebo's row is the noise floor: noise of 1/255 moves an edit as far as this. Editing takes no part in P nor "
    "in the rank.",
)
COMPARE_STAGE = "compare with the clean edit"
"""Last stage of an attack that edits."""
NO_ARM = (Role.IDENTITY, Role.FLOOR)
"""Controls without edits of their own: the clean edit is the reference, and the floor has no image to edit."""


def editing(evidence: Evidence) -> Editing | None:
    """Returns the section, or None where the suite edits nothing."""
    explained = evidence.explained
    prompts = Pair("prompts", text.plain("; ".join(evidence.suite.edit_prompts), 1000))
    sections = []
    for number, spec in enumerate(evidence.edits, start=1):
        facts = explained[spec.name]
        sections.append(
            EditSection(
                anchor=f"edit-{number}",
                name=text.name(spec.name),
                summary=text.plain(facts.summary, 1000),
                chain=chain(spec, COMPARE_STAGE),
                settings=(*settings(facts), prompts),
                table=_table(evidence, spec),
            )
        )
    return Editing(EXPLANATION, tuple(sections)) if sections else None


def edited_points(evidence: Evidence) -> list[tuple[BoardEntry, float]]:
    """Returns every entry that can be edited with each of its strengths."""
    points = []
    for entry in evidence.entries:
        if entry.facts.role not in NO_ARM:
            for strength in entry.strengths:
                points.append((entry, strength))
    return points


def _table(evidence: Evidence, spec: AttackSpec) -> Table:
    chosen = evidence.suite.metrics
    shown = chosen.quality[:1]
    rows = []
    for entry, strength in edited_points(evidence):
        cells = [strength_cell(entry, strength)]
        for name in shown:
            cells.append(value_cell(evidence.quality.get((entry.name, strength, name))))
        for name in chosen.edit:
            cells.append(metric_cell(evidence, entry, strength, (spec.name, name)))
        rows.append(Row(entry.label, control_word(entry), entry.is_control, tuple(cells)))
    columns = (TableColumn("Strength"), *metric_columns(evidence, [*shown, *chosen.edit]))
    caption = f"Edits by “{text.name(spec.name)}”, protected against clean: means over artists"
    return Table(caption, "Protection", columns, tuple(rows), (_note(evidence),))


def _note(evidence: Evidence) -> str:
    if len(evidence.artists) < MIN_ARTISTS:
        return f"No intervals: {statistics.too_few(len(evidence.artists))}."
    return (
        "The second line is the 95 % interval over artists. A cell that failed or is absent enters no mean; an "
        "artist without any is counted as missing."
    )


def metric_cell(evidence: Evidence, entry: BoardEntry, strength: float, names: tuple[str, str]) -> TableCell:
    """Returns a metric of edits with its interval; `names` are those of the attack and the metric."""
    estimate = evidence.raw.get((entry.name, strength, *names))
    if estimate is None:
        return TableCell(text.NONE, note="no measurement")
    cell = bounded_cell(evidence, names[1], estimate, "" if evidence.suite.demonstration else estimate.reason)
    absent = len(evidence.artists) - estimate.n
    return replace(cell, flag=f"{absent} missing") if absent > 0 else cell
