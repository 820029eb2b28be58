"""Calibrated operating points: the strength at which a protection is as visible as the suite's target allows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import torch

from cloakbench.cells.cost import Meter
from cloakbench.datasets.artists import Artist
from cloakbench.errors import BenchmarkError
from cloakbench.images import Pixels
from cloakbench.metrics import catalogue, quality
from cloakbench.schemas.record import Calibration, StageCost
from cloakbench.system import memory

GRID = 64
"""Strengths are multiples of 1/64."""


class NotReached(BenchmarkError):  # noqa: N818 - says what became of the search
    """No strength of the grid meets the target."""


@dataclass(frozen=True, slots=True)
class CalibrationTarget:
    """What is sought: no metric past its limit, and the first better by at most `tolerance` where it can be."""

    limits: Mapping[str, float]
    """Worst value allowed of each quality metric: the target of the matched one first, then the gates."""
    tolerance: float

    @property
    def metric(self) -> str:
        """The matched metric."""
        return next(iter(self.limits))

    @property
    def target(self) -> float:
        """Its limit."""
        return self.limits[self.metric]

    def broken(self, quality: Mapping[str, float]) -> list[str]:
        """Returns the metrics that are past their limits."""
        return [name for name in self.limits if self._lead(name, quality) < 0]

    def is_short(self, quality: Mapping[str, float]) -> bool:
        """Returns whether the matched metric is better than the target by more than the tolerance."""
        return self._lead(self.metric, quality) > self.tolerance

    def _lead(self, name: str, quality: Mapping[str, float]) -> float:
        """Returns by how much a metric is better than its limit."""
        lead = quality[name] - self.limits[name]
        return lead if catalogue.find(name).higher_is_better else -lead


def bisect(aim: CalibrationTarget, measure: Callable[[float], Mapping[str, float]]) -> float:
    """Returns a strength in {1/64, 2/64, ..., 1} at which the quality that `measure` tells meets the aim, by bisection.

    The first one within the tolerance is taken. Where the grid has none, as where a gate stops it, it is a strength
    that keeps all limits while the next one breaks one. Quality need not be monotone in strength: what is returned was
    measured. Raises NotReached where strength 1 keeps the gates and falls short of the target, or every strength down
    to 1/64 that bisection tries breaks a limit.
    """
    quality = measure(1.0)
    broken = aim.broken(quality)
    if not broken:
        if aim.is_short(quality):
            raise NotReached(f"target {aim.target:g} not reached: at strength 1 {_told(quality, [aim.metric])}")
        return 1.0
    low, high = 0, GRID
    while high - low > 1:
        middle = (low + high) // 2
        quality = measure(middle / GRID)
        broken = aim.broken(quality)
        if broken:
            high = middle
        elif aim.is_short(quality):
            low = middle
        else:
            return middle / GRID
    if low == 0:
        raise NotReached(f"target {aim.target:g} not met: even at strength 1/{GRID} {_told(quality, broken)}")
    return low / GRID


def _told(quality: Mapping[str, float], names: Sequence[str]) -> str:
    return ", ".join(f"{name} is {quality[name]:.3g}" for name in names)


@dataclass(slots=True)
class CalibrationSearch:
    """The tries of one search: measured on the calibration images, each kept at once, none made twice."""

    metrics: Sequence[str]
    artists: Sequence[Artist]
    protect: Callable[[float, Artist, Meter], Sequence[Pixels]]
    keep: Callable[[Calibration], None]
    where: torch.device
    made: Calibration

    def measure(self, strength: float) -> Mapping[str, float]:
        """Returns each metric's mean over all calibration images at a strength, in its unit."""
        known = dict(self.made.tries)
        if strength not in known:
            meter = Meter()
            with meter.stage("calibrate"):
                known[strength] = self._measured(strength, meter)
            cost = _sum(self.made.cost, meter.costs["calibrate"])
            self.made = Calibration(tries=list(known.items()), cost=cost)
            self.keep(self.made)
        return known[strength]

    def _measured(self, strength: float, meter: Meter) -> dict[str, float]:
        found = [self._quality(self.protect(strength, artist, meter), artist) for artist in self.artists]
        return {name: fmean(value for values in found for value in values[name]) for name in self.metrics}

    def _quality(self, protected: Sequence[Pixels], artist: Artist) -> dict[str, list[float]]:
        return memory.within(lambda: quality.measure(self.metrics, protected, artist.images, self.where))[0]


def _sum(before: StageCost, now: StageCost) -> StageCost:
    return StageCost(
        wall_s=round(before.wall_s + now.wall_s, 4),
        device_s=round(before.device_s + now.device_s, 4),
        peak_bytes=max(before.peak_bytes, now.peak_bytes),
        cached=False,
        energy_j=None if now.energy_j is None else round((before.energy_j or 0.0) + now.energy_j, 3),
    )
