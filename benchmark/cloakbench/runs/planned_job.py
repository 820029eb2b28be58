"""The job of running cells of a session, as executors send it to their processes."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from pathlib import Path

import torch

from cloakbench.cells import environment
from cloakbench.cells.pipeline import Pipeline
from cloakbench.cells.plan import FLOOR, PlannedEntry, Planner
from cloakbench.datasets.artists import Artist
from cloakbench.errors import BenchmarkError, InfrastructureError
from cloakbench.execute.job import CellRunner, IncompatibleWorker, Task
from cloakbench.execute.progress import Outcome
from cloakbench.metrics import weights
from cloakbench.models import registry
from cloakbench.runs import entries, official
from cloakbench.runs.session import Session, digests
from cloakbench.schemas.record import Environment, ProtectionFacts
from cloakbench.store.store import Store


@dataclass(frozen=True, slots=True)
class PlannedJob:
    """The job of running cells of a session."""

    planner: Planner
    environment: Environment
    device: str
    keep_images: bool = False

    @classmethod
    def of(cls, session: Session, keep_images: bool = False) -> PlannedJob:
        """Returns the job of a session's cells."""
        return cls(session.planner, session.environment, session.device, keep_images)

    @property
    def is_on_gpu(self) -> bool:
        """Whether each process needs a GPU of its own."""
        return self.device != "cpu"

    def open(self, root: Path) -> CellRunner:
        """Returns a runner with its store at `root`; raises IncompatibleWorker where the plan expects another."""
        if self.is_on_gpu and not torch.cuda.is_available():
            raise _unfit("a GPU", "none", "Plan and run on machines of one kind.")
        torch.set_num_threads(self.environment.threads)  # beside a GPU Ray would allow one
        here = environment.current(self.device, self.environment.threads)
        _compare(self.environment, here)
        if self.planner.salt != official.PUBLIC_SALT:
            _compare_code(self.environment, here)
        if digests(self.planner.suite, self.planner.digests.models) != self.planner.digests:
            raise _unfit("the weights that the plan was made with", "others", "Give all machines the same files.")
        metrics = weights.find_usable(self.planner.suite.metrics.every)
        pipeline = Pipeline(self.planner, Store(root), here, metrics, self.device, self.keep_images)
        return PlannedCellRunner(self.planner, pipeline)


def _unfit(expected: str, got: str, hint: str) -> IncompatibleWorker:
    return IncompatibleWorker(f"expected {expected}, got {got} on {platform.node()}", hint)


def _compare(plan: Environment, here: Environment) -> None:
    """Raises IncompatibleWorker where the environment class here is not the plan's."""
    if here.env_class == plan.env_class:
        return
    pairs: dict[str, tuple[object, object]] = {
        "device": (plan.device, here.device),
        "threads": (plan.threads, here.threads),
    }
    for name in environment.DECISIVE:
        pairs[name] = plan.packages[name], here.packages.get(name)
    expected, got = [], []
    for name, (planned, actual) in pairs.items():
        if planned != actual:
            expected.append(f"{name} {planned}")
            got.append(f"{name} {actual}")
    hint = "Their records would not pair: run on machines of one kind with the same packages."
    raise _unfit(", ".join(expected), ", ".join(got), hint)


def _compare_code(plan: Environment, here: Environment) -> None:
    """Raises IncompatibleWorker where an official run's process has other code than the plan's."""
    if here.commit != plan.commit or here.dirty:
        changed = " with changes" if here.dirty else ""
        raise _unfit(
            f"commit {plan.commit[:12]}", f"{here.commit[:12]}{changed}", "An official run needs the same everywhere."
        )


@dataclass
class PlannedCellRunner:
    """Runs cells of a plan in this process."""

    planner: Planner
    pipeline: Pipeline
    _entries: dict[str, PlannedEntry] = field(default_factory=dict)

    def run(self, task: Task, artist: Artist) -> Outcome:
        """Returns how the cell ended; raises InfrastructureError where this process plans another cell."""
        attack = self.planner.attack(task.attack)
        cell = self.planner.cell(self._entry(task.protection), task.strength, artist, attack, task.seed, task.target)
        if cell.key != task.key:
            raise InfrastructureError(
                f"expected the cell {task.key[:12]} of the plan, got {cell.key[:12]} on {platform.node()}",
                "Install the same cloakbench, submissions and weights on all machines.",
            )
        return Outcome.of(self.pipeline.run(cell), self.pipeline.primary)

    def close(self) -> None:
        """Ends the processes of submissions."""
        entries.close(self._entries.values())
        self.pipeline.stages.close()

    def _entry(self, facts: ProtectionFacts) -> PlannedEntry:
        if facts.name not in self._entries:
            self._entries[facts.name] = self._load(facts)
        return self._entries[facts.name]

    def _load(self, facts: ProtectionFacts) -> PlannedEntry:
        if facts == FLOOR:
            return PlannedEntry(FLOOR, None)
        try:
            suite, threads = self.planner.suite, self.pipeline.environment.threads
            limits = entries.call_limits(suite)
            planned = entries.entry(facts.name, self.pipeline.store.root, threads, limits)
            [entry] = entries.on_family([planned], registry.family(suite.surrogate))
        except BenchmarkError as error:
            raise InfrastructureError(f"{error.message} (on {platform.node()})", error.hint) from error
        if entry.facts != facts:
            got = (
                f"{entry.facts.version} with other files"
                if entry.facts.version == facts.version
                else entry.facts.version
            )
            raise InfrastructureError(
                f"expected {facts.distribution} {facts.version} as planned, got {got} on {platform.node()}",
                "Install the same submissions on all machines.",
            )
        return entry
