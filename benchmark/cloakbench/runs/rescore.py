"""Brings old records up to a suite's present metrics from stored features and images; no attack runs again."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch
from pydantic import ValidationError
from torch import Tensor

from cloakbench.cells import pipeline
from cloakbench.cells.plan import Cell, PlannedEntry, Planner
from cloakbench.datasets import artists
from cloakbench.datasets.artists import Artist
from cloakbench.images import Pixels
from cloakbench.metrics import catalogue, generations, quality, weights
from cloakbench.metrics.generations import MeasuredSet
from cloakbench.metrics.spaces import SPACES, FeatureImages, NotKept
from cloakbench.models import loader, registry
from cloakbench.models.loader import BaseModel
from cloakbench.runs.official import PUBLIC_SALT
from cloakbench.runs.session import digests
from cloakbench.schemas.kinds import Status
from cloakbench.schemas.recipes import MetricVersions
from cloakbench.schemas.record import Record
from cloakbench.schemas.suite import MetricFacts, Suite
from cloakbench.store import key
from cloakbench.store.store import CorruptFile, Store
from cloakbench.suites import load as suites


@dataclass(frozen=True, slots=True)
class LackedMetric:
    """A metric that some records still lack, and why."""

    metric: str
    reason: str
    records: int


@dataclass(frozen=True, slots=True)
class Rescored:
    """What became of a suite's records: written anew, up to date already, of another protocol, unreadable."""

    written: int
    current: int
    other: int
    damaged: int
    left: list[LackedMetric]


def rescore(name: str, root: Path, images: Path | None = None) -> Rescored:
    """Writes a record with the present metrics of the suite `name` beside each older record in the store at `root`.

    A record is older where everything but its measures is the suite's present recipe; one that is up to date but for
    metrics that were skipped is filled in place. Values of the same metric, version and sources stay; the others come
    from kept half-precision features or images. Where neither is there, no record is written and the metric is named;
    missing weights skip a metric. Raises UserError for an unknown suite, missing images, and a store with a link.
    """
    suite = suites.load(name)
    Store(root).require_store()
    size = registry.find(suite.surrogate).image_size
    planner = Planner(suite, digests(suite), PUBLIC_SALT, artists.for_calibration(suite, images, size))
    loaded = {}
    for artist in artists.load(suite, images, size):
        loaded[artist.name] = artist
    work = _Rescoring(suite, planner, loaded, Store(root))
    for path in list(work.store.records()):
        work.take(path)
    if work.counts["written"]:
        work.store.write_facts(suites.facts(suite))
    left = [LackedMetric(metric, reason, count) for (metric, reason), count in sorted(work.left.items())]
    tally = work.counts
    return Rescored(tally["written"], tally["current"], tally["other"], tally["damaged"], left)


@dataclass
class _Rescoring:
    suite: Suite
    planner: Planner
    artists: Mapping[str, Artist]
    store: Store
    counts: Counter[str] = field(default_factory=Counter)
    left: Counter[tuple[str, str]] = field(default_factory=Counter)

    @cached_property
    def usable(self) -> weights.UsableMetrics:
        """The metrics that can be computed; weights that are missing are downloaded when the first one is needed."""
        return weights.find_usable(self.suite.metrics.every)

    @cached_property
    def references(self) -> dict[str, FeatureImages]:
        return {name: FeatureImages(artist.references) for name, artist in self.artists.items()}

    def model(self) -> BaseModel:
        """Returns the clean base model that classifies."""
        return loader.load(self.suite.surrogate, dtype=getattr(torch, self.suite.dtype))

    def take(self, path: Path) -> None:
        """Writes the successor of one record where it can."""
        try:
            record = Record.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            self.counts["damaged"] += 1
            return
        if record.suite != self.suite.name or record.status is not Status.OK:
            return
        cell = self._present(record)
        if cell is None:
            self.counts["other"] += 1
            return
        has_successor = cell.key != record.key and self.store.record_path(cell.key, path.stem).exists()
        if has_successor or not self._brought_up(cell, record):
            self.counts["current"] += 1

    def _present(self, record: Record) -> Cell | None:
        """Returns the suite's present cell of a record, None where its recipes before `measure` differ."""
        artist = self.artists.get(record.artist)
        if artist is None or not self.suite.has_attack(record.attack.name):
            return None
        if record.target is not None and record.target not in self.suite.calibrated:
            return None
        attack, strength = self.suite.attack(record.attack.name), record.strength if record.target is None else None
        entry = PlannedEntry(record.protection, None)
        cell = self.planner.cell(entry, strength, artist, attack, record.seed, record.target)
        old, new = key.by_stage(record.components), dict(cell.keys)
        old.pop("measure", None)
        del new["measure"]
        return cell if old == new else None

    def _brought_up(self, cell: Cell, record: Record) -> bool:
        """Returns whether there was something to do; writes the record unless something was lacking."""
        needed = [name for name in cell.recipes.measure.metrics if not _is_same(name, cell, record)]
        source = _Source(self, cell, record)
        for name in needed:
            source.measure(name)
        source.keep()
        lacking = dict(source.absent)
        for name in needed:
            if name in self.usable.skipped:
                lacking[name] = self.usable.skipped[name]
        self.left.update(lacking.items())
        if source.absent:
            return True
        if cell.key == record.key and not source.values:
            return False
        self.store.copy_origin(record.key, cell.key, record.environment.env_class)
        self.store.write_record(_successor(cell, record, source, self.suite.version))
        self.counts["written"] += 1
        return True


class _Source:
    """The stored images and features of one record, and the values computed from them."""

    def __init__(self, work: _Rescoring, cell: Cell, record: Record) -> None:
        self.work, self.cell, self.record, self.where = work, cell, record, record.environment.env_class
        self.values: dict[str, list[float]] = {}
        self.skipped: dict[str, str] = {}
        self.absent: dict[str, str] = {}
        self.generated = FeatureImages(self._images("generate"), by_space=self._features())
        self.stored_spaces = set(self.generated.by_space)

    def measure(self, name: str) -> None:
        """Computes one metric, or notes why it has no value."""
        if name in self.work.usable.skipped:
            self.skipped[name] = self.work.usable.skipped[name]
            return
        try:
            scores = self._measure(name)
        except NotKept as absent:
            self.absent[name] = f"{absent.message}; {absent.hint}"
        else:
            self.values |= scores.values
            self.skipped |= scores.skipped

    def _measure(self, name: str) -> generations.GenerationScores:
        level, artist = catalogue.find(name).level, self.cell.artist
        if level in {"generation", "set"}:
            prompts = self.work.suite.generated_prompts
            references = self.work.references[artist.name]
            subject = MeasuredSet(self.generated, references, artist.name, self.work.model, prompts)
            return generations.measure([name], subject)
        if level == "edit" and not catalogue.entry(name).compares_pairs:
            prompts = generations.edit_texts(self.work.suite, len(artist.images))
            edits = MeasuredSet(self.generated, FeatureImages(None), prompts=prompts)
            return generations.measure([name], edits)
        if level == "edit":
            clean_edit = key.clean_edit(self.cell.recipes)
            clean = None if clean_edit is None else self._stored(clean_edit)
            if clean is None:
                raise NotKept("expected the edits of the clean images, got none", "Run the cell again.")
            return generations.GenerationScores(quality.measure([name], self.generated.images, clean))
        protected = self._images("protect")
        if protected is None:
            raise NotKept("expected the protected images, got none", "Run the cell again.")
        return generations.GenerationScores(quality.measure([name], protected, artist.images))

    def keep(self) -> None:
        """Stores features that were computed from stored images."""
        if set(self.generated.by_space) - self.stored_spaces:
            features = pipeline.rounded(self.generated)
            self.work.store.write_features(self.cell.keys["generate"], self.where, features)

    def _features(self) -> dict[str, Tensor]:
        """Returns the stored features of networks that are here with the same weights."""
        if not self._may_use(self.cell.keys["generate"]):
            return {}
        try:
            stored_features = self.work.store.read_features(self.cell.keys["generate"], self.where)
        except CorruptFile:
            return {}
        features = {}
        for space, stored in stored_features.items():
            network = SPACES.get(space)
            if network is not None and weights.find(network.weights).is_here and stored.network == network.digest:
                features[space] = torch.from_numpy(stored.values).float()
        return features

    def _may_use(self, name: str) -> bool:
        """Returns whether a record's values may come from a stage: merged ones give values to merged records only."""
        store = self.work.store
        return store.is_usable(name, self.where) or not store.is_usable(self.record.key, self.where)

    def _images(self, stage: str) -> list[Pixels] | None:
        return self._stored(self.cell.keys[stage])

    def _stored(self, name: str) -> list[Pixels] | None:
        """Returns the images under a key, None where there are none or they are damaged."""
        if not self._may_use(name):
            return None
        try:
            stored = self.work.store.read_images(name, self.where)
        except CorruptFile:
            return None
        return None if stored is None else stored[0]


def _is_same(name: str, cell: Cell, record: Record) -> bool:
    """Returns whether a record's value of a metric is the present one: same version, same sources.

    The floor has nothing protected to look at: there the metrics of quality are the same.
    """
    new, recipes = cell.recipes.measure, record.recipes
    if name not in new.metrics or recipes is None:
        return False
    facts, old = catalogue.find(name), recipes.measure
    if facts.level == "quality" and cell.recipes.protect is None:
        return True
    if name not in {*record.quality, *record.generations, *record.sets}:
        return False
    if catalogue.entry(name).compares_pairs:
        is_same_source = old.perceptual == new.perceptual
    else:
        is_same_source = (old.judge, old.references, old.classifier) == (new.judge, new.references, new.classifier)
    return is_same_source and old.metrics.get(name) == new.metrics[name] and _files(facts, old) == _files(facts, new)


def _files(facts: MetricFacts, recipe: MetricVersions) -> list[str | None]:
    """Returns the digest of each file of weights of a metric in a recipe, None for one that the package ships."""
    digests = recipe.weights or {}
    return [digests.get(name) for name in facts.weights]


def _successor(cell: Cell, record: Record, source: _Source, suite_version: int) -> Record:
    """Returns the record under its present key: the environment and the cost stay those of the attack."""
    recorded = {**record.quality, **record.generations}
    for name, value in record.sets.items():
        recorded[name] = [value]
    values = {name: of_name for name, of_name in recorded.items() if _is_same(name, cell, record)} | source.values
    quality: dict[str, list[float]] = {}
    generated: dict[str, list[float]] = {}
    sets: dict[str, float] = {}
    for name in cell.recipes.measure.metrics:
        level = catalogue.find(name).level
        if name not in values:
            continue
        if level == "quality":
            quality[name] = values[name]
        elif level == "set":
            sets[name] = values[name][0]
        else:
            generated[name] = values[name]
    return record.model_copy(
        update={
            "key": cell.key,
            "suite_version": suite_version,
            "components": cell.recipes.content(),
            "quality": quality,
            "generations": generated,
            "sets": sets,
            "skipped": source.skipped,
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }
    )
