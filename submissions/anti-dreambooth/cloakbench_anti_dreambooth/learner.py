"""A surrogate that learns: a copy whose denoiser is fine-tuned as DreamBooth does, without prior images."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cloakbench import Surrogate
from cloakbench.whitebox import diffusion_loss, normal, posterior, scale

BATCH = 2
"""Images a training step; project-defined. The authors take one of the person and one of the class."""
WEIGHT_DECAY = 0.01
GRADIENT_NORM = 1.0
"""Limit of the gradients' norm in the authors' training."""


@dataclass(frozen=True, slots=True)
class Learner:
    """A surrogate with a denoiser of its own, in float32, and what it learns with.

    `context` `[1, L, C]` is the prompt's, `chunk` the number of images encoded at once.
    """

    parts: Surrogate
    context: Tensor
    learning_rate: float
    chunk: int

    def copied(self) -> Learner:
        """Returns a learner that starts where this one is."""
        unet = copy.deepcopy(self.parts.unet).float().requires_grad_(False)
        return replace(self, parts=replace(self.parts, unet=unet))

    def train(self, images: Tensor, steps: int, generator: torch.Generator) -> None:
        """Trains the denoiser in place by AdamW on images `[B, 3, H, W]`; its weights are frozen again afterwards."""
        mean, deviation = self._posterior(images)
        unet = self.parts.unet.requires_grad_(True)
        optimizer = torch.optim.AdamW(unet.parameters(), self.learning_rate, weight_decay=WEIGHT_DECAY)
        for _ in range(steps):
            rows = torch.randint(len(mean), (BATCH,), generator=generator).to(mean.device)
            latents = (mean[rows] + deviation[rows] * normal(mean[rows], generator)) * scale(self.parts)
            with torch.enable_grad():
                loss = diffusion_loss(self.parts, latents, self.context, generator).mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(unet.parameters(), GRADIENT_NORM)
            optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        unet.requires_grad_(False)

    @torch.no_grad()
    def _posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        parts = [posterior(self.parts, part) for part in torch.split(images, self.chunk)]
        means, deviations = zip(*parts, strict=True)
        return torch.cat(means), torch.cat(deviations)
