"""What the sandbox costs: a call of eight images of 512 pixels, against an older checkout, and the start of a worker.

    python -m tests.benchmarks.sandbox_channel [--older CHECKOUT] [--pairs 12] [--starts 3]

The protection returns its images as they are, so that a call is what the channel costs. Calls of both checkouts take
turns, each with its own process, and the ratio of each pair counts, so that other work on the machine falls on both.
An older checkout is one whose package is still called `benchmark`, such as commit 9101ad7. A start is compared with a
plain process that imports the same libraries and loads the same protection, both until it is loaded, and both take
turns. Each figure is a median with its range, of wall seconds and of processor seconds of all processes together:
other work on the machine adds to the former, hardly to the latter.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

from cloakbench.submissions.sandbox import bubblewrap, processes
from tests import roots
from tests.submissions import hostile

PROTECTION = """
import sys

if "benchmark" in sys.modules:
    from benchmark import Protection
else:
    from cloakbench import Protection


class Hostile(Protection):
    title = "Unchanged"
    licence = "none"

    def protect(self, images, request):
        return images
"""
NEW = """
from cloakbench.submissions.guard import Order
from cloakbench.submissions.sandbox.client import SandboxedSubmission as Sandboxed
"""
OLD = """
from benchmark.submissions.guard import Order
from benchmark.submissions.isolation import Worker as Sandboxed
"""
CALLS = """
import shutil, sys, time
import numpy as np
if sys.argv[1] == "process":
    shutil.which = lambda _name: None
pictures = list(np.random.default_rng(0).integers(0, 256, (8, 512, 512, 3), dtype=np.uint8))
order = Order(strength=1.0, budget_255=16, seed=0, class_word="painting", captions=["a painting"] * 8)
with Sandboxed("unchanged") as worker:
    worker.protect(pictures, order)
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        worker.protect(pictures, order)
        print(time.perf_counter() - start, flush=True)
"""
START = """
import resource, sys, time
if sys.argv[1] == "process":
    import shutil
    shutil.which = lambda _name: None
from cloakbench.submissions.sandbox.client import SandboxedSubmission
start = time.perf_counter()
with SandboxedSubmission("unchanged") as worker:
    worker.load()
    print(time.perf_counter() - start)
spent = resource.getrusage(resource.RUSAGE_CHILDREN)
print(spent.ru_utime + spent.ru_stime)
"""
PLAIN = """
import torch
from cloakbench import submissions
from cloakbench.submissions import guard
from cloakbench.system import peak
submissions.load("unchanged").claims()
print("loaded", flush=True)
"""


class Spent(NamedTuple):
    """What something took."""

    wall_s: float
    busy_s: float
    """Processor seconds of all its processes."""


class Caller:
    """A process that makes one call whenever it is asked, and says how long it took."""

    def __init__(self, source: str, isolation: str, environment: dict[str, str], folder: str) -> None:
        command = [sys.executable, "-c", source + CALLS, isolation]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=folder
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def call(self) -> Spent:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        before = self._busy()
        print(file=self._process.stdin, flush=True)
        wall = float(self._process.stdout.readline())
        return Spent(wall, self._busy() - before)

    def _busy(self) -> float:
        parent = psutil.Process(self._process.pid)
        return processes.busy([parent, *parent.children(recursive=True)])

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def compare_calls(isolation: str, older: Path, pairs: int, environment: dict[str, str], folder: str) -> None:
    old_environment = {**environment, "PYTHONPATH": os.pathsep.join([folder, str(older)])}
    new = Caller(NEW, isolation, environment, folder)
    old = Caller(OLD, isolation, old_environment, folder)
    spent = [(new.call(), old.call()) for _ in range(pairs)]
    new.close()
    old.close()
    for field in Spent._fields:
        times = [(getattr(a, field), getattr(b, field)) for a, b in spent]
        ratios = []
        for a, b in times:
            if b:
                ratios.append(a / b)
        ours, theirs = zip(*times, strict=True)
        print(
            f"{isolation}: a call, {field}: {describe(ours)}, of the older checkout {describe(theirs)}, ratio of pairs "
            f"{describe(ratios)}; {pairs} pairs",
            flush=True,
        )


def describe(values: Sequence[float]) -> str:
    """Returns the median and the range in words."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def start_plainly(environment: dict[str, str], folder: str) -> Spent:
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-c", PLAIN]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=folder) as plain:
        assert plain.stdout is not None
        assert plain.stdout.readline() == "loaded\n"
        wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Spent(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def start_sandboxed(isolation: str, environment: dict[str, str], folder: str) -> Spent:
    command = [sys.executable, "-c", START, isolation]
    done = subprocess.run(command, check=True, env=environment, cwd=folder, capture_output=True, text=True)
    wall, busy = map(float, done.stdout.split())
    return Spent(wall, busy)


def compare_starts(isolation: str, count: int, environment: dict[str, str], folder: str) -> None:
    pairs = []
    for _ in range(count):
        plain = start_plainly(environment, folder)
        pairs.append((start_sandboxed(isolation, environment, folder), plain))
    for field in Spent._fields:
        times = [(getattr(a, field), getattr(b, field)) for a, b in pairs]
        ours, plain_times = zip(*times, strict=True)
        differences = [a - b for a, b in times]
        print(
            f"{isolation}: a start, {field}: {describe(ours)}, of a plain process {describe(plain_times)}, difference "
            f"{describe(differences)}; {count} pairs",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--older", type=Path)
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--starts", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        hostile.install(Path(folder), "unchanged", PROTECTION)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([folder, roots.PYTHONPATH]), "OMP_NUM_THREADS": "1"}
        for isolation in dict.fromkeys([bubblewrap.kind(), "process"]):
            if arguments.older:
                compare_calls(isolation, arguments.older.absolute(), arguments.pairs, environment, folder)
            if arguments.starts:
                compare_starts(isolation, arguments.starts, environment, folder)


if __name__ == "__main__":
    main()
