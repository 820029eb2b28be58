"""Runs cells on a Ray cluster. Only the driver writes to the store: no disk is shared."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cloakbench.cells.plan import Cell
from cloakbench.errors import UserError
from cloakbench.execute.bundle import pack_for, unpack
from cloakbench.execute.inline import CellPipeline
from cloakbench.execute.job import RunnerFactory, Task
from cloakbench.execute.pool import Dispatcher, WorkerDied
from cloakbench.execute.progress import Outcome, Reporter
from cloakbench.execute.ray_worker import Actor
from cloakbench.execute.time_limit import MayStart, always
from cloakbench.store.store import Store
from cloakbench.system import cpu

GIB = 1 << 30
REACH_S = 5.0
FAREWELL_S = 10.0
"""How long idle workers may take to end by themselves."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What Ray sets aside for one worker."""

    num_cpus: int
    num_gpus: int
    memory: int

    @classmethod
    def of(cls, job: RunnerFactory) -> Needs:
        """Returns a GPU and a core to feed it, or the plan's threads; memory is the host's."""
        return cls(1, 1, 8 * GIB) if job.is_on_gpu else cls(job.environment.threads, 0, 2 * GIB)

    def fitting(self, resources: Mapping[str, float]) -> int:
        """Returns how many workers a cluster with these resources holds at once.

        Example:
            >>> Needs(num_cpus=2, num_gpus=0, memory=0).fitting({"CPU": 9.0})
            4
        """
        needs = {"CPU": self.num_cpus, "GPU": self.num_gpus, "memory": self.memory}
        return min(int(resources.get(name, 0) // need) for name, need in needs.items() if need)


@dataclass
class RayExecutor:
    """Runs cells in actors on the cluster at `address`, or on a Ray of its own on this machine.

    Without a `count` there are as many actors as the cluster holds when the run begins. More of them wait for nodes
    that join later. `settings` go to `ray.init`.
    """

    job: RunnerFactory
    root: Path
    count: int | None = None
    address: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _library()

    def run(
        self, cells: Sequence[Cell], pipeline: CellPipeline, report: Reporter, may_start: MayStart = always
    ) -> list[Outcome]:
        """Returns the outcome of every cell that ran, in order; `pipeline` only records the lost ones."""
        ray, needs = _library(), Needs.of(self.job)
        with self._connected(ray, needs):
            count = self.count or needs.fitting(ray.cluster_resources())
            if count < 1:
                raise UserError(
                    f"expected a Ray cluster with room for a worker ({needs}), got {dict(ray.cluster_resources())}",
                    "Start nodes with the resources that a worker needs, or set --workers to wait for them.",
                )
            return Dispatcher(_Actors(ray, self.job, Store(self.root), needs), pipeline, report, may_start).run(
                cells, count
            )

    @contextlib.contextmanager
    def _connected(self, ray: Any, needs: Needs) -> Iterator[None]:
        """Connects to the cluster, or starts one that ends with the run; a connection that exists already is kept."""
        if ray.is_initialized():
            yield
            return
        if self.address is not None:
            _reach(self.address)
        quiet = {"log_to_driver": False, "logging_level": "ERROR"}
        own: dict[str, Any] = {"address": self.address}
        if self.address is None:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            cores = max(cpu.cores(), (self.count or 1) * needs.num_cpus)
            room = {"num_cpus": cores, "_memory": cores * needs.memory}  # the user says how many, not Ray's estimate
            own = {"address": "local", "include_dashboard": False, **room}
        try:
            ray.init(**quiet, **own, **self.settings)
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            raise _no_cluster(self.address or "this machine", f"{type(error).__name__}: {error}") from error
        try:
            yield
        finally:
            ray.shutdown()


def _reach(address: str) -> None:
    """Raises UserError where nothing listens at HOST:PORT: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not port.isdigit():  # `auto`: Ray looks for a cluster on this machine
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), REACH_S).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(address, str(error)) from error


def _no_cluster(address: str, got: str) -> UserError:
    hint = "`ray start --head` starts one and says its address (HOST:PORT); this machine has to be a node of it."
    return UserError(f"expected a Ray cluster at {address}, got {got}", hint)


def _library() -> Any:
    try:
        import ray
    except ImportError as error:
        raise UserError(
            f"expected the package ray for --executor ray, got {error}", "pip install 'cloakbench[ray]'"
        ) from error
    return ray


@dataclass(eq=False)
class _Handle:
    """One actor, its cell, and the reference to its next result."""

    actor: Any
    reference: Any
    lost_before: frozenset[str]
    """Nodes that were dead when the actor was started."""
    is_ready: bool = False
    cell: Cell | None = None
    node: str = ""


@dataclass
class _Actors:
    """The actors of one run: each has one cell, so that what is under way is bounded by their number."""

    ray: Any
    job: RunnerFactory
    store: Store
    needs: Needs
    _all: list[_Handle] = field(default_factory=list)
    _artists: dict[str, Any] = field(default_factory=dict)
    _job: Any = None

    def __enter__(self) -> _Actors:
        self._job = self.ray.put(self.job)
        self._kind = self.ray.remote(Actor).options(
            num_cpus=self.needs.num_cpus, num_gpus=self.needs.num_gpus, memory=self.needs.memory
        )
        return self

    def __exit__(self, *_: object) -> None:
        idle = [worker.actor.close.remote() for worker in self._all if worker.is_ready and worker.cell is None]
        if idle:
            self.ray.wait(idle, num_returns=len(idle), timeout=FAREWELL_S)
        for worker in list(self._all):
            self.stop(worker)

    def start(self) -> _Handle:
        """Requests an actor from the cluster; it starts when there is room."""
        actor = self._kind.remote(cpu.for_workers())
        worker = _Handle(actor, actor.open.remote([self._job]), self._lost())
        self._all.append(worker)
        return worker

    def submit(self, worker: _Handle, cell: Cell) -> None:
        """Sends a cell, with what the store holds of it already."""
        if cell.artist.name not in self._artists:
            self._artists[cell.artist.name] = self.ray.put(cell.artist)
        bundle = pack_for(cell, self.store, self.job.environment.env_class)
        worker.reference = worker.actor.run.remote(Task.of(cell), [self._artists[cell.artist.name]], bundle)

    def wait(self, workers: Sequence[_Handle], seconds: float) -> list[_Handle]:
        """Returns the actors that have a result or have died, after waiting for at most `seconds`."""
        waiting = {worker.reference: worker for worker in workers if worker.reference is not None}
        ready, _ = self.ray.wait(list(waiting), timeout=seconds)
        return [waiting[reference] for reference in ready]

    def result(self, worker: _Handle) -> Outcome | BaseException | None:
        """Returns what an actor has sent, after its files are in the store; raises WorkerDied where it has died."""
        reference, worker.reference = worker.reference, None
        try:
            answer = self.ray.get(reference)
        except self.ray.exceptions.RayTaskError:
            raise
        except self.ray.exceptions.RayError as error:
            lost = self._lost()
            node_lost = worker.node in lost if worker.node else lost != worker.lost_before
            raise WorkerDied(str(error).splitlines()[0], node_lost) from error
        if isinstance(answer, BaseException):
            return answer
        if isinstance(answer, str):
            worker.node = answer
            return None
        outcome, bundle = answer
        unpack(bundle, self.store)
        return Outcome(*outcome)

    def stop(self, worker: _Handle) -> None:
        """Ends an actor at once."""
        self._all.remove(worker)
        self.ray.kill(worker.actor)

    def _lost(self) -> frozenset[str]:
        """Returns the nodes that the cluster has lost."""
        return frozenset(node["NodeID"] for node in self.ray.nodes() if not node["Alive"])
