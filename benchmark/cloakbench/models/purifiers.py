"""Denoisers of pixels: a denoiser without captions and its noise schedule, from an alias or folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from torch import Tensor

from cloakbench.models import pipelines, registry
from cloakbench.streams import seeded
from cloakbench.whitebox import autocast


@dataclass(frozen=True)
class Purifier:
    """A frozen denoiser of pixels; images are `[B, 3, H, W]` in [0, 1] with sides that `divisor` divides."""

    unet: Any
    schedule: DDPMScheduler
    divisor: int
    device: torch.device
    dtype: torch.dtype

    @torch.no_grad()
    def redraw(self, images: Tensor, seeds: Sequence[int], strength: float, steps: int) -> Tensor:
        """Returns the images noised to `strength` of the schedule and denoised again in `strength` of `steps` steps.

        Each image's noise comes from its own seed. Follows the reverse process of Ho et al. 2020 (arXiv 2006.11239),
        as DiffPure (Nie et al. 2022) uses it.
        """
        schedule = DDPMScheduler.from_config(self.schedule.config)
        schedule.set_timesteps(steps)
        times = schedule.timesteps[steps - round(steps * strength) :]
        generators = seeded(seeds)
        x = images.to(self.device) * 2 - 1
        noise = torch.stack([torch.randn(x.shape[1:], generator=generator) for generator in generators])
        x = schedule.add_noise(x, noise.to(x), times[:1].expand(len(x)))
        for time in times:
            with autocast(self.device, self.dtype):
                predicted = self.unet(x.to(self.dtype), time).sample
            x = schedule.step(predicted.float(), int(time), x, generator=generators).prev_sample
        return torch.as_tensor(x / 2 + 0.5).clamp(0, 1)


def load(name: str, device: torch.device, dtype: torch.dtype) -> Purifier:
    """Returns the denoiser behind an alias or folder, frozen; raises UserError where it is missing or is none."""
    return registry.opened(name, lambda _, located: _load(located.folder, device, dtype))


@lru_cache(maxsize=1)
def _load(folder: Path, device: torch.device, dtype: torch.dtype) -> Purifier:
    pipe = pipelines.load(DDPMPipeline, folder, dtype)
    if not isinstance(pipe.unet, UNet2DModel):
        raise pipelines.not_loading(DDPMPipeline, folder, f"its denoiser is a {type(pipe.unet).__name__}")
    unet = pipe.unet.to(device).eval().requires_grad_(False)
    if device.type == "cpu":
        unet.to(memory_format=torch.channels_last)
    divisor = 2 ** (len(unet.config.block_out_channels) - 1)
    return Purifier(unet, DDPMScheduler.from_config(pipe.scheduler.config), divisor, device, dtype)
