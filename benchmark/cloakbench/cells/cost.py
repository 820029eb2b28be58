"""What a stage costs: wall time, processor or device time, peak memory, energy."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

from cloakbench.schemas.record import StageCost
from cloakbench.system import energy, memory, peak

T = TypeVar("T")


class Meter:
    """Collects the cost of a cell's stages."""

    def __init__(self) -> None:
        self.costs: dict[str, StageCost] = {}
        self._others: list[tuple[float, int]] = []

    def add_process(self, busy_s: float, peak_bytes: int) -> None:
        """Adds the processor seconds and the peak memory of another process to the stage under way."""
        self._others.append((busy_s, peak_bytes))

    def run(self, name: str, work: Callable[[], T]) -> T:
        """Returns what a stage's work returns, done again with less at once where memory runs out, and measures it.

        The cost says with how much at once. Raises OutOfMemory where one image at a time is too much.
        """
        with self.stage(name):
            result, chunk = memory.within(work)
        if chunk is not None:
            self.costs[name] = self.costs[name].model_copy(update={"chunk": chunk})
        return result

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measures the block; on a GPU, device time is wall time up to its synchronisation."""
        peak.reset()
        self._others.clear()
        wall, busy, taken = time.monotonic(), time.process_time(), energy.joules()
        yield
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        spent = time.monotonic() - wall
        busy = time.process_time() - busy + sum(seconds for seconds, _ in self._others)
        device = spent if torch.cuda.is_available() else busy
        now = energy.joules()
        self.costs[name] = StageCost(
            wall_s=round(spent, 4),
            device_s=round(device, 4),
            peak_bytes=max([peak.most_bytes(), *(most for _, most in self._others)]),
            cached=False,
            energy_j=None if now is None or taken is None else round(now - taken, 3),
        )

    def cached(self, name: str, cost: StageCost) -> None:
        """Notes that a stage's output came from the store, with what it cost when it was made."""
        self.costs[name] = cost.model_copy(update={"cached": True})
