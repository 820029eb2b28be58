"""Images of any sizes for models that want sides of a certain multiple."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from cloakbench.images import Pixels, to_tensor
from cloakbench.system.memory import at_once as together


def in_frames(
    images: Sequence[Pixels], multiple: int, at_once: int, clean: Callable[[Tensor, list[int]], list[Pixels]]
) -> list[Pixels]:
    """Returns each image after `clean`, at its own size.

    `clean` gets images `[B, 3, H, W]` in [0, 1], mirrored at the right and below to sides that `multiple` divides, and
    which ones of `images` they are; it returns them in 8 bit. Only images of one size come together, of no more than
    `at_once` pixels in all, or one alone.
    """
    framed = [_framed(pixels, multiple) for pixels in images]
    cleaned: dict[int, Pixels] = {}
    for shape in sorted({pixels.shape for pixels in framed}):
        rows = [n for n, pixels in enumerate(framed) if pixels.shape == shape]
        count = together(at_once // (shape[0] * shape[1]), len(rows))
        for at in range(0, len(rows), count):
            part = rows[at : at + count]
            cleaned |= dict(zip(part, clean(to_tensor([framed[n] for n in part]), part), strict=True))
    return [cleaned[n][: pixels.shape[0], : pixels.shape[1]] for n, pixels in enumerate(images)]


def _framed(pixels: Pixels, multiple: int) -> Pixels:
    lacking = [(0, -side % multiple) for side in pixels.shape[:2]]
    return np.pad(pixels, [*lacking, (0, 0)], mode="reflect")
