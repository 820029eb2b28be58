"""Runs one cell: its stages, its measures, its record."""

from __future__ import annotations

import datetime
import logging
import traceback
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np
from pydantic import ValidationError

from cloakbench.attacks import catalogue
from cloakbench.cells.calibration import NotReached
from cloakbench.cells.package_attacks import AttackFault
from cloakbench.cells.packs import Packs, largest
from cloakbench.cells.plan import Cell, Planner
from cloakbench.cells.stages import Stages
from cloakbench.cells.state import CellState
from cloakbench.errors import BenchmarkError, InfrastructureError, UserError
from cloakbench.metrics import catalogue as metric_catalogue
from cloakbench.metrics import generations, quality, weights
from cloakbench.metrics.generations import MeasuredSet
from cloakbench.metrics.spaces import SPACES, FeatureImages
from cloakbench.schemas.external import ExternalAttack
from cloakbench.schemas.kinds import Status
from cloakbench.schemas.record import AttackFacts, Environment, Record
from cloakbench.schemas.suite import AttackSpec
from cloakbench.store import seeds
from cloakbench.store.features import StoredFeatures
from cloakbench.store.paths import of_gallery
from cloakbench.store.store import Store
from cloakbench.submissions import guard
from cloakbench.system.memory import OutOfMemory

_log = logging.getLogger(__name__)


class Pipeline:
    """Runs cells of one plan in one process; models stay loaded from cell to cell."""

    def __init__(
        self,
        planner: Planner,
        store: Store,
        environment: Environment,
        metrics: weights.UsableMetrics,
        device: str = "cpu",
        keep_images: bool = False,
    ) -> None:
        self.planner = planner
        self.suite = planner.suite
        self.store = store
        self.environment = environment
        self.keep_images = keep_images
        self.stages = Stages(planner, store, environment, device, metrics)
        self._packs = Packs(self.stages, largest(self.stages.device))
        self._references: dict[str, FeatureImages] = {}

    @property
    def primary(self) -> str:
        """Name of the suite's distance D."""
        return self.suite.metrics.primary

    def calibrate(self, cells: Iterable[Cell], say: Callable[[str], None]) -> None:
        """Seeks every strength that the cells need, before any model learns.

        Args:
            cells: Taken one by one: whether there is time for the next is asked when its turn comes.
            say: Gets a sentence per search.

        Raises:
            UserError: The quality cannot be measured. Other errors are ignored: each affected cell records them.
        """
        searched: set[str] = set()
        for cell in cells:
            name = cell.keys.get("calibrate")
            if name is None or name in searched:
                continue
            searched.add(name)
            say(cell.search)
            try:
                self.stages.calibrate(CellState(cell))
            except UserError:
                raise
            except Exception as error:
                _log.debug("%s", error)

    def expect(self, cells: Sequence[Cell]) -> None:
        """Notes the cells that are going to run in this process: those alike can be trained together."""
        self._packs.expect(cells)

    def run(self, cell: Cell) -> Record:
        """Returns the cell's record, after it is in the store; a submission's fault becomes its status.

        Raises InfrastructureError where the record cannot be written.
        """
        work = CellState(cell)
        status, reason, trace = Status.OK, "", ""
        try:
            self._stages(work)
        except (NotReached, AttackFault) as why:
            status, reason = Status.SKIPPED, why.message
        except guard.SubmissionFault as fault:
            status, reason, trace = fault.status, str(fault), fault.traceback
        except OutOfMemory as error:
            status, reason, trace = Status.OOM, str(error), traceback.format_exc()
        except UserError:
            raise
        except BenchmarkError as error:
            status, reason, trace = Status.INFRA_ERROR, str(error), traceback.format_exc()
        except Exception as error:
            status, trace = Status.INFRA_ERROR, traceback.format_exc()
            reason = f"{type(error).__name__}: {error}"
        try:
            record = self._record(work, status, reason, trace)
        except ValidationError as error:  # a value that is not finite, for example
            record = self._record(CellState(cell), Status.INFRA_ERROR, f"the record is not valid: {error}", trace)
        self._write(record)
        return record

    def lost(self, cell: Cell, reason: str) -> Record:
        """Returns the record of a cell whose process died with it, after it is in the store."""
        record = self._record(CellState(cell), Status.INFRA_ERROR, reason, "")
        self._write(record)
        return record

    def skip(self, cell: Cell, reason: str) -> Record:
        """Returns the record of a cell whose entry cannot run here, after it has been kept."""
        record = self._record(CellState(cell), Status.SKIPPED, reason, "")
        self._write(record)
        return record

    def _write(self, record: Record) -> None:
        self.store.write_record(record)
        self.store.mark_own(record.key, record.environment.env_class)

    def _stages(self, work: CellState) -> None:
        self.stages.calibrate(work)
        if work.cell.entry.instance is not None:
            self.stages.protect(work)
            self.stages.clean(work)
        if catalogue.is_ranked(work.cell.attack):
            self._packs.train(work)
            self.stages.imitate(work)
            work.meter.run("measure", self._measure, work)
        else:
            self.stages.edit(work)
            work.meter.run("measure", self._measure_edits, work)
        self._keep(work)

    def _measure(self, work: CellState) -> None:
        chosen, artist, device = self.suite.metrics, work.cell.artist, str(self.stages.device)
        generated = FeatureImages(work.generated, device)
        references = self._references.setdefault(artist.name, FeatureImages(artist.references, device))
        classifier = partial(self.stages.model, self.suite.surrogate)
        subject = MeasuredSet(generated, references, artist.name, classifier, self.suite.generated_prompts)
        names = self.stages.usable([chosen.primary, *chosen.generation, *chosen.sets], work)
        scores = generations.measure(names, subject)
        for name, values in scores.values.items():
            if name in chosen.sets:
                work.sets[name] = values[0]
            else:
                work.generations[name] = values
        work.skipped |= scores.skipped
        generated.features("mini-clip")  # of use to later metrics, whatever the suite asks today
        self.store.write_features(work.cell.keys["generate"], self.environment.env_class, rounded(generated))

    def _measure_edits(self, work: CellState) -> None:
        names, device = self.stages.usable(self.suite.metrics.edit, work), self.stages.device
        pairs = [name for name in names if metric_catalogue.entry(name).compares_pairs]
        work.generations = quality.measure(pairs, work.generated, work.clean_edits, device)
        prompts = generations.edit_texts(self.suite, len(work.cell.artist.images))
        edits = MeasuredSet(FeatureImages(work.generated, str(device)), FeatureImages(None), prompts=prompts)
        scores = generations.measure([name for name in names if name not in pairs], edits)
        work.generations |= scores.values
        work.skipped |= scores.skipped

    def _keep(self, work: CellState) -> None:
        cell, where = work.cell, self.environment.env_class
        if cell.seed == 0:
            self.store.write_gallery(cell.keys["generate"], where, list(of_gallery(work.generated)))
        if self.keep_images:
            self.store.write_images(cell.keys["generate"], where, work.generated, {})

    def _record(self, work: CellState, status: Status, reason: str, trace: str) -> Record:
        cell = work.cell
        return Record(
            key=cell.key,
            suite=self.suite.name,
            suite_version=self.suite.version,
            protection=cell.entry.facts,
            strength=work.strength,
            target=cell.target,
            calibration=work.calibration,
            isolation=cell.entry.isolation,
            artist=cell.artist.name,
            attack=attack_facts(cell.attack),
            seed=cell.seed,
            salt_digest=seeds.salt_digest(self.planner.salt),
            status=status,
            reason=reason,
            traceback=trace,
            components=cell.recipes.content(),
            quality=work.quality,
            damage=work.damage,
            detection=work.detection,
            generations=work.generations,
            sets=work.sets,
            skipped=work.skipped,
            digests=work.digests,
            environment=self.environment,
            cost=work.meter.costs,
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        )


def attack_facts(attack: AttackSpec) -> AttackFacts:
    """Returns what a record says about an attack."""
    package = attack.package if isinstance(attack, ExternalAttack) else None
    is_cleaning = package is not None and package.kind == "countermeasure"
    return AttackFacts(
        name=attack.name,
        countermeasure=package.spelling if package and is_cleaning else attack.countermeasure,
        mimicry=attack.mimicry,
        model=attack.model,
        versions=catalogue.versions(attack),
        package=package,
    )


def rounded(pictures: FeatureImages) -> dict[str, StoredFeatures]:
    """Returns the features that were computed of images, in half precision, as the store keeps them."""
    return {
        space: StoredFeatures(values.numpy().astype(np.float16), SPACES[space].digest)
        for space, values in pictures.by_space.items()
    }


def finished(store: Store, cell: Cell, env_class: str) -> Record | None:
    """Returns a cell's record; None where there is none, one that was merged, is unreadable or is to be repeated."""
    if not store.is_usable(cell.key, env_class):
        return None
    try:
        record = store.read_record(cell.key, env_class)
    except InfrastructureError as error:
        _log.warning("%s", error)
        return None
    return None if record is None or record.status.is_retried else record
