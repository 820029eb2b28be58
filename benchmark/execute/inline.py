"""Executors: whoever runs cells. This one runs them here, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from benchmark.cells.plan import Cell
from benchmark.cells.record import Record
from benchmark.execute.progress import Reporter


class Executor(Protocol):
    """Runs cells through `work`, which keeps each record before it returns it."""

    def run(self, cells: Sequence[Cell], work: Callable[[Cell], Record], report: Reporter) -> list[Record]:
        """Returns the record of every cell, in order."""


class InlineExecutor:
    """Runs cells in this process: simple to debug, nothing to set up."""

    def run(self, cells: Sequence[Cell], work: Callable[[Cell], Record], report: Reporter) -> list[Record]:
        """Returns the record of every cell, in order; an interruption keeps what is finished."""
        records = []
        report.begin(len(cells))
        try:
            for cell in cells:
                report.start(cell)
                record = work(cell)
                report.finish(cell, record)
                records.append(record)
        finally:
            report.end()
        return records
