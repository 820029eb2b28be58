"""Gaussian blur."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from cloakbench.attacks.countermeasures.per_image import PerImage
from cloakbench.images import Pixels


@dataclass(frozen=True, slots=True)
class Blur(PerImage):
    """Gaussian of `sigma` pixels on a `kernel` x `kernel` window, borders mirrored, rounded to 8 bit."""

    kernel: int
    sigma: float

    def __post_init__(self) -> None:
        if self.kernel % 2 == 0 or self.kernel < 3 or self.sigma <= 0:
            raise ValueError("kernel must be odd and at least 3, sigma above 0")

    def clean(self, pixels: Pixels) -> Pixels:
        """Returns the blurred image, same size."""
        half = self.kernel // 2
        offsets = np.arange(-half, half + 1)
        window = np.exp(-(offsets**2) / (2 * self.sigma**2))
        window /= window.sum()
        soft = pixels.astype(np.float64)
        for axis in (0, 1):
            soft = ndimage.correlate1d(soft, window, axis=axis, mode="mirror")
        return np.rint(np.clip(soft, 0, 255)).astype(np.uint8)
