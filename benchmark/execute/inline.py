"""Executors: whoever runs cells. This one runs them here, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from benchmark.cells.plan import Cell
from benchmark.cells.record import Record
from benchmark.execute.progress import Outcome, Reporter


class Executor(Protocol):
    """Runs cells through `work`, which keeps each record before it returns it."""

    def run(self, cells: Sequence[Cell], work: Callable[[Cell], Record], report: Reporter) -> list[Outcome]:
        """Returns how every cell ended, in order."""


class InlineExecutor:
    """Runs cells in this process: simple to debug, nothing to set up."""

    def run(self, cells: Sequence[Cell], work: Callable[[Cell], Record], report: Reporter) -> list[Outcome]:
        """Returns how every cell ended, in order; an interruption keeps what is finished."""
        outcomes = []
        report.begin(len(cells))
        try:
            for cell in cells:
                report.start(cell)
                outcome = Outcome.of(work(cell))
                report.finish(cell, outcome)
                outcomes.append(outcome)
        finally:
            report.end()
        return outcomes
