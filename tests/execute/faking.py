"""Jobs and processes that need no torch: what executors make of them, not what cells do."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from types import SimpleNamespace

from cloakbench.errors import InfrastructureError
from cloakbench.execute.job import IncompatibleWorker
from cloakbench.schemas.kinds import Status
from cloakbench.schemas.record import Environment

HERE = Environment(env_class="0123456789ab", device="cpu", threads=1, packages={}, libjpeg="", commit="", dirty=False)


def named(cells):
    """Returns cells whose artist has nothing but a name: a process that gets them need not import torch."""
    return [replace(cell, artist=SimpleNamespace(name=cell.artist.name)) for cell in cells]


@dataclass(frozen=True)
class Job:
    """Its cells do nothing; `fault` says what its runner does instead."""

    fault: str = ""
    environment: Environment = HERE
    is_on_gpu: bool = False

    def open(self, root):
        if self.fault == "unfit":
            raise IncompatibleWorker("expected threads 1, got threads 2 on node-7", "Run on machines of one kind.")
        if self.fault == "blind":
            raise IncompatibleWorker(f"sees {os.environ['CUDA_VISIBLE_DEVICES']}")
        if self.fault == "computes":
            import torch

            raise IncompatibleWorker(f"computes with {torch.backends.cpu.get_cpu_capability()}")
        if self.fault == "never begins":
            os._exit(7)
        return Runner(self.fault)


class Work:
    """Keeps no records, but remembers which cells were given up."""

    primary = "imitation-distance"

    def __init__(self):
        self.given_up = {}

    def run(self, cell):
        raise AssertionError("the processes run the cells")

    def lost(self, cell, reason):
        self.given_up[cell.key] = reason
        return SimpleNamespace(key=cell.key, status=Status.INFRA_ERROR, reason=reason)


class PrintsEnds:
    """Prints a line for each cell that has ended."""

    def say(self, text): ...
    def begin(self, total): ...
    def start(self, cell): ...
    def end(self): ...

    def finish(self, cell, outcome):
        print("ended", flush=True)


@dataclass(frozen=True)
class Runner:
    fault: str

    def run(self, task, artist):
        if self.fault == "dies" or (self.fault == "dies of floor" and task.protection.name == "floor"):
            os._exit(9)
        if self.fault == "full":
            raise InfrastructureError("no space is left", "Free some.")
        if self.fault == "pauses":  # unequally, so that one process works whenever another has ended a cell
            time.sleep(4 if task.attack == "noise" else 1)
        if self.fault == "hangs" and task.attack == "noise":
            time.sleep(600)
        from cloakbench.execute.progress import Outcome

        return Outcome(task.key, Status.OK)

    def close(self): ...
