"""LoRA adapters of several cells trained in one batched forward: exact, and how fast.

    python tests/benchmarks/packing.py [--cells 4] [--steps 20] [--out FILE.json]
    python tests/benchmarks/packing.py --sd15 --device cuda --cells 16 --out FILE.json
    python tests/benchmarks/packing.py --sd15 --tiny --cells 2 --steps 2

It is what a run does on a GPU. Measured against a cell trained alone in the same run; with `--sd15` also a packed cell
with its images, and the share of the bfloat16 peak. With fewer `--steps` than the suite's, the cell is reckoned from
those.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import on_device
from step_clock import Cost, bf16_peak, now, operations, peak, timed

from cloakbench.attacks.mimicry import sampling
from cloakbench.attacks.mimicry.lora import ATTENTION, LoRA
from cloakbench.attacks.mimicry.packed import Adapters, PackedCell, mimic, train
from cloakbench.attacks.mimicry.personalised import Personalised, TrainingSet
from cloakbench.images import to_tensor
from cloakbench.models.loader import BaseModel
from cloakbench.schemas.suite import Sampling


def measure(chosen: tuple[Any, ...], arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yields the report as it grows."""
    model, suite, images, captions = chosen
    attack = LoRA(**{**suite.mimicry["lora"], "steps": arguments.steps or suite.mimicry["lora"]["steps"]})
    seeds = list(range(arguments.cells))
    data = TrainingSet(to_tensor(images), captions, suite.token, suite.class_word, suite.sampling)
    cells = [PackedCell(data, seed) for seed in seeds]
    device, steps = model.device, attack.recipe.steps
    report: dict[str, Any] = {"environment": on_device.environment(model), "cells": len(seeds), "steps": steps}
    report |= {"batch": attack.recipe.batch, "modules": len(ATTENTION)}
    short = LoRA(**{**suite.mimicry["lora"], "steps": 2})
    train(model, short, cells)  # once uncounted
    trained: list[Adapters] = []
    cost: list[Cost] = []

    def work() -> None:
        cost.append(timed(lambda: trained.extend(train(model, attack, cells)), steps, device))

    report["memory_gib"] = peak(work, device)
    report["packed"] = speed(cost[0], len(seeds))
    yield report
    report["alone"] = speed(timed(lambda: attack.personalise(model, data, 0), steps, device), 1)
    report["faster"] = report["alone"]["own_step_seconds"] / report["packed"]["own_step_seconds"]
    yield report
    if arguments.sd15:
        best = bf16_peak(device, *((256, 4) if arguments.tiny else (8192, 50)))
        report |= _share(partial(_steps, model, suite, cells), report, best)
        report["cell"] = _cell(mimic(model, attack, trained[0]), suite, report, tiny=arguments.tiny)
        yield report


def speed(cost: Cost, cells: int) -> dict[str, float]:
    """Returns the seconds of a cell's step, and of its set-up, where so many cells share them."""
    return {
        "step_seconds": cost.wall.step / cells,
        "own_step_seconds": cost.own.step / cells,
        "setup_seconds": cost.wall.setup / cells,
    }


def _steps(model: BaseModel, suite: Any, cells: Sequence[PackedCell], count: int) -> None:
    train(model, LoRA(**{**suite.mimicry["lora"], "steps": count}), cells)


def _share(work: Any, report: dict[str, Any], best: float) -> dict[str, Any]:
    """Returns operations of a packed step, and what share of the device's measured peak the training makes of it."""
    single, double = (operations(partial(work, count)) for count in (1, 2))
    rate = 1 / (report["packed"]["step_seconds"] * report["cells"])
    return {
        "bf16_peak_tflops": best / 1e12,
        "step_tflop": (double - single) / 1e12,
        "share_of_peak": (double - single) * rate / best,
    }


def _cell(learned: Personalised, suite: Any, report: dict[str, Any], tiny: bool) -> dict[str, float]:
    """Returns seconds of one packed cell: its share of the training, and its images."""
    settings: Sampling = suite.sampling.model_copy(update={"steps": 2}) if tiny else suite.sampling
    count = 2 if tiny else len(settings.prompts) * settings.per_prompt
    prompts = []
    for n in range(count):
        prompts.append(
            settings.prompts[n % len(settings.prompts)].format(token=suite.token, class_word=suite.class_word)
        )
    sampling.generate(learned, prompts, range(count), settings.model_copy(update={"steps": 2}))  # compiled by the first
    began = now(learned.model.device).wall
    sampling.generate(learned, prompts, range(count), settings)
    generate = now(learned.model.device).wall - began
    whole: int = suite.mimicry["lora"]["steps"]
    personalise = report["packed"]["setup_seconds"] + report["packed"]["step_seconds"] * whole
    return {
        "personalise_seconds": personalise,
        "generate_seconds": generate,
        "seconds": personalise + generate,
        "images": count,
        "steps": whole,
        "reckoned": whole != report["steps"],
    }


def main() -> None:
    """Measures and prints the report."""
    parser = on_device.parser(__doc__)
    parser.add_argument("--cells", type=int, default=4, help="trained together")
    parser.add_argument("--steps", type=int, help="of the training; the suite's by default")
    arguments = parser.parse_args()
    chosen = on_device.chosen(arguments)
    with on_device.profiled(arguments.profile):
        report = on_device.written(measure(chosen, arguments), arguments.out)
    print(on_device.shown(report))


if __name__ == "__main__":
    main()
