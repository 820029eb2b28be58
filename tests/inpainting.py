"""An untrained inpainting model in diffusers layout, and masks, for tests."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import torch
from diffusers import UNet2DConditionModel

from cloakbench.images import Pixels


def write(target: Path, source: Path) -> Path:
    """Writes at `target`, which it returns, the model of `source` with a random denoiser of nine channels."""
    if target.exists():
        return target
    shutil.copytree(source, target)
    index = json.loads((target / "model_index.json").read_text())
    (target / "model_index.json").write_text(json.dumps({**index, "_class_name": "StableDiffusionInpaintPipeline"}))
    with torch.random.fork_rng():
        torch.manual_seed(1)
        config = {**UNet2DConditionModel.load_config(source / "unet"), "in_channels": 9}
        UNet2DConditionModel.from_config(config).save_pretrained(target / "unet")
    return target


def mask(seed: int, height: int = 128, width: int = 128) -> Pixels:
    """A mask whose lower right part may be repainted, of another size for every seed."""
    drawn = np.zeros((height, width), np.uint8)
    drawn[height // 4 + 9 * seed :, width // 3 - 5 * seed :] = 255
    return drawn
