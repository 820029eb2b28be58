"""What a worker process needs to run cells of a plan; everything here can be pickled. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from cloakbench.errors import InfrastructureError

if TYPE_CHECKING:
    from cloakbench.cells.plan import Cell
    from cloakbench.datasets.artists import Artist
    from cloakbench.execute.progress import Outcome
    from cloakbench.schemas.record import Environment, ProtectionFacts


class IncompatibleWorker(InfrastructureError):  # noqa: N818 - a property of a process
    """This process can't run cells of the plan: its records would be of another environment class."""


@dataclass(frozen=True, slots=True)
class Task:
    """One cell by names; the worker plans it again and compares the key."""

    protection: ProtectionFacts
    strength: float | None
    artist: str
    attack: str
    seed: int
    target: float | None
    key: str

    @classmethod
    def of(cls, cell: Cell) -> Task:
        """Returns the task of running a cell."""
        facts, artist, attack = cell.entry.facts, cell.artist.name, cell.attack.name
        return cls(facts, cell.strength, artist, attack, cell.seed, cell.target, cell.key)


class CellRunner(Protocol):
    """Runs cells in one process, one after the other; models stay loaded in between."""

    def run(self, task: Task, artist: Artist) -> Outcome:
        """Returns how the cell ended, after its record is in the store."""

    def close(self) -> None:
        """Stops the submission processes that this worker started."""


class RunnerFactory(Protocol):
    """Creates the runner of the process that it has been sent to."""

    @property
    def environment(self) -> Environment:
        """Where the plan says that cells run."""

    @property
    def is_on_gpu(self) -> bool:
        """Whether each process needs a GPU of its own."""

    def open(self, root: Path) -> CellRunner:
        """Returns a runner with its store at `root`; raises IncompatibleWorker where the plan expects another."""
