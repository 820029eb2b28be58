"""Runs cells in several processes of this machine, which write to one store."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from cloakbench.cells.plan import Cell
from cloakbench.execute.inline import CellPipeline
from cloakbench.execute.job import RunnerFactory, Task
from cloakbench.execute.leases import VISIBLE, Leases
from cloakbench.execute.local_worker import serve
from cloakbench.execute.pool import Dispatcher, WorkerDied
from cloakbench.execute.progress import Outcome, Reporter
from cloakbench.execute.time_limit import MayStart, always
from cloakbench.system import cpu

_CONTEXT = multiprocessing.get_context("spawn")


@dataclass
class LocalExecutor:
    """Runs cells in `count` processes; each gets one of the devices, if there are any."""

    job: RunnerFactory
    root: Path
    count: int
    devices: Sequence[str] = ()

    def run(
        self, cells: Sequence[Cell], pipeline: CellPipeline, report: Reporter, may_start: MayStart = always
    ) -> list[Outcome]:
        """Returns the outcome of every cell that ran, in order; `pipeline` only records the lost ones."""
        pool = _Processes(self.job, self.root, Leases(self.devices))
        return Dispatcher(pool, pipeline, report, may_start).run(cells, self.count)


@dataclass(eq=False)
class _Handle:
    """One process, its cell, and the pipe to it."""

    process: SpawnProcess
    line: Connection
    device: str | None
    is_ready: bool = False
    cell: Cell | None = None
    artists: set[str] = field(default_factory=set)
    """Names of those that it has been sent."""


@dataclass
class _Processes:
    """The worker processes of one run, each at the other end of a pipe."""

    job: RunnerFactory
    root: Path
    leases: Leases
    _all: list[_Handle] = field(default_factory=list)

    def __enter__(self) -> _Processes:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in list(self._all):
            self.stop(worker)

    def start(self) -> _Handle:
        """Starts a process that can use no GPU but its own."""
        ours, theirs = _CONTEXT.Pipe()
        process = _CONTEXT.Process(target=serve, args=(theirs, self.job, self.root), daemon=True)
        worker = _Handle(process, ours, self.leases.take())
        with _environment(_variables(worker.device)):
            process.start()
        theirs.close()
        self._all.append(worker)
        return worker

    def submit(self, worker: _Handle, cell: Cell) -> None:
        """Sends a cell, with its artist the first time."""
        artist = None if cell.artist.name in worker.artists else cell.artist
        worker.artists.add(cell.artist.name)
        with contextlib.suppress(OSError):  # a dead process is seen when it is waited for
            worker.line.send((Task.of(cell), artist))

    def wait(self, workers: Sequence[_Handle], seconds: float) -> list[_Handle]:
        """Returns the processes that have a result or have died, after waiting for at most `seconds`."""
        ready = wait([worker.line for worker in workers], seconds)
        return [worker for worker in workers if worker.line in ready]

    def result(self, worker: _Handle) -> Outcome | BaseException | None:
        """Returns what a process has sent; raises WorkerDied."""
        try:
            result: Outcome | BaseException | None = worker.line.recv()
        except (EOFError, OSError) as error:
            worker.process.join()
            raise WorkerDied(f"exit code {worker.process.exitcode}") from error
        return result

    def stop(self, worker: _Handle) -> None:
        """Ends a process: an idle one ends by itself, a busy one is terminated."""
        self._all.remove(worker)
        self.leases.give_back(worker.device)
        worker.line.close()
        if worker.cell is not None or not worker.is_ready:
            worker.process.terminate()
        worker.process.join(10)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()


def _variables(device: str | None) -> dict[str, str | None]:
    """Returns what a process has to inherit: its one GPU, and the instruction set of this one; None is unset."""
    instructions = cpu.for_workers()
    variables: dict[str, str | None] = {name: instructions.get(name) for name in cpu.VARIABLES}
    return variables if device is None else {**variables, VISIBLE: device}


@contextlib.contextmanager
def _environment(variables: Mapping[str, str | None]) -> Iterator[None]:
    """Sets variables (None: unsets them) for processes that start inside the block: libraries read them on import."""
    before = {name: os.environ.get(name) for name in variables}
    _set(variables)
    try:
        yield
    finally:
        _set(before)


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
