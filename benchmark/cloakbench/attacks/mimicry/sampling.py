"""Sampling: what the mimic generates, every image from its own seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler
from torch import Tensor

from cloakbench import progress
from cloakbench.attacks.mimicry.personalised import Personalised
from cloakbench.images import Pixels, quantise
from cloakbench.models.compiled import compiled, is_possible
from cloakbench.models.loader import BaseModel
from cloakbench.schemas.suite import Diffusing
from cloakbench.streams import seeded
from cloakbench.system.memory import at_once

SCHEDULERS = {"dpm++": DPMSolverMultistepScheduler, "ddim": DDIMScheduler}
OPTIONS: dict[str, dict[str, bool]] = {"dpm++": {}, "ddim": {"clip_sample": False, "set_alpha_to_one": False}}
"""Options of each scheduler that override the model's folder."""


def redrawing(strength: float, steps: int, guidance: float, scheduler: str) -> Diffusing:
    """Returns the settings of image-to-image; raises ValueError for a strength at which no step would run."""
    if not 0 < strength <= 1 or round(strength * steps) < 1:
        raise ValueError("strength must lie in (0, 1] and be at least one of the steps")
    return Diffusing.model_validate({"steps": steps, "guidance": guidance, "scheduler": scheduler})


def starting_noise(model: BaseModel, seeds: Sequence[int]) -> Tensor:
    """Returns one latent of noise per seed, `[N, C, h, w]`, drawn on the CPU."""
    side = model.unet.config.sample_size
    return seeded_noise(model, seeds, (model.unet.config.in_channels, side, side))


def seeded_noise(model: BaseModel, seeds: Sequence[int], shape: Sequence[int]) -> Tensor:
    """Returns one draw of `shape` per seed, `[N, *shape]`: an item's noise depends on no other item."""
    drawn = [torch.randn(tuple(shape), generator=generator) for generator in seeded(seeds)]
    return torch.stack(drawn).to(model.device, model.dtype)


def schedule(model: BaseModel, settings: Diffusing, begin: int = 0) -> Any:
    """Returns the named scheduler, on the model's noise schedule, ready for its steps from `begin` on.

    Latents are not bound to [-1, 1]: DDIM does not clip them, also where a folder's configuration does not say so.
    """
    scheduler = SCHEDULERS[settings.scheduler].from_config(model.scheduler.config, **OPTIONS[settings.scheduler])
    scheduler.set_timesteps(settings.steps, device=model.device)
    if hasattr(scheduler, "set_begin_index"):  # those that count their steps, other than DDIM
        scheduler.set_begin_index(begin)
    return scheduler


@torch.no_grad()
def denoise(
    model: BaseModel,
    latents: Tensor,
    contexts: tuple[Tensor, Tensor],
    settings: Diffusing,
    begin: int = 0,
    **stepping: Any,
) -> Tensor:
    """Returns scaled latents `[N, C, h, w]`, denoised from step `begin` on with classifier-free guidance.

    `contexts` are those of the empty text or the negative prompt `[S, 1, L, C]` and of the prompts `[S, N, L, C]`, one
    for each of S equal stretches of the noise schedule, first the noisiest. At a guidance of 1 the first plays no part.
    `stepping` goes to every step of the scheduler, as DDIM's `eta`.
    """
    empty, guided = contexts
    both = torch.cat([empty.expand(-1, len(latents), -1, -1), guided], dim=1) if settings.guidance != 1 else guided
    scheduler = schedule(model, settings, begin)
    unet = compiled(model.unet, model.device, model.dtype)
    length = model.scheduler.config.num_train_timesteps
    times = scheduler.timesteps[begin:]
    for time in progress.track(times, len(times), "sampling steps"):
        stretch = len(both) - 1 - int(time) * len(both) // length
        inputs = scheduler.scale_model_input(latents, time)
        repeated = inputs.repeat(both.shape[1] // len(inputs), 1, 1, 1)
        predicted = unet(repeated, time, encoder_hidden_states=both[stretch]).sample
        if settings.guidance != 1:
            without, towards = predicted.chunk(2)
            predicted = without + settings.guidance * (towards - without)
        latents = scheduler.step(predicted, time, latents, **stepping).prev_sample
    return latents


def generate(
    mimic: Personalised, prompts: Sequence[str], seeds: Sequence[int], settings: Diffusing, chunk: int = 16
) -> list[Pixels]:
    """Returns one 8-bit image per prompt and seed; `chunk` is how many are computed at once, not part of the result."""
    model, chunk = mimic.model, at_once(chunk, len(seeds))
    noise, guided, empty = starting_noise(model, seeds), mimic.guided(prompts), mimic.unguided()
    noise = noise * schedule(model, settings).init_noise_sigma
    pairs = zip(torch.split(noise, chunk), torch.split(guided, chunk, dim=1), strict=True)
    latents = []
    for part, context in pairs:
        rows = _rows(model, len(part), chunk).to(part.device)
        latents.append(denoise(model, part[rows], (empty, context[:, rows]), settings)[: len(part)])
    return quantise(model.decode(torch.cat(latents)))


def _rows(model: BaseModel, count: int, chunk: int) -> Tensor:
    """Returns which of `count` rows to denoise: each once, and where the denoiser is compiled the last until `chunk`.

    So the last, shorter part of a set has the shape of the others, and nothing is compiled for it.
    """
    size = chunk if is_possible(model.device, model.dtype) else count
    return torch.arange(size).clamp(max=count - 1)


@torch.no_grad()
def image_to_image(
    model: BaseModel,
    images: Tensor,
    prompts: Sequence[str],
    seeds: Sequence[int],
    settings: Diffusing,
    strength: float,
    chunk: int = 8,
) -> list[Pixels]:
    """Returns each image after noising it to `strength` of the schedule and denoising it under its prompt (SDEdit).

    `images` are `[N, 3, H, W]` in [0, 1] with sides that the autoencoder divides; a strength of 0 changes nothing but
    what encoding and decoding change, 1 leaves nothing of the image. (Meng et al. 2022, arXiv 2108.01073.)
    """
    if not 0 <= strength <= 1:
        raise ValueError(f"expected a strength in [0, 1], got {strength}")
    contexts, empty = model.embed(list(prompts))[None], model.embed_negative()[None]
    images_out: list[Pixels] = []
    chunk = at_once(chunk, len(images))
    for at in range(0, len(images), chunk):
        rows = slice(at, at + chunk)
        clean = model.vae.encode(images[rows].to(model.device, model.dtype) * 2 - 1).latent_dist.mode()
        latents = clean * model.vae.config.scaling_factor
        begin = settings.steps - round(settings.steps * strength)
        if begin < settings.steps:
            noise = seeded_noise(model, seeds[rows], latents.shape[1:])
            latents = _noised(model, latents, noise, settings, begin)
            latents = denoise(model, latents, (empty, contexts[:, rows]), settings, begin)
        images_out += quantise(model.decode(latents))
    return images_out


def _noised(model: BaseModel, latents: Tensor, noise: Tensor, settings: Diffusing, begin: int) -> Tensor:
    scheduler = schedule(model, settings, begin)
    times = scheduler.timesteps[begin : begin + 1].expand(len(latents))
    return torch.as_tensor(scheduler.add_noise(latents, noise, times))
