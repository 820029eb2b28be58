"""The tables of the page behind a number: over artists, and cell by cell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cloakbench.schemas.kinds import Role, Status
from cloakbench.schemas.record import Record
from cloakbench.schemas.suite import AttackSpec
from cloakbench_leaderboards import text
from cloakbench_leaderboards.board import sections
from cloakbench_leaderboards.board.editing import metric_cell
from cloakbench_leaderboards.board.equal_strength import bounded_cell, metric_columns, raw_metrics
from cloakbench_leaderboards.board.tables import (
    Better,
    CellKind,
    Row,
    Table,
    TableCell,
    TableColumn,
    estimate_cell,
    exact,
)
from cloakbench_leaderboards.parts.lookup import ArtistPoint, Lookup
from cloakbench_leaderboards.scores import statistics
from cloakbench_leaderboards.scores.evidence import BoardEntry, Evidence


def anchor(record: Record) -> str:
    """Returns the fragment of a cell on its page."""
    return f"cell-{record.key[:12]}"


def label(record: Record) -> str:
    """Returns the operating point of a cell in words."""
    if record.protection.role in (Role.IDENTITY, Role.PLACEBO):
        return record.protection.role
    at = f"strength {record.strength:g}"
    return at if record.target is None else f"{at}, calibrated for {record.target:g}"


def over_artists(lookup: Lookup, entry: BoardEntry, spec: AttackSpec) -> Table:
    """Returns one row per operating point: every metric as its mean over artists with its interval."""
    evidence, chosen = lookup.evidence, lookup.evidence.suite.metrics
    metrics = chosen.edit if lookup.is_edit(spec) else raw_metrics(evidence)
    rows = []
    for strength in entry.strengths:
        at = sections.strength_cell(entry, strength)
        rows.append(Row(at.text, at.detail, entry.is_control, _point_cells(lookup, entry, spec, strength)))
    columns = [] if lookup.is_edit(spec) else _score_columns("")
    columns += metric_columns(evidence, [*metrics, *chosen.quality])
    artists = len(evidence.artists)
    is_few = artists < statistics.MIN_ARTISTS
    note = "The second line is the 95 % interval over artists."
    if is_few:
        note = f"No intervals: {statistics.too_few(artists)}."
    return Table("Over artists, all seeds", "Strength", tuple(columns), tuple(rows), (note,))


def _point_cells(lookup: Lookup, entry: BoardEntry, spec: AttackSpec, strength: float) -> tuple[TableCell, ...]:
    evidence, chosen = lookup.evidence, lookup.evidence.suite.metrics
    if lookup.is_edit(spec):
        cells = []
        for name in chosen.edit:
            cells.append(metric_cell(evidence, entry, strength, (spec.name, name)))
    else:
        cells = list(sections.scores(evidence, entry, strength, spec.name))
        for name in raw_metrics(evidence):
            cells.append(_estimate(evidence, name, evidence.raw.get((entry.name, strength, spec.name, name))))
    for name in chosen.quality:
        cells.append(_estimate(evidence, name, evidence.quality.get((entry.name, strength, name))))
    return tuple(cells)


def _score_columns(detail: str) -> list[TableColumn]:
    return [TableColumn("P", detail, Better.HIGHER), TableColumn("Effect", detail, Better.HIGHER)]


def _estimate(evidence: Evidence, name: str, estimate: statistics.Estimate | None) -> TableCell:
    if estimate is None:
        return TableCell(text.NONE, note="no measurement")
    return bounded_cell(evidence, name, estimate, estimate.reason)


def by_cell(lookup: Lookup, spec: AttackSpec, records: Sequence[Record]) -> Table:
    """Returns one row per cell: every metric as its mean over the cell's images with its interval."""
    evidence, chosen = lookup.evidence, lookup.evidence.suite.metrics
    is_edit = lookup.is_edit(spec)
    generation = chosen.edit if is_edit else list(dict.fromkeys([chosen.primary, *chosen.generation]))
    sets = [] if is_edit else chosen.sets
    generated = _means(records, generation, [record.generations for record in records])
    quality = _means(records, chosen.quality, [record.quality for record in records])
    rows = []
    for record, generated_cells, quality_cells in zip(records, generated, quality, strict=True):
        scores = () if is_edit else _scores(lookup, record)
        cells = (_status(record), *scores, *generated_cells, *_set_values(record, sets), *quality_cells)
        rows.append(Row(text.name(record.artist), label(record), False, cells, anchor(record)))
    columns = [TableColumn("Status", kind=CellKind.WORDS), *([] if is_edit else _score_columns("all seeds"))]
    columns += metric_columns(evidence, [*generation, *sets, *chosen.quality])
    note = (
        "The second line is the 95 % interval over the images of the cell: the precision of this cell, not the "
        "difference between artists. A metric of a whole set has one value per cell and no interval."
    )
    return Table("Every cell of the first seed", "Artist", tuple(columns), tuple(rows), (note,))


def _status(record: Record) -> TableCell:
    kind = CellKind.WORDS if record.status is Status.OK else CellKind.WARNING
    return TableCell(str(record.status), kind=kind, note=text.plain(record.reason))


def _scores(lookup: Lookup, record: Record) -> list[TableCell]:
    address = (record.protection.name, record.strength, record.attack.name, record.artist)
    point = lookup.artists.get(address, ArtistPoint(math.nan, math.nan, "no record"))
    return [_value(point.p, point.reason), _value(point.effect, point.reason)]


def _set_values(record: Record, names: Sequence[str]) -> list[TableCell]:
    cells = []
    for name in names:
        cells.append(_value(record.sets.get(name, math.nan), _absence(record, name)))
    return cells


def _means(
    records: Sequence[Record], names: Sequence[str], values: Sequence[dict[str, list[float]]]
) -> list[list[TableCell]]:
    """Returns one row of cells per record: the mean of each metric over the images of the cell."""
    rows: list[list[TableCell]] = [[] for _ in records]
    for name in names:
        column = _column([by_name.get(name, []) for by_name in values])
        for row, record, cell in zip(rows, records, column, strict=True):
            row.append(cell if cell.value is not None else replace(cell, note=_absence(record, name)))
    return rows


def _column(values: Sequence[Sequence[float]]) -> list[TableCell]:
    longest = max(map(len, values), default=0)
    if longest == 0:
        return [TableCell(text.NONE)] * len(values)
    padded = np.full((len(values), longest), math.nan)
    for row, numbers in enumerate(values):
        padded[row, : len(numbers)] = numbers
    return [estimate_cell(estimate) for estimate in statistics.estimates(padded).rows()]


def _value(value: float, reason: str) -> TableCell:
    if not math.isfinite(value):
        return TableCell(text.NONE, note=text.plain(reason))
    return TableCell(text.number(value), exact(value), note=text.plain(reason))


def _absence(record: Record, metric: str) -> str:
    """Returns why a record lacks a metric."""
    return text.plain(record.skipped.get(metric) or record.reason or "not measured")
