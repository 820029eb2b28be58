"""Gaussian noise, handed on in 8 bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cloakbench.attacks.context import Context
from cloakbench.images import Pixels


@dataclass(frozen=True, slots=True)
class Noise:
    """Adds noise of standard deviation `sigma` (of a [0, 1] image), drawn per image from its own seed."""

    sigma: float

    def __post_init__(self) -> None:
        if self.sigma <= 0:
            raise ValueError("sigma must be above 0")

    def apply(self, images: Sequence[Pixels], context: Context) -> list[Pixels]:
        """Returns the noisy images, clipped and rounded to 8 bit."""
        return [self._one(pixels, seed) for pixels, seed in zip(images, context.seeds, strict=True)]

    def _one(self, pixels: Pixels, seed: int) -> Pixels:
        drawn = np.random.default_rng(seed).standard_normal(pixels.shape) * self.sigma * 255
        return np.rint(np.clip(pixels + drawn, 0, 255)).astype(np.uint8)
