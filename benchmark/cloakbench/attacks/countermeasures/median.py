"""Median filter, by OpenCV."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from cloakbench.attacks.countermeasures.per_image import PerImage
from cloakbench.images import Pixels


@dataclass(frozen=True, slots=True)
class Median(PerImage):
    """Gives each value the median of the `kernel` x `kernel` values around it; the border is repeated."""

    kernel: int = 3

    def __post_init__(self) -> None:
        if self.kernel % 2 == 0 or self.kernel < 3:
            raise ValueError("kernel must be odd and at least 3")

    def clean(self, pixels: Pixels) -> Pixels:
        """Returns the filtered image, same size."""
        return np.asarray(cv2.medianBlur(pixels, self.kernel), np.uint8)
