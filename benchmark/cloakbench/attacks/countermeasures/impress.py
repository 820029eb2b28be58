"""IMPRESS (Cao et al. 2023, arXiv 2310.19248): purify an image by its autoencoder.

A protection against the encoder leaves an image that the autoencoder no longer reproduces. Purification minimises
`||x - D(E(x))||^2 + alpha * max(d(x, x_protected) - budget, 0)` over the image, `d` a perceptual distance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cloakbench import progress
from cloakbench.attacks.context import Context
from cloakbench.attacks.countermeasures.framing import at_rows, in_frames
from cloakbench.images import Pixels, quantise
from cloakbench.models import autoencoders
from cloakbench.models.autoencoders import Autoencoder
from cloakbench.streams import seeded

EPSILON = 1e-5
"""Adam's, as the authors' code has it: gradients are of its size, so that it shortens the steps."""
LAST_RATE = 1e-5
"""Where the cosine schedule of the authors' code ends."""
MANY_STEPS = 500
"""From here on a GPU's networks are compiled: the minutes that it takes are saved again."""
Perceptual = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Impress:
    """Optimises each image for `steps` steps of Adam; values, `learning_rate` and `noise` are in units of [-1, 1].

    `model` names the autoencoder, `schedule` is `constant` (the paper) or `cosine` (the authors' code), `posterior`
    says what is decoded: its `mode` (the authors' code) or a fresh `sample` at every step.
    """

    model: str
    steps: int
    learning_rate: float = 1e-2
    alpha: float = 0.1
    budget: float = 0.1
    noise: float = 0.1
    schedule: str = "constant"
    posterior: str = "mode"

    def __post_init__(self) -> None:
        if not self.model:
            raise ValueError("model must name a model")
        if self.steps < 1 or self.learning_rate <= 0:
            raise ValueError("steps must be at least 1 and learning_rate above 0")
        if min(self.alpha, self.budget, self.noise) < 0:
            raise ValueError("alpha, budget and noise must not be negative")
        if self.schedule not in ("constant", "cosine") or self.posterior not in ("mode", "sample"):
            raise ValueError("schedule must be constant or cosine, posterior mode or sample")

    def apply(self, images: Sequence[Pixels], context: Context) -> list[Pixels]:
        """Returns the purified images, same sizes, each from its own seed."""
        vae = autoencoders.load(self.model, context.device, context.dtype)

        def purify(batch: Tensor, rows: list[int]) -> list[Pixels]:
            seeds = at_rows(context.seeds, rows)
            purified, _ = self.purify(batch.to(vae.device), seeds, vae, context.perceptual)
            return quantise(purified)

        return in_frames(images, vae.divisor, context.pixels_at_once, purify)

    def purify(
        self, protected: Tensor, seeds: Sequence[int], vae: Autoencoder, perceptual: Perceptual
    ) -> tuple[Tensor, Tensor]:
        """Returns the purified images `[B, 3, H, W]` in [0, 1] and the loss of each before every step, `[steps, B]`."""
        generators = seeded(seeds)
        start = protected * 2 - 1 + self.noise * _draw(generators, protected)
        x = start.clamp(-1, 1).requires_grad_(True)
        vae = vae.compiled() if self.steps >= MANY_STEPS else vae
        adam = torch.optim.Adam([x], self.learning_rate, eps=EPSILON)
        losses = []
        for step in progress.track(range(self.steps), self.steps, "steps"):
            adam.param_groups[0]["lr"] = self._rate(step)
            values = self._loss(x, protected, generators, vae, perceptual)
            # The sum keeps an image's gradient free of how many others there are.
            (x.grad,) = torch.autograd.grad(values.sum(), x)
            adam.step()
            with torch.no_grad():
                x.clamp_(-1, 1)
            losses.append(values.detach())
        return x.detach() / 2 + 0.5, torch.stack(losses)

    def _rate(self, step: int) -> float:
        if self.schedule == "constant":
            return self.learning_rate
        return LAST_RATE + (self.learning_rate - LAST_RATE) * (1 + math.cos(math.pi * step / self.steps)) / 2

    def _loss(
        self, x: Tensor, protected: Tensor, generators: list[torch.Generator], vae: Autoencoder, perceptual: Perceptual
    ) -> Tensor:
        latents, deviation = vae.posterior(x)
        if self.posterior == "sample":
            latents = latents + deviation * _draw(generators, latents)
        error = (vae.decode(latents) - x).square().mean((1, 2, 3))
        return error + self.alpha * (perceptual(x / 2 + 0.5, protected) - self.budget).clamp_min(0)


def _draw(generators: list[torch.Generator], like: Tensor) -> Tensor:
    """Returns standard normal noise in the shape of `like`, an image's from its own generator."""
    return torch.stack([torch.randn(like.shape[1:], generator=g) for g in generators]).to(like.device)
