"""AdverseCleaner, the filter that plug-ins of image generators offer against protections: edges stay, texture goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from cloakbench.attacks.countermeasures.per_image import PerImage
from cloakbench.images import Pixels

Floats = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True, slots=True)
class AdverseCleaner(PerImage):
    """Bilateral filters one after the other, then guided filters, on levels from 0 to 255.

    A bilateral filter (Tomasi and Manduchi 1998) averages pixels that are near in place and in colour. A guided filter
    (He et al. 2013) fits the image locally by an affine function of the colours of a guide, here the protected image.

    Args:
        bilateral: How many bilateral filters; the tool's 64.
        guided: How many guided filters; the tool's 4, 0 for its later form, which leaves them out.
        diameter: Of the bilateral window, in pixels.
        sigma: Of the bilateral Gaussians, in pixels and in levels.
        radius: Of the guided filter's square windows, in pixels.
        epsilon: What is added to the guide's variances, in squared levels.
    """

    bilateral: int = 64
    guided: int = 4
    diameter: int = 5
    sigma: float = 8.0
    radius: int = 4
    epsilon: float = 16.0

    def __post_init__(self) -> None:
        if min(self.bilateral, self.guided) < 0 or self.bilateral + self.guided < 1:
            raise ValueError("bilateral and guided must be at least 0, and one of them above it")
        if min(self.diameter, self.radius) < 1 or self.sigma <= 0 or self.epsilon <= 0:
            raise ValueError("diameter and radius must be at least 1, sigma and epsilon above 0")

    def clean(self, pixels: Pixels) -> Pixels:
        """Returns the filtered image, same size."""
        protected = pixels.astype(np.float32)
        filtered = protected
        for _ in range(self.bilateral):
            filtered = np.asarray(cv2.bilateralFilter(filtered, self.diameter, self.sigma, self.sigma), np.float32)
        for _ in range(self.guided):
            filtered = guided_filter(protected, filtered, self.radius, self.epsilon)
        return np.rint(np.clip(filtered, 0, 255)).astype(np.uint8)


def guided_filter(guide: Floats, image: Floats, radius: int, epsilon: float) -> Floats:
    """Returns the image as the guide's colours explain it locally (He et al. 2013, eq. 19 to 21).

    In each window, `image = a^T guide + b` is fitted by least squares with a penalty of `epsilon` on `a`. A pixel gets
    the mean of the fits of all windows that it is in. Borders are mirrored.

    Args:
        guide: Three channels, `[H, W, 3]`.
        image: What is filtered, `[H, W, C]`.
        radius: Half the side of a window, its middle left out.
        epsilon: In squared units of the guide.
    """
    guide, image = guide.astype(np.float64), image.astype(np.float64)
    mean_guide, mean_image = _mean(guide, radius), _mean(image, radius)
    squares = _mean(_products(guide, guide), radius) - _products(mean_guide, mean_guide)
    crossed = _mean(_products(guide, image), radius) - _products(mean_guide, mean_image)
    channels = image.shape[2]
    covariance = squares.reshape(*guide.shape[:2], 3, 3) + epsilon * np.eye(3)
    slopes = np.linalg.solve(covariance, crossed.reshape(*guide.shape[:2], 3, channels))
    offsets = mean_image - np.einsum("hwi,hwic->hwc", mean_guide, slopes)
    mean_slopes = _mean(slopes.reshape(*guide.shape[:2], 3 * channels), radius).reshape(slopes.shape)
    explained = np.einsum("hwi,hwic->hwc", guide, mean_slopes) + _mean(offsets, radius)
    return np.asarray(explained, np.float32)


def _products(x: Any, y: Any) -> Any:
    """Returns the products of all pairs of channels, `[H, W, C_x * C_y]`."""
    return np.einsum("hwi,hwj->hwij", x, y).reshape(*x.shape[:2], -1)


def _mean(values: Any, radius: int) -> Any:
    """Returns the means over square windows, `[H, W, C]`; OpenCV's filters take at most four channels at once."""
    side = 2 * radius + 1
    means = []
    for channel in np.moveaxis(values, -1, 0):
        plane = np.ascontiguousarray(channel)
        means.append(cv2.boxFilter(plane, -1, (side, side), borderType=cv2.BORDER_REFLECT))
    return np.stack(means, axis=-1)
