"""The countermeasures of a cell: those of the harness, and those of installed packages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from cloakbench import images
from cloakbench.attacks import catalogue
from cloakbench.attacks.context import Context, Detector, Pairs
from cloakbench.attacks.stage import StageFacts
from cloakbench.cells.cost import Meter
from cloakbench.cells.plan import PlannedEntry, Planner
from cloakbench.cells.state import CellState
from cloakbench.datasets.artists import Artist
from cloakbench.errors import BenchmarkError
from cloakbench.images import Pixels
from cloakbench.models.loader import BaseModel
from cloakbench.schemas.external import ExternalAttack
from cloakbench.schemas.recipes import CleanRecipe
from cloakbench.submissions import guard
from cloakbench.submissions.attacking import AttackOrder
from cloakbench.submissions.discovery import EntryKind
from cloakbench.submissions.sandbox.client import SandboxedSubmission, SurrogateChoice


class AttackFault(BenchmarkError):  # noqa: N818 - as a submission's fault is called
    """An attack of a package failed or cheated; the protection is not at fault."""


@dataclass
class CountermeasureRunner:
    """Cleans the images of cells.

    Attributes:
        planner: The plan of the cells.
        hidden: Folder that no package's attack may see: the store.
        device: The device of models.
        dtype: The precision of models.
        perceptual: The suite's perceptual distance.
        load: Returns the model behind an alias.
        protect: Runs an entry at a strength on the images of an artist, at the cost of a meter.
    """

    planner: Planner
    hidden: Path
    device: torch.device
    dtype: torch.dtype
    perceptual: Callable[[Tensor, Tensor], Tensor]
    load: Callable[[str], BaseModel]
    protect: Callable[[PlannedEntry, float, Artist, Meter], list[Pixels]]
    _attackers: dict[str, SandboxedSubmission] = field(default_factory=dict)
    _pairs_by_entry: dict[str, Pairs] = field(default_factory=dict)

    def clean(self, work: CellState) -> list[Pixels]:
        """Returns the protected images of a cell after its countermeasures; raises AttackFault."""
        attack = work.cell.attack
        if isinstance(attack, ExternalAttack):
            return self._cleaned_outside(work, attack)
        return self._cleaned(work, catalogue.chain(attack.countermeasure))

    def close(self) -> None:
        """Ends the processes that attacks of packages run in."""
        for worker in self._attackers.values():
            worker.close()

    def _cleaned(self, work: CellState, chain: Sequence[StageFacts]) -> list[Pixels]:
        pixels, artist = work.protected, work.cell.artist
        for facts, turn in zip(chain, catalogue.turns(chain), strict=True):
            kind, first = f"countermeasure:{facts.name}", turn * len(pixels)
            drawn = [self.planner.seed(artist.name, 0, kind, first + n) for n in range(len(pixels))]
            context = self._context(work, facts, drawn)
            built = facts.build(catalogue.settings(facts, self.planner.suite))
            if isinstance(built, Detector):
                work.detection = {
                    "protected": built.detect(pixels, context),
                    "clean": built.detect(artist.images, context),
                }
            pixels = built.apply(pixels, context)
        return pixels

    def _context(self, work: CellState, facts: StageFacts, seeds: Sequence[int]) -> Context:
        """Returns what a countermeasure may use: clean images and the protection itself only where its facts say so."""
        artist = work.cell.artist
        context = Context(seeds, artist.captions, self.load, self.perceptual, self.device, self.dtype)
        if facts.knowledge == "clean images":
            context = replace(context, originals=artist.images)
        if facts.needs_others:
            others: list[Pixels] = []
            for other in self.planner.calibration:
                others += other.images
            context = replace(context, others=others)
        if facts.knowledge == "pairs":
            context = replace(context, pairs=partial(self._pairs, work))
        return context

    def _pairs(self, work: CellState) -> Pairs:
        """Returns the development artists' images before and after the cell's protection, made once per strength."""
        entry = work.cell.entry
        name = f"{entry.facts.name} {work.strength}"
        if name not in self._pairs_by_entry:
            clean: list[Pixels] = []
            protected: list[Pixels] = []
            for other in self.planner.calibration:
                clean += other.images
                protected += self.protect(entry, work.strength, other, work.meter)
            self._pairs_by_entry[name] = Pairs(clean, protected)
        return self._pairs_by_entry[name]

    def _cleaned_outside(self, work: CellState, attack: ExternalAttack) -> list[Pixels]:
        """Returns what a package's countermeasure makes of the protected images; raises AttackFault."""
        cell, suite = work.cell, self.planner.suite
        recipe = cell.recipes.countermeasure
        assert isinstance(recipe, CleanRecipe)
        order = AttackOrder(
            seed=recipe.seed, class_word=suite.class_word, captions=cell.artist.captions, token=suite.token
        )
        model = SurrogateChoice.at(attack.model, str(self.device), suite.dtype, suite.perceptual)
        worker = self._attackers.setdefault(attack.package.spelling, self._attacker(attack.package.spelling))
        try:
            cleaned = worker.attack(work.protected, order, model)
        except guard.SubmissionFault as fault:
            raise AttackFault(f"the attack {attack.name} failed: {fault.message}", fault.hint) from fault
        work.meter.add_process(worker.busy_s, worker.peak_bytes)
        check_honest(cleaned, work)
        return cleaned

    def _attacker(self, spelling: str) -> SandboxedSubmission:
        return SandboxedSubmission(
            spelling,
            threads=torch.get_num_threads(),
            hidden=[self.hidden],
            kind=EntryKind.COUNTERMEASURE,
        )


def check_honest(cleaned: Sequence[Pixels], work: CellState) -> None:
    """Raises AttackFault where a cleaned image is one of the artist's clean images that the attack was not given."""
    artist = work.cell.artist
    protected = {images.digest(pixels) for pixels in work.protected}
    hidden = {*artist.image_digests, *artist.reference_digests} - protected
    copies = sum(images.digest(pixels) in hidden for pixels in cleaned)
    if copies:
        raise AttackFault(
            f"expected cleaned images, got {copies} of the artist's own clean images from {work.cell.attack.name}",
            "An attack may use the protected images alone.",
        )
