"""Down and up again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from cloakbench.attacks.countermeasures.per_image import PerImage
from cloakbench.images import Pixels

FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


@dataclass(frozen=True, slots=True)
class Resize(PerImage):
    """Shrinks each side to `scale` of it and back by Pillow, whose filters widen with the shrinking (antialiasing)."""

    scale: float
    filter: str = "lanczos"

    def __post_init__(self) -> None:
        if not 0 < self.scale < 1:
            raise ValueError("scale must lie between 0 and 1")
        if self.filter not in FILTERS:
            raise ValueError(f"filter must be one of {', '.join(FILTERS)}")

    def clean(self, pixels: Pixels) -> Pixels:
        """Returns the image after both resizings, same size."""
        height, width = pixels.shape[:2]
        small = (max(1, round(width * self.scale)), max(1, round(height * self.scale)))
        chosen = FILTERS[self.filter]
        image = Image.fromarray(pixels).resize(small, chosen).resize((width, height), chosen)
        return np.array(image, dtype=np.uint8)
