"""What a process needs to run cells of a plan that another one has made; all of it can be sent. Needs no torch."""

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


class IncompatibleWorker(InfrastructureError):  # noqa: N818 - says what a process is
    """This process can't run cells of the plan: their records would not be those of the plan."""


@dataclass(frozen=True, slots=True)
class Task:
    """One cell by names; both sides know the rest, and the key tells whether they mean the same."""

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
    """Where one process runs cells, one after the other; models stay loaded in between."""

    def run(self, task: Task, artist: Artist) -> Outcome:
        """Returns how the cell ended, after its record is in the store."""

    def close(self) -> None:
        """Ends what runs beside it."""


class RunnerFactory(Protocol):
    """Opens a desk in whichever process it has been sent to."""

    @property
    def environment(self) -> Environment:
        """Where the plan says that cells run."""

    @property
    def is_on_gpu(self) -> bool:
        """Whether each process needs a GPU of its own."""

    def open(self, root: Path) -> CellRunner:
        """Returns a runner with its store at `root`; raises IncompatibleWorker where the plan expects another."""
