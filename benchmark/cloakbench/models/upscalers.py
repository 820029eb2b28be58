"""Diffusion upscalers: diffusers' StableDiffusionUpscalePipeline from an alias or folder."""

from __future__ import annotations

import copy
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionUpscalePipeline

from cloakbench.models import pipelines, registry


def load(name: str, device: torch.device, dtype: torch.dtype) -> Any:
    """Returns the pipeline behind an alias or folder, frozen; raises UserError where it is missing or is none."""
    return registry.opened(name, lambda _, located: _load(located.folder, device, dtype))


def adding(pipe: Any, level: int) -> Any:
    """Returns the pipeline, changed to add noise of `level` to an image whatever its `noise_level`."""
    scheduler = copy.copy(pipe.low_res_scheduler)
    scheduler.add_noise = lambda image, noise, levels: pipe.low_res_scheduler.add_noise(
        image, noise, torch.full_like(levels, level)
    )
    parts = {**pipe.components, "low_res_scheduler": scheduler}
    changed = type(pipe)(**parts, max_noise_level=pipe.config.max_noise_level)
    changed.set_progress_bar_config(disable=True)
    return changed


@lru_cache(maxsize=1)
def _load(folder: Path, device: torch.device, dtype: torch.dtype) -> Any:
    pipe = pipelines.load(StableDiffusionUpscalePipeline, folder, dtype, watermarker=None, safety_checker=None)
    for part in (pipe.vae, pipe.unet, pipe.text_encoder):
        part.to(device).eval().requires_grad_(False)
    pipe.set_progress_bar_config(disable=True)
    return pipe
