"""Runs cells in several processes of this machine: each plans the same run and takes cells by their keys."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from benchmark.cells.plan import Cell
from benchmark.cells.record import Record
from benchmark.errors import InfrastructureError
from benchmark.execute.choice import Choice
from benchmark.execute.progress import Reporter

SHARED = ("protect", "countermeasure")
"""Stages whose images cells share: two that need the same one do not run at once, or both would make it."""
TRIES = 2
"""How often a cell is given out when the process that has it dies."""

_CONTEXT = multiprocessing.get_context("spawn")


@dataclass
class _Hand:
    """One process, what it is busy with, and the line to it."""

    process: SpawnProcess
    line: Connection
    cell: Cell | None = None


@dataclass
class LocalExecutor:
    """Runs cells in `count` processes that write to the same store as this one.

    A process that dies is replaced and its cell given out again; the second death ends the run with
    InfrastructureError, because a third would most likely die too. Finished cells are kept whatever happens.
    """

    choice: Choice
    root: Path
    count: int
    keep_images: bool = False
    _deaths: dict[str, int] = field(default_factory=dict)

    def run(self, cells: Sequence[Cell], work: Callable[[Cell], Record], report: Reporter) -> list[Record]:
        """Returns the record of every cell, in order; `work` is this process's and stays unused."""
        del work
        waiting, done = list(cells), dict[str, Record]()
        report.begin(len(cells))
        hands = [self._hire() for _ in range(min(self.count, len(cells)))]
        try:
            while len(done) < len(cells):
                for hand in hands:
                    self._give(hand, waiting, hands, report)
                for hand in list(_ready(hands)):
                    self._take(hand, waiting, done, hands, report)
        finally:
            for hand in hands:
                _dismiss(hand)
            report.end()
        return [done[cell.key] for cell in cells]

    def _hire(self) -> _Hand:
        ours, theirs = _CONTEXT.Pipe()
        process = _CONTEXT.Process(target=serve, args=(theirs, self.choice, self.root, self.keep_images), daemon=True)
        process.start()
        theirs.close()
        return _Hand(process, ours)

    def _give(self, hand: _Hand, waiting: list[Cell], hands: Sequence[_Hand], report: Reporter) -> None:
        if hand.cell is not None:
            return
        busy = {key for other in hands if other.cell for key in _shared(other.cell)}
        free = (cell for cell in waiting if not busy.intersection(_shared(cell)))
        cell = next(free, None)
        if cell is None:
            return
        waiting.remove(cell)
        hand.cell = cell
        report.start(cell)
        with contextlib.suppress(OSError):  # a dead process is seen when it is waited for
            hand.line.send(cell.key)

    def _take(
        self, hand: _Hand, waiting: list[Cell], done: dict[str, Record], hands: list[_Hand], report: Reporter
    ) -> None:
        try:
            answer = hand.line.recv()
        except (EOFError, OSError):
            self._replace(hand, waiting, hands)
            return
        if isinstance(answer, BaseException):
            raise answer
        cell, hand.cell = hand.cell, None
        if cell is not None:
            done[cell.key] = answer
            report.finish(cell, answer)

    def _replace(self, hand: _Hand, waiting: list[Cell], hands: list[_Hand]) -> None:
        hand.process.join()
        cell = hand.cell
        if cell is not None:
            self._deaths[cell.key] = self._deaths.get(cell.key, 0) + 1
            if self._deaths[cell.key] >= TRIES:
                raise InfrastructureError(
                    f"expected {cell.label} to end, got {TRIES} processes that died of it (exit code "
                    f"{hand.process.exitcode})",
                    "Memory may be short: use fewer workers. Finished cells are kept; run again to go on.",
                )
            waiting.insert(0, cell)
        elif not self._deaths.setdefault("", 0):
            self._deaths[""] = 1
        else:
            raise InfrastructureError("expected working processes, got two that died before any cell", "Run it inline.")
        hands[hands.index(hand)] = self._hire()


def _ready(hands: Sequence[_Hand]) -> Iterator[_Hand]:
    """Waits until a process has answered or died, and yields each of those."""
    ready = wait([hand.line for hand in hands])
    yield from (hand for hand in hands if hand.line in ready)


def _dismiss(hand: _Hand) -> None:
    hand.line.close()
    if hand.cell is not None:
        hand.process.terminate()
    hand.process.join(10)
    if hand.process.is_alive():
        hand.process.kill()


def _shared(cell: Cell) -> set[str]:
    return {cell.keys[stage] for stage in SHARED if stage in cell.keys}


def serve(line: Connection, choice: Choice, root: Path, keep_images: bool) -> None:
    """What a process does: plans, then answers each key with its cell's record, and errors with themselves."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the run that is interrupted ends its processes itself
    from benchmark.cells.pipeline import Pipeline
    from benchmark.execute import session as sessions
    from benchmark.execute.entries import close

    session = sessions.plan(choice, root)
    cells = {cell.key: cell for cell in session.cells}
    work = Pipeline(session.planner, session.store, session.environment, session.device, keep_images)
    try:
        with contextlib.suppress(EOFError, OSError):
            while True:
                key = line.recv()
                try:
                    line.send(work.run(cells[key]))
                except Exception as error:
                    line.send(error)
    finally:
        close(cell.entry for cell in session.cells)
