"""One training loop for every embedded model: rates, moving average, a log, checkpoints that a rerun resumes."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cloakbench.models.mini.train import stages
from cloakbench.models.mini.train.muon import Muon, split
from cloakbench.models.mini.train.run import Run

CHECKPOINT_S = 300.0
LOG_EVERY = 25


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


def learning_rate(recipe: Recipe, step: int, began: int = 0) -> float:
    """Returns the factor in [0, 1]: warm-up after `began`, constant, linear decay over the last `decay_share`."""
    decay_from = recipe.steps * (1 - recipe.decay_share)
    falling = (recipe.steps - step) / (recipe.steps - decay_from) if step > decay_from else 1.0
    return min(1.0, (step - began + 1) / recipe.warmup, falling)


def rows(recipe: Recipe, step: int, count: int) -> NDArray[np.intp]:
    """Returns the rows of a step; a resumed run gets the same rows as an uninterrupted one."""
    return np.random.default_rng([recipe.seed, step]).choice(count, recipe.batch, replace=False)


def generator(recipe: Recipe, step: int) -> torch.Generator:
    """Returns the source of a step's random numbers, always on the CPU so that devices see the same ones."""
    return torch.Generator().manual_seed(recipe.seed * 1_000_003 + step)


class Trainer:
    """A module with its optimisers and moving average; `save` and `load` carry them over a stop."""

    def __init__(self, module: nn.Module, recipe: Recipe) -> None:
        self.module, self.recipe = module, recipe
        self.step = self.began = 0
        matrices, others = split(module)
        self.optimizers = [
            Muon(matrices, recipe.muon_lr, weight_decay=0.01),
            torch.optim.AdamW(others, recipe.lr, betas=(0.9, 0.99), weight_decay=0.0),
        ]
        self.average = copy.deepcopy(module).requires_grad_(False)

    def update(self, value: Tensor) -> None:
        """Follows the gradient of a loss by one step and moves the average."""
        factor = learning_rate(self.recipe, self.step, self.began)
        for optimizer, base in zip(self.optimizers, (self.recipe.muon_lr, self.recipe.lr), strict=True):
            optimizer.param_groups[0]["lr"] = base * factor
        self.module.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        keep = min(self.recipe.average, (self.step - self.began + 1) / (self.step - self.began + 10))
        with torch.no_grad():
            for mean, weight in zip(self.average.parameters(), self.module.parameters(), strict=True):
                mean.lerp_(weight, 1 - keep)
        self.step += 1

    def save(self, path: Path) -> None:
        """Writes everything that a later `load` needs to go on."""
        state = {
            "module": self.module.state_dict(),
            "average": self.average.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "step": self.step,
            "began": self.began,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(path)

    def load(self, path: Path) -> None:
        """Goes on where `save` stopped."""
        state = torch.load(path, weights_only=True, map_location="cpu")
        self.module.load_state_dict(state["module"])
        self.average.load_state_dict(state["average"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step, self.began = int(state["step"]), int(state["began"])

    def start(self, run: Run) -> None:
        """Goes on from the run's checkpoint, else from its committed weights, else from its origin or from nothing.

        A checkpoint that has fewer steps than the committed weights is an older machine's and is passed over.
        """
        if run.checkpoint.exists():
            self.load(run.checkpoint)
        if self.step < stages.steps(run.weights):
            self.step = self.began = stages.read(run.weights, self.module)
            self.average.load_state_dict(self.module.state_dict())
        elif not self.step and run.origin is not None:
            stages.read(run.origin, self.module)
            self.average.load_state_dict(self.module.state_dict())

    def keep(self, run: Run) -> None:
        """Writes the checkpoint and the half-precision weights of the moving average."""
        self.save(run.checkpoint)
        stages.write(run.weights, self.average, self.step)


def _measure(module: nn.Module, loss: Callable[[int], Tensor], run: Run, step: int) -> None:
    """Lets the run choose its precision by a few steps whose gradients are thrown away."""

    def trial() -> None:
        loss(step).backward()  # type: ignore[no-untyped-call]
        module.zero_grad(set_to_none=True)

    run.log(seconds_per_step=run.casting.measure(trial), bfloat16=run.casting.reduced)


def train(module: nn.Module, recipe: Recipe, loss: Callable[[int], Tensor], run: Run) -> nn.Module:
    """Returns the moving average of `module` after training; resumes where an earlier run stopped."""
    trainer = Trainer(module.to(run.device), recipe)
    trainer.start(run)
    with run.clock():
        if trainer.step < recipe.steps:
            _measure(module, loss, run, trainer.step)
        _steps(trainer, loss, run)
        trainer.keep(run)
    return trainer.average


def _steps(trainer: Trainer, loss: Callable[[int], Tensor], run: Run) -> None:
    """Takes steps until all are done or the run is over, with log and checkpoints."""
    saved_at = began = time.monotonic()
    spent, values = time.process_time(), []
    while trainer.step < trainer.recipe.steps and not run.over:
        value = loss(trainer.step)
        trainer.update(value)
        values.append(float(value.detach()))
        if trainer.step % LOG_EVERY == 0:
            wall, core = round(time.monotonic() - began), round(time.process_time() - spent)
            run.log(step=trainer.step, loss=round(float(np.mean(values)), 5), wall_s=wall, core_s=core)
            values = []
        if time.monotonic() - saved_at > CHECKPOINT_S:
            saved_at = time.monotonic()
            trainer.keep(run)
