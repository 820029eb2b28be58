"""What a protection's cells cost, stage by stage."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from cloakbench.schemas.record import Record, StageCost
from cloakbench_leaderboards import text
from cloakbench_leaderboards.board.grid import HeadedRow, HeadedTable
from cloakbench_leaderboards.board.tables import TableCell, TableColumn

STAGES = {
    "calibrate": "seeks the strength that meets a target of quality; the whole search counts",
    "protect": "the submission makes the protected images of one artist",
    "countermeasure": "the mimic cleans them",
    "personalise": "the mimic fine-tunes the base model on them",
    "generate": "the mimic generates images",
    "clean-edit": "the same edits of the clean images",
    "measure": "all metrics",
}
"""What each stage does, in the order in which a cell runs them."""
GIGABYTE = 1e9


def grid(records: Sequence[Record]) -> HeadedTable:
    """Returns one row a stage: the median over cells that ran it, none that took its output from the store."""
    found: dict[str, list[StageCost]] = {}
    for record in records:
        for stage, cost in record.cost.items():
            if not cost.cached:
                found.setdefault(stage, []).append(cost)
    order = [*STAGES, *sorted(found.keys() - STAGES.keys())]
    lines = tuple(_line(stage, found[stage]) for stage in order if stage in found)
    columns = (
        TableColumn("Cells"),
        TableColumn("Wall", "s, median"),
        TableColumn("Device", "s, median"),
        TableColumn("Peak memory", "GB, highest"),
        TableColumn("All cells", "hours"),
        TableColumn("Energy", "J, median"),
        TableColumn("What it does", kind="words"),
    )
    note = "Per cell; a cell that took a stage's output from the store is not counted there."
    return HeadedTable("Cost by stage", "Stage", columns, lines, (note,))


def words(costs: dict[str, StageCost]) -> str:
    """Returns what one cell cost, in one line.

    Example:
        >>> words({"protect": StageCost(wall_s=4.0, device_s=3.5, peak_bytes=2 * 10**9, cached=True)})
        'protect 4.00 s (device 3.50 s, 2.00 GB, from the store)'
    """
    order = [*STAGES, *sorted(costs.keys() - STAGES.keys())]
    return "; ".join(f"{text.name(stage)} {_words(costs[stage])}" for stage in order if stage in costs)


def _words(cost: StageCost) -> str:
    where = "" if cost.energy_j is None else f", {text.number(cost.energy_j)} J"
    where += "" if cost.chunk is None else f", {cost.chunk} images at once for want of memory"
    where += ", from the store" if cost.cached else ""
    memory = text.number(cost.peak_bytes / GIGABYTE)
    return f"{text.number(cost.wall_s)} s (device {text.number(cost.device_s)} s, {memory} GB{where})"


def _line(stage: str, costs: list[StageCost]) -> HeadedRow:
    wall = [cost.wall_s for cost in costs]
    energy = [cost.energy_j for cost in costs if cost.energy_j is not None]
    numbers = [
        float(len(costs)),
        median(wall),
        median(cost.device_s for cost in costs),
        max(cost.peak_bytes for cost in costs) / GIGABYTE,
        sum(wall) / 3600,
        median(energy) if energy else math.nan,
    ]
    cells = (
        TableCell(str(len(costs)), numbers[0]),
        *(TableCell(text.number(each), each if math.isfinite(each) else None) for each in numbers[1:]),
    )
    return HeadedRow(text.name(stage), "", "", False, (*cells, TableCell(STAGES.get(stage, ""), kind="words")))
