"""What a gallery on the web makes of an upload: a publication size and a lossy format."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from cloakbench.attacks.countermeasures.per_image import PerImage
from cloakbench.images import Pixels

FORMATS = ("JPEG", "WEBP")


@dataclass(frozen=True, slots=True)
class Web(PerImage):
    """Shrinks the longer side to `side` pixels, saves as JPEG or WebP, and enlarges to the image's own size.

    Images whose longer side is no longer than `side` keep their size. Resizing is by Pillow's Lanczos filter.
    """

    side: int
    quality: int = 80
    format: str = "WEBP"

    def __post_init__(self) -> None:
        if self.side < 1 or not 1 <= self.quality <= 100 or self.format not in FORMATS:
            raise ValueError(f"side must be at least 1, quality 1 to 100 and format one of {', '.join(FORMATS)}")

    def clean(self, pixels: Pixels) -> Pixels:
        """Returns the image as a visitor of the gallery saves it, same size."""
        image = Image.fromarray(pixels)
        scale = min(1.0, self.side / max(image.size))
        small = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        buffer = io.BytesIO()
        image.resize(small, Image.Resampling.LANCZOS).save(buffer, self.format, quality=self.quality)
        with Image.open(buffer) as saved:
            enlarged = saved.convert("RGB").resize(image.size, Image.Resampling.LANCZOS)
            return np.array(enlarged, dtype=np.uint8)
