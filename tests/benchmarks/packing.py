"""LoRA adapters of several cells trained in one batched forward: exact, and how fast.

    python tests/benchmarks/packing.py [--cells 4] [--steps 20] [--out FILE.json]
    python tests/benchmarks/packing.py --sd15 --device cuda --cells 16 --out FILE.json
    python tests/benchmarks/packing.py --sd15 --tiny --cells 2 --steps 2

The adapters of a cell see only its own part of the batch, the loss is the sum of the cells' losses, and AdamW moves
each number by itself: so each cell's gradients are those that it has alone, and each cell draws its own examples from
its own seed. What is shared is the frozen denoiser, which sees one batch of all cells. Measured against a cell trained
alone in the same run; with `--sd15` also a packed cell with its images, and the share of the bfloat16 peak. With fewer
`--steps` than the suite's, the cell is reckoned from those.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import on_device
import torch
from step_clock import Cost, bf16_peak, now, operations, peak, timed
from torch import Tensor, nn

from cloakbench.attacks.mimicry import sampling
from cloakbench.attacks.mimicry.finetune import Examples, FinetuneStep, finetune, fixed_contexts, posterior
from cloakbench.attacks.mimicry.lora import ATTENTION, LoRA
from cloakbench.attacks.mimicry.personalised import Personalised, TrainingSet
from cloakbench.images import to_tensor
from cloakbench.models.loader import BaseModel
from cloakbench.schemas.suite import Sampling


class Packed(nn.Module):
    """A frozen projection with the adapters of K cells, whose parts of a batch lie one after the other."""

    def __init__(self, base: nn.Module, down: Tensor, up: Tensor, scale: float) -> None:
        super().__init__()
        self.base = base
        self.down = nn.Parameter(down)
        self.up = nn.Parameter(up)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """Returns the projection of `[K * B, L, C]`, each cell's part with its own adapters."""
        own = x.reshape(len(self.down), -1, x.shape[-1])
        if not torch.is_autocast_enabled(x.device.type):
            own = own.to(self.down.dtype)
        added = torch.bmm(torch.bmm(own, self.down.mT), self.up.mT) * self.scale
        result = self.base(x)
        return result + added.reshape(result.shape).to(result.dtype)


def packed(model: BaseModel, attack: LoRA, seeds: Sequence[int]) -> BaseModel:
    """Returns the model with adapters for each seed, which start as `attack` starts them for it alone."""
    starts = _starts(model, attack, seeds)
    unet = copy.deepcopy(model.unet)
    scale = float(attack.adapters.lora_alpha) / int(attack.adapters.r)
    for name in starts[0]:
        parent, _, last = name.rpartition(".")
        downs, ups = zip(*[start[name] for start in starts], strict=True)
        packed = Packed(unet.get_submodule(name), torch.stack(downs), torch.stack(ups), scale)
        setattr(unet.get_submodule(parent), last, packed)
    return replace(model, unet=unet.train())


def _starts(model: BaseModel, attack: LoRA, seeds: Sequence[int]) -> list[dict[str, tuple[Tensor, Tensor]]]:
    """Returns each seed's untrained adapters of every projection, by its name."""
    unet = copy.deepcopy(model.unet)
    for seed in seeds:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            unet.add_adapter(attack.adapters, adapter_name=f"cell-{seed}")
    adapters = {name: module for name, module in unet.named_modules() if hasattr(module, "lora_A")}
    starts = []
    for seed in seeds:
        cell, start = f"cell-{seed}", {}
        for name, module in adapters.items():
            down, up = module.lora_A[cell].weight, module.lora_B[cell].weight
            start[name] = (down.detach().float().clone(), up.detach().float().clone())
        starts.append(start)
    return starts


def train(
    model: BaseModel, attack: LoRA, data: Sequence[TrainingSet], seeds: Sequence[int]
) -> tuple[BaseModel, tuple[float, ...]]:
    """Returns the model with the adapters of all cells, trained together, and the sum of their losses at each step."""
    learner, count = packed(model, attack, seeds), attack.recipe.batch
    examples = [
        Examples(*posterior(model, data_set.images), fixed_contexts(model, data_set.captions)) for data_set in data
    ]
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    step = FinetuneStep(learner, [1.0] * len(seeds))

    def loss(_: torch.Generator) -> Iterator[Tensor]:
        return step.parts([drawn.draw(learner, count, own) for drawn, own in zip(examples, generators, strict=True)])

    weights: list[nn.Parameter] = []
    for module in learner.unet.modules():
        if isinstance(module, Packed):
            weights += [module.down, module.up]
    losses = finetune(weights, loss, attack.recipe, 0, limit_each)
    return learner, losses


def limit_each(weights: Sequence[nn.Parameter], norm: float) -> None:
    """Scales each cell's gradients down to a norm: the first dimension of the weights `[N, ...]` counts the cells."""
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    squares = torch.stack([gradient.flatten(1).square().sum(1) for gradient in gradients]).sum(0)
    factors = (norm / (squares.sqrt() + 1e-6)).clamp(max=1)
    for gradient in gradients:
        gradient.mul_(factors.view(-1, *[1] * (gradient.ndim - 1)))


def alone(learner: BaseModel, model: BaseModel, cell: int) -> BaseModel:
    """Returns the model with the adapters of one of the cells."""
    unet = copy.deepcopy(learner.unet)
    for name, module in [(n, m) for n, m in unet.named_modules() if isinstance(m, Packed)]:
        parent, _, last = name.rpartition(".")
        packed = Packed(
            module.base, module.down[cell : cell + 1].detach(), module.up[cell : cell + 1].detach(), module.scale
        )
        setattr(unet.get_submodule(parent), last, packed)
    return replace(model, unet=unet.eval().requires_grad_(False))


def measure(chosen: tuple[Any, ...], arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yields the report as it grows."""
    model, suite, images, captions = chosen
    attack = LoRA(**{**suite.mimicry["lora"], "steps": arguments.steps or suite.mimicry["lora"]["steps"]})
    seeds = list(range(arguments.cells))
    data = [TrainingSet(to_tensor(images), captions, suite.token, suite.class_word, suite.sampling)] * len(seeds)
    device, steps = model.device, attack.recipe.steps
    report: dict[str, Any] = {"environment": on_device.environment(model), "cells": len(seeds), "steps": steps}
    report |= {"batch": attack.recipe.batch, "modules": len(ATTENTION)}
    short = LoRA(**{**suite.mimicry["lora"], "steps": 2})
    train(model, short, data, seeds)  # once uncounted
    learners: list[BaseModel] = []
    cost: list[Cost] = []

    def work() -> None:
        cost.append(timed(lambda: learners.append(train(model, attack, data, seeds)[0]), steps, device))

    report["memory_gib"] = peak(work, device)
    report["packed"] = speed(cost[0], len(seeds))
    yield report
    report["alone"] = speed(timed(lambda: attack.personalise(model, data[0], 0), steps, device), 1)
    report["faster"] = report["alone"]["own_step_seconds"] / report["packed"]["own_step_seconds"]
    yield report
    if arguments.sd15:
        best = bf16_peak(device, *((256, 4) if arguments.tiny else (8192, 50)))
        report |= _share(partial(_steps, model, suite, data, seeds), report, best)
        report["cell"] = _cell(learners[0], model, suite, report, tiny=arguments.tiny)
        yield report


def speed(cost: Cost, cells: int) -> dict[str, float]:
    """Returns the seconds of a cell's step, and of its set-up, where so many cells share them."""
    return {
        "step_seconds": cost.wall.step / cells,
        "own_step_seconds": cost.own.step / cells,
        "setup_seconds": cost.wall.setup / cells,
    }


def _steps(model: BaseModel, suite: Any, data: Sequence[TrainingSet], seeds: Sequence[int], count: int) -> None:
    train(model, LoRA(**{**suite.mimicry["lora"], "steps": count}), data, seeds)


def _share(work: Any, report: dict[str, Any], best: float) -> dict[str, Any]:
    """Returns operations of a packed step, and what share of the device's measured peak the training makes of it."""
    single, double = (operations(partial(work, count)) for count in (1, 2))
    rate = 1 / (report["packed"]["step_seconds"] * report["cells"])
    return {
        "bf16_peak_tflops": best / 1e12,
        "step_tflop": (double - single) / 1e12,
        "share_of_peak": (double - single) * rate / best,
    }


def _cell(learner: BaseModel, model: BaseModel, suite: Any, report: dict[str, Any], tiny: bool) -> dict[str, float]:
    """Returns seconds of one packed cell: its share of the training, and its images."""
    settings: Sampling = suite.sampling.model_copy(update={"steps": 2}) if tiny else suite.sampling
    count = 2 if tiny else len(settings.prompts) * settings.per_prompt
    prompts = [
        settings.prompts[n % len(settings.prompts)].format(token=suite.token, class_word=suite.class_word)
        for n in range(count)
    ]
    mimic = Personalised(alone(learner, model, 0))
    sampling.generate(mimic, prompts, range(count), settings.model_copy(update={"steps": 2}))  # compiled by the first
    began = now(model.device).wall
    sampling.generate(mimic, prompts, range(count), settings)
    generate = now(model.device).wall - began
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
