"""Values of a record, computed again from the images and features that lie beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import torch

from cloakbench.datasets import artists
from cloakbench.datasets.artists import Artist
from cloakbench.errors import UserError
from cloakbench.images import Pixels, measure_budget
from cloakbench.metrics import catalogue, generations, quality, weights
from cloakbench.metrics.generations import MeasuredSet
from cloakbench.metrics.spaces import SPACES, FeatureImages, NotKept
from cloakbench.models import registry
from cloakbench.schemas.record import Record
from cloakbench.schemas.suite import Suite
from cloakbench.store import key
from cloakbench.store.store import CorruptFile, Store

RELATIVE, ABSOLUTE = 1e-3, 1e-4
"""How far a value may lie from the one computed again: rounding on another processor stays far below."""
ABSOLUTE_BY_METRIC = {"linf": 1e-6, "psnr": 0.01, "edit-psnr": 0.01, "l2": 0.01}
FEATURE_RELATIVE, FEATURE_ABSOLUTE = 0.02, 0.002
"""The same for values computed from kept features, which have half precision."""


class Recomputed(NamedTuple):
    """How many values were computed again, and in which the record differs."""

    values: int
    problems: list[str]


class Recomputer:
    """Computes the values of records of one suite in one store again; shared stages once."""

    def __init__(self, store: Store, suite: Suite) -> None:
        self.store = store
        self.suite = suite
        self._quality: dict[tuple[str, ...], dict[str, list[float]]] = {}

    @cached_property
    def _artists(self) -> dict[str, Artist]:
        """The artists that the package ships, by name; none for suites with images of their own."""
        if self.suite.dataset != "mini":
            return {}
        shipped = {path.name for path in artists.MINI.iterdir()}
        return {name: artists.mini_artist(name, self.suite) for name in self.suite.artists if name in shipped}

    @cached_property
    def _digests(self) -> dict[str, str]:
        """The digests of the embedded weights, by the name under which a recipe states them."""
        perceptual = registry.file_digest(registry.weights("mini-lpips.safetensors"))
        return {"perceptual": perceptual, "judge": registry.digest(registry.weights("mini-clip"))}

    def check(self, record: Record) -> Recomputed:
        """Returns how a record's budget and values compare with those of the images and features in the store."""
        protected, generated, edited = (
            self._check_protected(record),
            self._check_generated(record),
            self._check_edits(record),
        )
        values = protected.values + generated.values + edited.values
        return Recomputed(values, [*protected.problems, *generated.problems, *edited.problems])

    def find_differences(self, record: Record) -> list[str]:
        """Returns where a record of a suite that ships its images states other images or metrics than those here.

        Such a record cannot be computed again, so that its values would be believed unseen.
        """
        if self.suite.dataset != "mini":
            return []
        artist = self._artists.get(record.artist)
        if artist is None:
            return [f"expected an artist of the suite, got {record.artist!r}"]
        problems = []
        if record.components.get("protect", {}).get("images") != artist.image_digests:
            problems.append(f"expected the images of {record.artist} that the suite ships as originals, got others")
        recipe = record.components.get("measure", {})
        if recipe.get("references") != artist.reference_digests:
            problems.append(f"expected the images of {record.artist} that the suite ships as references, got others")
        for name in record.quality:
            if not self._is_same_metric(name, recipe):
                problems.append(f"expected the metric {name!r} in the version and with the weights used here")
        return problems

    def _check_protected(self, record: Record) -> Recomputed:
        recipe, artist = record.components.get("protect"), self._artists.get(record.artist)
        protected = self._read(record, "protect")
        if recipe is None or protected is None or artist is None or recipe.get("images") != artist.image_digests:
            return Recomputed(0, [])
        if [image.shape for image in protected] != [image.shape for image in artist.images]:
            return Recomputed(1, ["expected protected images as large as the originals, got other sizes"])
        problems = find_over_budget(record, protected, artist.images)
        names = [name for name in record.quality if self._is_computable(name, record)]
        address = (key.digest(recipe), record.environment.env_class, *names)
        if address not in self._quality:
            self._quality[address] = quality.measure(names, protected, artist.images)
        computed = self._quality[address]
        return Recomputed(1 + len(names), problems + _compare(record.quality, computed))

    def _check_edits(self, record: Record) -> Recomputed:
        names = [name for name in record.generations if _level(name) == "edit" and self._is_computable(name, record)]
        edited = self._read(record, "generate") if names else None
        if edited is None:
            return Recomputed(0, [])
        clean = self._read_key(key.clean_edit(record.components), record.environment.env_class)
        if clean is None or len(clean) != len(edited):
            return Recomputed(0, [])
        return Recomputed(len(names), _compare(record.generations, quality.measure(names, edited, clean)))

    def _check_generated(self, record: Record) -> Recomputed:
        """Compares what was measured of the generations, from kept images, or else from kept features."""
        artist = self._artists.get(record.artist)
        recipe = record.components.get("measure", {})
        if artist is None or recipe.get("references") != artist.reference_digests:
            return Recomputed(0, [])
        stated = {**record.generations, **{name: [value] for name, value in record.sets.items()}}
        names = [name for name in stated if self._is_generated(name, record)]
        pictures = self._read(record, "generate")
        generated = FeatureImages(pictures, known=self._features(record) if pictures is None else None)
        subject = MeasuredSet(generated, FeatureImages(artist.references), record.artist)
        computed = _measure(names, subject)
        is_exact = pictures is not None
        return Recomputed(len(computed), _compare(stated, computed, is_exact))

    def _is_generated(self, name: str, record: Record) -> bool:
        is_generated = _level(name) in {"generation", "set"} and self._is_computable(name, record)
        return is_generated and not catalogue.BY_NAME[name].needs_base_model

    def _is_computable(self, name: str, record: Record) -> bool:
        """Returns whether the metric's version and weights here are those that the record names."""
        recipe = record.components.get("measure", {})
        if not self._is_same_metric(name, recipe) or not all(file.is_here for file in weights.needed(name)):
            return False
        stated = recipe.get("weights", {})
        return all(stated.get(file) == digest for file, digest in weights.digests([name]).items())

    def _is_same_metric(self, name: str, recipe: Mapping[str, Any]) -> bool:
        """Returns whether a recipe names the metric's version, and the embedded weights of it, that are here."""
        metric = catalogue.BY_NAME.get(name)
        if metric is None or recipe.get("metrics", {}).get(name) != metric.facts.version:
            return False
        part = "judge" if metric.facts.level in {"generation", "set"} else "perceptual"
        return recipe.get(part) == self._digests[part] or not (part == "judge" or name == "mini-lpips")

    def _features(self, record: Record) -> Mapping[str, torch.Tensor]:
        stage = key.digest(record.components.get("generate", {}))
        try:
            stored = self.store.read_features(stage, record.environment.env_class)
        except CorruptFile:
            return {}
        same = [name for name in stored if name in SPACES and stored[name].network == SPACES[name].digest]
        return {name: torch.from_numpy(stored[name].values).float() for name in same}

    def _read(self, record: Record, stage: str) -> list[Pixels] | None:
        recipe = record.components.get(stage)
        return None if recipe is None else self._read_key(key.digest(recipe), record.environment.env_class)

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
    """Returns by how many 8-bit levels a pixel may differ; None where the entry has no such limit."""
    recipe: Mapping[str, Any] = record.components.get("protect", {})
    if record.protection.budget != "linf" or "budget_255" not in recipe:
        return None
    return round(float(recipe["budget_255"]) * record.strength)


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
    """Returns a sentence for each metric of which a stated value lies out of the tolerance."""
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


def _level(name: str) -> str:
    metric = catalogue.BY_NAME.get(name)
    return metric.facts.level if metric else ""
