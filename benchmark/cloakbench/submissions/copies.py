"""Counts near copies of hidden images among the images that an attack returns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cloakbench.images import Pixels

COPY_PSNR = 40.0
"""In dB: above, an image is taken for a copy of another. Project-defined."""


def psnr(picture: Pixels, other: Pixels) -> float:
    """Returns the peak signal-to-noise ratio in dB; infinite for equal images."""
    error = float(np.square(picture.astype(np.float64) - other).mean())
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def count_copies(pictures: Sequence[Pixels], hidden: Sequence[Pixels], given: Sequence[Pixels] = ()) -> int:
    """Returns how many pictures are copies of hidden images, and nearer to one than to every image that was given.

    Args:
        pictures: What an attack returned, `[H, W, 3]`, uint8.
        hidden: Images that it was not given.
        given: Images that it was given.
    """
    count = 0
    for picture in pictures:
        nearest = _nearest(picture, hidden)
        count += nearest > COPY_PSNR and nearest > _nearest(picture, given)
    return count


def _nearest(picture: Pixels, others: Sequence[Pixels]) -> float:
    """Returns the ratio to the most similar image of the same size, minus infinity where there is none."""
    nearest = -np.inf
    for other in others:
        if other.shape == picture.shape:
            nearest = max(nearest, psnr(picture, other))
    return float(nearest)
