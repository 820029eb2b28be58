"""The recipes that a suite gives, compared with those of records: an easier attack has another recipe and key."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from cloakbench.attacks import catalogue
from cloakbench.cells.pipeline import attack_facts
from cloakbench.cells.recipes import Digests, RecipeBuilder
from cloakbench.datasets import artists
from cloakbench.datasets.artists import Artist
from cloakbench.metrics import clips
from cloakbench.models import registry
from cloakbench.runs import attacks
from cloakbench.runs.official import PUBLIC_SALT
from cloakbench.runs.session import digests
from cloakbench.schemas.recipes import Recipes
from cloakbench.schemas.record import Record
from cloakbench.schemas.suite import AttackSpec, Suite
from cloakbench.store import seeds

SEED = "seed"
"""The field of recipes that follows from the salt, which is secret for an official run."""


class ExpectedRecipes:
    """Builds the recipes of records of a suite whose images the package ships.

    Args:
        suite: The suite.
        shipped: Its artists by name.
    """

    def __init__(self, suite: Suite, shipped: Mapping[str, Artist]) -> None:
        self.suite = suite
        self._artists = shipped
        self._digests: dict[tuple[str, ...], Digests] = {}

    @cached_property
    def _calibration(self) -> list[Artist]:
        return artists.for_calibration(self.suite, None, registry.find(self.suite.surrogate).image_size)

    def find_differences(self, record: Record) -> list[str]:
        """Returns which recipes of a record, or facts about its attack, are not those that the suite gives."""
        artist, attack = self._artists.get(record.artist), self._find_attack(record)
        if artist is None:
            return [f"expected an artist of the suite, got {record.artist!r}"]
        if attack is None:
            return [f"expected an attack of the suite or of a package, got {record.attack.name!r}"]
        unknown = set(record.protection.looked_into) - catalogue.models(self.suite) - {clips.EMBEDDED}
        if unknown:  # a name may also be a folder, or a model to download
            return [f"expected models of the suite, got {', '.join(sorted(unknown))}"]
        try:
            expected = self._build(record, artist, attack).content()
        except ValueError as error:  # a target that the suite does not have
            return [str(error)]
        problems = _compare(record, expected)
        if record.attack != attack_facts(attack):
            problems.append(f"expected the facts of the attack {record.attack.name!r}, got others")
        return problems

    def _build(self, record: Record, artist: Artist, attack: AttackSpec) -> Recipes:
        further = tuple(record.protection.looked_into)
        if further not in self._digests:
            self._digests[further] = digests(self.suite, further)
        builder = RecipeBuilder(self.suite, self._digests[further], PUBLIC_SALT, self._calibration)
        strength = None if record.target is not None else record.strength
        return builder.build(record.protection, strength, record.target, artist, attack, record.seed)

    def _find_attack(self, record: Record) -> AttackSpec | None:
        names = {attack.name: attack for attack in self.suite.attacks}
        package = record.attack.package
        if package is None:
            return names.get(record.attack.name)
        return None if package.spelling in names else attacks.on_suite(package, self.suite)


def _compare(record: Record, expected: Mapping[str, Any]) -> list[str]:
    """Returns which recipes of a record differ; seeds count where the salt is the public one."""
    is_public = record.salt_digest == seeds.salt_digest(PUBLIC_SALT)
    problems = []
    for stage in sorted({*record.components, *expected}):
        stated, right = record.components.get(stage), expected.get(stage)
        if _comparable(stated, is_public) != _comparable(right, is_public):
            problems.append(f"expected the recipe of {stage!r} that the suite gives, got another one")
    return problems


def _comparable(recipe: Mapping[str, Any] | None, is_public: bool) -> Any:
    """Returns a recipe with the names of its parents alone, because a record's keys are checked on their own.

    Where the salt is not the public one, what follows from it is left out.
    """
    if recipe is None:
        return None
    compared = {**recipe, "parents": sorted(recipe.get("parents", {}))}
    return compared if is_public else _without_seeds(compared)


def _without_seeds(value: Any) -> Any:
    """Returns a part of a recipe, such as a chain of countermeasures, without its seeds."""
    if isinstance(value, list):
        return [_without_seeds(part) for part in value]
    if isinstance(value, dict):
        return {name: _without_seeds(part) for name, part in value.items() if name != SEED}
    return value
