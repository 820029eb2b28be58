"""What the sandbox costs: a call of eight images of 512 pixels, against an older checkout, and the start of a worker.

    python -m tests.benchmarks.sandbox_channel [--older CHECKOUT] [--pairs 12] [--starts 3]

The protection returns its images as they are, so that a call is what the channel costs. Calls of both checkouts take
turns, each with its own process, and the ratio of each pair counts, so that other work on the machine falls on both. An
older checkout is one whose package is still called `benchmark`, such as commit 9101ad7. A start is compared with a
plain process that imports the same libraries and loads the same protection. Other work on
the machine can only add to a time, so that the best of several says most.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cloakbench.submissions.sandbox import bubblewrap
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
import sys, time
if sys.argv[1] == "process":
    import shutil
    shutil.which = lambda _name: None
from cloakbench.submissions.sandbox.client import SandboxedSubmission
start = time.perf_counter()
with SandboxedSubmission("unchanged") as worker:
    worker.load()
    print(time.perf_counter() - start)
"""
PLAIN = """
import torch
from cloakbench import submissions
from cloakbench.submissions import guard
from cloakbench.system import peak
submissions.load("unchanged").claims()
"""


class Caller:
    """A process that makes one call whenever it is asked, and says how long it took."""

    def __init__(self, source: str, isolation: str, environment: dict[str, str], folder: str) -> None:
        command = [sys.executable, "-c", source + CALLS, isolation]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=folder
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def seconds(self) -> float:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def compare_calls(isolation: str, older: Path, pairs: int, environment: dict[str, str], folder: str) -> None:
    old_environment = {**environment, "PYTHONPATH": os.pathsep.join([folder, str(older)])}
    new = Caller(NEW, isolation, environment, folder)
    old = Caller(OLD, isolation, old_environment, folder)
    times = [(new.seconds(), old.seconds()) for _ in range(pairs)]
    new.close()
    old.close()
    ratios = sorted(a / b for a, b in times)
    print(
        f"{isolation}: a call takes {statistics.median(a for a, _ in times):.3f} s, of the older checkout "
        f"{statistics.median(b for _, b in times):.3f} s; ratio of pairs {statistics.median(ratios):.2f} "
        f"({ratios[0]:.2f} to {ratios[-1]:.2f}, {pairs} pairs)",
        flush=True,
    )


def compare_starts(isolation: str, count: int, environment: dict[str, str], folder: str) -> None:
    differences = []
    for _ in range(count):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", PLAIN], check=True, env=environment, cwd=folder)
        plain = time.perf_counter() - start
        command = [sys.executable, "-c", START, isolation]
        done = subprocess.run(command, check=True, env=environment, cwd=folder, capture_output=True, text=True)
        differences.append((float(done.stdout), plain))
    sandboxed, plain = zip(*differences, strict=True)
    median = statistics.median(a - b for a, b in differences)
    print(
        f"{isolation}: a start takes {min(sandboxed):.2f} s at best ({statistics.median(sandboxed):.2f} s in the "
        f"median), a plain process {min(plain):.2f} s ({statistics.median(plain):.2f} s); {median:+.2f} s in the "
        f"median of {count} pairs",
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
