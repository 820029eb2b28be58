"""Distillation of the encoder: the student's latents follow the teacher's, on clean and on perturbed cut-outs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from torch import Tensor, nn
from torch.nn import functional as F

from cloakbench.models.mini.train import cutouts
from cloakbench.models.mini.train.loop import Recipe, generator, train
from cloakbench.models.mini.train.pool import Pool
from cloakbench.models.mini.train.run import Casting, Run

Encode = Callable[[Tensor], Tensor]
"""From pictures `[b, 3, h, w]` in [0, 1] to scaled latents `[b, 4, h/8, w/8]`."""

LEAST, MOST = 2 / 255, 16 / 255
REPLAY = 6000
RECIPE = Recipe(steps=6_500, batch=32, lr=1e-3, muon_lr=6e-3, seed=51, decay_share=0.3)
WHOLE = Recipe(steps=500, batch=8, lr=5e-4, muon_lr=2e-3, seed=52, decay_share=0.8)
"""Whole pictures last, at a lower rate: a cut-out's rim is a rim to padding and norms, a whole picture's is not."""


class LatentEncoder(nn.Module):
    """An autoencoder's encoder, from pictures to scaled latents: the student of the distillation."""

    def __init__(self, vae: AutoencoderKL) -> None:
        super().__init__()
        self.encoder, self.quant_conv = vae.encoder, vae.quant_conv
        self.scale = float(vae.config.scaling_factor)

    def forward(self, pixels: Tensor) -> Tensor:
        """Returns scaled posterior means `[b, 4, h/8, w/8]` of pictures `[b, 3, h, w]` in [0, 1]."""
        moments = self.quant_conv(self.encoder(pixels * 2 - 1))
        return torch.as_tensor(moments[:, :4]).float() * self.scale


def teacher_encoder(model: AutoencoderTiny, casting: Casting) -> Encode:
    """Returns the teacher's encoder, under the run's precision."""

    def encode(pixels: Tensor) -> Tensor:
        with casting():
            return torch.as_tensor(model.encode(pixels * 2 - 1).latents).float()

    return encode


def student_encoder(student: LatentEncoder, casting: Casting) -> Encode:
    """Returns the student's encoder, under the run's precision."""

    def encode(pixels: Tensor) -> Tensor:
        with casting():
            return torch.as_tensor(student(pixels)).float()

    return encode


def perturbed(encode: Encode, x: Tensor, budget: Tensor, rates: Sequence[Tensor], source: torch.Generator) -> Tensor:
    """Returns pictures perturbed by sign ascent on the change of their latents, from a random start.

    Args:
        encode: Whose latents are to change.
        x: Pictures `[b, 3, h, w]` in [0, 1].
        budget: Largest change of a value: a scalar, or `[b, 1, 1, 1]`.
        rates: Length of each step, shaped as the budget.
        source: Draws the start.
    """
    with torch.no_grad():
        start = encode(x)
    delta = (torch.rand(x.shape, generator=source).to(x) * 2 - 1) * budget
    for rate in rates:
        delta.requires_grad_(True)
        latents = encode((x + delta).clamp(0, 1))
        (gradient,) = torch.autograd.grad((latents - start).square().sum(), delta)
        delta = (delta.detach() + rate * gradient.sign()).clamp(-budget, budget)
    return (x + delta).clamp(0, 1).detach()


@dataclass
class ReplayBuffer:
    """Cut-outs with the teacher's latents: some are new in each step, the rest of a batch is drawn from older ones."""

    pool: Pool
    teacher: Encode
    student: Encode
    side: int
    new: int
    """New cut-outs per step; a multiple of six."""
    device: str = "cpu"
    _pixels: deque[Tensor] = field(default_factory=lambda: deque(maxlen=REPLAY))
    _latents: deque[Tensor] = field(default_factory=lambda: deque(maxlen=REPLAY))

    def renew(self, rng: np.random.Generator, source: torch.Generator) -> None:
        """Adds new cut-outs: half clean, a sixth each perturbed by the teacher's gradient, the student's, and noise.

        A perturbation that changes the student's latents should change the teacher's as much. Otherwise protections
        could exploit weaknesses that only the student has.
        """
        x = cutouts.draw(self.pool, rng, self.new, self.side).to(self.device)
        part = self.new // 6
        budget = torch.from_numpy(rng.uniform(LEAST, MOST, (part, 1, 1, 1))).float().to(self.device)
        by_teacher, by_student, by_noise = slice(part), slice(part, 2 * part), slice(2 * part, 3 * part)
        x[by_teacher] = perturbed(self.teacher, x[by_teacher], budget, [budget], source)
        x[by_student] = perturbed(self.student, x[by_student], budget, [0.6 * budget] * 3, source)
        noise = torch.rand(x[by_noise].shape, generator=source).to(self.device) - 0.5
        x[by_noise] = (x[by_noise] + noise.sign() * budget).clamp(0, 1)
        with torch.no_grad():
            latents = self.teacher(x)
        self._pixels.extend(x.half().unbind())
        self._latents.extend(latents.unbind())

    def batch(self, rng: np.random.Generator, count: int) -> tuple[Tensor, Tensor]:
        """Returns the newest cut-outs and, up to `count`, older ones, with their latents."""
        size = len(self._pixels)
        older = rng.integers(0, size, max(0, count - self.new)).tolist()
        chosen = [*range(size - self.new, size), *older]
        x = torch.stack([self._pixels[n] for n in chosen]).float()
        latents = torch.stack([self._latents[n] for n in chosen])
        return x.contiguous(memory_format=torch.channels_last), latents


def train_encoder(
    vae: AutoencoderKL, teacher: AutoencoderTiny, pool: Pool, run: Run, recipe: Recipe = RECIPE, side: int = 64
) -> nn.Module:
    """Returns the trained `LatentEncoder`: mean squared error of latents, on squares of `side` pixels."""
    student = LatentEncoder(vae).to(memory_format=torch.channels_last).to(run.device)
    new = max(6, recipe.batch * 3 // 8 // 6 * 6)
    teachers, students = teacher_encoder(teacher, run.casting), student_encoder(student, run.casting)
    buffer = ReplayBuffer(pool, teachers, students, side, new, run.device)

    def loss(step: int) -> Tensor:
        pool.follow(step)
        rng = np.random.default_rng([recipe.seed, step, side])
        buffer.renew(rng, generator(recipe, step))
        x, latents = buffer.batch(rng, recipe.batch)
        return F.mse_loss(buffer.student(x), latents)

    return train(student, recipe, loss, run)
