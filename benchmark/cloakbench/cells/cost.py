"""What a stage costs: wall time, processor or device time, peak memory, energy."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import ParamSpec, TypeVar

import torch

from cloakbench.schemas.record import StageCost
from cloakbench.system import energy, memory, peak

P = ParamSpec("P")
T = TypeVar("T")


class Meter:
    """Collects the cost of a cell's stages."""

    def __init__(self) -> None:
        self.costs: dict[str, StageCost] = {}
        self._others: list[tuple[float, int]] = []

    def add_process(self, busy_s: float, peak_bytes: int) -> None:
        """Adds the processor seconds and the peak memory of another process to the stage that is being measured."""
        self._others.append((busy_s, peak_bytes))

    def run(self, name: str, compute: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """Computes a stage and measures it; where memory runs out it is repeated with fewer images at once.

        Args:
            name: The stage, under which its cost is noted, with how many images were computed at once.
            compute: What is measured.
            *arguments: Its arguments by position.
            **options: Its arguments by name.

        Returns:
            What `compute` returns.

        Raises:
            OutOfMemory: One image at a time is too much.
        """
        with self.stage(name):
            result, chunk = memory.within(partial(compute, *arguments, **options))
        if chunk is not None:
            self.costs[name] = self.costs[name].model_copy(update={"chunk": chunk})
        return result

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measures the block; on a GPU, device time is the wall time until the GPU is idle."""
        peak.reset()
        self._others.clear()
        wall, busy, joules = time.monotonic(), time.process_time(), energy.joules()
        yield
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        spent = time.monotonic() - wall
        busy, peak_bytes = time.process_time() - busy, peak.most_bytes()
        for seconds, most in self._others:
            busy += seconds
            peak_bytes = max(peak_bytes, most)
        device = spent if torch.cuda.is_available() else busy
        now = energy.joules()
        self.costs[name] = StageCost(
            wall_s=round(spent, 4),
            device_s=round(device, 4),
            peak_bytes=peak_bytes,
            cached=False,
            energy_j=None if now is None or joules is None else round(now - joules, 3),
        )

    def add_share(self, name: str, cost: StageCost, count: int) -> None:
        """Adds one of `count` equal shares of a cost to that of a stage that has been measured."""
        own = self.costs[name]
        joules = None if own.energy_j is None or cost.energy_j is None else own.energy_j + cost.energy_j / count
        shared = {
            "wall_s": round(own.wall_s + cost.wall_s / count, 4),
            "device_s": round(own.device_s + cost.device_s / count, 4),
            "peak_bytes": max(own.peak_bytes, cost.peak_bytes),
            "energy_j": joules,
        }
        self.costs[name] = own.model_copy(update=shared)

    def cached(self, name: str, cost: StageCost) -> None:
        """Notes that a stage's output came from the store, with what it cost to compute it."""
        self.costs[name] = cost.model_copy(update={"cached": True})
