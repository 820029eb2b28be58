"""What stages will cost, from what stages of the same kind cost before."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, NamedTuple

from cloakbench.schemas.record import Record, StageCost
from cloakbench.store import key

Recipes = Mapping[str, Mapping[str, Any]]
"""By stage, as a cell has them and a record keeps them."""
_NO_MATTER = {
    *("parents", "seed", "package", "protection_version", "target", "tolerance", "strength"),
    *("judge", "perceptual", "weights", "classifier"),
}
"""What a recipe says that changes a stage's output, and not how long it takes."""


class StageStep(NamedTuple):
    """One stage of one cell: what it is called on a table, its kind, and the key under which cells share it."""

    stage: str
    what: str
    kind: str
    """Digest of what decides the cost: stages of one kind on one device cost alike."""
    key: str


def steps(recipes: Recipes) -> list[StageStep]:
    """Returns the stages of a cell in their order."""
    count = len(recipes["protect"]["images"]) if "protect" in recipes else 0
    found = [
        StageStep(stage, _what(stage, recipe), _kind(stage, recipe, count), key.digest(recipe))
        for stage, recipe in recipes.items()
    ]
    if "protect" in recipes and "sampling" not in recipes["generate"]:
        edit = recipes["generate"]
        found.append(
            StageStep(key.CLEAN_EDIT, edit["name"], _kind(key.CLEAN_EDIT, edit, count), key.clean_edit(recipes))
        )
    return found


def _what(stage: str, recipe: Mapping[str, Any]) -> str:
    if stage == "calibrate":
        return str(recipe["asked"][0]["protection"]) if recipe["asked"] else ""
    if stage == "countermeasure":
        return "+".join(part["name"] for part in recipe.get("chain", [recipe]))
    return str(recipe.get("protection") or recipe.get("name") or recipe.get("mimicry") or "")


def _kind(stage: str, recipe: Mapping[str, Any], images: int) -> str:
    weighed = {name: _extent(value) for name, value in recipe.items() if name not in _NO_MATTER}
    return hashlib.sha256(key.canonical({**weighed, "stage": stage, "images": images})).hexdigest()


def _extent(value: Any) -> Any:
    """Returns a value as far as it costs: of many texts or images only how many there are."""
    if isinstance(value, Mapping):
        return {name: _extent(one) for name, one in value.items() if name not in {"seed", "perceptual", "package"}}
    if isinstance(value, (list, tuple)):
        return len(value) if all(isinstance(one, str) for one in value) else [_extent(one) for one in value]
    return value


class MedianCost(NamedTuple):
    """Medians over the stages of one kind; `runs` is how many were recorded. None: nothing was."""

    runs: int
    wall_s: float
    peak_bytes: int
    energy_j: float | None
    disk_bytes: int | None


Weigh = Callable[[StageStep, Record], int | None]
"""Bytes that a stage of a record has left on the disk; None where that is not known."""


@dataclass
class Costs:
    """What stages cost on one kind of device with so many threads, by kind of stage."""

    device: str
    threads: int
    others: dict[str, int] = field(default_factory=dict)
    """Records from other devices, by device: not used."""
    _seen: dict[str, dict[str, tuple[StageCost, int | None]]] = field(default_factory=dict)
    _medians: dict[str, MedianCost] = field(default_factory=dict)

    def take(self, records: Iterable[Record], weigh: Weigh = lambda _step, _record: None) -> int:
        """Adds records and returns how many were of this kind of device; a stage that cells share counts once."""
        used = 0
        for record in records:
            where = record.environment
            if (where.device, where.threads) == (self.device, self.threads):
                used += 1
                self._add(record, weigh)
            else:
                named = f"{where.device} with {where.threads} thread{'s' * (where.threads > 1)}"
                self.others[named] = self.others.get(named, 0) + 1
        return used

    def _add(self, record: Record, weigh: Weigh) -> None:
        self._medians.clear()
        for step in steps(record.components):
            cost = record.cost.get(step.stage)
            if cost is not None and step.key not in self._seen.get(step.kind, {}):
                self._seen.setdefault(step.kind, {})[step.key] = (cost, weigh(step, record))

    def usual(self, step: StageStep) -> MedianCost | None:
        """Returns what a stage usually costs, None where none of its kind was recorded."""
        if step.kind in self._seen and step.kind not in self._medians:
            self._medians[step.kind] = _median(list(self._seen[step.kind].values()))
        return self._medians.get(step.kind)


def _median(found: Sequence[tuple[StageCost, int | None]]) -> MedianCost:
    energies = [cost.energy_j for cost, _ in found if cost.energy_j is not None]
    sizes = [size for _, size in found if size is not None]
    return MedianCost(
        len(found),
        median(cost.wall_s for cost, _ in found),
        int(median(cost.peak_bytes for cost, _ in found)),
        median(energies) if energies else None,
        int(median(sizes)) if sizes else None,
    )
