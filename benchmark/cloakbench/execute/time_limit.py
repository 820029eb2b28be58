"""The time limit of a run: as many cells as usually fit, and no cell starts after it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cloakbench.cells.costing import Costs, StageStep, steps
from cloakbench.cells.plan import Cell

PASSED = "the time limit has passed: cells that run are finished, no other starts"
MayStart = Callable[[], bool]
"""An executor calls it before it starts a cell; after one False it starts no further cell."""


def always() -> bool:
    """Returns True: no limit of time."""
    return True


@dataclass
class CostEstimator:
    """Estimates the seconds of cells, one after the other: a stage that cells share counts once."""

    costs: Costs
    is_made: Callable[[StageStep], bool] = lambda _step: False
    """Whether the store has a stage's output."""
    _counted: set[str] = field(default_factory=set)

    def next(self, cell: Cell) -> float:
        """Returns the seconds that a cell adds to those before it; a stage without recorded costs adds none."""
        seconds = 0.0
        for step in self.due(cell):
            usual = self.costs.usual(step)
            seconds += usual.wall_s if usual is not None else 0.0
        return seconds

    def due(self, cell: Cell) -> list[StageStep]:
        """Returns the stages that a cell adds to those before it, and remembers them."""
        due = [step for step in steps(cell.recipes) if step.key not in self._counted and not self.is_made(step)]
        self._counted |= {step.key for step in due}
        return due


@dataclass
class Deadline:
    """A time limit in seconds, from now on."""

    limit_s: float
    costs: Costs
    is_made: Callable[[StageStep], bool] = lambda _step: False
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._began = self.clock()

    def fitting(self, cells: Sequence[Cell], workers: int = 1) -> list[Cell]:
        """Returns the first of the cells, as many as usually fit; stages without recorded costs count as nothing."""
        estimator, remaining_s = CostEstimator(self.costs, self.is_made), self.limit_s * workers
        for n, cell in enumerate(cells):
            remaining_s -= estimator.next(cell)
            if remaining_s < 0:
                return list(cells[:n])
        return list(cells)

    def may_start(self) -> bool:
        """Returns whether there is time left; a cell that has begun is finished."""
        return self.clock() - self._began < self.limit_s
