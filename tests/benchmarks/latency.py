"""Seconds an image that protections take, by size: the table of FastProtect's paper (arXiv 2412.11423).

    python tests/benchmarks/latency.py [--protections NAME ...] [--sizes 512 1024 2048] [--out FILE.json]
    python tests/benchmarks/latency.py --sd15 --device cuda --images 4 --loop --out FILE.json
    python tests/benchmarks/latency.py --sd15 --tiny --sizes 128 --protections placebo

Each protection runs with its defaults, all its steps, at 16/255, through the checks of a run, on images drawn at
random, which take as long as paintings. On a GPU an image that is not counted goes first. `--loop` also protects the
same images one by one, with the same steps and precision, and tells how much faster all at once are. A size that would
take longer than `--longest` seconds, by the pixels of the size before, is left out and said to be. What FILE.json holds
already of the same model, device and number of images is not measured again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import Any

import mimicry_bench
import on_device
from step_clock import now, peak

from cloakbench import submissions
from cloakbench.cells.cost import Meter
from cloakbench.errors import BenchmarkError
from cloakbench.models.loader import BaseModel
from cloakbench.submissions import guard
from cloakbench.submissions.loading import LoadedEntry

SIZES = (512, 1024, 2048)
SAME = ("model", "dtype", "device", "threads")
"""What has to be the same for figures to be taken over."""


def protect(loaded: LoadedEntry, model: BaseModel, side: int, count: int) -> None:
    """Protects `count` images of `side` pixels at once."""
    call = guard.Call(
        strength=1.0,
        budget_255=16,
        seed=0,
        class_word="painting",
        captions=("a painting",) * count,
        surrogate=model.surrogate(),
    )
    guard.run(loaded.instance, mimicry_bench.pictures(count, side, seed=1), call)


def one(loaded: LoadedEntry, model: BaseModel, side: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns what protecting images of one size takes, an image, and the most memory held meanwhile."""
    count = arguments.images
    if model.device.type == "cuda":
        protect(loaded, model, side, 1)
    meter = Meter()
    with meter.stage("protect"):
        protect(loaded, model, side, count)
    cost = meter.costs["protect"]
    costs: dict[str, Any] = {"images": count, "seconds": cost.wall_s / count, "own_seconds": cost.device_s / count}
    costs["peak_gib"] = cost.peak_bytes / 2**30
    if arguments.loop:
        began = now(model.device)
        alone = peak(lambda: [protect(loaded, model, side, 1) for _ in range(count)], model.device)
        ended = now(model.device)
        costs["loop"] = {"seconds": (ended.wall - began.wall) / count, "own_seconds": (ended.own - began.own) / count}
        costs["loop"]["peak_gib"] = alone["allocated"] if alone else None
        costs["faster_than_loop"] = costs["loop"]["own_seconds"] / max(costs["own_seconds"], 1e-9)
    return costs


def sizes(name: str, model: BaseModel, recorded: dict[str, Any], arguments: argparse.Namespace) -> Iterator[None]:
    """Adds to `known` what each size takes, one after the other; a fault of the protection ends it."""
    before = None
    for side in arguments.sizes:
        if str(side) not in recorded:
            expected = before and before[1] * (side / before[0]) ** 2
            if expected and expected > arguments.longest:
                recorded[str(side)] = {"left_out": f"about {expected:.0f} s per image by its pixels"}
            else:
                try:
                    recorded[str(side)] = one(submissions.load(name), model, side, arguments)
                except (BenchmarkError, MemoryError, RuntimeError) as error:
                    recorded[str(side)] = {"fault": str(error).splitlines()[0]}
            yield
        before = (side, recorded[str(side)]["own_seconds"]) if "seconds" in recorded[str(side)] else before


def measure(model: BaseModel, arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yields the report as it grows."""
    report = _taken_over({"environment": on_device.environment(model), "protections": {}}, arguments)
    for name in arguments.protections or submissions.discover().names:
        for _ in sizes(name, model, report["protections"].setdefault(name, {}), arguments):
            yield report
    yield report


def _taken_over(report: dict[str, Any], arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns the report with what an earlier run has measured."""
    if not arguments.out or not arguments.out.is_file():
        return report
    old = json.loads(arguments.out.read_text())
    if any(old["environment"].get(name) != report["environment"][name] for name in SAME):
        return report
    for name, sizes in old["protections"].items():
        report["protections"][name] = {}
        for side, costs in sizes.items():
            if costs.get("images") == arguments.images and ("loop" in costs or not arguments.loop):
                report["protections"][name][side] = costs
    return report


def table(report: dict[str, Any], arguments: argparse.Namespace) -> str:
    """Returns seconds and memory as a markdown table."""
    titles = ["protection", *(f"{side} px: s, GiB" for side in arguments.sizes)]
    lines = ["| " + " | ".join(titles) + " |", "|---" * len(titles) + "|"]
    for name, costs in report["protections"].items():
        lines.append("| " + " | ".join([f"`{name}`", *(_shown(costs.get(str(s), {})) for s in arguments.sizes)]) + " |")
    return "\n".join(lines)


def _shown(costs: dict[str, Any]) -> str:
    if "seconds" not in costs:
        return str(costs.get("left_out") or costs.get("fault") or "")
    faster = f", {costs['faster_than_loop']:.1f}x the loop" if "faster_than_loop" in costs else ""
    return f"{costs['own_seconds']:.2f}, {costs['peak_gib']:.2f}{faster}"


def main() -> None:
    """Measures, writes the report after each size, and prints the table."""
    parser = on_device.parser(__doc__)
    parser.add_argument("--protections", nargs="*", help="all installed ones by default")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--images", type=int, default=1, help="at once")
    parser.add_argument("--loop", action="store_true", help="against one image at a time too")
    parser.add_argument("--longest", type=float, default=120.0, help="seconds per image that a size may take")
    arguments = parser.parse_args()
    model = on_device.chosen(arguments)[0]
    with on_device.profiled(arguments.profile):
        report = on_device.written(measure(model, arguments), arguments.out)
    print(table(report, arguments))


if __name__ == "__main__":
    main()
