"""The three target images, drawn by code: one motif, repeated rarely, sometimes and often."""

from __future__ import annotations

import math

import torch
from torch import Tensor

REPEATS = {"low": 1, "mid": 3, "high": 8}
"""How often the motif stands along a side."""


def target(name: str, height: int, width: int) -> Tensor:
    """Returns the target image `[1, 3, H, W]` with values 0 and 1: sectors of rings, black and white."""
    repeats = REPEATS[name]
    y = _ramp(height, repeats)[:, None]
    x = _ramp(width, repeats)[None, :]
    rings = torch.sin(math.tau * 3 * (x.square() + y.square()).sqrt())
    sectors = torch.sin(5 * torch.atan2(y, x))
    picture = (rings * sectors > 0).float()
    return picture.expand(1, 3, height, width).clone()


def _ramp(length: int, repeats: int) -> Tensor:
    """Returns positions -1 to 1 across each copy of the motif."""
    places = (torch.arange(length) + 0.5) / length * repeats
    return 2 * (places - places.floor()) - 1
