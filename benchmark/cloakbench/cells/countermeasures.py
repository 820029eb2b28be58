"""The countermeasures of a cell: those of the harness, and those of installed packages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor

from cloakbench.attacks import catalogue
from cloakbench.attacks.context import Context, Detector, Pairs
from cloakbench.attacks.stage import StageFacts
from cloakbench.cells.cost import Meter
from cloakbench.cells.package_attacks import PackageAttacks
from cloakbench.cells.plan import PlannedEntry, Planner
from cloakbench.cells.state import CellState
from cloakbench.datasets.artists import Artist
from cloakbench.images import Pixels
from cloakbench.models.loader import BaseModel
from cloakbench.schemas.external import ExternalAttack


@dataclass
class CountermeasureRunner:
    """Cleans the images of cells.

    Attributes:
        planner: The plan of the cells.
        packages: Runs the countermeasures of packages.
        device: The device of models.
        dtype: The precision of models.
        perceptual: The suite's perceptual distance.
        load: Returns the model behind an alias.
        protect: Runs an entry at a strength on the images of an artist, at the cost of a meter.
    """

    planner: Planner
    packages: PackageAttacks
    device: torch.device
    dtype: torch.dtype
    perceptual: Callable[[Tensor, Tensor], Tensor]
    load: Callable[[str], BaseModel]
    protect: Callable[[PlannedEntry, float, Artist, Meter], list[Pixels]]
    _pairs_by_entry: dict[str, Pairs] = field(default_factory=dict)

    def clean(self, work: CellState) -> list[Pixels]:
        """Returns the protected images of a cell after its countermeasures; raises AttackFault."""
        attack = work.cell.attack
        if isinstance(attack, ExternalAttack):
            return self.packages.clean(work, attack)
        return self._cleaned(work, catalogue.chain(attack.countermeasure))

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
