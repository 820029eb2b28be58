"""One training loop for every embedded model: precision, rates, moving average, a log, checkpoints that a rerun resumes."""

from __future__ import annotations

import copy
import json
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cloakbench.models.mini.train.muon import Muon, split

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


@dataclass(frozen=True, slots=True)
class Run:
    """Where and how long a stage trains: it stops, resumable, after `minutes`."""

    checkpoint: Path
    minutes: float = 120.0
    device: str = "cpu"


def learning_rate(recipe: Recipe, step: int) -> float:
    """Returns the factor in [0, 1]: linear warm-up, constant, then linear decay over the last `decay_share`."""
    decay_from = recipe.steps * (1 - recipe.decay_share)
    falling = (recipe.steps - step) / (recipe.steps - decay_from) if step > decay_from else 1.0
    return min(1.0, (step + 1) / recipe.warmup, falling)


def rows(recipe: Recipe, step: int, count: int) -> NDArray[np.intp]:
    """Returns the rows of a step; a resumed run sees the same rows as an undisturbed one."""
    return np.random.default_rng([recipe.seed, step]).choice(count, recipe.batch, replace=False)


class Trainer:
    """A module with its optimisers and moving average; `train` runs it, `state` and `load` carry it over a stop."""

    def __init__(self, module: nn.Module, recipe: Recipe) -> None:
        self.module, self.recipe, self.step = module, recipe, 0
        matrices, others = split(module)
        self.optimizers = [
            Muon(matrices, recipe.muon_lr, weight_decay=0.01),
            torch.optim.AdamW(others, recipe.lr, betas=(0.9, 0.99), weight_decay=0.0),
        ]
        self.average = copy.deepcopy(module).requires_grad_(False)

    def update(self, value: Tensor) -> None:
        """Follows the gradient of a loss by one step and moves the average."""
        for optimizer, base in zip(self.optimizers, (self.recipe.muon_lr, self.recipe.lr), strict=True):
            optimizer.param_groups[0]["lr"] = base * learning_rate(self.recipe, self.step)
        self.module.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        keep = min(self.recipe.average, (self.step + 1) / (self.step + 10))
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
        }
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(path)

    def load(self, path: Path) -> None:
        """Goes on where `save` stopped."""
        state = torch.load(path, weights_only=True)
        self.module.load_state_dict(state["module"])
        self.average.load_state_dict(state["average"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step = int(state["step"])


class _Stop:
    """Turns a request to end the process into a last checkpoint."""

    def __init__(self, minutes: float) -> None:
        self.until = time.monotonic() + 60 * minutes
        self._asked = False
        signal.signal(signal.SIGTERM, self._ask)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self._asked = True

    def __bool__(self) -> bool:
        return self._asked or time.monotonic() > self.until


def train(module: nn.Module, recipe: Recipe, loss: Callable[[int], Tensor], run: Run) -> nn.Module:
    """Returns the moving average of `module` after training; resumes from the run's checkpoint where it exists."""
    trainer = Trainer(module, recipe)
    if run.checkpoint.exists():
        trainer.load(run.checkpoint)
    stop, saved_at, seen = _Stop(run.minutes), time.monotonic(), []
    began, spent = time.monotonic(), time.process_time()
    while trainer.step < recipe.steps and not stop:
        value = loss(trainer.step)
        trainer.update(value)
        seen.append(float(value.detach()))
        if trainer.step % LOG_EVERY == 0:
            line = {
                "stage": run.checkpoint.stem,
                "step": trainer.step,
                "loss": round(float(np.mean(seen)), 5),
                "rate": round(learning_rate(recipe, trainer.step), 3),
                "wall_s": round(time.monotonic() - began),
                "core_s": round(time.process_time() - spent),
            }
            seen = []
            with run.checkpoint.with_suffix(".jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
        if time.monotonic() - saved_at > CHECKPOINT_S:
            saved_at = time.monotonic()
            trainer.save(run.checkpoint)
    trainer.save(run.checkpoint)
    return trainer.average
