"""Five maps of the just noticeable difference, and how they become weights.

Each map takes luma `[B, H, W]` in [0, 255] and returns `[B, H, W]`: the higher, the more change goes unnoticed.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

BLOCK = 8
"""Side of the blocks of standard deviation and entropy, in pixels (project-defined)."""
GREY_BINS = 16
"""Bins of a block's histogram (project-defined)."""
STEP = 0.85
"""What each further quantile bin is multiplied by (the paper)."""


def luma(images: Tensor) -> Tensor:
    """Returns the luma `[B, H, W]` in [0, 255] of images `[B, 3, H, W]` in [0, 1] (ITU-R BT.601)."""
    return 255 * (images * images.new_tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1)


def luminance_adaptation(grey: Tensor) -> Tensor:
    """Returns the threshold over the local background B, in grey levels (Chou and Li 1995).

    `17 (1 - sqrt(B / 127)) + 3` below 127, `3 (B - 127) / 128 + 3` above. B is the mean of the 24 pixels around, the
    inner eight counting twice.
    """
    kernel = grey.new_ones(5, 5)
    kernel[1:4, 1:4] = 2
    kernel[2, 2] = 0
    background = _filter(grey, kernel / 32)
    dark = 17 * (1 - (background.clamp(min=0) / 127).sqrt()) + 3
    return torch.where(background < 127, dark, 3 * (background - 127) / 128 + 3)


def contrast_masking(grey: Tensor) -> Tensor:
    """Returns `0.115 * 16 L^2.4 / (L^2 + 26^2)` (Wu et al. 2017), with L the Prewitt gradient's length.

    The gradient is in grey levels a pixel: each mask's sum of differences over two pixels is divided by 6.
    """
    across = grey.new_tensor([[-1.0, 0, 1]] * 3) / 6
    contrast = (_filter(grey, across).square() + _filter(grey, across.T).square()).sqrt()
    return 0.115 * 16 * contrast**2.4 / (contrast.square() + 26**2)


def contrast_sensitivity(grey: Tensor) -> Tensor:
    """Returns the image as the eye's contrast sensitivity passes it (Mannos and Sakrison 1974; Larson, Chandler 2010).

    Lightness `(0.02874 D)^(2.2 / 3)` is filtered by `H = 2.6 (0.0192 + 0.114 f) exp(-(0.114 f)^1.1)`, 0.981 below the
    peak at 7.8909 cycles a degree. f is the frequency, 32 at Nyquist, over `0.15 cos(4 theta) + 0.85`.
    """
    height, width = grey.shape[-2:]
    fy = 64 * torch.fft.fftfreq(height, device=grey.device)[:, None]
    fx = 64 * torch.fft.fftfreq(width, device=grey.device)[None, :]
    frequency = (fx.square() + fy.square()).sqrt() / (0.15 * torch.cos(4 * torch.atan2(fy, fx)) + 0.85)
    passed = 2.6 * (0.0192 + 0.114 * frequency) * torch.exp(-((0.114 * frequency) ** 1.1))
    passed = torch.where(frequency < 7.8909, 0.981, passed)
    lightness = (0.02874 * grey.clamp(min=0)) ** (2.2 / 3)
    filtered: Tensor = torch.fft.ifft2(torch.fft.fft2(lightness) * passed).real
    return filtered


def deviation(grey: Tensor) -> Tensor:
    """Returns each pixel's block's standard deviation (population), in grey levels."""
    return _by_block(grey, lambda blocks: blocks.std(-1, correction=0))


def entropy(grey: Tensor) -> Tensor:
    """Returns each pixel's block's Shannon entropy in bits, of a histogram of 16 bins."""

    def of_blocks(blocks: Tensor) -> Tensor:
        bins = (blocks * (GREY_BINS / 256)).long().clamp(0, GREY_BINS - 1)
        shares = F.one_hot(bins, GREY_BINS).to(blocks).mean(-2)
        bits: Tensor = torch.special.entr(shares).sum(-1) / math.log(2)
        return bits

    return _by_block(grey, of_blocks)


MAPS: dict[str, Callable[[Tensor], Tensor]] = {
    "la": luminance_adaptation,
    "cm": contrast_masking,
    "csf": contrast_sensitivity,
    "std": deviation,
    "entropy": entropy,
}


def quantised(maps: Tensor) -> Tensor:
    """Returns weights for maps of noticeable difference `[..., H, W]`: 1, 0.85, 0.7225 or 0.6141, a quarter each.

    The paper's: min-max normalised, inverted, cut at the quartiles. 1 is where a change is noticed most, and everywhere
    on a map without differences.
    """
    flat = maps.flatten(-2)
    low, high = flat.amin(-1, keepdim=True), flat.amax(-1, keepdim=True)
    distance = 1 - (flat - low) / (high - low).clamp(min=1e-12)
    quartiles = torch.quantile(distance, distance.new_tensor([0.25, 0.5, 0.75]), dim=-1)
    bins = sum((distance < quartile[..., None]).long() for quartile in quartiles)
    return torch.pow(STEP, torch.as_tensor(bins).to(maps)).view_as(maps)


def _filter(grey: Tensor, kernel: Tensor) -> Tensor:
    margin = kernel.shape[-1] // 2
    padded = F.pad(grey[:, None], (margin,) * 4, mode="replicate")
    return F.conv2d(padded, kernel[None, None])[:, 0]


def _by_block(grey: Tensor, measure: Callable[[Tensor], Tensor]) -> Tensor:
    """Returns what `measure` says of each block's pixels `[..., BLOCK * BLOCK]`; sides are multiples of BLOCK."""
    blocks = grey.unfold(1, BLOCK, BLOCK).unfold(2, BLOCK, BLOCK).flatten(-2)
    return measure(blocks).repeat_interleave(BLOCK, 1).repeat_interleave(BLOCK, 2)
