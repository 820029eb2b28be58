"""Averaging (Yang et al. 2024, arXiv 2406.09026): subtract the pattern that the artist's images share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from cloakbench.attacks.context import Context
from cloakbench.images import Pixels

Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class Averaging:
    """Estimates a universal perturbation from the artist's images of one size and subtracts it from each.

    The residual r of an image is what a median filter takes away, so that little of its content is left. The pattern
    is the mean residual of the artist's images less that of clean images by others, times the share of it that is no
    chance: `max(0, n |mean r|^2 - mean |r|^2) / ((n - 1) |mean r|^2)`, which is 1 for equal residuals of n images and
    about 0 for independent ones.

    Args:
        kernel: Side of the median filter's window in pixels, odd.
        bound: Largest change of a value, in levels of 255.
    """

    kernel: int = 5
    bound: float = 16.0

    def __post_init__(self) -> None:
        if self.kernel % 2 == 0 or self.kernel < 3 or self.bound <= 0:
            raise ValueError("kernel must be odd and at least 3, bound above 0")

    def apply(self, images: Sequence[Pixels], context: Context) -> list[Pixels]:
        """Returns the images without their shared pattern, same sizes; an image alone in its size stays as it is."""
        patterns: dict[tuple[int, ...], Floats] = {}
        for pixels in images:
            if pixels.shape not in patterns:
                patterns[pixels.shape] = self._pattern(images, context.others, pixels.shape)
        return [_subtracted(pixels, patterns[pixels.shape]) for pixels in images]

    def _pattern(self, images: Sequence[Pixels], others: Sequence[Pixels], shape: tuple[int, ...]) -> Floats:
        own = self._residuals(images, shape)
        clean = self._residuals(others, shape)
        mean = own.mean(0)
        usual = clean.mean(0) if len(clean) else np.zeros(shape)
        pattern = _shared_share(own) * (mean - usual)
        return np.asarray(pattern.clip(-self.bound, self.bound))

    def _residuals(self, images: Sequence[Pixels], shape: tuple[int, ...]) -> Floats:
        """Returns the residuals `[n, H, W, 3]` of the images of one shape."""
        residuals = []
        for pixels in images:
            if pixels.shape == shape:
                residuals.append(pixels.astype(np.float64) - cv2.medianBlur(pixels, self.kernel))
        return np.stack(residuals) if residuals else np.zeros((0, *shape))


def _shared_share(residuals: Floats) -> float:
    """Returns which share of the mean residual's energy is shared, in [0, 1]; 0 for a single image."""
    count = len(residuals)
    of_mean = float(np.square(residuals.mean(0)).sum())
    if count < 2 or of_mean == 0:
        return 0.0
    mean_energy = float(np.square(residuals).sum()) / count
    return min(1.0, max(0.0, count * of_mean - mean_energy) / ((count - 1) * of_mean))


def _subtracted(pixels: Pixels, pattern: Floats) -> Pixels:
    return np.rint(np.clip(pixels - pattern, 0, 255)).astype(np.uint8)
