"""The recipes of a cell, made of a suite, the digests of weights and images, and the entry's facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cloakbench.attacks import catalogue
from cloakbench.attacks.stage import StageFacts
from cloakbench.datasets.artists import Artist
from cloakbench.metrics import catalogue as metrics
from cloakbench.metrics import weights
from cloakbench.schemas.external import ExternalAttack
from cloakbench.schemas.recipes import (
    CalibrateRecipe,
    ChainRecipe,
    ClassImages,
    Cleaning,
    CleanRecipe,
    EditRecipe,
    ImitateRecipe,
    MeasureRecipe,
    MetricVersions,
    PersonaliseRecipe,
    ProtectionOrder,
    ProtectRecipe,
    Recipes,
    StageRecipe,
)
from cloakbench.schemas.record import ProtectionFacts
from cloakbench.schemas.suite import AttackSpec, Suite
from cloakbench.store import key, seeds

SAMPLING_VERSION = 2
GUARD_VERSION = 2
CALIBRATION_VERSION = 2
OWN_CALIBRATION_VERSION = 1
"""Of the search on the artist's own images."""
EXTERNAL_VERSION = 1
"""Of the harness's code that runs attacks of packages."""


@dataclass(frozen=True, slots=True)
class Digests:
    """SHA-256 of the weights that a suite touches: base models by alias, the judge, the perceptual distance."""

    models: Mapping[str, str]
    judge: str
    perceptual: str
    """Of the embedded distance, which is a metric too."""
    distance: str = ""
    """Of the distance that the suite names; empty for the embedded one."""


@dataclass(frozen=True, slots=True)
class RecipeBuilder:
    """Builds the recipes of a suite's cells."""

    suite: Suite
    digests: Digests
    salt: str
    calibration: Sequence[Artist] = ()
    """Artists on whose images strengths are calibrated."""
    metric_parts: dict[bool, MetricVersions] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Versions and weights of the metrics of edits, and of all others: the same for every cell."""

    def build(
        self,
        facts: ProtectionFacts,
        strength: float | None,
        target: float | None,
        artist: Artist,
        attack: AttackSpec,
        seed: int,
    ) -> Recipes:
        """Returns the recipes of one cell.

        Args:
            facts: The entry.
            strength: Strength of the protection; None for a cell that is calibrated to `target`.
            target: Value of the suite's matching metric; None for a given strength.
            artist: The artist whose images are protected and imitated.
            attack: One of the suite's.
            seed: Index, from which seeds are derived.
        """
        edits = not catalogue.is_ranked(attack)
        calibrate = protect = countermeasure = personalise = None
        if facts.role.has_images:
            if strength is None:
                calibrate = self._calibrate(facts, target, artist)
            protect = self._protect(facts, artist, strength, calibrate)
            if attack.has_countermeasure:
                countermeasure = self._countermeasure(attack, artist, protect)
            if not edits and not attack.has_own_mimicry:
                personalise = self._personalise(attack, artist, seed, countermeasure or protect)
        before = personalise or countermeasure or protect
        generate = self._edit(attack, artist, seed, before) if edits else self._imitate(attack, artist, seed, before)
        return Recipes(
            calibrate=calibrate,
            protect=protect,
            countermeasure=countermeasure,
            personalise=personalise,
            generate=generate,
            measure=self._measure(artist, protect, generate),
        )

    def _calibrate(self, facts: ProtectionFacts, target: float | None, artist: Artist) -> CalibrateRecipe:
        chosen = self.suite.matching
        if chosen is None or target not in chosen.calibrated:
            raise ValueError(f"expected a calibrated target of the suite {self.suite.name}, got {target}")
        limits = chosen.limits(target)
        return CalibrateRecipe(
            version=OWN_CALIBRATION_VERSION if chosen.own_images else CALIBRATION_VERSION,
            orders=[self._order(facts, shown) for shown in self.calibrating(artist)],
            metrics=metrics.versions(list(limits)),
            weights=weights.digests(limits) or None,
            metric=chosen.metric,
            limits=limits,
            tolerance=chosen.tolerance,
            levels=self.suite.budget_255 if chosen.own_images else None,
        )

    def calibrating(self, artist: Artist) -> Sequence[Artist]:
        """Returns the artists, with the images, on which an artist's strengths are sought."""
        matching = self.suite.matching
        if matching is not None and matching.own_images:
            return [artist.first(matching.images_per_artist)]
        return self.calibration

    def _protect(
        self, facts: ProtectionFacts, artist: Artist, strength: float | None, calibrate: CalibrateRecipe | None
    ) -> ProtectRecipe:
        order = self._order(facts, artist)
        return ProtectRecipe(strength=strength, parents=_keys(calibrate), **dict(order))

    def _order(self, facts: ProtectionFacts, artist: Artist) -> ProtectionOrder:
        suite = self.suite
        return ProtectionOrder(
            version=GUARD_VERSION,
            protection=facts.name,
            protection_version=facts.version,
            package=facts.package_digest,
            budget_255=suite.budget_255,
            images=artist.image_digests,
            captions=list(artist.captions),
            class_word=suite.class_word,
            surrogate=self.digests.models[suite.surrogate],
            perceptual=self.digests.distance or self.digests.perceptual,
            seed=suite.protect_seed,
            dtype=suite.dtype,
            masks=artist.mask_digests if "mask" in facts.needs and artist.masks else None,
            class_images=catalogue.class_images(suite) if "class-images" in facts.needs else None,
            sampling=suite.sampling if "class-images" in facts.needs else None,
            looked_into={alias: self.digests.models[alias] for alias in facts.looked_into} or None,
        )

    def _countermeasure(self, attack: AttackSpec, artist: Artist, before: StageRecipe) -> CleanRecipe | ChainRecipe:
        if isinstance(attack, ExternalAttack):
            return self._external(attack, artist, before)
        chain = catalogue.chain(attack.countermeasure)
        turns = zip(chain, catalogue.turns(chain), strict=True)
        parts = [self._cleaning(stage, artist, turn) for stage, turn in turns]
        if len(parts) == 1:
            return CleanRecipe(parents=_keys(before), **dict(parts[0]))
        return ChainRecipe(chain=parts, parents=_keys(before))

    def _external(self, attack: ExternalAttack, artist: Artist, before: StageRecipe) -> CleanRecipe:
        package = attack.package
        return CleanRecipe(
            version=EXTERNAL_VERSION,
            name=package.spelling,
            parameters={},
            seed=self.seed(artist.name, 0, f"countermeasure:{package.spelling}"),
            models={"model": self.digests.models[attack.model]},
            captions=list(artist.captions),
            dtype=self.suite.dtype,
            package=package.digest,
            parents=_keys(before),
        )

    def _cleaning(self, stage: StageFacts, artist: Artist, turn: int) -> Cleaning:
        """Returns one countermeasure's recipe: its seed is the first one's, so that all seeds share the images."""
        settings = catalogue.settings(stage, self.suite)
        models = {}
        for parameter in stage.models:
            if settings.get(parameter):
                models[parameter] = self.digests.models[str(settings[parameter])]
        others: list[str] = []
        for other in self.calibration if stage.needs_others else ():
            others += other.image_digests
        return Cleaning(
            version=stage.version,
            name=stage.name,
            parameters=settings,
            seed=self.seed(artist.name, 0, f"countermeasure:{stage.name}", turn * len(artist.images)),
            models=models or None,
            captions=list(artist.captions) if models else None,
            dtype=self.suite.dtype if models else None,
            perceptual=(self.digests.distance or self.digests.perceptual) if stage.perceptual else None,
            others=others if stage.needs_others else None,
        )

    def _personalise(self, attack: AttackSpec, artist: Artist, seed: int, before: StageRecipe) -> PersonaliseRecipe:
        suite, stage = self.suite, catalogue.find("mimicry", attack.mimicry)
        settings = catalogue.settings(stage, suite, attack)
        is_preserving = bool(settings.get("prior_weight"))
        return PersonaliseRecipe(
            version=stage.version,
            name=attack.mimicry,
            parameters=settings,
            model=self.digests.models[attack.model],
            captions=list(artist.captions),
            seed=self.seed(artist.name, seed, f"personalise:{attack.mimicry}"),
            dtype=suite.dtype,
            class_images=ClassImages(word=suite.class_word, sampling=suite.sampling) if is_preserving else None,
            parents=_keys(before),
        )

    def _edit(self, attack: AttackSpec, artist: Artist, seed: int, before: StageRecipe | None) -> EditRecipe:
        stage = catalogue.imitation(attack)
        return EditRecipe(
            version=stage.version,
            name=stage.name,
            parameters=catalogue.settings(stage, self.suite, attack),
            prompts=self.suite.edit_prompts,
            class_word=self.suite.class_word,
            model=self.digests.models[attack.model],
            seed=self.seed(artist.name, seed, stage.name),
            dtype=self.suite.dtype,
            masks=artist.mask_digests if stage.needs_masks else None,
            parents=_keys(before),
        )

    def _imitate(self, attack: AttackSpec, artist: Artist, seed: int, before: StageRecipe | None) -> ImitateRecipe:
        package = attack.package.digest if isinstance(attack, ExternalAttack) and attack.has_own_mimicry else None
        return ImitateRecipe(
            version=EXTERNAL_VERSION if package else SAMPLING_VERSION,
            sampling=self.suite.sampling,
            token=self.suite.token,
            class_word=self.suite.class_word,
            model=self.digests.models[attack.model],
            mimicry=attack.mimicry,
            seed=self.seed(artist.name, seed, "generate"),
            dtype=self.suite.dtype,
            captions=list(artist.captions) if package else None,
            package=package,
            parents=_keys(before),
        )

    def _measure(
        self, artist: Artist, protect: ProtectRecipe | None, generate: ImitateRecipe | EditRecipe
    ) -> MeasureRecipe:
        parents, perceptual = _keys(protect, generate), self.digests.perceptual
        if isinstance(generate, EditRecipe):
            parts = self._metrics(is_edit=True)
            return MeasureRecipe(metrics=parts.metrics, weights=parts.weights, perceptual=perceptual, parents=parents)
        parts = self._metrics(is_edit=False)
        is_classifying = any(metrics.entry(name).needs_base_model for name in parts.metrics)
        return MeasureRecipe(
            metrics=parts.metrics,
            weights=parts.weights,
            judge=self.digests.judge,
            perceptual=perceptual,
            references=artist.reference_digests,
            classifier=self.digests.models[self.suite.surrogate] if is_classifying else None,
            parents=parents,
        )

    def _metrics(self, is_edit: bool) -> MetricVersions:
        """Returns versions and weights of the metrics that a cell computes, found out once for all cells."""
        if is_edit not in self.metric_parts:
            chosen = self.suite.metrics
            others = chosen.edit if is_edit else [chosen.primary, *chosen.generation, *chosen.sets]
            names = sorted({*chosen.quality, *others})
            versions, files = metrics.versions(names), weights.digests(names) or None
            self.metric_parts[is_edit] = MetricVersions(metrics=versions, weights=files)
        return self.metric_parts[is_edit]

    def seed(self, artist: str, index: int, stage: str, draw: int = 0) -> int:
        """Returns the attack seed of a stage."""
        return seeds.derive(self.salt, self.suite.name, artist, index, stage, draw)


def _keys(*recipes: StageRecipe | None) -> dict[str, str]:
    """Returns the key of each of the stages that there are."""
    keys = {}
    for recipe in recipes:
        if recipe is not None:
            keys[recipe.stage] = key.digest(recipe.content())
    return keys
