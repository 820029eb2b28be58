"""Attacks of installed packages in the cells of a run: each in its sandbox, with no more than the mimic would have.

The clean arm shows an attack the clean images of an artist. A process that has got the images of an artist ends before
the next cell of that artist, so that it cannot remember them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from cloakbench import images
from cloakbench.cells.plan import Planner
from cloakbench.cells.state import CellState
from cloakbench.datasets.artists import Artist
from cloakbench.errors import BenchmarkError
from cloakbench.images import Pixels
from cloakbench.models import registry
from cloakbench.schemas.external import ExternalAttack
from cloakbench.schemas.recipes import CleanRecipe, ImitateRecipe
from cloakbench.submissions import guard
from cloakbench.submissions.attacking import AttackOrder
from cloakbench.submissions.copies import count_copies
from cloakbench.submissions.discovery import EntryKind
from cloakbench.submissions.sandbox.client import Limits, SandboxedSubmission, SurrogateChoice


class AttackFault(BenchmarkError):  # noqa: N818 - as a submission's fault is called
    """An attack of a package failed or cheated; the protection is not at fault."""


@dataclass
class PackageAttacks:
    """Runs the attacks of packages, each in a process that gets the images of an artist once.

    Attributes:
        planner: The plan of the cells.
        hidden: Folder that no attack may see: the store.
        device: The device of models.
    """

    planner: Planner
    hidden: Path
    device: torch.device
    _workers: dict[str, SandboxedSubmission] = field(default_factory=dict)
    _artists: dict[str, set[str]] = field(default_factory=dict)
    """By attack: whose images its present process has got."""

    def clean(self, work: CellState, attack: ExternalAttack) -> list[Pixels]:
        """Returns what a package's countermeasure makes of the protected images of a cell; raises AttackFault."""
        recipe = work.cell.recipes.countermeasure
        assert isinstance(recipe, CleanRecipe)
        return self._run(work, attack, self._order(work, recipe.seed))

    def imitate(self, work: CellState, attack: ExternalAttack) -> list[Pixels]:
        """Returns what a package's mimicry generates from the protected images of a cell; raises AttackFault."""
        recipe = work.cell.recipes.generate
        assert isinstance(recipe, ImitateRecipe)
        return self._run(work, attack, self._order(work, recipe.seed, self.planner.suite.generated_prompts))

    def close(self) -> None:
        """Ends the processes that the attacks run in."""
        for worker in self._workers.values():
            worker.close()

    def _order(self, work: CellState, seed: int, prompts: Sequence[str] = ()) -> AttackOrder:
        cell, suite = work.cell, self.planner.suite
        return AttackOrder(
            seed=seed,
            class_word=suite.class_word,
            captions=cell.artist.captions,
            token=suite.token,
            prompts=prompts,
            side=registry.find(cell.attack.model).image_size if prompts else 0,
        )

    def _run(self, work: CellState, attack: ExternalAttack, order: AttackOrder) -> list[Pixels]:
        suite, worker = self.planner.suite, self._find_worker(attack, work.cell.artist.name)
        model = SurrogateChoice.at(attack.model, str(self.device), suite.dtype, suite.perceptual)
        try:
            returned = worker.attack(work.protected, order, model)
        except guard.SubmissionFault as fault:
            raise AttackFault(f"the attack {attack.name} failed: {fault.message}", fault.hint) from fault
        work.meter.add_process(worker.busy_s, worker.peak_bytes)
        refuse_copies(returned, work.cell.artist, work.protected, attack)
        return returned

    def _find_worker(self, attack: ExternalAttack, artist: str) -> SandboxedSubmission:
        """Returns the process of an attack, which has not got images of the artist yet."""
        suite, spelling = self.planner.suite, attack.package.spelling
        if spelling not in self._workers:
            self._workers[spelling] = SandboxedSubmission(
                spelling,
                Limits(suite.limits.seconds, round(suite.limits.memory_gib * 2**30)),
                threads=torch.get_num_threads(),
                hidden=[self.hidden],
                kind=EntryKind(attack.package.kind),
            )
        worker, shown = self._workers[spelling], self._artists.setdefault(spelling, set())
        if artist in shown:
            worker.close()
            shown.clear()
        shown.add(artist)
        return worker


def refuse_copies(returned: Sequence[Pixels], artist: Artist, given: Sequence[Pixels], attack: ExternalAttack) -> None:
    """Raises AttackFault where an attack returns images of the artist that it was not given.

    Args:
        returned: The cleaned or generated images.
        artist: Whose images they are.
        given: The protected images that the attack had.
        attack: The attack.
    """
    problem = find_copies(returned, artist, given, is_mimicry=attack.has_own_mimicry)
    if problem:
        raise AttackFault(f"{problem} from {attack.name}", "An attack may use the protected images alone.")


def find_copies(returned: Sequence[Pixels], artist: Artist, given: Sequence[Pixels], *, is_mimicry: bool) -> str:
    """Returns a sentence where returned images are the artist's own that an attack was not given; empty otherwise.

    A countermeasure may come as near to the clean images as it can, short of equality. Near copies of references, and
    near copies of clean images that a mimicry returns, come from no honest attack.
    """
    hidden = [*artist.references, *artist.images] if is_mimicry else artist.references
    given_digests = {images.digest(pixels) for pixels in given}
    clean_digests = {*artist.image_digests, *artist.reference_digests} - given_digests
    copies = 0
    for pixels in returned:
        copies += images.digest(pixels) in clean_digests or count_copies([pixels], hidden, given) > 0
    return f"expected images made of the protected ones, got {copies} copies of the artist's own" if copies else ""
