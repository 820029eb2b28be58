"""StyleAligned (Hertz et al. 2024, arXiv 2312.02133): imitate a style without any training."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import torch
from diffusers import DDIMScheduler
from torch import Tensor
from torch.nn.functional import interpolate

from cloakbench import AttackRequest, Mimicry, Surrogate, whitebox
from cloakbench.parameters import positive, whole
from cloakbench_style_aligned.attention import SharedSelfAttention

GROUPS = 2
"""Of a batch: without and with the prompt, as classifier-free guidance asks for."""


class StyleAligned(Mimicry):
    """Inverts an image of the artist and generates beside it, with self-attention that both share.

    The prompts take the artist's images in turn as their reference. Nothing is trained.

    Args:
        steps: Of the inversion and of the generation (the authors' 50).
        guidance: Of the generation; None for that of the model's family.
        shift: Added to the attention scores of the reference's keys: the authors' log 2.
    """

    title = "StyleAligned"
    paper = "https://arxiv.org/abs/2312.02133"
    authors = "Hertz and others"
    licence = "Apache-2.0"
    needs = frozenset({"surrogate"})
    defaults = MappingProxyType({"mini": {"guidance": 3.0}, "stable-diffusion": {"guidance": 10.0}})

    def __init__(self, *, steps: int = 50, guidance: float | None = None, shift: float = math.log(2)) -> None:
        self.steps = whole("steps", steps)
        self.guidance = None if guidance is None else positive("guidance", guidance)
        self.shift = shift

    @torch.no_grad()
    def imitate(self, images: Tensor, request: AttackRequest) -> Tensor:
        """Returns one image per prompt, `[len(prompts), 3, S, S]` in [0, 1]."""
        model = request.model
        side = model.unet.config.sample_size << (len(model.vae.config.block_out_channels) - 1)
        squares = interpolate(images, (side, side), mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
        latents = whitebox.latent_means(model, squares) * whitebox.scale(model)
        shared = replace(model, unet=with_shared_attention(model.unet, self.shift))
        generated: dict[int, Tensor] = {}
        for number in range(min(len(images), len(request.prompts))):
            rows = list(range(number, len(request.prompts), len(images)))
            trajectory = inverted(model, latents[number : number + 1], request.captions[number], self.steps)
            texts = [request.captions[number], *(request.prompts[row] for row in rows)]
            drawn = self._beside(shared, trajectory, texts, request.generator)
            decoded = whitebox.decode(model, drawn / whitebox.scale(model)).clamp(0, 1)
            generated |= dict(zip(rows, decoded, strict=True))
        return torch.stack([generated[row] for row in range(len(request.prompts))])

    def _beside(
        self, model: Surrogate, trajectory: Sequence[Tensor], texts: Sequence[str], generator: torch.Generator
    ) -> Tensor:
        """Returns scaled latents of all texts but the first, which is the reference's."""
        scheduler = schedule(model, self.steps)
        noise = trajectory[-1].expand(len(texts) - 1, -1, -1, -1)
        latents = whitebox.normal(noise, generator)
        contexts = whitebox.contexts(model, [*[""] * len(texts), *texts])
        guidance = whitebox.settings(model, self.defaults, {"guidance": self.guidance})["guidance"]
        for time, reference in zip(scheduler.timesteps, reversed(trajectory), strict=True):
            batch = torch.cat([reference, latents]).repeat(GROUPS, 1, 1, 1)
            without, towards = predicted(model, batch, time, contexts).chunk(GROUPS)
            noise = (without + guidance * (towards - without))[1:]
            latents = scheduler.step(noise, time, latents).prev_sample
        return latents


def with_shared_attention(unet: Any, shift: float) -> Any:
    """Returns a copy of a denoiser whose self-attention is shared; cross-attention stays as it is."""
    shared = copy.deepcopy(unet)
    processors = dict(shared.attn_processors)
    for name in processors:
        if ".attn1." in name:
            processors[name] = SharedSelfAttention(GROUPS, shift)
    shared.set_attn_processor(processors)
    return shared


def schedule(model: Surrogate, steps: int) -> DDIMScheduler:
    """Returns DDIM on the model's noise schedule, ready for its steps."""
    scheduler = DDIMScheduler.from_config(model.scheduler.config, clip_sample=False, set_alpha_to_one=False)
    scheduler.set_timesteps(steps, device=model.device)
    return scheduler


def inverted(model: Surrogate, latents: Tensor, caption: str, steps: int) -> list[Tensor]:
    """Returns the noised latents at each of DDIM's times, the least noisy first (Song et al. 2021, arXiv 2010.02502).

    DDIM's step is run backwards under the caption, without guidance:
    `z_next = sqrt(a_next) x + sqrt(1 - a_next) e`, with x and e the model's estimates of image and noise at z.
    """
    scheduler = schedule(model, steps)
    context = whitebox.contexts(model, [caption])
    alpha_bar = scheduler.alphas_cumprod.to(latents)
    trajectory, before = [], 0
    for time in reversed(scheduler.timesteps):
        a, a_next = alpha_bar[before], alpha_bar[int(time)]
        clean, noise = estimates(model, predicted(model, latents, before, context), latents, a)
        latents = a_next.sqrt() * clean + (1 - a_next).sqrt() * noise
        trajectory.append(latents)
        before = int(time)
    return trajectory


def predicted(model: Surrogate, latents: Tensor, time: Tensor | int, contexts: Tensor) -> Tensor:
    """Returns the denoiser's prediction `[B, C, h, w]` in float32, epsilon or v."""
    with whitebox.autocast(model.device, model.dtype):
        prediction: Tensor = model.unet(latents, time, encoder_hidden_states=contexts).sample
    return prediction.float()


def estimates(model: Surrogate, prediction: Tensor, latents: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
    """Returns what the model takes for the image and for the noise at latents of signal share `a`."""
    if model.scheduler.config.prediction_type == "v_prediction":
        return a.sqrt() * latents - (1 - a).sqrt() * prediction, a.sqrt() * prediction + (1 - a).sqrt() * latents
    return (latents - (1 - a).sqrt() * prediction) / a.sqrt(), prediction
