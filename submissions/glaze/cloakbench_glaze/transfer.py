"""Style transfer by image-to-image with the surrogate's own denoiser (SDEdit, Meng et al. 2022, arXiv 2108.01073)."""

from __future__ import annotations

import torch
from diffusers import DPMSolverMultistepScheduler
from torch import Tensor

from cloakbench import Surrogate, whitebox

STRENGTH = 0.5
"""Where the noise starts, as a share of the schedule (IMPRESS's code)."""
GUIDANCE = 7.5
"""Weight of the prompt over the empty text (IMPRESS's code)."""
STEPS = {"mini": 20, "stable-diffusion": 50}
"""Steps of the whole schedule by family of the surrogate, of which the share `STRENGTH` is taken: 50 is IMPRESS's,
20 project-defined."""


@torch.no_grad()
def restyle(images: Tensor, prompt: str, noise: Tensor, surrogate: Surrogate) -> Tensor:
    """Returns the images `[B, 3, H, W]` in [0, 1], repainted under the prompt.

    Args:
        images: `[B, 3, H, W]` in [0, 1].
        prompt: The target style in words.
        noise: Standard normal, of the latents' shape `[B, C, h, w]`.
        surrogate: Encodes, denoises and decodes.
    """
    scheduler = DPMSolverMultistepScheduler.from_config(surrogate.scheduler.config)
    steps = STEPS[whitebox.family(surrogate)]
    scheduler.set_timesteps(steps, device=surrogate.device)
    begin = steps - round(steps * STRENGTH)
    scheduler.set_begin_index(begin)
    start = scheduler.timesteps[begin : begin + 1].expand(len(images))
    latents = whitebox.latent_means(surrogate, images) * whitebox.scale(surrogate)
    latents = scheduler.add_noise(latents, noise, start)
    context = whitebox.contexts(surrogate, ["", prompt]).repeat_interleave(len(images), dim=0)
    for time in scheduler.timesteps[begin:]:
        inputs = scheduler.scale_model_input(latents, time).repeat(2, 1, 1, 1)
        with whitebox.autocast(surrogate.device, surrogate.dtype):
            without, towards = surrogate.unet(inputs, time, encoder_hidden_states=context).sample.float().chunk(2)
        latents = scheduler.step(without + GUIDANCE * (towards - without), time, latents).prev_sample
    return whitebox.decode(surrogate, latents / whitebox.scale(surrogate)).clamp(0, 1)
