"""Estimates what stages cost, from the recorded costs of stages of the same kind."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, NamedTuple

from cloakbench.schemas.recipes import Recipes
from cloakbench.schemas.record import Record, StageCost
from cloakbench.store import key

_COSTLESS = {
    *("parents", "seed", "package", "protection_version", "tolerance", "strength"),
    *("judge", "perceptual", "weights", "classifier"),
}
"""Fields of a recipe that change the output of a stage but not its cost."""


class StageStep(NamedTuple):
    """One stage of one cell: its name, its label on a table, its kind, and its key."""

    stage: str
    label: str
    kind: str
    """Digest of what decides the cost: stages of one kind on one device cost the same."""
    key: str


def steps(recipes: Recipes) -> list[StageStep]:
    """Returns the stages of a cell in their order."""
    count = len(recipes.protect.images) if recipes.protect else 0
    cell_steps = []
    for recipe in recipes.stages():
        content = recipe.content()
        kind = _kind(recipe.stage, content, count)
        cell_steps.append(StageStep(recipe.stage, recipe.label, kind, key.digest(content)))
    clean_edit = key.clean_edit(recipes)
    if clean_edit is not None:
        generate = recipes.generate
        kind = _kind(key.CLEAN_EDIT, generate.content(), count)
        cell_steps.append(StageStep(key.CLEAN_EDIT, generate.label, kind, clean_edit))
    return cell_steps


def _kind(stage: str, content: Mapping[str, Any], images: int) -> str:
    return hashlib.sha256(key.canonical({**_extents(content), "stage": stage, "images": images})).hexdigest()


def _extents(content: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the part of a recipe that decides the cost."""
    return {name: _extent(value) for name, value in content.items() if name not in _COSTLESS}


def _extent(value: Any) -> Any:
    """Returns the part of a value that decides the cost: the count of a list of texts, such as captions or digests."""
    if isinstance(value, Mapping):
        return _extents(value)
    if isinstance(value, list):
        texts = [item for item in value if isinstance(item, str)]
        return len(value) if len(texts) == len(value) else [_extent(item) for item in value]
    return value


class MedianCost(NamedTuple):
    """Medians over the recorded stages of one kind, and how many there are; None where nothing was recorded."""

    runs: int
    wall_s: float
    peak_bytes: int
    energy_j: float | None
    disk_bytes: int | None


Weigh = Callable[[StageStep, Record], int | None]
"""Returns the bytes on disk of a stage of a record; None where they are unknown."""


@dataclass
class Costs:
    """Recorded costs on one kind of device with one number of threads, by kind of stage."""

    device: str
    threads: int
    others: dict[str, int] = field(default_factory=dict)
    """How many records of each other kind of device were left out."""
    _seen: dict[str, dict[str, tuple[StageCost, int | None]]] = field(default_factory=dict)
    _medians: dict[str, MedianCost] = field(default_factory=dict)
    _by_stage: dict[str, dict[str, tuple[StageCost, int | None]]] = field(default_factory=dict)
    """Recorded costs on all devices and with all settings, by name of the stage."""
    _rough: dict[str, MedianCost] = field(default_factory=dict)

    def take(self, records: Iterable[Record], weigh: Weigh = lambda _step, _record: None) -> int:
        """Adds records and returns how many are of this kind of device; a stage that cells share counts once."""
        used = 0
        for record in records:
            environment = record.environment
            if (environment.device, environment.threads) == (self.device, self.threads):
                used += 1
                self._add(record, weigh)
            else:
                self._remember(record, weigh)
                named = f"{environment.device} with {environment.threads} thread{'s' * (environment.threads > 1)}"
                self.others[named] = self.others.get(named, 0) + 1
        return used

    def _add(self, record: Record, weigh: Weigh) -> None:
        self._medians.clear()
        self._rough.clear()
        recipes = record.recipes
        if recipes is None:
            return
        for step in steps(recipes):
            cost = record.cost.get(step.stage)
            if cost is not None and step.key not in self._seen.get(step.kind, {}):
                self._seen.setdefault(step.kind, {})[step.key] = (cost, weigh(step, record))
                self._by_stage.setdefault(step.stage, {})[step.key] = self._seen[step.kind][step.key]

    def _remember(self, record: Record, weigh: Weigh) -> None:
        """Keeps the costs of a record of another device for rough estimates."""
        self._rough.clear()
        for step in steps(record.recipes) if record.recipes is not None else ():
            cost = record.cost.get(step.stage)
            if cost is not None:
                self._by_stage.setdefault(step.stage, {}).setdefault(step.key, (cost, weigh(step, record)))

    def usual(self, step: StageStep) -> MedianCost | None:
        """Returns the median cost of a stage's kind, None where none was recorded."""
        if step.kind in self._seen and step.kind not in self._medians:
            self._medians[step.kind] = _median(list(self._seen[step.kind].values()))
        return self._medians.get(step.kind)

    def rough(self, step: StageStep) -> MedianCost | None:
        """Returns the median cost of all recorded stages of the name, with any settings on any device; None without."""
        if step.stage in self._by_stage and step.stage not in self._rough:
            self._rough[step.stage] = _median(list(self._by_stage[step.stage].values()))
        return self._rough.get(step.stage)


def _median(measured: Sequence[tuple[StageCost, int | None]]) -> MedianCost:
    seconds, peaks, energies, sizes = [], [], [], []
    for cost, size in measured:
        seconds.append(cost.wall_s)
        peaks.append(cost.peak_bytes)
        if cost.energy_j is not None:
            energies.append(cost.energy_j)
        if size is not None:
            sizes.append(size)
    return MedianCost(
        len(measured),
        median(seconds),
        int(median(peaks)),
        median(energies) if energies else None,
        int(median(sizes)) if sizes else None,
    )
