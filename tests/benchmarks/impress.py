"""IMPRESS on all images of an artist at once.

    python tests/benchmarks/impress.py --sd15 --device cuda --loop --out FILE.json

Ten images of 512 pixels, 3,000 steps, as suite `painting` has it (mini: eight of 128 pixels, 20 steps). After
`--minutes` no further block of steps begins, and the seconds of all steps are reckoned from those that were made: then
the report says `"reckoned": true`. Networks are compiled where a run compiles them; `first_seconds`, which compiling
takes, are added. `--loop` also takes images one by one, kernel by kernel, for as many steps as a block has.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import on_device
import torch
from step_clock import now, peak

from cloakbench.attacks import catalogue
from cloakbench.attacks.countermeasures.impress import MANY_STEPS, Impress
from cloakbench.images import to_tensor
from cloakbench.models import loader
from cloakbench.models.autoencoders import Autoencoder
from cloakbench.models.loader import BaseModel

BLOCK = 100


def autoencoder(model: BaseModel) -> Autoencoder:
    """Returns the model's own, as a run would load it."""
    return Autoencoder(model.vae, model.divisor, model.device, model.dtype)


def measure(chosen: tuple[Any, ...], arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yields the report as it grows."""
    model, suite, images, _ = chosen
    stage: Impress = catalogue.find("countermeasure", "impress").build(suite.countermeasures["impress"])
    report: dict[str, Any] = {"environment": on_device.environment(model), "images": len(images), "steps": stage.steps}
    bare, pixels = autoencoder(model), to_tensor(images).to(model.device)
    vae = bare.compiled() if stage.steps >= MANY_STEPS else bare
    distance = loader.mini_lpips(model.device)
    block = replace(stage, steps=min(BLOCK, stage.steps, arguments.block))

    def purify(some: Impress, x: torch.Tensor, by: Autoencoder) -> None:
        some.purify(x, range(len(x)), by, distance)

    began = now(model.device)
    purify(replace(stage, steps=2), pixels, vae)
    first, began, steps_done = now(model.device).wall - began.wall, now(model.device), 0
    while steps_done < stage.steps and now(model.device).wall - began.wall < 60 * arguments.minutes:
        memory = peak(partial(purify, block, pixels, vae), model.device)
        steps_done += block.steps
        ended = now(model.device)
        step = (ended.wall - began.wall) / steps_done
        report |= {"made": steps_done, "step_seconds": step, "own_step_seconds": (ended.own - began.own) / steps_done}
        report |= {"first_seconds": first, "seconds": first + step * stage.steps, "reckoned": steps_done < stage.steps}
        report["memory_gib"] = memory
        yield report
    if arguments.loop:
        purify(replace(stage, steps=2), pixels[:1], bare)
        began = now(model.device)
        for n in range(len(pixels)):
            purify(block, pixels[n : n + 1], bare)
        ended = now(model.device)
        report["loop_step_seconds"] = (ended.wall - began.wall) / block.steps
        report["faster_than_loop"] = (ended.own - began.own) / block.steps / report["own_step_seconds"]
        yield report


def main() -> None:
    """Measures and prints the report."""
    parser = on_device.parser(__doc__)
    parser.add_argument("--minutes", type=float, default=8.0, help="after which no further steps begin")
    parser.add_argument("--block", type=int, default=BLOCK, help="steps at a time")
    parser.add_argument("--loop", action="store_true", help="against one image at a time too")
    arguments = parser.parse_args()
    chosen = on_device.chosen(arguments)
    with on_device.profiled(arguments.profile):
        report = on_device.written(measure(chosen, arguments), arguments.out)
    print(on_device.shown(report))


if __name__ == "__main__":
    main()
