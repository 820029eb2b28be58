"""The gates an autoencoder must pass before anything is built on it: it reconstructs, and its latent can be moved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from cloakbench.datasets.procedural import styles
from cloakbench.models.mini.train.data import Pictures

BUDGET = 16 / 255
STEPS = 100


@dataclass(frozen=True, slots=True)
class StyleGate:
    """One style: PSNR in dB, LPIPS of the reconstruction, shifts in standard deviations of the latent."""

    style: str
    group: str
    psnr: float
    lpips: float
    attack_shift: float
    noise_shift: float


def attack(vae: AutoencoderKL, x: Tensor, generator: torch.Generator) -> Tensor:
    """Returns `x` in [0, 1] moved within 16/255 so that the posterior mean goes as far as sign ascent takes it."""
    with torch.no_grad():
        start = vae.encode(x * 2 - 1).latent_dist.mean
    delta = (torch.rand(x.shape, generator=generator) * 2 - 1) * BUDGET
    for step in range(STEPS):
        delta.requires_grad_(True)
        moved = vae.encode((x + delta).clamp(0, 1) * 2 - 1).latent_dist.mean
        (gradient,) = torch.autograd.grad((moved - start).square().sum(), delta)
        rate = BUDGET / 4 * (1 - 0.9 * step / STEPS)
        delta = (delta.detach() + rate * gradient.sign()).clamp(-BUDGET, BUDGET)
    return (x + delta).clamp(0, 1).detach()


@torch.no_grad()
def shift(vae: AutoencoderKL, x: Tensor, y: Tensor) -> float:
    """Returns the root mean square shift of the posterior mean, in standard deviations of the latent."""
    a, b = (vae.encode(t * 2 - 1).latent_dist.mean for t in (x, y))
    return float((a - b).square().mean().sqrt() * vae.config.scaling_factor)


def measure(
    vae: AutoencoderKL,
    pictures: Pictures,
    distance: Callable[[Tensor, Tensor], Tensor],
    attacked: set[str],
    count: int = 4,
) -> list[StyleGate]:
    """Returns each style's figures over `count` unseen pictures; only styles in `attacked` pay for the attack."""
    rows = []
    for index, style in enumerate(styles.STYLES):
        chosen = np.flatnonzero(pictures.style == index)[:: max(1, 20 // count)][:count]
        x = pictures.batch(chosen) / 2 + 0.5
        with torch.no_grad():
            y = (vae(x * 2 - 1).sample / 2 + 0.5).clamp(0, 1)
            seen = float(distance(x * 2 - 1, y * 2 - 1).mean())
        psnr = float((-10 * (x - y).square().mean((1, 2, 3)).log10()).mean())
        generator = torch.Generator().manual_seed(index)
        moved = noisy = float("nan")
        if style.name in attacked:
            moved = shift(vae, x, attack(vae, x, generator))
            noise = (torch.rand(x.shape, generator=generator) * 2 - 1).sign() * BUDGET
            noisy = shift(vae, x, (x + noise).clamp(0, 1))
        rows.append(StyleGate(style.name, style.group, psnr, seen, moved, noisy))
    return rows
