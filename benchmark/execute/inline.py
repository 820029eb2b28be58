"""Executors: whoever runs cells. This one runs them here, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Protocol

from benchmark.cells.plan import Cell
from benchmark.cells.record import Record
from benchmark.execute.budget import MayStart, always
from benchmark.execute.progress import Outcome, Reporter


class Executor(Protocol):
    """Runs cells through `work`, which keeps each record before it returns it."""

    @property
    def count(self) -> int | None:
        """How many cells run at once; None where that is seen when they do."""

    def run(
        self, cells: Sequence[Cell], work: Callable[[Cell], Record], report: Reporter, may_start: MayStart = always
    ) -> list[Outcome]:
        """Returns how every cell ended that was given out, in order; none is once `may_start` has said no."""


class InlineExecutor:
    """Runs cells in this process: simple to debug, nothing to set up."""

    count: int | None = 1

    def run(
        self, cells: Sequence[Cell], work: Callable[[Cell], Record], report: Reporter, may_start: MayStart = always
    ) -> list[Outcome]:
        """Returns how every cell ended that was given out, in order; an interruption keeps what is finished."""
        outcomes = []
        report.begin(len(cells))
        try:
            for cell in takewhile(lambda _: may_start(), cells):
                report.start(cell)
                outcome = Outcome.of(work(cell))
                report.finish(cell, outcome)
                outcomes.append(outcome)
        finally:
            report.end()
        return outcomes
