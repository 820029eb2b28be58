"""One side of a comparison: an entry's records in one environment class, with the controls that belong to them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from cloakbench.errors import UserError, unknown
from cloakbench.schemas.record import Record
from cloakbench.schemas.suite import SuiteFacts
from cloakbench.store.reading import Loaded
from cloakbench_leaderboards.data.selection import select

COMPARED = ("submission", "random-noise")
"""Roles of what two folders are compared on where nothing is named."""
_FREE = {"parents", "seed", "captions", "references", "images"}
"""Fields of an attack's recipe that differ from artist to artist or from seed to seed."""
Arm = tuple[str, str]
"""Environment class and salt."""


@dataclass(frozen=True)
class Side:
    """What stands on one side of a comparison."""

    where: str
    """The folder or commit, in the user's words."""
    facts: SuiteFacts
    entry: list[Record]
    """The cells of the protection: one version, one class, one salt."""
    controls: list[Record]
    """Cells of the clean, placebo and floor arms that ran the same attacks."""

    @property
    def words(self) -> str:
        """Name, version and origin."""
        facts = self.entry[0].protection
        return f"{facts.name} {facts.version} ({self.where})"

    @property
    def env_class(self) -> str:
        """The environment class of all its records."""
        return self.entry[0].environment.env_class


class SideRequest(NamedTuple):
    """Which protection of which records."""

    loaded: Loaded
    where: str
    name: str
    version: str | None


def protections(loaded: Loaded) -> list[str]:
    """Returns the names of the submissions, and of random noise, that records are of."""
    return sorted({each.protection.name for each in loaded.records if each.protection.role in COMPARED})


def sides(before: SideRequest, after: SideRequest) -> tuple[Side, Side]:
    """Returns both sides, in the environment class and salt that they share most cells of; their own where in none.

    Raises UserError where one has no record of its protection.
    """
    first, second = _entry(before), _entry(after)
    ours, theirs = _arms(first), _arms(second)
    shared = ours & theirs
    one, other = (_largest(shared or ours), _largest(shared or theirs))
    return _side(before, first, one), _side(after, second, other)


def _entry(asked: SideRequest) -> list[Record]:
    named = [each for each in asked.loaded.records if each.protection.name == asked.name]
    if not named:
        names = sorted({each.protection.name for each in asked.loaded.records})
        raise unknown(f"a protection with records in {asked.where}", asked.name, names, "protections")
    found = [each for each in named if asked.version in (None, each.protection.version)]
    if not found:
        versions = ", ".join(sorted({each.protection.version for each in named}))
        raise UserError(
            f"expected a version of {asked.name} in {asked.where}: {versions}, got {asked.version}",
            "Name one of these, or none for the newest.",
        )
    return found


def _arms(records: Iterable[Record]) -> Counter[Arm]:
    return Counter((each.environment.env_class, each.salt_digest) for each in records)


def _largest(arms: Counter[Arm]) -> Arm:
    return min(arms, key=lambda arm: (-arms[arm], arm))


def _side(asked: SideRequest, entry: Sequence[Record], arm: Arm) -> Side:
    entry = select([each for each in entry if (each.environment.env_class, each.salt_digest) == arm]).records
    recipes = {place: recipe for each in entry for place, recipe in _attack(each).items()}
    primary = asked.loaded.facts.suite.metrics.primary
    controls = [
        each
        for each in asked.loaded.records
        if each.protection.role in ("identity", "placebo", "floor")
        and (each.environment.env_class, each.salt_digest) == arm
        and all(recipes.get(place, recipe) == recipe for place, recipe in _attack(each).items())
        and _judged(each, primary) == _judged(entry[0], primary)
    ]
    return Side(asked.where, asked.loaded.facts, entry, select(controls).records if controls else [])


def _attack(record: Record) -> dict[tuple[str, str, str], str]:
    """Returns what the mimic's stages do, whoever protected and whatever the seed."""
    attack = record.attack
    names = {"countermeasure": attack.countermeasure or "", "personalise": attack.mimicry, "generate": attack.mimicry}
    return {
        (stage, name, attack.model): json.dumps(_without(record.components[stage]), sort_keys=True)
        for stage, name in names.items()
        if stage in record.components
    }


def _without(recipe: Any) -> Any:
    if isinstance(recipe, dict):
        return {name: _without(value) for name, value in recipe.items() if name not in _FREE}
    return [_without(value) for value in recipe] if isinstance(recipe, list) else recipe


def _judged(record: Record, primary: str) -> tuple[object, object]:
    recipe = record.components.get("measure", {})
    return recipe.get("judge"), recipe.get("metrics", {}).get(primary)
