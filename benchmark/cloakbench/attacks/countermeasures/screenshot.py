"""A picture taken of the screen that shows the image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from cloakbench.attacks.countermeasures.jpeg import Jpeg
from cloakbench.attacks.countermeasures.per_image import PerImage
from cloakbench.images import Pixels


@dataclass(frozen=True, slots=True)
class Screenshot(PerImage):
    """Shows the image at `scale`, shifts its colours, saves it as JPEG, and enlarges it to its own size.

    The shift is that of a screen set a little too warm: red rises by `warmth` levels of 255, blue falls by as many.
    """

    scale: float = 0.8
    quality: int = 90
    warmth: int = 2

    def __post_init__(self) -> None:
        if not 0 < self.scale <= 1 or not 1 <= self.quality <= 100 or not 0 <= self.warmth <= 255:
            raise ValueError("scale must lie in (0, 1], quality be 1 to 100 and warmth 0 to 255 levels")

    def clean(self, pixels: Pixels) -> Pixels:
        """Returns the image as the screenshot has it, same size."""
        saved = Jpeg(self.quality).clean(self._shown(pixels))
        return _resized(saved, pixels.shape)

    def _shown(self, pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        small = _resized(pixels, (max(1, round(height * self.scale)), max(1, round(width * self.scale))))
        shifted = small.astype(np.int16) + np.array([self.warmth, 0, -self.warmth], np.int16)
        return np.clip(shifted, 0, 255).astype(np.uint8)


def _resized(pixels: Pixels, shape: tuple[int, ...]) -> Pixels:
    """Returns an image at a height and width, by Pillow's bilinear filter, as screens and viewers scale."""
    image = Image.fromarray(pixels).resize((shape[1], shape[0]), Image.Resampling.BILINEAR)
    return np.array(image, dtype=np.uint8)
