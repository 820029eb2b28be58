"""The image that Mist's textural term pulls towards: high in contrast and periodic, as the paper recommends."""

from __future__ import annotations

import torch
from torch import Tensor

PERIOD = 32
"""Pixels; project-defined."""


def pattern(height: int, width: int) -> Tensor:
    """Returns black and white squares of half a period, `[1, 3, H, W]` with values 0 and 1.

    Every square of a whole period is the same, so that every place of an image is drawn to the same texture.
    """
    rows, columns = (torch.arange(size) // (PERIOD // 2) % 2 for size in (height, width))
    squares = (rows[:, None] + columns[None, :]) % 2
    return squares.float().expand(1, 3, height, width)
