"""Features of Inception-v3 for FID and KID: clean-fid's resizing, and the network of 2015 that it uses."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cleanfid.resize import build_resizer
from torch import Tensor

from cloakbench import progress
from cloakbench.images import Pixels
from cloakbench.metrics.comparing import checked
from cloakbench.system.memory import at_once

SIDE, DIMENSIONS = 299, 2048


@torch.no_grad()
def features(images: Sequence[Pixels], path: Path, device: str = "cpu", chunk: int = 16) -> Tensor:
    """Returns pool3 features `[N, 2048]` of 8-bit images of any sizes, from the TorchScript network at `path`.

    Images are resized as clean-fid does (Parmar et al. 2022): each channel by Pillow's antialiased bicubic filter, not
    rounded. Raises UserError for an empty set and for what is no 8-bit RGB image.
    """
    network, parts = _network(path, device), []
    pixels = checked(images)
    chunk = at_once(chunk, len(pixels))
    starts = range(0, len(pixels), chunk)
    for start in progress.track(starts, len(starts), "groups of images"):
        x = torch.stack([resized(image) for image in pixels[start : start + chunk]]).to(device)
        parts.append(network.layers.forward((x - 128) / 128).flatten(1).float().cpu())
    return torch.cat(parts)


def resized(pixels: Pixels, mode: str = "clean") -> Tensor:
    """Returns an image as float32 `[3, 299, 299]` in [0, 255], resized by clean-fid's `mode`."""
    return torch.from_numpy(np.ascontiguousarray(build_resizer(mode)(pixels))).permute(2, 0, 1).float()


@lru_cache(maxsize=2)
def _network(path: Path, device: str) -> Any:
    return torch.jit.load(str(path), map_location=device).eval()  # type: ignore[no-untyped-call]
