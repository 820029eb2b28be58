"""Runs the cells of a run in several worker processes, on this machine or on a cluster."""

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
from cloakbench.execute.time_limit import PASSED, MayStart, always

PATIENCE_S = 30.0
"""Seconds without a ready worker after which a run reports that it waits."""


class WorkerDied(Exception):  # noqa: N818 - an event, not a mistake
    """A worker process died; `node_lost`: its whole node went away, so its cell is not to blame."""

    def __init__(self, how: str, node_lost: bool = False) -> None:
        super().__init__(how)
        self.node_lost = node_lost


class WorkerHandle(Protocol):
    """One worker process; its first result is None, which means that it is ready."""

    is_ready: bool
    cell: Cell | None
    """The cell that it runs now."""


H = TypeVar("H", bound=WorkerHandle)


class WorkerPool(Protocol[H]):
    """The worker processes of one executor; leaving the context stops them all."""

    def __enter__(self) -> object: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def start(self) -> H:
        """Starts a worker and returns it before it is ready."""

    def submit(self, worker: H, cell: Cell) -> None:
        """Sends a cell to an idle worker."""

    def wait(self, workers: Sequence[H], seconds: float) -> Sequence[H]:
        """Waits and returns the workers that have a result or have died; empty after `seconds` without one."""

    def result(self, worker: H) -> Outcome | BaseException | None:
        """Returns the outcome of a cell, an error, or None for ready; raises WorkerDied."""

    def stop(self, worker: H) -> None:
        """Stops a worker."""


@dataclass
class Dispatcher(Generic[H]):
    """Submits the cells of a run to a pool: the same order, retries and progress on every executor."""

    pool: WorkerPool[H]
    pipeline: CellPipeline
    report: Reporter
    may_start: MayStart = always
    workers: list[H] = field(default_factory=list)
    _searches: set[str] = field(default_factory=set)

    def run(self, cells: Sequence[Cell], count: int) -> list[Outcome]:
        """Runs the cells in `count` processes or fewer; returns the outcome of every cell that ran, in order.

        A process that dies is replaced and its cell run again; one that takes that one down too is given up, with a
        record that says so. Raises the error of a worker, and InfrastructureError where too many workers die.
        """
        schedule = CellQueue(cells)
        self.report.begin(len(cells))
        try:
            with self.pool:
                self.workers = [self.pool.start() for _ in range(min(count, len(cells)))]
                self._go(schedule)
        finally:
            self.report.end()
        return schedule.outcomes()

    def _go(self, schedule: CellQueue) -> None:
        is_reported = is_over = False
        while not schedule.is_done:
            if not self.may_start():
                if not is_over:
                    self.report.say(PASSED)
                is_over = True
                schedule.stop()
            for worker in self.workers:
                self._submit(worker, schedule)
            if schedule.is_done:
                return
            ready = self.pool.wait(self.workers, PATIENCE_S)
            for worker in ready:
                self._receive(worker, schedule)
            is_waiting = not ready and not any(worker.is_ready for worker in self.workers)
            if is_waiting and not is_reported:
                self.report.say(f"waiting for {len(self.workers)} workers, none has begun")
            is_reported = is_waiting

    def _submit(self, worker: H, schedule: CellQueue) -> None:
        cell = schedule.take() if worker.is_ready and worker.cell is None else None
        if cell is not None:
            worker.cell = cell
            if cell.search and cell.search not in self._searches:
                self._searches.add(cell.search)
                self.report.say(cell.search)
            self.report.start(cell)
            self.pool.submit(worker, cell)

    def _receive(self, worker: H, schedule: CellQueue) -> None:
        try:
            result = self.pool.result(worker)
        except WorkerDied as lost:
            self._replace(worker, lost, schedule)
            return
        if isinstance(result, IncompatibleWorker):
            self._do_without(worker, result)
        elif isinstance(result, BaseException):
            raise result
        elif result is None:
            worker.is_ready = True
        elif worker.cell is not None:
            cell, worker.cell = worker.cell, None
            self._finish(cell, result, schedule)

    def _finish(self, cell: Cell, outcome: Outcome, schedule: CellQueue) -> None:
        schedule.finish(cell, outcome)
        self.report.finish(cell, outcome)

    def _replace(self, worker: H, lost: WorkerDied, schedule: CellQueue) -> None:
        self.workers.remove(worker)
        self.pool.stop(worker)
        if lost.node_lost:
            if worker.cell is not None:
                schedule.put_back(worker.cell)
        elif worker.cell is None:
            schedule.died_idle(str(lost))
        elif why := schedule.died(worker.cell, str(lost)):
            self._finish(worker.cell, Outcome.of(self.pipeline.lost(worker.cell, why)), schedule)
        self.workers.append(self.pool.start())

    def _do_without(self, worker: H, why: IncompatibleWorker) -> None:
        """Continues with the other workers: a replacement would most likely be incompatible, too."""
        self.workers.remove(worker)
        self.pool.stop(worker)
        if not self.workers:
            raise why
        self.report.say(f"a worker is left out: {why.message}")
