"""JPEG compression by Pillow."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from cloakbench.attacks.context import Context
from cloakbench.images import Pixels


@dataclass(frozen=True, slots=True)
class Jpeg:
    """Saves as JPEG and reads back; `subsampling` 0 is 4:4:4, 2 is 4:2:0."""

    quality: int
    subsampling: int = 2

    def __post_init__(self) -> None:
        if not 1 <= self.quality <= 100 or self.subsampling not in (0, 1, 2):
            raise ValueError("quality must be 1 to 100 and subsampling 0, 1 or 2")

    def apply(self, images: Sequence[Pixels], _context: Context) -> list[Pixels]:
        """Returns the images after compression, same sizes."""
        return [self._one(pixels) for pixels in images]

    def _one(self, pixels: Pixels) -> Pixels:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=self.quality, subsampling=self.subsampling)
        with Image.open(buffer) as image:
            return np.array(image.convert("RGB"), dtype=np.uint8)
