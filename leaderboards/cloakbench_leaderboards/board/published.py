"""Figures of papers on the experiment that a suite repeats, with the values measured here."""

from __future__ import annotations

from cloakbench.schemas.suite_tables import PublishedFigure
from cloakbench_leaderboards import text
from cloakbench_leaderboards.board.equal_strength import metric_column
from cloakbench_leaderboards.board.tables import CellKind, Row, Table, TableCell, TableColumn, value_cell
from cloakbench_leaderboards.scores.evidence import Evidence
from cloakbench_leaderboards.scores.statistics import Estimate

NOTE = (
    "Compare in direction only: models, images, settings and implementations of the papers differ from the suite's. "
    "The second line of a cell is the mean measured here."
)


def published(evidence: Evidence) -> Table | None:
    """Returns one row per row of a paper's table, or None where the suite carries none.

    A value of the paper has the value measured here on its second line, at the strength of the board's other tables,
    where the suite says which entry and attack repeat the row.
    """
    figures = evidence.suite.published
    if not figures:
        return None
    names: dict[str, None] = {}
    for figure in figures:
        names.update(dict.fromkeys(figure.values))
    rows = []
    for figure in figures:
        cells = [TableCell(text.plain(f"{figure.paper}, table {figure.table}", 200), kind=CellKind.WORDS)]
        for name in names:
            cells.append(_cell(evidence, figure, name))
        rows.append(Row(text.name(figure.row), "", False, tuple(cells)))
    columns = [TableColumn("Source", kind=CellKind.WORDS)]
    for name in names:
        columns.append(metric_column(evidence, name))
    return Table("What papers report", "Row", tuple(columns), tuple(rows), (NOTE,))


def _cell(evidence: Evidence, figure: PublishedFigure, metric: str) -> TableCell:
    value = figure.values.get(metric)
    if value is None:
        return TableCell(text.NONE)
    estimate = _measured(evidence, figure, metric)
    words = "" if estimate is None else f"here {value_cell(estimate).text}"
    return TableCell(f"{value:g}", value, detail=words)


def _measured(evidence: Evidence, figure: PublishedFigure, metric: str) -> Estimate | None:
    """Returns the mean over artists of the entry that repeats the row, or None where it was not measured."""
    entries = [entry for entry in evidence.entries if entry.name == figure.protection]
    if not entries:
        return None
    strength = evidence.focus(entries[0])
    generated = evidence.raw.get((figure.protection, strength, figure.attack, metric))
    return generated or evidence.quality.get((figure.protection, strength, metric))
