"""Sampling: what the mimic generates, every image from its own seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler
from torch import Tensor

from benchmark.images import Pixels, quantise
from benchmark.models.loader import BaseModel
from benchmark.suites.schema import Sampling

SCHEDULERS = {"dpm++": DPMSolverMultistepScheduler, "ddim": DDIMScheduler}


def starting_noise(model: BaseModel, seeds: Sequence[int]) -> Tensor:
    """Returns one latent of noise per seed, `[N, C, h, w]`, drawn on the CPU."""
    side = model.unet.config.sample_size
    shape = (model.unet.config.in_channels, side, side)
    drawn = [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return torch.stack(drawn).to(model.device, model.dtype)


@torch.no_grad()
def denoise(model: BaseModel, unet: Any, noise: Tensor, context: Tensor, sampling: Sampling) -> Tensor:
    """Returns scaled latents for `noise` `[N, ...]` under `context` `[N, L, C]` with classifier-free guidance."""
    scheduler = SCHEDULERS[sampling.scheduler].from_config(model.scheduler.config)
    scheduler.set_timesteps(sampling.steps, device=model.device)
    latents: Tensor = noise * scheduler.init_noise_sigma
    both = torch.cat([model.embed([""]).expand(len(noise), -1, -1), context])
    for time in scheduler.timesteps:
        given = scheduler.scale_model_input(latents, time)
        empty, guided = unet(torch.cat([given, given]), time, encoder_hidden_states=both).sample.chunk(2)
        latents = scheduler.step(empty + sampling.guidance * (guided - empty), time, latents).prev_sample
    return latents


def generate(
    model: BaseModel, unet: Any, prompts: Sequence[str], seeds: Sequence[int], sampling: Sampling, chunk: int = 16
) -> list[Pixels]:
    """Returns one 8-bit image per prompt and seed; `chunk` is how many are computed at once, not part of the result."""
    noise, context = starting_noise(model, seeds), model.embed(list(prompts))
    pairs = zip(torch.split(noise, chunk), torch.split(context, chunk), strict=True)
    latents = [denoise(model, unet, n, c, sampling) for n, c in pairs]
    return quantise(model.decode(torch.cat(latents)))
