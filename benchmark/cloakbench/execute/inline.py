"""The protocol of executors, and the one that runs cells in this process, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from typing import Protocol

from cloakbench.cells.plan import Cell
from cloakbench.execute.progress import Outcome, Reporter
from cloakbench.execute.time_limit import PASSED, MayStart, always
from cloakbench.schemas.record import Record


class CellPipeline(Protocol):
    """Computes cells; each record is in the store before it is returned."""

    @property
    def primary(self) -> str:
        """Name of the suite's distance D."""

    def calibrate(self, cells: Iterable[Cell], say: Callable[[str], None]) -> None:
        """Seeks the strengths that cells need; errors are ignored here, because each affected cell records them."""

    def expect(self, cells: Sequence[Cell]) -> None:
        """Notes the cells that are going to run in this process: those alike can be trained together."""

    def run(self, cell: Cell) -> Record:
        """Runs a cell in this process, with the search for its strength where it is missing; returns its record."""

    def lost(self, cell: Cell, reason: str) -> Record:
        """Returns the record of a cell whose worker processes died."""


class Executor(Protocol):
    """Runs cells with a pipeline, here or in worker processes."""

    @property
    def count(self) -> int | None:
        """How many cells run at once; None where it is known only during the run."""

    def run(
        self, cells: Sequence[Cell], pipeline: CellPipeline, report: Reporter, may_start: MayStart = always
    ) -> list[Outcome]:
        """Returns the outcome of every cell that ran, in order; no cell starts once `may_start` has returned False."""


class InlineExecutor:
    """Runs cells in this process: simple to debug, nothing to set up."""

    count: int | None = 1

    def run(
        self, cells: Sequence[Cell], pipeline: CellPipeline, report: Reporter, may_start: MayStart = always
    ) -> list[Outcome]:
        """Returns the outcome of every cell that ran, in order; an interruption keeps what is finished.

        All strengths are searched before any model learns.
        """
        outcomes = []
        pipeline.calibrate(takewhile(lambda _: may_start(), cells), report.say)
        pipeline.expect(cells)
        report.begin(len(cells))
        try:
            for cell in cells:
                if not may_start():
                    report.say(PASSED)
                    break
                report.start(cell)
                outcome = Outcome.of(pipeline.run(cell), pipeline.primary)
                report.finish(cell, outcome)
                outcomes.append(outcome)
        finally:
            report.end()
        return outcomes
