"""Progress on standard error: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from cloakbench.printable import clean, encodable
from cloakbench.schemas.kinds import Status
from cloakbench.schemas.record import Record

if TYPE_CHECKING:
    from cloakbench.cells.plan import Cell


class Outcome(NamedTuple):
    """How a cell ended; its record is in the store."""

    key: str
    status: Status
    reason: str = ""
    distance: float | None = None
    """D, the mean of the suite's primary distance over the generated images; None where the cell has none."""

    @classmethod
    def of(cls, record: Record, primary: str = "") -> Outcome:
        """Returns the outcome of a record's cell; `primary` names the suite's distance D."""
        return cls(record.key, record.status, record.reason, _distance(record, primary) if primary else None)


def _distance(record: Record, primary: str) -> float | None:
    values = record.generations.get(primary)
    return fmean(values) if values else record.sets.get(primary)


class Reporter(Protocol):
    """Receives the progress of a run."""

    def say(self, text: str) -> None:
        """Shows a sentence."""

    def begin(self, total: int) -> None:
        """Notes how many cells follow."""

    def start(self, cell: Cell) -> None:
        """Notes that a cell starts."""

    def finish(self, cell: Cell, outcome: Outcome) -> None:
        """Notes how a cell ended."""

    def end(self) -> None:
        """Notes that no more cells follow."""


_DOES = {
    "calibrate": "seeks the strength",
    "protect": "protects",
    "countermeasure": "cleans",
    "personalise": "fine-tunes",
    "generate": "generates",
    "measure": "measures",
}
"""What a stage does, in a word."""


def _describe_work(cell: Cell) -> str:
    """Returns what a cell does, in the order of its stages."""
    return ", ".join(_DOES[stage] for stage in cell.keys if stage in _DOES)


class Lines:
    """A line per finished cell, for logs; and one for each cell that starts before any has ended."""

    def say(self, text: str) -> None:
        """Writes a line."""
        sys.stderr.write(f"{encodable(clean(text), sys.stderr.encoding)}\n")
        sys.stderr.flush()

    def begin(self, total: int) -> None:
        """Notes the start."""
        self._total, self._done, self._began = total, 0, time.monotonic()

    def start(self, cell: Cell) -> None:
        """Writes a line while no other cell has ended: the first takes minutes on a slow machine."""
        if not self._done:
            self.say(f"[0/{self._total}] started {cell.label}: {_describe_work(cell)}")

    def finish(self, cell: Cell, outcome: Outcome) -> None:
        """Writes the cell's line, with the time left by the pace so far."""
        self._done += 1
        seconds_left = (time.monotonic() - self._began) / self._done * (self._total - self._done)
        reason = f": {outcome.reason.splitlines()[0]}" if outcome.reason else ""
        cell_text = f"{outcome.status} {cell.label}{_format_distance(outcome)}"
        self.say(f"[{self._done}/{self._total}] {cell_text}, {seconds_left / 60:.1f} min left{reason}")

    def end(self) -> None:
        """Does nothing."""


def _format_distance(outcome: Outcome) -> str:
    return "" if outcome.distance is None else f", D {outcome.distance:.3f}"


class ProgressBar:
    """A bar with cells done, time left and what runs now; a line for each finished cell is printed above it."""

    def __init__(self) -> None:
        self._bar = Progress(
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("cells"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.description}", markup=False),
            console=Console(stderr=True),
        )

    def say(self, text: str) -> None:
        """Prints a line above the bar."""
        self._bar.console.print(clean(text), markup=False)

    def begin(self, total: int) -> None:
        """Shows the bar."""
        self._task = self._bar.add_task("", total=total)
        self._bar.start()

    def start(self, cell: Cell) -> None:
        """Shows which cell runs."""
        self._bar.update(self._task, description=cell.label)

    def finish(self, cell: Cell, outcome: Outcome) -> None:
        """Moves the bar on."""
        self._bar.advance(self._task)
        reason = f": {outcome.reason.splitlines()[0]}" if outcome.reason else ""
        self.say(f"{outcome.status} {cell.label}{_format_distance(outcome)}{reason}")

    def end(self) -> None:
        """Leaves the finished bar."""
        self._bar.stop()


def reporter() -> Reporter:
    """Returns a bar where standard error is a terminal, lines elsewhere."""
    return ProgressBar() if sys.stderr.isatty() else Lines()
