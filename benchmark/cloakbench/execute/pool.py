"""Runs cells in several processes, wherever these are: each gets one cell after the other until all have ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Generic, Protocol, TypeVar

from cloakbench.cells.plan import Cell
from cloakbench.execute.inline import CellPipeline
from cloakbench.execute.job import IncompatibleWorker
from cloakbench.execute.progress import Outcome, Reporter
from cloakbench.execute.schedule import CellQueue
from cloakbench.execute.time_limit import MayStart, always

PATIENCE_S = 30.0
"""After how long without any process a run says that it waits for one."""


class WorkerDied(Exception):  # noqa: N818 - says what became of a process
    """A process has died; `is_innocent` where it was the machine's end and not that of the process."""

    def __init__(self, how: str, is_innocent: bool = False) -> None:
        super().__init__(how)
        self.is_innocent = is_innocent


class WorkerHandle(Protocol):
    """One process that runs cells; its first answer is that it is ready."""

    is_ready: bool
    cell: Cell | None
    """What it runs now."""


H = TypeVar("H", bound=WorkerHandle)


class WorkerPool(Protocol[H]):
    """The processes of one executor; leaving the context ends them all."""

    def __enter__(self) -> object: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def hire(self) -> H:
        """Returns a new process, which may take a while until it answers."""

    def give(self, hand: H, cell: Cell) -> None:
        """Sends a cell to a process that has none."""

    def answered(self, hands: Sequence[H], seconds: float) -> Sequence[H]:
        """Returns the processes that have answered or died, none where none does so in time."""

    def answer(self, hand: H) -> Outcome | BaseException | None:
        """Returns how the cell ended, what went wrong, or None for ready; raises WorkerDied for a dead process."""

    def dismiss(self, hand: H) -> None:
        """Ends a process."""


@dataclass
class Dispatcher(Generic[H]):
    """Gives the cells of a run to a crew: the same order, retries and progress on every executor."""

    crew: WorkerPool[H]
    work: CellPipeline
    report: Reporter
    may_start: MayStart = always
    hands: list[H] = field(default_factory=list)
    _searches: set[str] = field(default_factory=set)

    def run(self, cells: Sequence[Cell], count: int) -> list[Outcome]:
        """Returns how every cell ended that was given out, in order, by `count` processes or fewer.

        A process that dies is replaced and its cell run again; one that takes that one down too is given up, with a
        record that says so. Raises what went wrong in a process, and InfrastructureError where none of this helps.
        """
        schedule = CellQueue(cells)
        self.report.begin(len(cells))
        try:
            with self.crew:
                self.hands = [self.crew.hire() for _ in range(min(count, len(cells)))]
                self._go(schedule)
        finally:
            self.report.end()
        return schedule.outcomes()

    def _go(self, schedule: CellQueue) -> None:
        has_told = False
        while not schedule.is_done:
            if not self.may_start():
                schedule.stop()
            for hand in self.hands:
                self._give(hand, schedule)
            if schedule.is_done:
                return
            answered = self.crew.answered(self.hands, PATIENCE_S)
            for hand in answered:
                self._take(hand, schedule)
            is_waiting = not answered and not any(hand.is_ready for hand in self.hands)
            if is_waiting and not has_told:
                self.report.say(f"waiting for {len(self.hands)} workers, none has begun")
            has_told = is_waiting

    def _give(self, hand: H, schedule: CellQueue) -> None:
        cell = schedule.take() if hand.is_ready and hand.cell is None else None
        if cell is not None:
            hand.cell = cell
            if cell.search and cell.search not in self._searches:
                self._searches.add(cell.search)
                self.report.say(cell.search)
            self.report.start(cell)
            self.crew.give(hand, cell)

    def _take(self, hand: H, schedule: CellQueue) -> None:
        try:
            answer = self.crew.answer(hand)
        except WorkerDied as lost:
            self._replace(hand, lost, schedule)
            return
        if isinstance(answer, IncompatibleWorker):
            self._do_without(hand, answer)
        elif isinstance(answer, BaseException):
            raise answer
        elif answer is None:
            hand.is_ready = True
        elif hand.cell is not None:
            cell, hand.cell = hand.cell, None
            self._finish(cell, answer, schedule)

    def _finish(self, cell: Cell, outcome: Outcome, schedule: CellQueue) -> None:
        schedule.finish(cell, outcome)
        self.report.finish(cell, outcome)

    def _replace(self, hand: H, lost: WorkerDied, schedule: CellQueue) -> None:
        self.hands.remove(hand)
        self.crew.dismiss(hand)
        if lost.is_innocent:
            if hand.cell is not None:
                schedule.put_back(hand.cell)
        elif hand.cell is None:
            schedule.died_idle(str(lost))
        elif why := schedule.died(hand.cell, str(lost)):
            self._finish(hand.cell, Outcome.of(self.work.lost(hand.cell, why)), schedule)
        self.hands.append(self.crew.hire())

    def _do_without(self, hand: H, why: IncompatibleWorker) -> None:
        """Goes on with the other processes: another one in its place would most likely be as unfit."""
        self.hands.remove(hand)
        self.crew.dismiss(hand)
        if not self.hands:
            raise why
        self.report.say(f"a worker is left out: {why.message}")
