"""Where a GPU's time goes in training and sampling: kernel by kernel, and as a run does it, captured and compiled.

    python tests/benchmarks/profiles.py --sd15 --device cuda --out FILE.json

Stable Diffusion 1.5 in its real size with random weights. For each way: milliseconds a step by the clock without the
profiler, then, of a profiled turn, the share of its time in which kernels run, kernels a step, and those that take
most. `--trace FOLDER` keeps torch's traces, for chrome://tracing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import on_device
import torch
from mimicry import Extent, draw
from mimicry_bench import Bench, bench
from step_clock import eagerly, now, timed
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from cloakbench.attacks.mimicry.personalised import Personalised

STEPS, TOP = 10, 8
WAYS: dict[str, Callable[[], AbstractContextManager[None]]] = {"kernel by kernel": eagerly, "as a run": nullcontext}


def training(bench: Bench, steps: int) -> float:
    """Returns the seconds of a step of DreamBooth."""
    return timed(partial(bench.ours, "dreambooth", steps), steps, bench.model.device).wall.step


def generation(bench: Bench, steps: int) -> float:
    """Returns the seconds of a step of sampling 16 images."""
    extent = Extent(16, steps, 0, 0, 0)
    began = now(bench.model.device).wall
    draw(bench, Personalised(bench.model), extent)
    return (now(bench.model.device).wall - began) / steps


WORK: dict[str, Callable[[Bench, int], float]] = {"dreambooth": training, "sampling": generation}


def measure(bench: Bench, trace: Path | None) -> Iterator[dict[str, Any]]:
    """Yields the report as it grows."""
    report: dict[str, Any] = {"environment": on_device.environment(bench.model), "steps": STEPS, "profiles": {}}
    for name, work in WORK.items():
        for way, entered in WAYS.items():
            with entered():
                work(bench, 2)  # compiles, where that is the way
                report["profiles"][f"{name}, {way}"] = {"step_ms": work(bench, STEPS) * 1e3} | seen(
                    partial(work, bench, STEPS), trace and trace / f"{name} {way}.json"
                )
            yield report


def seen(work: Callable[[], Any], trace: Path | None) -> dict[str, Any]:
    """Returns what a profile of the work tells of the GPU; nothing without one."""
    cuda = torch.cuda.is_available()
    with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]) as profiler:
        work()
    if trace:
        profiler.export_chrome_trace(str(trace))
    events = []
    for e in profiler.events() or ():
        if e.device_type == DeviceType.CUDA and not e.name.startswith("Memcpy"):
            events.append(e)
    if not events:
        return {}
    spent, begun, ended = {}, min(e.time_range.start for e in events), max(e.time_range.end for e in events)
    for event in events:
        spent[event.name] = spent.get(event.name, 0.0) + event.time_range.elapsed_us()
    total = sum(spent.values())
    longest = sorted(spent.items(), key=lambda item: -item[1])[:TOP]
    return {
        "busy": total / (ended - begun),
        "kernels_a_step": len(events) / STEPS,
        "longest": {name[:80]: round(time / total, 3) for name, time in longest},
    }


def main() -> None:
    """Measures, writes the report after each part, and prints it."""
    parser = on_device.parser(__doc__)
    parser.add_argument("--trace", type=Path, help="a folder for torch's traces")
    arguments = parser.parse_args()
    with bench(*on_device.chosen(arguments)) as prepared:
        report = on_device.written(measure(prepared, arguments.trace), arguments.out)
    print(on_device.shown(report))


if __name__ == "__main__":
    main()
