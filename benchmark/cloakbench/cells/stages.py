"""The stages of a cell on images: protect, countermeasure, personalise and generate, or edit."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from typing import ParamSpec, TypeVar

import torch
from pydantic import ValidationError
from torch import Tensor

from cloakbench import images
from cloakbench.attacks import catalogue
from cloakbench.attacks.mimicry import packed, sampling
from cloakbench.attacks.mimicry.lora import LoRA
from cloakbench.attacks.mimicry.personalised import MimicryStage, Personalised, TrainingSet, require_token
from cloakbench.cells import orders
from cloakbench.cells.calibrator import Calibrator
from cloakbench.cells.cost import Meter
from cloakbench.cells.countermeasures import CountermeasureRunner
from cloakbench.cells.package_attacks import PackageAttacks
from cloakbench.cells.plan import Cell, PlannedEntry, Planner
from cloakbench.cells.state import CellState
from cloakbench.datasets.artists import Artist
from cloakbench.images import Pixels
from cloakbench.metrics import generations, perceptual, quality, weights
from cloakbench.models import loader
from cloakbench.models.loader import BaseModel
from cloakbench.schemas.external import ExternalAttack
from cloakbench.schemas.kinds import Role
from cloakbench.schemas.record import Environment, StageCost
from cloakbench.store import key
from cloakbench.store.store import CorruptFile, Store
from cloakbench.submissions import guard
from cloakbench.submissions.sandbox.client import SandboxedSubmission
from cloakbench.system import memory

_log = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")


class Stages:
    """Runs the stages of a plan's cells in one process; what another cell has computed comes from the store.

    Attributes:
        metrics: Which metrics of the suite can be computed here, and why the others cannot.
    """

    def __init__(
        self, planner: Planner, store: Store, environment: Environment, device: str, metrics: weights.UsableMetrics
    ) -> None:
        self.planner = planner
        self.suite = planner.suite
        self.store = store
        self.environment = environment
        self.device = torch.device(device)
        self.dtype: torch.dtype = getattr(torch, self.suite.dtype)
        self.metrics = metrics
        self._faults: dict[str, guard.SubmissionFault] = {}
        self._quality: dict[str, dict[str, list[float]]] = {}

    @cached_property
    def perceptual(self) -> Callable[[Tensor, Tensor], Tensor]:
        """The suite's perceptual distance, loaded when a stage first needs it."""
        return perceptual.distance(self.suite.perceptual, self.device)

    def model(self, alias: str) -> BaseModel:
        """Returns the base model behind an alias on the run's device, in the suite's precision."""
        return loader.load(alias, str(self.device), self.dtype)

    def usable(self, metrics: Sequence[str], work: CellState) -> list[str]:
        """Returns those of the metrics whose weights are here, and notes in `work` why the others are skipped."""
        usable = []
        for name in metrics:
            if name in self.metrics.skipped:
                work.skipped[name] = self.metrics.skipped[name]
            if name in self.metrics.usable:
                usable.append(name)
        return usable

    def calibrate(self, work: CellState) -> None:
        """Fills in the strength of a cell, and the tries of the search where the cell is calibrated.

        Raises NotReached where no strength meets the target, and SubmissionFault.
        """
        if work.cell.strength is not None:
            work.strength = work.cell.strength
            return
        with self._ask_once(work.cell.keys["calibrate"]):
            self._calibrator.seek(work)

    @cached_property
    def _calibrator(self) -> Calibrator:
        return Calibrator(self.planner, self.store, self.environment.env_class, self.device, self._ask)

    @contextlib.contextmanager
    def _ask_once(self, name: str) -> Iterator[None]:
        """Remembers a submission's fault under a key, and raises it at once the next time."""
        if name in self._faults:
            raise self._faults[name]
        try:
            yield
        except guard.SubmissionFault as fault:
            self._faults[name] = fault
            raise

    def protect(self, work: CellState) -> None:
        """Fills in the protected images and how visible the protection is; raises SubmissionFault."""
        cell = work.cell
        name = cell.keys["protect"]
        with self._ask_once(name):
            if cell.is_fitted:
                self._protect_fitted(work)
            else:
                work.protected = self._get_or_compute(
                    work, "protect", name, self._ask, cell.entry, work.strength, cell.artist, work.meter
                )
        names = self.usable(self.suite.metrics.quality, work)
        if name not in self._quality:
            measure = partial(quality.measure, names, work.protected, cell.artist.images, self.device)
            self._quality[name], _ = memory.within(measure)
        work.quality = self._quality[name]

    def _protect_fitted(self, work: CellState) -> None:
        """Fills in the protected images at the strength that meets the limits on all of the artist's images."""
        cell, calibrator = work.cell, self._calibrator
        name = cell.keys["protect"]
        if calibrator.fitted(cell) is None:
            # Images whose strength is unknown are computed anew.
            self.store.forget_images(name, self.environment.env_class)
        work.protected = self._get_or_compute(work, "protect", name, calibrator.fit, work)
        strength = calibrator.fitted(cell)
        assert strength is not None
        work.strength = strength

    def _ask(self, entry: PlannedEntry, strength: float, artist: Artist, meter: Meter) -> list[Pixels]:
        """Returns protected images; those of the identity control are the originals."""
        if entry.instance is None or entry.facts.role is Role.IDENTITY:
            return list(artist.images)
        suite, device = self.suite, str(self.device)
        order = orders.order(suite, entry, strength, artist, device)
        if isinstance(entry.instance, SandboxedSubmission):
            surrogate, *further = orders.models(suite, entry, device)
            protected = entry.instance.protect(artist.images, order, surrogate, further)
            meter.add_process(entry.instance.busy_s, entry.instance.peak_bytes)
            return list(protected.images)
        call = order.with_surrogate(self.model(suite.surrogate).surrogate(self.perceptual))
        return list(guard.run(entry.instance, artist.images, call).images)

    def clean(self, work: CellState) -> None:
        """Fills in what the mimic gets, the protected images after the attack's countermeasures, and their damage."""
        cell = work.cell
        if "countermeasure" not in cell.keys:
            work.cleaned = work.protected
            return
        name = cell.keys["countermeasure"]
        work.cleaned = self._get_or_compute(work, "countermeasure", name, self._countermeasures.clean, work)
        if cell.entry.facts.role is Role.IDENTITY:
            names = self.usable(self.suite.metrics.quality, work)
            work.damage = quality.measure(names, work.cleaned, cell.artist.images, self.device)

    @cached_property
    def _packages(self) -> PackageAttacks:
        return PackageAttacks(self.planner, self.store.root, self.device)

    @cached_property
    def _countermeasures(self) -> CountermeasureRunner:
        device, dtype = self.device, self.dtype
        return CountermeasureRunner(self.planner, self._packages, device, dtype, self.perceptual, self.model, self._ask)

    def close(self) -> None:
        """Ends the processes that attacks of packages run in."""
        if "_packages" in vars(self):
            self._packages.close()

    def imitate(self, work: CellState) -> None:
        """Fills in what the mimic generates after learning from the cleaned images; the floor's has learned nothing."""
        cell = work.cell
        if isinstance(cell.attack, ExternalAttack) and cell.attack.has_own_mimicry:
            work.generated = work.meter.run("generate", self._packages.imitate, work, cell.attack)
        else:
            self._imitate(work)
        work.digests["generate"] = images.digests(work.generated)

    def _imitate(self, work: CellState) -> None:
        cell, plan, prompts = work.cell, self.suite.sampling, self.suite.generated_prompts
        mimic = Personalised(self.model(cell.attack.model))
        require_token(mimic.model, prompts, self.suite.token)
        if "personalise" in cell.keys:
            mimic = work.meter.run("personalise", self._personalise, work)
            if work.pack is not None:
                work.meter.add_share("personalise", work.pack.cost, work.pack.count)
            if mimic.adapters:
                self.store.write_adapter(cell.keys["personalise"], self.environment.env_class, mimic.adapter())
        seeds = self._seeds(cell.artist, cell.seed, "generate", len(prompts))
        work.generated = work.meter.run("generate", sampling.generate, mimic, prompts, seeds, plan)

    def _personalise(self, work: CellState) -> Personalised:
        stage, model, recipe = (
            self.mimicry(work.cell),
            self.model(work.cell.attack.model),
            work.cell.recipes.personalise,
        )
        assert recipe is not None
        if work.pack is not None and isinstance(stage, LoRA):
            return packed.mimic(model, stage, work.pack.adapters)
        return stage.personalise(model, self.training_set(work), recipe.seed)

    def mimicry(self, cell: Cell) -> MimicryStage:
        """Returns the mimicry of a cell's attack with the suite's parameters."""
        facts = catalogue.imitation(cell.attack)
        stage: MimicryStage = facts.build(catalogue.settings(facts, self.suite, cell.attack))
        return stage

    def training_set(self, work: CellState) -> TrainingSet:
        """Returns what a cell's mimic learns from."""
        suite, pixels = self.suite, images.to_tensor(work.cleaned)
        return TrainingSet(pixels, work.cell.artist.captions, suite.token, suite.class_word, suite.sampling)

    def edit(self, work: CellState) -> None:
        """Fills in the edits of the cleaned images, and the same edits of the artist's clean images."""
        cell, shared = work.cell, key.clean_edit(work.cell.recipes)
        assert shared is not None
        work.generated = work.meter.run("generate", self._edit, cell, work.cleaned)
        work.digests["generate"] = images.digests(work.generated)
        work.clean_edits = self._get_or_compute(work, key.CLEAN_EDIT, shared, self._edit, cell, cell.artist.images)

    def _edit(self, cell: Cell, pixels: Sequence[Pixels]) -> list[Pixels]:
        """Returns each image edited under each prompt, image by image."""
        facts, artist = catalogue.imitation(cell.attack), cell.artist
        count = len(self.suite.edit_prompts)
        repeated = _repeat(pixels, count)
        masks = _repeat(artist.masks, count) if facts.needs_masks else []
        seeds = self._seeds(artist, cell.seed, facts.name, len(repeated))
        stage = facts.build(catalogue.settings(facts, self.suite, cell.attack))
        prompts = generations.edit_texts(self.suite, len(pixels))
        return list(stage.apply(self.model(cell.attack.model), repeated, prompts, seeds, masks))

    def _seeds(self, artist: Artist, index: int, stage: str, count: int, first: int = 0) -> list[int]:
        """Returns the seeds of `count` draws of a stage, from draw `first` on."""
        return [self.planner.seed(artist.name, index, stage, first + n) for n in range(count)]

    def _get_or_compute(
        self,
        work: CellState,
        stage: str,
        name: str,
        compute: Callable[P, list[Pixels]],
        *arguments: P.args,
        **options: P.kwargs,
    ) -> list[Pixels]:
        """Returns the images of a stage that cells share.

        Args:
            work: The cell, whose cost and digests are noted.
            stage: The stage.
            name: Its key, under which the store holds the images.
            compute: Called where the store does not hold them; the result is kept.
            *arguments: Its arguments by position.
            **options: Its arguments by name.
        """
        env_class = self.environment.env_class
        stored = self._read(name)
        if stored is None:
            pixels = work.meter.run(stage, compute, *arguments, **options)
            self.store.write_images(name, env_class, pixels, {"cost": work.meter.costs[stage].model_dump()})
            self.store.mark_own(name, env_class)
        else:
            pixels, cost = stored
            work.meter.cached(stage, cost)
        work.digests[stage] = images.digests(pixels)
        return pixels

    def _read(self, name: str) -> tuple[list[Pixels], StageCost] | None:
        """Returns a stage's images from the store with their cost; None where they are absent, merged or damaged."""
        env_class = self.environment.env_class
        if not self.store.is_usable(name, env_class):
            return None
        try:
            stored = self.store.read_images(name, env_class)
            return None if stored is None else (stored[0], StageCost.model_validate(stored[1].get("cost")))
        except CorruptFile as error:
            _log.warning("%s", error)
        except ValidationError:
            _log.warning("the cost of the images %s is damaged; the stage runs again", name)
        return None


def _repeat(items: Sequence[T], count: int) -> list[T]:
    """Returns each item `count` times in a row."""
    repeated = []
    for item in items:
        repeated += [item] * count
    return repeated
