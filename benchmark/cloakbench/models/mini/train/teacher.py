"""What the trainings learn from and do not ship: TAESD (MIT) for latents, LPIPS on AlexNet for how pictures look."""

from __future__ import annotations

import os
from pathlib import Path

import lpips
import torch
from diffusers import AutoencoderTiny
from torch import nn

ASSETS = "CLOAKBENCH_ASSETS"
"""The environment variable that names a folder holding `taesd/taesd` and `taesd/taesdxl`."""


def source(name: str) -> str:
    """Returns the folder of the teacher `name` (`taesd`, `taesdxl`) under the assets, else its hub name."""
    folder = Path(os.environ.get(ASSETS, "../shared/assets")) / "taesd" / name
    return str(folder) if (folder / "config.json").exists() else f"madebyollin/{name}"


def load(name: str, device: str = "cpu") -> AutoencoderTiny:
    """Returns the teacher `name`, frozen; its latents `[b, 4, h/8, w/8]` have about unit standard deviation.

    Raises `OSError` where it is neither among the assets nor to be downloaded.
    """
    model = AutoencoderTiny.from_pretrained(source(name))
    model = model.to(device=device, memory_format=torch.channels_last)
    frozen: AutoencoderTiny = model.eval().requires_grad_(False)
    return frozen


def perceptual() -> nn.Module:
    """Returns LPIPS v0.1 on AlexNet; torchvision downloads the backbone or finds it under `TORCH_HOME`."""
    distance: nn.Module = lpips.LPIPS(net="alex", verbose=False)
    return distance.eval().requires_grad_(False)
