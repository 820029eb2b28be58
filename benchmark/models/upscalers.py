"""Diffusion upscalers: diffusers' StableDiffusionUpscalePipeline from an alias or folder."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionUpscalePipeline

from benchmark.errors import UserError
from benchmark.models import registry


def load(name: str, device: torch.device, dtype: torch.dtype) -> Any:
    """Returns the pipeline behind an alias or folder, frozen; raises UserError where it is missing or is none."""
    return registry.opened(name, lambda _, located: _load(located.folder, device, dtype))


@lru_cache(maxsize=1)
def _load(folder: Path, device: torch.device, dtype: torch.dtype) -> Any:
    try:
        pipe = StableDiffusionUpscalePipeline.from_pretrained(
            folder,
            torch_dtype=dtype,
            local_files_only=True,
            use_safetensors=True,
            watermarker=None,
            safety_checker=None,
        )
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f"expected a StableDiffusionUpscalePipeline in {folder}, got one that does not load: "
            f"{type(error).__name__}: {error}",
            "Name a folder that `save_pretrained` of diffusers wrote, weights as .safetensors.",
        ) from error
    for part in (pipe.vae, pipe.unet, pipe.text_encoder):
        part.to(device).eval().requires_grad_(False)
    pipe.set_progress_bar_config(disable=True)
    return pipe
