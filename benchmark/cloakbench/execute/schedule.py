"""Decides which cell runs next, on every executor: shared stages run once, and lost cells run again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from cloakbench.cells.plan import Cell
from cloakbench.errors import InfrastructureError
from cloakbench.execute.bundle import shared
from cloakbench.execute.progress import Outcome
from cloakbench.schemas.kinds import Status

TRIES = 2
"""Attempts per cell when its worker dies."""
LOST = 3
"""Cells given up in a row that end the run: then the machine or the harness is at fault."""
STARTS = 3
"""Workers that may die in a row before they have a cell."""


class CellQueue:
    """The cells of a run in their order: those that wait, those that run, and how the others ended.

    Of cells that share a search for a strength, or protected or cleaned images, one runs at a time until these are
    computed.
    """

    def __init__(self, cells: Sequence[Cell]) -> None:
        self._waiting: dict[str, Cell] = {}
        self._shared: dict[str, frozenset[str]] = {}
        for cell in cells:
            self._waiting[cell.key] = cell
            self._shared[cell.key] = shared(cell)
        self._order = list(self._waiting)
        self._making: Counter[str] = Counter()
        self._made: set[str] = set()
        self._deaths: Counter[str] = Counter()
        self._starts = self._lost = 0
        self._outcomes: dict[str, Outcome] = {}

    def stop(self) -> None:
        """Drops the cells that wait; those that run are the last."""
        self._order = [key for key in self._order if key not in self._waiting]
        self._waiting.clear()

    @property
    def is_done(self) -> bool:
        """Whether every cell that was not dropped has ended."""
        return len(self._outcomes) == len(self._order)

    def outcomes(self) -> list[Outcome]:
        """Returns the outcomes of the cells that have ended, in the order of the plan."""
        return [self._outcomes[key] for key in self._order if key in self._outcomes]

    def take(self) -> Cell | None:
        """Returns the first cell that may run now and counts it as running; None where all must wait."""
        for key, cell in self._waiting.items():
            if not any(self._making[name] for name in self._shared[key] - self._made):
                del self._waiting[key]
                self._making.update(self._shared[key])
                return cell
        return None

    def finish(self, cell: Cell, outcome: Outcome) -> None:
        """Notes how a running cell ended."""
        self._outcomes[cell.key] = outcome
        self._making.subtract(self._shared[cell.key])
        self._starts = 0
        if not outcome.status.is_retried:
            self._lost = 0
        if outcome.status is Status.OK:
            self._made |= self._shared[cell.key]

    def put_back(self, cell: Cell) -> None:
        """Puts a running cell first in the queue again: its node was lost, and the cell is not to blame."""
        self._making.subtract(self._shared[cell.key])
        self._waiting = {cell.key: cell, **self._waiting}

    def died(self, cell: Cell, how: str) -> str:
        """Lets the cell run again whose process died; returns why it is given up where that was the last of TRIES.

        Raises InfrastructureError, which ends the run, for the last of LOST cells given up one after the other.
        """
        self._deaths[cell.key] += 1
        if self._deaths[cell.key] < TRIES:
            self.put_back(cell)
            return ""
        self._lost += 1
        if self._lost >= LOST:
            raise InfrastructureError(
                f"expected {cell.label} to end, got {TRIES} processes that died of it ({how}), as of the"
                f" {LOST - 1} cells before it",
                "Memory may be short: use fewer workers. Finished cells are kept; run again to go on.",
            )
        return f"{TRIES} processes died of it ({how}); memory may be short: use fewer workers"

    def died_idle(self, how: str) -> None:
        """Notes that a process died before it had a cell; raises InfrastructureError for the last of STARTS."""
        self._starts += 1
        if self._starts >= STARTS:
            raise InfrastructureError(
                f"expected working processes, got {STARTS} that died before any cell ({how})",
                "Run it with --executor inline, which shows the error.",
            )
