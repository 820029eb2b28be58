"""Difficulty-aware protection: where does a perturbation survive what diffusion does to an image?"""

from __future__ import annotations

import torch
from diffusers import DDIMScheduler
from torch import Tensor

from cloakbench import Surrogate
from cloakbench.streams import Generators
from cloakbench.whitebox import autocast, contexts, distance_map, latent_means, normal, scale
from cloakbench_impasto.jnd import quantised

STEPS, KEPT = 20, 4
"""Noise is added up to the last 4 of 20 DDIM steps, T = 200 of 1000 (project-defined; the paper only limits T)."""


class Difficulty:
    """Compares images with their perturbed selves after noising to T, denoising and decoding (the same noise in both).

    Args:
        images: `[B, 3, H, W]` in [0, 1].
        surrogate: What denoises.
        prompt: The text that describes them.
        generators: Where the noise comes from.
    """

    @torch.no_grad()
    def __init__(self, images: Tensor, surrogate: Surrogate, prompt: str, generators: Generators) -> None:
        self.surrogate = surrogate
        self.scheduler = DDIMScheduler.from_config(surrogate.scheduler.config, clip_sample=False)
        self.scheduler.set_timesteps(STEPS)
        self.context = contexts(surrogate, [prompt])
        self.noise = normal(latent_means(surrogate, images), generators)
        self.clean = self._passed(images)

    @torch.no_grad()
    def value(self, perturbed: Tensor) -> Tensor:
        """Returns `[B, 1, H, W]`: 1 on the quarter where the perturbation is felt most, down to 0.6141 on the last."""
        apart = distance_map(self.surrogate.perceptual, self.clean, self._passed(perturbed))
        return quantised(-apart)

    def _passed(self, images: Tensor) -> Tensor:
        """Returns what diffusion leaves of the images, in [0, 1]."""
        times = self.scheduler.timesteps[-KEPT:].to(self.surrogate.device)
        clean = latent_means(self.surrogate, images) * scale(self.surrogate)
        latents = self.scheduler.add_noise(clean, self.noise, times[:1])
        for time in times:
            with autocast(self.surrogate.device, self.surrogate.dtype):
                noise = self.surrogate.unet(latents, time, self.context.expand(len(latents), -1, -1)).sample
            latents = self.scheduler.step(noise.float(), time, latents).prev_sample
        decoded: Tensor = self.surrogate.vae.decode((latents / scale(self.surrogate)).to(self.surrogate.dtype)).sample
        return (decoded.float() / 2 + 0.5).clamp(0, 1)
