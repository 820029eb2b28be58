"""Processes that draw pictures while a stage trains.

They are started from here and not from `__main__`, which a process started by `spawn` does not import.
"""

from __future__ import annotations

from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.context import SpawnProcess
from pathlib import Path

import torch

from cloakbench.models.mini.train.pool import Worker


@dataclass(frozen=True, slots=True)
class Drawing:
    """The processes that draw pictures while a stage trains."""

    folder: Path
    processes: int
    chunks: int
    minutes: float

    def start(self, teacher: str) -> list[SpawnProcess]:
        """Returns the started processes; they end with this one."""
        started = []
        for index in range(self.processes):
            worker = Worker(self.folder, teacher, index, self.processes)
            arguments = (worker, self.chunks, self.minutes)
            process = get_context("spawn").Process(target=_draw, args=arguments, daemon=True)
            process.start()
            started.append(process)
        return started


def _draw(worker: Worker, chunks: int, minutes: float) -> None:
    torch.set_num_threads(1)
    worker.fill(chunks, minutes)
