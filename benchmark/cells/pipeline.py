"""Runs one cell: protect, countermeasure, personalise, generate, measure, record."""

from __future__ import annotations

import datetime
import logging
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from benchmark import images
from benchmark.attacks import catalogue
from benchmark.attacks.mimicry import sampling
from benchmark.attacks.mimicry.finetune import TrainingSet
from benchmark.cells import seeds
from benchmark.cells.cost import Meter
from benchmark.cells.plan import Cell, Planner, attack_facts
from benchmark.cells.record import Environment, Record, StageCost, Status
from benchmark.cells.store import Damaged, Store
from benchmark.errors import BenchmarkError, InfrastructureError, UserError
from benchmark.images import Pixels
from benchmark.metrics import judge as judges
from benchmark.metrics import protection as protection_metrics
from benchmark.metrics import quality
from benchmark.models import loader
from benchmark.submissions import guard

GALLERY = 4
"""Generations of the first seed that a store keeps for pages."""
_log = logging.getLogger(__name__)


@dataclass
class Work:
    """What one cell has produced so far."""

    cell: Cell
    meter: Meter = field(default_factory=Meter)
    protected: list[Pixels] = field(default_factory=list)
    generated: list[Pixels] = field(default_factory=list)
    quality: dict[str, list[float]] = field(default_factory=dict)
    generations: dict[str, list[float]] = field(default_factory=dict)
    sets: dict[str, float] = field(default_factory=dict)
    digests: dict[str, list[str]] = field(default_factory=dict)


class Pipeline:
    """Runs cells of one plan in one process; models stay loaded from cell to cell."""

    def __init__(
        self, planner: Planner, store: Store, environment: Environment, device: str = "cpu", keep_images: bool = False
    ) -> None:
        self.planner = planner
        self.suite = planner.suite
        self.store = store
        self.environment = environment
        self.device = device
        self.keep_images = keep_images
        self._faults: dict[str, guard.SubmissionFault] = {}
        self._quality: dict[str, dict[str, list[float]]] = {}

    def run(self, cell: Cell) -> Record:
        """Returns the cell's record, after it has been kept; a submission's fault becomes its status.

        Raises InfrastructureError where the record itself can't be kept, and lets KeyboardInterrupt through.
        """
        work = Work(cell)
        status, reason, trace = Status.OK, "", ""
        try:
            self._stages(work)
        except guard.SubmissionFault as fault:
            status, reason, trace = fault.status, str(fault), fault.traceback
        except UserError:
            raise
        except BenchmarkError as error:
            status, reason, trace = Status.INFRA_ERROR, str(error), traceback.format_exc()
        except Exception as error:
            status, trace = Status.INFRA_ERROR, traceback.format_exc()
            reason = f"{type(error).__name__}: {error}"
        record = self._record(work, status, reason, trace)
        self.store.write_record(record)
        return record

    def _stages(self, work: Work) -> None:
        cell, suite = work.cell, self.suite
        model = loader.load(cell.attack.model, self.device)
        unet: Any = model.unet
        if cell.entry.instance is not None:
            self._protect(work)
            cleaned = self._clean(work)
            with work.meter.stage("personalise"):
                mimic = catalogue.find("mimicry", cell.attack.mimicry).build(suite.mimicry[cell.attack.mimicry])
                data = TrainingSet(images.to_tensor(cleaned), cell.artist.captions)
                unet = mimic.personalise(model, data, cell.recipes["personalise"]["seed"]).unet
        with work.meter.stage("generate"):
            prompts, drawn = self._prompts(cell)
            work.generated = sampling.generate(model, unet, prompts, drawn, suite.sampling)
            work.digests["generate"] = [images.digest(p) for p in work.generated]
        with work.meter.stage("measure"):
            self._measure(work)
        self._keep(work)

    def _prompts(self, cell: Cell) -> tuple[list[str], list[int]]:
        plan = self.suite.sampling
        filled = [p.format(token=self.suite.token, class_word=self.suite.class_word) for p in plan.prompts]
        prompts = [prompt for prompt in filled for _ in range(plan.per_prompt)]
        drawn = [self.planner.seed(cell.artist.name, cell.seed, "generate", n) for n in range(len(prompts))]
        return prompts, drawn

    def _protect(self, work: Work) -> None:
        cell = work.cell
        name = cell.keys["protect"]
        if name in self._faults:
            raise self._faults[name]

        try:
            work.protected = self._stage_images(work, "protect", lambda: self._ask(cell))
        except guard.SubmissionFault as fault:
            self._faults[name] = fault
            raise
        if name not in self._quality:
            self._quality[name] = quality.measure(self.suite.metrics.quality, work.protected, cell.artist.images)
        work.quality = self._quality[name]

    def _ask(self, cell: Cell) -> list[Pixels]:
        """Returns protected images; the identity control is the clean arm and is never asked."""
        instance = cell.entry.instance
        if instance is None or cell.entry.facts.role == "identity":
            return list(cell.artist.images)
        call = guard.Call(
            strength=cell.strength,
            budget_255=self.suite.budget_255,
            surrogate=loader.load(self.suite.surrogate, self.device).surrogate(),
            seed=self.suite.protect_seed,
            class_word=self.suite.class_word,
            captions=cell.artist.captions,
        )
        return list(guard.run(instance, cell.artist.images, call).images)

    def _clean(self, work: Work) -> Sequence[Pixels]:
        cell = work.cell
        if cell.attack.countermeasure is None:
            return work.protected
        name = cell.attack.countermeasure
        drawn = [
            self.planner.seed(cell.artist.name, cell.seed, f"countermeasure:{name}", n)
            for n in range(len(work.protected))
        ]
        stage = catalogue.find("countermeasure", name).build(self.suite.countermeasures[name])
        return self._stage_images(work, "countermeasure", lambda: stage.apply(work.protected, drawn))

    def _stage_images(self, work: Work, stage: str, make: Callable[[], list[Pixels]]) -> list[Pixels]:
        """Returns a stage's images: from the store, or made now and kept with what they cost."""
        name, where = work.cell.keys[stage], self.environment.env_class
        found = self._kept(name)
        if found is None:
            with work.meter.stage(stage):
                pixels = make()
            self.store.write_images(name, where, pixels, {"cost": work.meter.costs[stage].model_dump()})
        else:
            pixels, cost = found
            work.meter.cached(stage, cost)
        work.digests[stage] = [images.digest(p) for p in pixels]
        return pixels

    def _kept(self, name: str) -> tuple[list[Pixels], StageCost] | None:
        """Returns a stage's images from the store with what they cost, None where there are none or damaged ones."""
        try:
            found = self.store.read_images(name, self.environment.env_class)
            return None if found is None else (found[0], StageCost.model_validate(found[1].get("cost")))
        except Damaged as error:
            _log.warning("%s", error)
        except ValidationError:
            _log.warning("the cost of the images %s is damaged; the stage runs again", name)
        return None

    def _measure(self, work: Work) -> None:
        chosen, artist = self.suite.metrics, work.cell.artist
        judge = judges.load()
        features = judge.features(work.generated)
        references = judge.features(artist.references)
        names = [chosen.primary, *chosen.generation]
        work.generations = protection_metrics.measure_generations(names, judge, features, references, artist.name)
        work.sets = protection_metrics.measure_sets(chosen.sets, judge, features, references)

    def _keep(self, work: Work) -> None:
        cell, where = work.cell, self.environment.env_class
        if cell.seed == 0:
            step = max(1, len(work.generated) // GALLERY)
            self.store.write_gallery(cell.keys["generate"], where, work.generated[::step][:GALLERY])
        if self.keep_images:
            self.store.write_images(cell.keys["generate"], where, work.generated, {})

    def _record(self, work: Work, status: Status, reason: str, trace: str) -> Record:
        cell = work.cell
        return Record(
            key=cell.key,
            suite=self.suite.name,
            suite_version=self.suite.version,
            protection=cell.entry.facts,
            strength=cell.strength,
            artist=cell.artist.name,
            attack=attack_facts(cell.attack),
            seed=cell.seed,
            salt_digest=seeds.salt_digest(self.planner.salt),
            status=status,
            reason=reason,
            traceback=trace,
            components=dict(cell.recipes),
            quality=work.quality,
            generations=work.generations,
            sets=work.sets,
            digests=work.digests,
            environment=self.environment,
            cost=work.meter.costs,
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        )


def is_done(store: Store, cell: Cell, env_class: str) -> bool:
    """Returns whether a cell has a readable record that is not an infrastructure fault."""
    try:
        record = store.read_record(cell.key, env_class)
    except InfrastructureError as error:
        _log.warning("%s", error)
        return False
    return record is not None and record.status is not Status.INFRA_ERROR
