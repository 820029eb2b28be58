"""How much of its budget a protection used, measured on the saved 8-bit PNGs; no weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

LEVELS = 255
CUTOFF = 1 / 8
"""Frequencies below it, in cycles per pixel, count as low: waves longer than eight pixels."""


def _delta(changed: Tensor, original: Tensor) -> Tensor:
    """Returns the change in whole levels of 1/255, in double precision."""
    return ((changed.double() - original.double()) * LEVELS).round()


def linf(changed: Tensor, original: Tensor) -> Tensor:
    """Returns the largest absolute change `[B]` of two tensors `[B, 3, H, W]` in [0, 1], in levels from 0 to 255."""
    return _delta(changed, original).abs().amax((1, 2, 3))


def mean_change(changed: Tensor, original: Tensor) -> Tensor:
    """Returns the mean absolute change `[B]` over pixels and channels, in levels from 0 to 255."""
    return _delta(changed, original).abs().mean((1, 2, 3))


def l2(changed: Tensor, original: Tensor) -> Tensor:
    """Returns the L2 norm `[B]` of the change over pixels and channels, in levels; it grows with the image."""
    return _delta(changed, original).square().sum((1, 2, 3)).sqrt()


def low_frequency(changed: Tensor, original: Tensor) -> Tensor:
    """Returns the share `[B]` of the change's energy in low frequencies, in [0, 1]; 0 for equal images.

    The energy is |DFT|^2 summed over channels, low frequencies are those with |(u, v)| < 1/8 cycles per pixel, the mean
    among them. Noise that is independent from pixel to pixel has a share of about pi / 64.
    """
    delta = _delta(changed, original)
    energy = torch.fft.fft2(delta).abs().square().sum(1)
    rows, columns = (torch.fft.fftfreq(side, dtype=energy.dtype, device=energy.device) for side in energy.shape[-2:])
    low = rows[:, None].square() + columns.square() < CUTOFF**2
    total = energy.sum((1, 2))
    return torch.where(total > 0, (energy * low).sum((1, 2)) / total.clamp(min=1e-12), total)


def universal_share(changed: Tensor, original: Tensor) -> Tensor:
    """Returns each image's part `[B]` in the share of the change that all images have in common.

    With delta the changes, the mean of the values is `|mean delta|^2 / mean |delta|^2`: 1 where all are equal, about
    1 / B where they are independent, 0 where nothing changed. One image's value is `<delta, mean delta>` over the same.
    """
    delta = _delta(changed, original).flatten(1)
    energy = delta.square().sum(1).mean()
    along = delta @ delta.mean(0)
    return torch.where(energy > 0, along / energy.clamp(min=1e-12), torch.zeros_like(along))


def ciede2000(changed: Tensor, original: Tensor) -> Tensor:
    """Returns the mean CIEDE2000 colour difference `[B]` over pixels, from 0, by scikit-image: sRGB under D65."""
    from skimage import color

    difference: Any = color.deltaE_ciede2000
    before, after = (color.rgb2lab(x.permute(0, 2, 3, 1).cpu().double().numpy()) for x in (original, changed))
    return torch.as_tensor(difference(before, after)).mean((1, 2)).to(original.device)
