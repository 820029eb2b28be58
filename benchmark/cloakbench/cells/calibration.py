"""Calibrated operating points: the strength at which a protection is as visible as the suite's target allows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
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


class NotReached(BenchmarkError):  # noqa: N818 - a result of the search
    """No strength of the grid meets the target."""


@dataclass(frozen=True, slots=True)
class CalibrationTarget:
    """The goal of a search: no metric is past its limit, and the matched metric is close to its own."""

    limits: Mapping[str, float]
    """Worst value allowed of each quality metric: the target of the matched one first, then the gates."""
    tolerance: float
    """By how much the matched metric may be better than its limit."""

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
        """Returns by how much a metric is better than its limit; negative where it is worse."""
        lead = quality[name] - self.limits[name]
        return lead if catalogue.find(name).higher_is_better else -lead


def bisect(target: CalibrationTarget, measure: Callable[[float], Mapping[str, float]]) -> float:
    """Seeks the strength whose quality meets a target, by bisection on a grid.

    The first strength within the tolerance ends the search. Where the grid has none, as where a gate stops it, the
    result is a strength that keeps all limits while the next one of the grid breaks one. Quality need not be monotone
    in strength: the result was measured.

    Args:
        target: The limits that the quality must keep.
        measure: Returns each limited metric at a strength.

    Returns:
        A strength in {1/64, 2/64, ..., 1}.

    Raises:
        NotReached: Strength 1 keeps the gates and falls short of the target, or every strength tried, down to 1/64,
            breaks a limit.
    """
    quality = measure(1.0)
    broken = target.broken(quality)
    if not broken:
        if target.is_short(quality):
            values = _format_values(quality, [target.metric])
            raise NotReached(f"target {target.target:g} not reached: at strength 1 {values}")
        return 1.0
    low, high = 0, GRID
    while high - low > 1:
        middle = (low + high) // 2
        quality = measure(middle / GRID)
        broken = target.broken(quality)
        if broken:
            high = middle
        elif target.is_short(quality):
            low = middle
        else:
            return middle / GRID
    if low == 0:
        values = _format_values(quality, broken)
        raise NotReached(f"target {target.target:g} not met: even at strength 1/{GRID} {values}")
    return low / GRID


def _format_values(quality: Mapping[str, float], names: Sequence[str]) -> str:
    return ", ".join(f"{name} is {quality[name]:.3g}" for name in names)


@dataclass(slots=True)
class CalibrationSearch:
    """One search: tries strengths on the calibration images, none twice, and stores each try when it is measured."""

    metrics: Sequence[str]
    artists: Sequence[Artist]
    protect: Callable[[float, Artist, Meter], Sequence[Pixels]]
    keep: Callable[[Calibration], None]
    device: torch.device
    state: Calibration
    """The tries so far, with what they cost."""

    def measure(self, strength: float) -> Mapping[str, float]:
        """Returns each metric's mean over all calibration images at a strength, in its unit."""
        tries = dict(self.state.tries)
        if strength not in tries:
            meter = Meter()
            with meter.stage("calibrate"):
                tries[strength] = self._measure(strength, meter)
            cost = _sum(self.state.cost, meter.costs["calibrate"])
            self.state = Calibration(tries=list(tries.items()), cost=cost)
            self.keep(self.state)
        return tries[strength]

    def _measure(self, strength: float, meter: Meter) -> dict[str, float]:
        pairs = ((self.protect(strength, artist, meter), artist.images) for artist in self.artists)
        return mean_quality(self.metrics, pairs, self.device)


def mean_quality(
    metrics: Sequence[str], pairs: Iterable[tuple[Sequence[Pixels], Sequence[Pixels]]], device: torch.device
) -> dict[str, float]:
    """Returns the mean of each metric over all images of `pairs`: protected images with their originals."""
    values: dict[str, list[float]] = {name: [] for name in metrics}
    for protected, originals in pairs:
        measure = partial(quality.measure, metrics, protected, originals, device)
        for name, of_images in memory.within(measure)[0].items():
            values[name] += of_images
    return {name: fmean(of_images) for name, of_images in values.items()}


def _sum(before: StageCost, now: StageCost) -> StageCost:
    return StageCost(
        wall_s=round(before.wall_s + now.wall_s, 4),
        device_s=round(before.device_s + now.device_s, 4),
        peak_bytes=max(before.peak_bytes, now.peak_bytes),
        cached=False,
        energy_j=None if now.energy_j is None else round((before.energy_j or 0.0) + now.energy_j, 3),
    )
