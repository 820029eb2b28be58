"""LoRA adapters of several cells trained in one batched forward pass of the denoiser that they share.

The adapters of a cell see only its own part of the batch, the loss is the sum of the cells' losses, and AdamW moves
each number by itself. So each cell has the gradients that it has alone. Each draws its examples from its own seed.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from cloakbench.attacks.mimicry.finetune import Examples, FinetuneStep, Loss, finetune, fixed_contexts, posterior
from cloakbench.attacks.mimicry.lora import LoRA
from cloakbench.attacks.mimicry.personalised import Personalised, TrainingSet, keep_token
from cloakbench.models.compiled import compiled
from cloakbench.models.loader import BaseModel

Adapters = Mapping[str, tuple[Tensor, Tensor]]
"""A cell's two matrices of each projection, by the projection's name."""


class PackedCell(NamedTuple):
    """What one cell learns from."""

    data: TrainingSet
    seed: int


class PackedProjection(nn.Module):
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
        result: Tensor = self.base(x)
        return result + added.reshape(result.shape).to(result.dtype)


def train(model: BaseModel, attack: LoRA, cells: Sequence[PackedCell], is_compiled: bool = False) -> list[Adapters]:
    """Returns the trained adapters of each cell, those that `attack` trains for it alone but for rounding.

    Args:
        model: The base model, which stays as it is.
        attack: Trains with plain AdamW: moments of 8 bits are rounded in blocks that cells would share.
        cells: Their images have one size.
        is_compiled: Whether the denoiser is compiled where that is possible.
    """
    unet = with_adapters(model, attack, [cell.seed for cell in cells])
    if attack.gradient_checkpointing:
        unet.enable_gradient_checkpointing()
    shared = compiled(unet, model.device, model.dtype) if is_compiled else unet
    learner = replace(model, unet=shared)
    finetune(_weights(unet), _loss(learner, attack, cells), attack.recipe, cells[0].seed, limit_each)
    return [_adapters(unet, number) for number in range(len(cells))]


def mimic(model: BaseModel, attack: LoRA, adapters: Adapters) -> Personalised:
    """Returns the model with a copy of its denoiser that has these adapters; losses are not known per cell."""
    unet = copy.deepcopy(model.unet)
    attack.add_adapters(unet, 0)
    for name, (down, up) in adapters.items():
        projection = unet.get_submodule(name)
        projection.lora_A["default"].weight.data = down
        projection.lora_B["default"].weight.data = up
    return attack.mimic(model, unet)


def with_adapters(model: BaseModel, attack: LoRA, seeds: Sequence[int]) -> Any:
    """Returns a copy of the denoiser with adapters for each seed, which start as `attack` starts them for it alone."""
    unet = copy.deepcopy(model.unet)
    names = [f"cell-{number}" for number in range(len(seeds))]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Already found a `peft_config` attribute")  # several adapters are meant
        for name, seed in zip(names, seeds, strict=True):
            attack.add_adapters(unet, seed, name)
    scale = float(attack.adapters.lora_alpha) / int(attack.adapters.r)
    adapted = {name: module for name, module in unet.named_modules() if hasattr(module, "lora_A")}
    for path, module in adapted.items():
        down = torch.stack([module.lora_A[name].weight.detach().float() for name in names])
        up = torch.stack([module.lora_B[name].weight.detach().float() for name in names])
        parent, _, last = path.rpartition(".")
        setattr(unet.get_submodule(parent), last, PackedProjection(module.base_layer, down, up, scale))
    return unet.train()


def limit_each(weights: Sequence[nn.Parameter], norm: float) -> None:
    """Scales each cell's gradients down to a norm: the first dimension of the weights `[N, ...]` counts the cells."""
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    squares = torch.stack([gradient.flatten(1).square().sum(1) for gradient in gradients]).sum(0)
    factors = (norm / (squares.sqrt() + 1e-6)).clamp(max=1)
    for gradient in gradients:
        gradient.mul_(factors.view(-1, *[1] * (gradient.ndim - 1)))


def _projections(unet: nn.Module) -> dict[str, PackedProjection]:
    """Returns the projections with adapters, by name."""
    return {name: module for name, module in unet.named_modules() if isinstance(module, PackedProjection)}


def _weights(unet: nn.Module) -> list[nn.Parameter]:
    """Returns what trains."""
    weights: list[nn.Parameter] = []
    for projection in _projections(unet).values():
        weights += [projection.down, projection.up]
    return weights


def _adapters(unet: nn.Module, number: int) -> Adapters:
    """Returns copies of one cell's adapters."""
    adapters = {}
    for name, projection in _projections(unet).items():
        adapters[name] = projection.down[number].detach().clone(), projection.up[number].detach().clone()
    return adapters


def _loss(learner: BaseModel, attack: LoRA, cells: Sequence[PackedCell]) -> Loss:
    """Returns the loss of a step: the sum of the cells' losses, each on examples that its own seed draws."""
    examples, generators = [], []
    for data, seed in cells:
        captions = keep_token(learner, data.captions, data.token)
        examples.append(Examples(*posterior(learner, data.images), fixed_contexts(learner, captions)))
        generators.append(torch.Generator().manual_seed(seed))
    step = FinetuneStep(learner, [1.0] * len(cells))

    def loss(_: torch.Generator) -> Iterator[Tensor]:
        batches = []
        for drawn, generator in zip(examples, generators, strict=True):
            batches.append(drawn.draw(learner, attack.recipe.batch, generator))
        return step.parts(batches)

    return loss
