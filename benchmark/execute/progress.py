"""Progress on standard error: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from benchmark.cells.plan import Cell
from benchmark.cells.record import Record, Status


class Reporter(Protocol):
    """What an executor tells while it works."""

    def begin(self, total: int) -> None:
        """Says how many cells are to be run."""

    def start(self, cell: Cell) -> None:
        """Says which cell runs now."""

    def finish(self, cell: Cell, record: Record) -> None:
        """Says how a cell ended."""

    def end(self) -> None:
        """Says that no more cells follow."""


class Lines:
    """A line per finished cell, for logs."""

    def begin(self, total: int) -> None:
        """Notes the start."""
        self._total, self._done, self._began = total, 0, time.monotonic()

    def start(self, cell: Cell) -> None:
        """Says nothing: the line comes when the cell ends."""

    def finish(self, cell: Cell, record: Record) -> None:
        """Writes the cell's line, with the time left by the pace so far."""
        self._done += 1
        left = (time.monotonic() - self._began) / self._done * (self._total - self._done)
        reason = f": {record.reason.splitlines()[0]}" if record.reason else ""
        sys.stderr.write(
            f"[{self._done}/{self._total}] {record.status} {cell.label}, {left / 60:.1f} min left{reason}\n"
        )
        sys.stderr.flush()

    def end(self) -> None:
        """Nothing to close."""


class Bar:
    """A bar with cells done, time left and what runs now; faults are printed above it."""

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

    def begin(self, total: int) -> None:
        """Shows the bar."""
        self._task = self._bar.add_task("", total=total)
        self._bar.start()

    def start(self, cell: Cell) -> None:
        """Shows which cell runs."""
        self._bar.update(self._task, description=cell.label)

    def finish(self, cell: Cell, record: Record) -> None:
        """Moves the bar on."""
        self._bar.advance(self._task)
        if record.status is not Status.OK:
            reason = record.reason.splitlines()[0] if record.reason else ""
            self._bar.console.print(f"{record.status} {cell.label}: {reason}", markup=False)

    def end(self) -> None:
        """Leaves the finished bar."""
        self._bar.stop()


def reporter() -> Reporter:
    """Returns a bar where standard error is a terminal, lines elsewhere."""
    return Bar() if sys.stderr.isatty() else Lines()
