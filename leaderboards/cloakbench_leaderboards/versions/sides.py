"""One side of a comparison: an entry's records in one environment class, with the controls that belong to them."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from cloakbench.errors import UserError, unknown
from cloakbench.schemas.kinds import Role
from cloakbench.schemas.record import Record
from cloakbench.schemas.suite import SuiteFacts
from cloakbench.store.reading import Loaded
from cloakbench_leaderboards.data.selection import select

CONTROL_ARMS = (Role.IDENTITY, Role.PLACEBO, Role.FLOOR)
"""Roles of the controls that P is made of."""
_FREE = {"parents", "seed", "captions", "references", "images"}
"""Fields of an attack's recipe that differ from artist to artist or from seed to seed."""
Arm = tuple[str, str]
"""Environment class and salt."""


@dataclass(frozen=True)
class Side:
    """One side of a comparison."""

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
    names = set()
    for record in loaded.records:
        if record.protection.role.has_strengths:
            names.add(record.protection.name)
    return sorted(names)


def sides(before: SideRequest, after: SideRequest) -> tuple[Side, Side]:
    """Returns both sides, in the environment class and salt that they share most cells of; their own where in none.

    Raises UserError where one has no record of its protection.
    """
    first, second = _entry(before), _entry(after)
    ours, theirs = _arms(first), _arms(second)
    shared = ours & theirs
    return (
        _side(before, first, _largest(shared or ours)),
        _side(after, second, _largest(shared or theirs)),
    )


def _entry(request: SideRequest) -> list[Record]:
    by_name: dict[str, list[Record]] = defaultdict(list)
    for record in request.loaded.records:
        by_name[record.protection.name].append(record)
    if request.name not in by_name:
        expected = f"a folder of records, or a protection with records in {request.where}"
        error = unknown(expected, request.name, sorted(by_name), "protections")
        command = f"cloakbench run {request.loaded.facts.suite.name} --protection NAME"
        raise UserError(error.message, f"{error.hint} One that is installed gets records by `{command}`.")
    if request.version is None:
        return by_name[request.name]
    by_version: dict[str, list[Record]] = defaultdict(list)
    for record in by_name[request.name]:
        by_version[record.protection.version].append(record)
    if request.version not in by_version:
        versions = ", ".join(sorted(by_version))
        raise UserError(
            f"expected a version of {request.name} in {request.where}: {versions}, got {request.version}",
            "Name one of these, or none for the newest.",
        )
    return by_version[request.version]


def _arms(records: Iterable[Record]) -> Counter[Arm]:
    return Counter(map(_arm, records))


def _arm(record: Record) -> Arm:
    return record.environment.env_class, record.salt_digest


def _largest(arms: Counter[Arm]) -> Arm:
    return min(arms, key=lambda arm: (-arms[arm], arm))


def _side(request: SideRequest, records: Sequence[Record], arm: Arm) -> Side:
    entry = select([record for record in records if _arm(record) == arm]).records
    recipes: dict[tuple[str, str, str], str] = {}
    for record in entry:
        recipes |= _attack(record)
    primary = request.loaded.facts.suite.metrics.primary
    controls = []
    for record in request.loaded.records:
        if record.protection.role not in CONTROL_ARMS or _arm(record) != arm:
            continue
        if _judged(record, primary) == _judged(entry[0], primary) and _matches(_attack(record), recipes):
            controls.append(record)
    return Side(request.where, request.loaded.facts, entry, select(controls).records if controls else [])


def _matches(recipes: dict[tuple[str, str, str], str], expected: dict[tuple[str, str, str], str]) -> bool:
    """Returns whether no stage differs from the expected one of the same name."""
    return all(expected.get(stage, recipe) == recipe for stage, recipe in recipes.items())


def _attack(record: Record) -> dict[tuple[str, str, str], str]:
    """Returns what the mimic's stages do, for any protection and any seed.

    The recorded JSON is read as it is: records of other versions of the harness may have other fields.
    """
    attack = record.attack
    names = {"countermeasure": attack.countermeasure or "", "personalise": attack.mimicry, "generate": attack.mimicry}
    recipes = {}
    for stage, name in names.items():
        if stage in record.components:
            recipe = json.dumps(_without(record.components[stage]), sort_keys=True)
            recipes[stage, name, attack.model] = recipe
    return recipes


def _without(recipe: Any) -> Any:
    if isinstance(recipe, list):
        return [_without(value) for value in recipe]
    if not isinstance(recipe, dict):
        return recipe
    fixed = {}
    for name, value in recipe.items():
        if name not in _FREE:
            fixed[name] = _without(value)
    return fixed


def _judged(record: Record, primary: str) -> tuple[object, object]:
    recipes = record.recipes
    return (recipes.measure.judge, recipes.measure.metrics.get(primary)) if recipes else (None, None)
