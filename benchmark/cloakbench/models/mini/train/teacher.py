"""The teachers of the autoencoders: TAESD (MIT), found on this machine or fetched from its hub."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from diffusers import AutoencoderTiny

ASSETS = "CLOAKBENCH_ASSETS"
"""The environment variable that names a folder holding `taesd/taesd` and `taesd/taesdxl`."""


def path(name: str) -> str:
    """Returns where the teacher `name` (`taesd`, `taesdxl`) lies: a folder under the assets, else its hub name."""
    folder = Path(os.environ.get(ASSETS, "../shared/assets")) / "taesd" / name
    return str(folder) if (folder / "config.json").exists() else f"madebyollin/{name}"


def load(name: str, device: str = "cpu") -> AutoencoderTiny:
    """Returns the teacher `name`, frozen; its latents `[b, 4, h/8, w/8]` have about unit standard deviation.

    Raises `OSError` where it is neither among the assets nor to be downloaded.
    """
    model = AutoencoderTiny.from_pretrained(path(name))
    model = model.to(device=device, memory_format=torch.channels_last)
    frozen: AutoencoderTiny = model.eval().requires_grad_(False)
    return frozen
