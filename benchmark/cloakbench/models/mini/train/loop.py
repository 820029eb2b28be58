"""One training loop for every embedded model: schedule, moving average, and checkpoints that a rerun resumes."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cloakbench.models.mini.train.muon import Muon, split

CHECKPOINT_S = 300.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """How long and how fast: `lr` is AdamW's, `muon_lr` that of matrices and convolutions."""

    steps: int
    batch: int
    lr: float
    muon_lr: float
    seed: int
    warmup: int = 100
    decay_share: float = 0.5
    average: float = 0.998


def learning_rate(recipe: Recipe, step: int) -> float:
    """Returns the factor in [0, 1]: linear warm-up, constant, then linear decay over the last `decay_share`."""
    decay_from = recipe.steps * (1 - recipe.decay_share)
    falling = (recipe.steps - step) / (recipe.steps - decay_from) if step > decay_from else 1.0
    return min(1.0, (step + 1) / recipe.warmup, falling)


def batches(count: int, recipe: Recipe, start: int) -> Iterator[NDArray[np.intp]]:
    """Yields the rows of each step from `start` on; a resumed run sees the same rows as an undisturbed one."""
    for step in range(start, recipe.steps):
        rng = np.random.default_rng([recipe.seed, step])
        yield rng.choice(count, recipe.batch, replace=False)


def train(
    module: nn.Module,
    recipe: Recipe,
    count: int,
    loss: Callable[[NDArray[np.intp], int, torch.Generator], Tensor],
    checkpoint: Path,
) -> nn.Module:
    """Returns the moving average of `module` after training; resumes from `checkpoint` where it exists."""
    matrices, others = split(module)
    optimizers = [
        Muon(matrices, recipe.muon_lr, weight_decay=0.01),
        torch.optim.AdamW(others, recipe.lr, betas=(0.9, 0.99), weight_decay=0.0),
    ]
    average, start = copy.deepcopy(module).requires_grad_(False), 0
    if checkpoint.exists():
        start = _restore(checkpoint, module, average, optimizers)
    began = saved_at = time.monotonic()
    running = 0.0
    for step, rows in enumerate(batches(count, recipe, start), start):
        for optimizer, base in zip(optimizers, (recipe.muon_lr, recipe.lr), strict=True):
            optimizer.param_groups[0]["lr"] = base * learning_rate(recipe, step)
        value = loss(rows, step, torch.Generator().manual_seed(recipe.seed * 1_000_003 + step))
        module.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        keep = min(recipe.average, (step + 1) / (step + 10))
        with torch.no_grad():
            for mean, weight in zip(average.parameters(), module.parameters(), strict=True):
                mean.lerp_(weight, 1 - keep)
        running = value.item() if step == start else 0.98 * running + 0.02 * value.item()
        if step % 50 == 0:
            spent = time.monotonic() - began
            print(f"{checkpoint.stem} step {step}/{recipe.steps} loss {running:.4f} {spent:.0f} s", flush=True)
        if time.monotonic() - saved_at > CHECKPOINT_S or step + 1 == recipe.steps:
            saved_at = time.monotonic()
            _save(checkpoint, module, average, optimizers, step + 1)
    return average


def _restore(path: Path, module: nn.Module, average: nn.Module, optimizers: list[torch.optim.Optimizer]) -> int:
    """Loads a checkpoint into all of them and returns the step to go on with."""
    state = torch.load(path, weights_only=True)
    module.load_state_dict(state["module"])
    average.load_state_dict(state["average"])
    for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    return int(state["step"])


def _save(
    path: Path, module: nn.Module, average: nn.Module, optimizers: list[torch.optim.Optimizer], step: int
) -> None:
    partial = path.with_suffix(".partial")
    states = [optimizer.state_dict() for optimizer in optimizers]
    torch.save(
        {"module": module.state_dict(), "average": average.state_dict(), "optimizers": states, "step": step}, partial
    )
    partial.replace(path)
