"""The stages of a cell on images: protect, countermeasure, personalise and generate, or edit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from pydantic import ValidationError

from cloakbench import images
from cloakbench.attacks import catalogue
from cloakbench.attacks.context import Context
from cloakbench.attacks.mimicry import sampling
from cloakbench.attacks.mimicry.personalised import Personalised, TrainingSet
from cloakbench.attacks.stage import StageFacts
from cloakbench.cells import calibration
from cloakbench.cells.calibration import CalibrationSearch, CalibrationTarget
from cloakbench.cells.cost import Meter
from cloakbench.cells.plan import Cell, PlannedEntry, Planner
from cloakbench.datasets.artists import Artist
from cloakbench.images import Pixels
from cloakbench.metrics import perceptual, quality, weights
from cloakbench.models import loader
from cloakbench.models.loader import BaseModel
from cloakbench.schemas.kinds import Role
from cloakbench.schemas.record import Calibration, Environment, StageCost
from cloakbench.store import key
from cloakbench.store.store import CorruptFile, Store
from cloakbench.submissions import guard
from cloakbench.submissions.sandbox.client import SandboxedSubmission, SurrogateChoice
from cloakbench.system import memory

_log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass
class CellState:
    """What one cell has produced so far."""

    cell: Cell
    strength: float = 0.0
    calibration: list[tuple[float, dict[str, float]]] = field(default_factory=list)
    meter: Meter = field(default_factory=Meter)
    protected: list[Pixels] = field(default_factory=list)
    generated: list[Pixels] = field(default_factory=list)
    quality: dict[str, list[float]] = field(default_factory=dict)
    generations: dict[str, list[float]] = field(default_factory=dict)
    sets: dict[str, float] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    digests: dict[str, list[str]] = field(default_factory=dict)


class Stages:
    """Runs the stages of a plan's cells in one process; what another cell has made already comes from the store."""

    def __init__(self, planner: Planner, store: Store, environment: Environment, device: str) -> None:
        self.planner = planner
        self.suite = planner.suite
        self.store = store
        self.environment = environment
        self.where = torch.device(device)
        self.dtype: torch.dtype = getattr(torch, self.suite.dtype)
        self.perceptual = perceptual.distance(self.suite.perceptual, self.where)
        self.metrics = weights.sort_out(self.suite.metrics.every)
        self._faults: dict[str, guard.SubmissionFault] = {}
        self._quality: dict[str, dict[str, list[float]]] = {}

    def model(self, alias: str) -> BaseModel:
        """Returns the base model behind an alias on the run's device, in the suite's precision."""
        return loader.load(alias, str(self.where), self.dtype)

    def calibrate(self, work: CellState) -> None:
        """Fills in the strength of a cell, and the search for it where it is sought.

        A search that the store holds is not repeated, one that was interrupted goes on. Raises NotReached where no
        strength meets the target, and SubmissionFault.
        """
        cell, matching = work.cell, self.suite.matching
        if cell.strength is not None:
            work.strength = cell.strength
            return
        assert matching is not None
        assert cell.target is not None
        aim = CalibrationTarget(matching.limits(cell.target), matching.tolerance)
        tries = self._tries(cell, list(aim.limits))
        known = len(tries.made.tries)
        try:
            work.strength = self._remembered(cell.keys["calibrate"], lambda: calibration.bisect(aim, tries.measure))
        finally:
            work.calibration = tries.made.tries
            work.meter.costs["calibrate"] = tries.made.cost.model_copy(
                update={"cached": len(tries.made.tries) == known}
            )

    def _tries(self, cell: Cell, metrics: Sequence[str]) -> CalibrationSearch:
        name, where = cell.keys["calibrate"], self.environment.env_class
        is_usable = self.store.is_usable(name, where)
        try:
            made = self.store.read_calibration(name, where) if is_usable else Calibration()
        except CorruptFile as error:
            _log.warning("%s", error)
            made = Calibration()
        return CalibrationSearch(
            metrics=metrics,
            artists=self.planner.calibration,
            protect=lambda strength, artist, meter: self._ask(cell.entry, strength, artist, meter),
            keep=lambda made: self._keep_calibration(name, made),
            where=self.where,
            made=made,
        )

    def _keep_calibration(self, name: str, made: Calibration) -> None:
        self.store.write_calibration(name, self.environment.env_class, made)
        self.store.mark_own(name, self.environment.env_class)

    def _remembered(self, name: str, ask: Callable[[], T]) -> T:
        """Returns what `ask` does; a submission that failed at this key is not asked again."""
        if name in self._faults:
            raise self._faults[name]
        try:
            return ask()
        except guard.SubmissionFault as fault:
            self._faults[name] = fault
            raise

    def protect(self, work: CellState) -> None:
        """Fills in the protected images and how visible the protection is; raises SubmissionFault."""
        cell = work.cell
        name = cell.keys["protect"]
        work.protected = self._remembered(
            name,
            lambda: self._stage_images(
                work, "protect", lambda: self._ask(cell.entry, work.strength, cell.artist, work.meter)
            ),
        )
        names = self.usable(self.suite.metrics.quality, work)
        if name not in self._quality:
            pairs = work.protected, cell.artist.images
            self._quality[name], _ = memory.within(lambda: quality.measure(names, *pairs, self.where))
        work.quality = self._quality[name]

    def usable(self, metrics: Sequence[str], work: CellState) -> list[str]:
        """Returns those of the metrics whose weights are here, and notes in `work` why the others are skipped."""
        work.skipped |= {name: self.metrics.skipped[name] for name in metrics if name in self.metrics.skipped}
        return [name for name in metrics if name in self.metrics.usable]

    def _ask(self, entry: PlannedEntry, strength: float, artist: Artist, meter: Meter) -> list[Pixels]:
        """Returns protected images; the identity control is the clean arm and is never asked."""
        if entry.instance is None or entry.facts.role is Role.IDENTITY:
            return list(artist.images)
        suite = self.suite
        order = guard.Order(
            strength=strength,
            budget_255=suite.budget_255,
            seed=suite.protect_seed,
            class_word=suite.class_word,
            captions=artist.captions,
        )
        if isinstance(entry.instance, SandboxedSubmission):
            model = SurrogateChoice.at(suite.surrogate, str(self.where), suite.dtype, suite.perceptual)
            protected = entry.instance.protect(artist.images, order, model)
            meter.add_process(entry.instance.busy_s, entry.instance.peak_bytes)
            return list(protected.images)
        call = order.with_surrogate(self.model(suite.surrogate).surrogate(self.perceptual))
        return list(guard.run(entry.instance, artist.images, call).images)

    def clean(self, work: CellState) -> list[Pixels]:
        """Returns what the mimic learns from: the protected images after the attack's countermeasures."""
        chain = catalogue.chain(work.cell.attack.countermeasure)
        if not chain:
            return work.protected
        return self._stage_images(work, "countermeasure", lambda: self._cleaned(work, chain))

    def _cleaned(self, work: CellState, chain: Sequence[StageFacts]) -> list[Pixels]:
        pixels, artist = work.protected, work.cell.artist
        for facts, turn in zip(chain, catalogue.turns(chain), strict=True):
            kind, first = f"countermeasure:{facts.name}", turn * len(pixels)
            drawn = [self.planner.seed(artist.name, 0, kind, first + n) for n in range(len(pixels))]
            context = Context(drawn, artist.captions, self.model, self.perceptual, self.where, self.dtype)
            pixels = facts.build(catalogue.settings(facts, self.suite)).apply(pixels, context)
        return pixels

    def imitate(self, work: CellState, cleaned: Sequence[Pixels]) -> None:
        """Fills in what the mimic generates after learning from `cleaned`; the floor's has learned nothing."""
        cell = work.cell
        mimic = Personalised(self.model(cell.attack.model))
        if "personalise" in cell.keys:
            mimic = work.meter.run("personalise", lambda: self._personalised(cell, cleaned))
            if mimic.kept:
                self.store.write_adapter(cell.keys["personalise"], self.environment.env_class, mimic.adapter())
        prompts, drawn = self._prompts(cell)
        work.generated = work.meter.run(
            "generate", lambda: sampling.generate(mimic, prompts, drawn, self.suite.sampling)
        )
        work.digests["generate"] = [images.digest(p) for p in work.generated]

    def _personalised(self, cell: Cell, cleaned: Sequence[Pixels]) -> Personalised:
        facts, suite = catalogue.imitation(cell.attack), self.suite
        stage = facts.build(catalogue.settings(facts, suite))
        captions, pixels = cell.artist.captions, images.to_tensor(cleaned)
        data = TrainingSet(pixels, captions, suite.token, suite.class_word, suite.sampling)
        assert cell.recipes.personalise is not None
        learned: Personalised = stage.personalise(self.model(cell.attack.model), data, cell.recipes.personalise.seed)
        return learned

    def _prompts(self, cell: Cell) -> tuple[list[str], list[int]]:
        plan = self.suite.sampling
        filled = [p.format(token=self.suite.token, class_word=self.suite.class_word) for p in plan.prompts]
        prompts = [prompt for prompt in filled for _ in range(plan.per_prompt)]
        drawn = [self.planner.seed(cell.artist.name, cell.seed, "generate", n) for n in range(len(prompts))]
        return prompts, drawn

    def edit(self, work: CellState, cleaned: Sequence[Pixels]) -> list[Pixels]:
        """Fills in the edits of `cleaned`, and returns the same edits of the artist's clean images."""
        cell = work.cell
        work.generated = work.meter.run("generate", lambda: self._edited(cell, cleaned))
        work.digests["generate"] = [images.digest(p) for p in work.generated]
        shared = key.clean_edit(cell.recipes)
        assert shared is not None
        return self._kept_or_made(work, key.CLEAN_EDIT, shared, lambda: self._edited(cell, cell.artist.images))

    def _edited(self, cell: Cell, pixels: Sequence[Pixels]) -> list[Pixels]:
        facts = catalogue.imitation(cell.attack)
        wanted = [text.format(class_word=self.suite.class_word) for text in self.suite.edit_prompts]
        repeated = [image for image in pixels for _ in wanted]
        masks = [mask for mask in cell.artist.masks for _ in wanted] if facts.needs_masks else []
        drawn = [self.planner.seed(cell.artist.name, cell.seed, facts.name, n) for n in range(len(repeated))]
        stage = facts.build(catalogue.settings(facts, self.suite))
        return list(stage.apply(self.model(cell.attack.model), repeated, wanted * len(pixels), drawn, masks))

    def _stage_images(self, work: CellState, stage: str, make: Callable[[], list[Pixels]]) -> list[Pixels]:
        return self._kept_or_made(work, stage, work.cell.keys[stage], make)

    def _kept_or_made(self, work: CellState, stage: str, name: str, make: Callable[[], list[Pixels]]) -> list[Pixels]:
        """Returns a stage's images: from the store, or made now and kept with what they cost."""
        where = self.environment.env_class
        found = self._kept(name)
        if found is None:
            pixels = work.meter.run(stage, make)
            self.store.write_images(name, where, pixels, {"cost": work.meter.costs[stage].model_dump()})
            self.store.mark_own(name, where)
        else:
            pixels, cost = found
            work.meter.cached(stage, cost)
        work.digests[stage] = [images.digest(p) for p in pixels]
        return pixels

    def _kept(self, name: str) -> tuple[list[Pixels], StageCost] | None:
        """Returns a stage's images from the store with their cost; None where they are absent, merged or damaged."""
        if not self.store.is_usable(name, self.environment.env_class):
            return None
        try:
            found = self.store.read_images(name, self.environment.env_class)
            return None if found is None else (found[0], StageCost.model_validate(found[1].get("cost")))
        except CorruptFile as error:
            _log.warning("%s", error)
        except ValidationError:
            _log.warning("the cost of the images %s is damaged; the stage runs again", name)
        return None
