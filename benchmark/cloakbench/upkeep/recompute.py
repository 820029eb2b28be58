"""Values of a record, computed again from the images and features that are stored with it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import torch

from cloakbench.cells.package_attacks import find_copies
from cloakbench.datasets import artists
from cloakbench.datasets.artists import Artist
from cloakbench.errors import UserError
from cloakbench.images import Pixels, measure_budget
from cloakbench.metrics import catalogue, generations, quality, weights
from cloakbench.metrics.generations import MeasuredSet
from cloakbench.metrics.spaces import SPACES, FeatureImages, NotKept
from cloakbench.models import registry
from cloakbench.schemas.kinds import BudgetKind
from cloakbench.schemas.recipes import MeasureRecipe, Recipes
from cloakbench.schemas.record import Record
from cloakbench.schemas.suite import Suite
from cloakbench.store import key
from cloakbench.store.store import CorruptFile, Store
from cloakbench.upkeep.expected import ExpectedRecipes

RELATIVE, ABSOLUTE = 1e-3, 1e-4
"""Largest difference between a value and the one computed again: rounding on another processor stays far below."""
ABSOLUTE_BY_METRIC = {"linf": 1e-6, "psnr": 0.01, "edit-psnr": 0.01, "l2": 0.01}
FEATURE_RELATIVE, FEATURE_ABSOLUTE = 0.02, 0.002
"""The same for values computed from kept features, which have half precision."""


class Recomputed(NamedTuple):
    """How many values were computed again, and in which the record differs."""

    values: int
    problems: list[str]


class _Recorded(NamedTuple):
    """A record with its recipes and the key of each of its stages."""

    record: Record
    recipes: Recipes
    keys: Mapping[str, str]


class Recomputer:
    """Computes the values of records of one suite in one store again; shared stages once."""

    def __init__(self, store: Store, suite: Suite) -> None:
        self.store = store
        self.suite = suite
        self._quality: dict[tuple[str, ...], dict[str, list[float]]] = {}

    @cached_property
    def _expected(self) -> ExpectedRecipes:
        """The recipes that the suite gives."""
        return ExpectedRecipes(self.suite, self._artists)

    @cached_property
    def _artists(self) -> dict[str, Artist]:
        """The artists that the package ships, by name; none for suites with images of their own."""
        if self.suite.dataset != "mini":
            return {}
        shipped = {}
        for name in self.suite.artists:
            if (artists.MINI / name).is_dir():
                shipped[name] = artists.mini_artist(name, self.suite)
        return shipped

    @cached_property
    def _digests(self) -> dict[str, str]:
        """The digests of the embedded weights, by the name under which a recipe states them."""
        perceptual = registry.file_digest(registry.weights("mini-lpips.safetensors"))
        return {"perceptual": perceptual, "judge": registry.digest(registry.weights("mini-clip"))}

    def check(self, record: Record) -> Recomputed:
        """Returns how a record's budget and values compare with those of the images and features in the store."""
        recipes = record.recipes
        if recipes is None:  # named by the other checks
            return Recomputed(0, [])
        subject = _Recorded(record, recipes, key.by_stage(record.components))
        values, problems = 0, self._find_copies(subject)
        for check in (self._check_protected, self._check_generated, self._check_edits):
            part = check(subject)
            values += part.values
            problems += part.problems
        return Recomputed(values, problems)

    def find_differences(self, record: Record) -> list[str]:
        """Returns where a record of a suite that ships its images states other images or metrics than those here.

        Such a record cannot be computed again, so that its values would be believed unseen. Nor may it have another
        recipe than the suite gives: an attack of fewer steps, for example.
        """
        if self.suite.dataset != "mini":
            return []
        artist = self._artists.get(record.artist)
        if artist is None:
            return [f"expected an artist of the suite, got {record.artist!r}"]
        problems = []
        recipes = record.recipes
        if recipes is None:  # named by the other checks
            return []
        if recipes.protect is None or recipes.protect.images != artist.image_digests:
            problems.append(f"expected the images of {record.artist} that the suite ships as originals, got others")
        if recipes.measure.references != artist.reference_digests:
            problems.append(f"expected the images of {record.artist} that the suite ships as references, got others")
        for name in record.quality:
            if not self._is_same_metric(name, recipes.measure):
                problems.append(f"expected the metric {name!r} in the version and with the weights used here")
        return [*problems, *self.find_other_recipes(record)]

    def find_other_recipes(self, record: Record) -> list[str]:
        """Returns which recipes of a record are not the suite's; nothing for a suite that does not ship its images."""
        return self._expected.find_differences(record) if self.suite.dataset == "mini" else []

    def _check_protected(self, subject: _Recorded) -> Recomputed:
        record, recipe, artist = subject.record, subject.recipes.protect, self._artists.get(subject.record.artist)
        protected = self._read(subject, "protect")
        if recipe is None or protected is None or artist is None or recipe.images != artist.image_digests:
            return Recomputed(0, [])
        if _shapes(protected) != _shapes(artist.images):
            return Recomputed(1, ["expected protected images as large as the originals, got other sizes"])
        problems = find_over_budget(record, protected, artist.images)
        names = self._computable(record.quality, subject.recipes.measure)
        address = (subject.keys["protect"], record.environment.env_class, *names)
        if address not in self._quality:
            self._quality[address] = quality.measure(names, protected, artist.images)
        computed = self._quality[address]
        return Recomputed(1 + len(names), problems + _compare(record.quality, computed))

    def _find_copies(self, subject: _Recorded) -> list[str]:
        """Returns a sentence where an attack of a package returned images of the artist that it was not given."""
        package, artist = subject.record.attack.package, self._artists.get(subject.record.artist)
        if package is None or artist is None:
            return []
        is_mimicry = package.kind == "mimicry"
        returned = self._read(subject, "generate" if is_mimicry else "countermeasure")
        protected = self._read(subject, "protect")
        if returned is None or protected is None:
            return []
        problem = find_copies(returned, artist, protected, is_mimicry=is_mimicry)
        return [problem] if problem else []

    def _check_edits(self, subject: _Recorded) -> Recomputed:
        record, clean_edit = subject.record, key.clean_edit(subject.recipes)
        if clean_edit is None:
            return Recomputed(0, [])
        edits = [name for name in record.generations if _level(name) == "edit"]
        pairs = [name for name in edits if catalogue.entry(name).compares_pairs]
        names = self._computable(pairs, subject.recipes.measure)
        edited = self._read(subject, "generate") if names else None
        if edited is None:
            return Recomputed(0, [])
        clean = self._read_key(clean_edit, record.environment.env_class)
        if clean is None or len(clean) != len(edited):
            return Recomputed(0, [])
        return Recomputed(len(names), _compare(record.generations, quality.measure(names, edited, clean)))

    def _check_generated(self, subject: _Recorded) -> Recomputed:
        """Compares what was measured of the generations, from kept images, or else from kept features."""
        record, recipe, artist = subject.record, subject.recipes.measure, self._artists.get(subject.record.artist)
        if artist is None or recipe.references != artist.reference_digests:
            return Recomputed(0, [])
        stated = dict(record.generations)
        for name, value in record.sets.items():
            stated[name] = [value]
        names = self._computable(filter(_is_of_generations, stated), recipe)
        pictures = self._read(subject, "generate")
        generated = FeatureImages(pictures, by_space=self._features(subject) if pictures is None else None)
        references, prompts = FeatureImages(artist.references), self.suite.generated_prompts
        computed = _measure(names, MeasuredSet(generated, references, record.artist, prompts=prompts))
        is_exact = pictures is not None
        return Recomputed(len(computed), _compare(stated, computed, is_exact))

    def _computable(self, names: Iterable[str], recipe: MeasureRecipe) -> list[str]:
        """Returns the metrics whose version and weights here are those that the recipe names."""
        return [name for name in names if self._is_computable(name, recipe)]

    def _is_computable(self, name: str, recipe: MeasureRecipe) -> bool:
        if not self._is_same_metric(name, recipe) or weights.missing(name):
            return False
        return weights.digests([name]).items() <= (recipe.weights or {}).items()

    def _is_same_metric(self, name: str, recipe: MeasureRecipe) -> bool:
        """Returns whether a recipe names the metric's version, and the embedded weights of it, that are here."""
        metric = catalogue.BY_NAME.get(name)
        if metric is None or recipe.metrics.get(name) != metric.facts.version:
            return False
        if metric.facts.level in {"generation", "set"}:
            return recipe.judge == self._digests["judge"]
        return name != "mini-lpips" or recipe.perceptual == self._digests["perceptual"]

    def _features(self, subject: _Recorded) -> Mapping[str, torch.Tensor]:
        try:
            stored = self.store.read_features(subject.keys["generate"], subject.record.environment.env_class)
        except CorruptFile:
            return {}
        features = {}
        for name, entry in stored.items():
            if name in SPACES and entry.network == SPACES[name].digest:
                features[name] = torch.from_numpy(entry.values).float()
        return features

    def _read(self, subject: _Recorded, stage: str) -> list[Pixels] | None:
        name = subject.keys.get(stage)
        return None if name is None else self._read_key(name, subject.record.environment.env_class)

    def _read_key(self, name: str, env_class: str) -> list[Pixels] | None:
        try:
            stored = self.store.read_images(name, env_class)
        except CorruptFile:  # named by the check of digests
            return None
        return None if stored is None else stored[0]


def find_over_budget(record: Record, protected: Sequence[Pixels], originals: Sequence[Pixels]) -> list[str]:
    """Returns which protected image changes more levels than an entry with an L-infinity limit may."""
    levels = allowed_levels(record)
    if levels is None:
        return []
    problems = []
    for number, (before, after) in enumerate(zip(originals, protected, strict=True)):
        change = measure_budget(before, after).max_255
        if change > levels:
            problems.append(f"expected a change of at most {levels} levels, got {change:g} in image {number}")
    return problems


def allowed_levels(record: Record) -> int | None:
    """Returns by how many 8-bit levels a pixel may differ; None where the protection has no such limit.

    A fractional step changes values by the level below or the one above, which is decided at random.
    """
    recipes = record.recipes
    if record.protection.budget is not BudgetKind.LINF or recipes is None or recipes.protect is None:
        return None
    levels = recipes.protect.budget_255 * record.strength
    if recipes.calibrate is None or recipes.calibrate.levels is None:
        return round(levels)
    return math.ceil(round(levels, 3))  # strengths are stored with six digits


def _measure(names: Sequence[str], subject: MeasuredSet) -> dict[str, list[float]]:
    """Returns the values that the kept images or features suffice for."""
    computed: dict[str, list[float]] = {}
    for name in names:
        try:
            computed |= generations.measure([name], subject).values
        except (NotKept, UserError):
            continue
    return computed


def _compare(
    stated: Mapping[str, list[float]], computed: Mapping[str, list[float]], is_exact: bool = True
) -> list[str]:
    """Returns a sentence for each metric of which a stated value is outside the tolerance."""
    problems = []
    for name, values in computed.items():
        pairs = list(zip(stated[name], values, strict=len(stated[name]) == len(values)))
        relative, absolute = RELATIVE, ABSOLUTE_BY_METRIC.get(name, ABSOLUTE)
        if not is_exact:
            relative, absolute = FEATURE_RELATIVE, FEATURE_ABSOLUTE
        if not is_exact and _is_share(name):
            absolute = 1.5 / len(values)  # half precision may turn one image's nearest class
            pairs = [(sum(stated[name]) / max(1, len(stated[name])), sum(values) / len(values))]
        problems += _find_outside(name, pairs, relative, absolute)
    return problems


def _find_outside(name: str, pairs: Sequence[tuple[float, float]], relative: float, absolute: float) -> list[str]:
    """Returns a sentence for the first pair of a stated and a computed value that differ by more than allowed."""
    for number, (value, computed) in enumerate(pairs):
        if not math.isclose(value, computed, rel_tol=relative, abs_tol=absolute):
            return [f"expected {computed:.6g} as the metric {name!r} of image {number}, got {value:.6g}"]
    return []


def _is_share(name: str) -> bool:
    return catalogue.find(name).unit == "share"


def _shapes(pictures: Iterable[Pixels]) -> list[tuple[int, ...]]:
    return [pixels.shape for pixels in pictures]


def _is_of_generations(name: str) -> bool:
    """Returns whether a metric is one of generations that needs no base model."""
    return _level(name) in {"generation", "set"} and not catalogue.BY_NAME[name].needs_base_model


def _level(name: str) -> str:
    metric = catalogue.BY_NAME.get(name)
    return metric.facts.level if metric else ""
