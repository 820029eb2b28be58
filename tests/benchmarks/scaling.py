"""What executors cost: cells per second and the driver's memory with cells that do nothing, and the pace of real ones.

python -m tests.benchmarks.scaling --out FILE.json
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import psutil

from cloakbench.cells.plan import Cell
from cloakbench.execute.inline import InlineExecutor
from cloakbench.execute.job import Task
from cloakbench.execute.local import LocalExecutor
from cloakbench.execute.progress import Outcome
from cloakbench.execute.ray import RayExecutor
from cloakbench.runs import session as sessions
from cloakbench.runs.choice import Choice
from cloakbench.runs.planned_job import PlannedJob
from cloakbench.schemas.kinds import Status
from cloakbench.schemas.record import Environment
from cloakbench.store.store import Store
from tests import roots, tiny
from tests.running import Quiet

RECORD_BYTES = 16 << 10
STORE_BYTES = 100 << 20
HERE = Environment(env_class="0123456789ab", device="cpu", threads=1, packages={}, libjpeg="", commit="", dirty=False)


@dataclass(frozen=True)
class Trivial:
    """A job whose cells leave a file of a record's size and do nothing else."""

    environment: Environment = HERE
    is_on_gpu: bool = False

    def open(self, root):
        return Writing(Store(root))


@dataclass(frozen=True)
class Writing:
    store: Store

    def run(self, task: Task, artist: object) -> Outcome:
        self.store.write_file(PurePosixPath(f"records/{task.key[:2]}/{task.key}/here.json"), b" " * RECORD_BYTES)
        return Outcome(task.key, Status.OK)

    def close(self): ...


class Watch(Quiet):
    """Notes when the first cell begins, and the driver's memory every thousandth one."""

    def __init__(self) -> None:
        self.began, self.done, self.ended, self.memory = 0.0, 0, 0.0, []

    def start(self, cell):
        self.began = self.began or time.monotonic()

    def finish(self, cell, outcome):
        assert outcome.status is Status.OK, outcome.reason
        self.done, self.ended = self.done + 1, time.monotonic()
        if self.done % 1000 == 0:
            self.memory.append(round(psutil.Process().memory_info().rss / 2**20))

    @property
    def seconds(self) -> float:
        return self.ended - self.began


def trivial_cells(count: int) -> list[Cell]:
    entries = [tiny.entry(f"entry-{n}") for n in range(count // 2)]
    return tiny.planner().cells(entries, [tiny.artist()])


def executor(kind: str, job, root: Path, workers: int):
    if kind == "inline":
        return InlineExecutor()
    if kind == "local":
        return LocalExecutor(job, root, workers)
    return RayExecutor(job, root, workers, settings={"object_store_memory": STORE_BYTES})


def trivial(kind: str, workers: int, cells: Sequence[Cell]) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        watch, root = Watch(), Path(folder)
        outcomes = executor(kind, Trivial(), root, workers).run(cells, None, watch)
        assert len(outcomes) == len(list((root / "records").rglob("*.json"))) == len(cells)
    memory = watch.memory or [0]
    return {
        "executor": kind,
        "workers": workers,
        "cells": len(cells),
        "cells_per_s": round(len(cells) / watch.seconds, 1),
        "ms_per_cell": round(1000 * watch.seconds / len(cells), 2),
        "driver_mib_after_1000": memory[0],
        "driver_mib_at_end": memory[-1],
    }


def real(kind: str, workers: int, count: int, attack: str) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        choice = Choice("mini-quick", ["placebo"], only=[f"attack={attack}"], limit=count)
        session, watch = sessions.plan(choice, Path(folder)), Watch()
        ran = sessions.run(session, executor(kind, PlannedJob.of(session), Path(folder), workers), watch)
    return {
        "executor": kind,
        "workers": workers,
        "cells": len(ran),
        "s": round(watch.seconds, 1),
        "s_per_cell": round(watch.seconds / len(ran), 2),
        "load": round(os.getloadavg()[0], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trivial", type=int, default=10_000, help="cells that do nothing")
    parser.add_argument("--real", type=int, default=8, help="cells of mini-quick; 0: none")
    parser.add_argument("--attack", default="dreambooth")
    parser.add_argument("--workers", type=int, nargs="+", default=[n for n in (1, 2, 4) if n <= (os.cpu_count() or 1)])
    parser.add_argument("--executors", nargs="+", default=["local", "ray"])
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    os.environ.update(RAY_AUTH_MODE="disabled", PYTHONPATH=roots.PYTHONPATH)
    rows_by_task: dict[str, list[dict[str, object]]] = {"trivial": [], "real": []}
    runs = []
    for workers, kind in itertools.product(arguments.workers, arguments.executors):
        runs.append((kind, workers))
    if arguments.trivial:
        cells = trivial_cells(arguments.trivial)
        for kind, workers in runs:
            rows_by_task["trivial"].append(trivial(kind, workers, cells))
            print(rows_by_task["trivial"][-1], flush=True)
    if arguments.real:
        for kind, workers in [("inline", 1), *runs]:
            rows_by_task["real"].append(real(kind, workers, arguments.real, arguments.attack))
            print(rows_by_task["real"][-1], flush=True)
    if arguments.out:
        arguments.out.write_text(json.dumps(rows_by_task, indent=1) + "\n")


if __name__ == "__main__":
    main()
