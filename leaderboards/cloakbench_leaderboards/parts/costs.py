"""The cost of a protection's cells, stage by stage."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import median

from cloakbench.schemas.record import Record, StageCost
from cloakbench_leaderboards import text
from cloakbench_leaderboards.board.tables import CellKind, Row, Table, TableCell, TableColumn

STAGES = {
    "calibrate": "searches the strength that meets a quality target; the whole search counts",
    "protect": "the submission protects the images of one artist",
    "countermeasure": "the mimic cleans them",
    "personalise": "the mimic fine-tunes the base model on them",
    "generate": "the mimic generates images",
    "clean-edit": "the same edits of the clean images",
    "measure": "all metrics",
}
"""The work of each stage, in the order in which a cell runs them."""
GIGABYTE = 1e9


def table(records: Sequence[Record]) -> Table:
    """Returns one row per stage: the median over the cells that ran it; cells with a stored output are left out."""
    by_stage: dict[str, list[StageCost]] = {}
    for record in records:
        for stage, cost in record.cost.items():
            if not cost.cached:
                by_stage.setdefault(stage, []).append(cost)
    rows = []
    for stage in _ordered(by_stage):
        rows.append(_row(stage, by_stage[stage]))
    columns = (
        TableColumn("Cells"),
        TableColumn("Wall", "s, median"),
        TableColumn("Device", "s, median"),
        TableColumn("Peak memory", "GB, highest"),
        TableColumn("All cells", "hours"),
        TableColumn("Energy", "J, median"),
        TableColumn("Work", kind=CellKind.WORDS),
    )
    note = "Per cell; a cell that took the output of a stage from the store is not counted in that stage."
    return Table("Cost by stage", "Stage", columns, tuple(rows), (note,))


def _ordered(stages: Iterable[str]) -> list[str]:
    order = list(STAGES)
    return sorted(set(stages), key=lambda stage: (order.index(stage) if stage in STAGES else len(order), stage))


def words(costs: dict[str, StageCost]) -> str:
    """Returns the cost of one cell in one line.

    Example:
        >>> words({"protect": StageCost(wall_s=4.0, device_s=3.5, peak_bytes=2 * 10**9, cached=True)})
        'protect 4.00 s (device 3.50 s, 2.00 GB, from the store)'
    """
    described = []
    for stage in _ordered(costs):
        described.append(f"{text.name(stage)} {_words(costs[stage])}")
    return "; ".join(described)


def _words(cost: StageCost) -> str:
    parts = [f"device {text.number(cost.device_s)} s", f"{text.number(cost.peak_bytes / GIGABYTE)} GB"]
    if cost.energy_j is not None:
        parts.append(f"{text.number(cost.energy_j)} J")
    if cost.chunk is not None:
        parts.append(f"chunk size reduced to {cost.chunk} (out of memory)")
    if cost.cached:
        parts.append("from the store")
    return f"{text.number(cost.wall_s)} s ({', '.join(parts)})"


def _row(stage: str, costs: list[StageCost]) -> Row:
    wall = [cost.wall_s for cost in costs]
    energy = []
    for cost in costs:
        if cost.energy_j is not None:
            energy.append(cost.energy_j)
    device = [cost.device_s for cost in costs]
    peaks = [cost.peak_bytes for cost in costs]
    numbers = [
        median(wall),
        median(device),
        max(peaks) / GIGABYTE,
        sum(wall) / 3600,
        median(energy) if energy else math.nan,
    ]
    cells = [TableCell(str(len(costs)), float(len(costs)))]
    for number in numbers:
        cells.append(TableCell(text.number(number), number if math.isfinite(number) else None))
    cells.append(TableCell(STAGES.get(stage, ""), kind=CellKind.WORDS))
    return Row(text.name(stage), "", False, tuple(cells))
