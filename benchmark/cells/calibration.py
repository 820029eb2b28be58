"""Calibrated operating points: the strength at which a protection is as visible as the suite's target allows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

import torch

from benchmark import memory
from benchmark.cells.cost import Meter
from benchmark.cells.record import Calibration, StageCost
from benchmark.datasets.artists import Artist
from benchmark.errors import BenchmarkError
from benchmark.images import Pixels
from benchmark.metrics import catalogue, quality

GRID = 64
"""Strengths are multiples of 1/64."""


class NotReached(BenchmarkError):  # noqa: N818 - says what became of the search
    """No strength of the grid meets the target."""


@dataclass(frozen=True, slots=True)
class Aim:
    """What is sought: a quality metric no worse than `target`, and better by at most `tolerance` where it can be."""

    metric: str
    target: float
    tolerance: float

    def is_over(self, value: float) -> bool:
        """Returns whether a value is worse than the target."""
        return self._lead(value) < 0

    def is_short(self, value: float) -> bool:
        """Returns whether a value is better than the target by more than the tolerance."""
        return self._lead(value) > self.tolerance

    def _lead(self, value: float) -> float:
        """Returns by how much a value is better than the target."""
        return value - self.target if catalogue.find(self.metric).higher_is_better else self.target - value


def seek(aim: Aim, measure: Callable[[float], float]) -> float:
    """Returns a strength in {1/64, 2/64, ..., 1} at which `measure` meets the aim, found by bisection.

    The first one within the tolerance is taken. Where the grid has none, it is a strength that meets the target while
    the next one misses it. Quality need not be monotone in strength: what is returned was measured. Raises NotReached
    where strength 1 falls short of the target, or every strength down to 1/64 that bisection tries is over it.
    """
    value = measure(1.0)
    if aim.is_short(value):
        raise NotReached(f"target {aim.target:g} not reached: at strength 1 {aim.metric} is {value:.3g}")
    if not aim.is_over(value):
        return 1.0
    low, high = 0, GRID
    while high - low > 1:
        middle = (low + high) // 2
        value = measure(middle / GRID)
        if aim.is_over(value):
            high = middle
        elif aim.is_short(value):
            low = middle
        else:
            return middle / GRID
    if low == 0:
        raise NotReached(f"target {aim.target:g} not met: even at strength 1/{GRID} {aim.metric} is {value:.3g}")
    return low / GRID


@dataclass(slots=True)
class Tries:
    """The tries of one search: measured on the calibration images, each kept at once, none made twice."""

    metric: str
    artists: Sequence[Artist]
    protect: Callable[[float, Artist], Sequence[Pixels]]
    keep: Callable[[Calibration], None]
    where: torch.device
    made: Calibration

    def measure(self, strength: float) -> float:
        """Returns the metric's mean over all calibration images at a strength, in its unit."""
        known = dict(self.made.tries)
        if strength not in known:
            meter = Meter()
            with meter.stage("calibrate"):
                known[strength] = self._measured(strength)
            cost = _sum(self.made.cost, meter.costs["calibrate"])
            self.made = Calibration(tries=list(known.items()), cost=cost)
            self.keep(self.made)
        return known[strength]

    def _measured(self, strength: float) -> float:
        values: list[float] = []
        for artist in self.artists:
            protected = self.protect(strength, artist)
            values += self._quality(protected, artist)
        return fmean(values)

    def _quality(self, protected: Sequence[Pixels], artist: Artist) -> list[float]:
        found, _ = memory.within(lambda: quality.measure([self.metric], protected, artist.images, self.where))
        return found[self.metric]


def _sum(before: StageCost, now: StageCost) -> StageCost:
    return StageCost(
        wall_s=round(before.wall_s + now.wall_s, 4),
        device_s=round(before.device_s + now.device_s, 4),
        peak_bytes=max(before.peak_bytes, now.peak_bytes),
        cached=False,
        energy_j=None if now.energy_j is None else round((before.energy_j or 0.0) + now.energy_j, 3),
    )
