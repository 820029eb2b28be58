"""Squares cut out of drawn pictures and changed at random: an autoencoder trains on more than the styles."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from cloakbench.models.mini.train.pool import Pool, to_pixels

SIDE = 128
_LAID_OVER = 0.2


def _square(pool: Pool, rng: np.random.Generator, side: int) -> Tensor:
    """Returns any part of any picture `[1, 3, side, side]`, shrunk or enlarged to that side."""
    image = pool.picture(int(rng.integers(len(pool.latents))))
    cut = side if rng.random() < 0.5 else int(rng.integers(side * 2 // 3, SIDE + 1))
    row, column = rng.integers(0, SIDE + 1 - cut, 2)
    x = to_pixels(image[None, row : row + cut, column : column + cut])
    return x if cut == side else F.interpolate(x, size=(side, side), mode="bilinear", antialias=True)


def _recoloured(x: Tensor, rng: np.random.Generator) -> Tensor:
    """Returns the square with channels swapped, mirrored, and with another contrast and brightness per channel."""
    if rng.random() < 0.5:
        x = x[:, torch.from_numpy(rng.permutation(3))]
    if rng.random() < 0.5:
        x = x.flip(-1)
    if rng.random() < 0.4:
        gain, bias = rng.uniform(0.5, 1.3, (1, 3, 1, 1)), rng.uniform(-0.12, 0.12, (1, 3, 1, 1))
        x = x * torch.from_numpy(gain).float() + torch.from_numpy(bias).float()
    return x.clamp(0, 1)


def draw(pool: Pool, rng: np.random.Generator, count: int, side: int) -> Tensor:
    """Returns `count` squares `[count, 3, side, side]` in [0, 1]; one in five is two laid over each other."""
    x = torch.cat([_recoloured(_square(pool, rng, side), rng) for _ in range(count)])
    drawn = rng.random((count, 1, 1, 1))
    share = torch.from_numpy(np.where(drawn < _LAID_OVER, rng.uniform(0.2, 0.8, drawn.shape), 0.0)).float()
    return (x * (1 - share) + x.roll(1, 0) * share).contiguous(memory_format=torch.channels_last)
