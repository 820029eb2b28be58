"""JPEG compression by Pillow."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from cloakbench.attacks.countermeasures.per_image import PerImage
from cloakbench.images import Pixels


@dataclass(frozen=True, slots=True)
class Jpeg(PerImage):
    """Saves as JPEG and reads back; `subsampling` 0 is 4:4:4, 2 is 4:2:0."""

    quality: int
    subsampling: int = 2

    def __post_init__(self) -> None:
        if not 1 <= self.quality <= 100 or self.subsampling not in (0, 1, 2):
            raise ValueError("quality must be 1 to 100 and subsampling 0, 1 or 2")

    def clean(self, pixels: Pixels) -> Pixels:
        """Returns the image after compression, same size."""
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=self.quality, subsampling=self.subsampling)
        with Image.open(buffer) as image:
            return np.array(image.convert("RGB"), dtype=np.uint8)
