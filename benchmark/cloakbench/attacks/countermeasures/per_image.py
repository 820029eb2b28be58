"""Countermeasures that clean each image by itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from cloakbench import progress
from cloakbench.attacks.context import Context
from cloakbench.images import Pixels


class PerImage(ABC):
    """A countermeasure whose result for an image depends on that image and its own settings alone."""

    __slots__ = ()

    def apply(self, images: Sequence[Pixels], _context: Context) -> list[Pixels]:
        """Returns the cleaned images, same sizes."""
        return [self.clean(pixels) for pixels in progress.track(images, len(images), "images")]

    @abstractmethod
    def clean(self, pixels: Pixels) -> Pixels:
        """Returns one cleaned image `[H, W, 3]` in 8 bit, same size."""
