"""Distillation of the encoder: the student's latents follow the teacher's, on clean and on perturbed cut-outs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from diffusers import AutoencoderTiny
from torch import Tensor, nn
from torch.nn import functional as F

from cloakbench.models.mini.train.loop import Recipe, Run, train
from cloakbench.models.mini.train.pool import Pool, to_pixels

SD_SCALE = 0.18215
"""Stable Diffusion's scaling factor: the student's posterior mean times this is the teacher's latent."""
LABELLED = 12
"""New cut-outs that the teacher labels for each step; the batch is filled with older ones."""
REPLAY = 6000
LEAST, MOST = 2 / 255, 16 / 255
RECIPE = Recipe(steps=20000, batch=32, lr=1e-3, muon_lr=6e-3, seed=51, decay_share=0.3, average=0.998)

Encode = Callable[[Tensor], Tensor]


class Student(nn.Module):
    """The encoder's half of an autoencoder."""

    def __init__(self, vae: nn.Module) -> None:
        super().__init__()
        self.encoder, self.quant_conv = vae.encoder, vae.quant_conv

    def forward(self, pixels: Tensor) -> Tensor:
        """Returns scaled posterior means `[b, 4, h/8, w/8]` of pictures in [0, 1]."""
        moments = self.quant_conv(self.encoder(pixels * 2 - 1))
        return moments[:, :4].float() * SD_SCALE


def cut_out(pool: Pool, rng: np.random.Generator, side: int) -> Tensor:
    """Returns one square `[1, 3, side, side]` in [0, 1]: any part of any picture, any size, sometimes recoloured."""
    image = pool.picture(int(rng.integers(len(pool.latents))))
    taken = int(rng.choice([side, rng.integers(side * 2 // 3, 129)]))
    top, left = rng.integers(0, 129 - taken, 2)
    x = to_pixels(image[None, top : top + taken, left : left + taken])
    if taken != side:
        x = F.interpolate(x, size=(side, side), mode="bilinear", antialias=True)
    if rng.random() < 0.5:
        x = x[:, torch.from_numpy(rng.permutation(3))]
    if rng.random() < 0.5:
        x = x.flip(-1)
    if rng.random() < 0.4:
        gain, bias = rng.uniform(0.5, 1.3, (2, 3, 1, 1))
        x = x * torch.from_numpy(gain).float() + torch.from_numpy(bias * 0.3 - 0.27).float()
    return x.clamp(0, 1)


def cut_outs(pool: Pool, rng: np.random.Generator, count: int, side: int) -> Tensor:
    """Returns `count` squares `[count, 3, side, side]` in [0, 1]; one in five is two laid over each other."""
    x = torch.cat([cut_out(pool, rng, side) for _ in range(count)])
    share = torch.from_numpy(rng.uniform(0.2, 0.8, (count, 1, 1, 1)) * (rng.random((count, 1, 1, 1)) < 0.2)).float()
    return (x * (1 - share) + x.roll(1, 0) * share).contiguous(memory_format=torch.channels_last)


def pushed(encode: Encode, x: Tensor, budget: Tensor, steps: int, generator: torch.Generator) -> Tensor:
    """Returns pictures moved within `budget` `[b, 1, 1, 1]` so that `encode` goes far: sign ascent from a random start."""
    with torch.no_grad():
        start = encode(x)
    delta = (torch.rand(x.shape, generator=generator).to(x) * 2 - 1) * budget
    for _ in range(steps):
        delta.requires_grad_(True)
        moved = encode((x + delta).clamp(0, 1))
        (gradient,) = torch.autograd.grad((moved - start).square().sum(), delta)
        delta = (delta.detach() + budget * (1.0 if steps == 1 else 0.6) * gradient.sign()).clamp(-budget, budget)
    return (x + delta).clamp(0, 1).detach()


class Lessons:
    """Cut-outs with the teacher's latents: new ones each step, old ones drawn again."""

    def __init__(self, pool: Pool, encode: Encode, student: Encode, side: int, labelled: int) -> None:
        self.pool, self.encode, self.student = pool, encode, student
        self.side, self.labelled = side, labelled
        self.pixels: list[Tensor] = []
        self.latents: list[Tensor] = []

    def renew(self, rng: np.random.Generator, generator: torch.Generator) -> None:
        """Labels new cut-outs: half clean; a third of the rest by noise, by the teacher's, by the student's gradient."""
        x = cut_outs(self.pool, rng, self.labelled, self.side)
        part = self.labelled // 6
        budget = torch.from_numpy(rng.uniform(LEAST, MOST, (part, 1, 1, 1))).float()
        for n, encode in enumerate((self.encode, self.student)):
            chosen = slice(n * part, (n + 1) * part)
            x[chosen] = pushed(encode, x[chosen], budget, (1, 3)[n], generator)
        chosen = slice(2 * part, 3 * part)
        sign = (torch.rand(x[chosen].shape, generator=generator) - 0.5).sign()
        x[chosen] = (x[chosen] + sign * budget).clamp(0, 1)
        with torch.no_grad():
            z = self.encode(x)
        self.pixels = [*self.pixels[-REPLAY + self.labelled :], *x.half().unbind()]
        self.latents = [*self.latents[-REPLAY + self.labelled :], *z.unbind()]

    def batch(self, rng: np.random.Generator, count: int) -> tuple[Tensor, Tensor]:
        """Returns the newest cut-outs and, up to `count`, older ones, with their latents."""
        newest = list(range(len(self.pixels) - self.labelled, len(self.pixels)))
        older = rng.integers(0, len(self.pixels), max(0, count - self.labelled)).tolist()
        x = torch.stack([self.pixels[n] for n in newest + older]).float()
        return x.contiguous(memory_format=torch.channels_last), torch.stack([self.latents[n] for n in newest + older])


def quick(model: nn.Module) -> Encode:
    """Returns `model` under bfloat16, its latents in single precision."""

    def encode(x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return torch.as_tensor(model(x)).float()

    return encode


def train_encoder(vae: nn.Module, teacher: AutoencoderTiny, pool: Pool, run: Run, side: int, recipe: Recipe) -> nn.Module:
    """Returns the trained `Student`: mean squared error of latents, on cut-outs of `side` pixels."""
    student = Student(vae).to(memory_format=torch.channels_last)
    labelled = max(6, LABELLED * 64 * 64 // (side * side) // 6 * 6)
    lessons = Lessons(pool, quick(teacher.encoder), quick(student), side, labelled)

    def loss(step: int) -> Tensor:
        rng = np.random.default_rng([recipe.seed, step, side])
        if step % 50 == 0 or not pool.images:
            pool.refresh(4)
        lessons.renew(rng, torch.Generator().manual_seed(recipe.seed * 1_000_003 + step))
        x, z = lessons.batch(rng, recipe.batch)
        return F.mse_loss(lessons.student(x), z)

    return train(student, recipe, loss, run)
