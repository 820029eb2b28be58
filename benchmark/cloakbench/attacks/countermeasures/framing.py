"""Images of any sizes for models that want sides of a certain multiple."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from torch import Tensor

from cloakbench import progress
from cloakbench.images import Pixels, to_tensor
from cloakbench.system.memory import at_once as together

T = TypeVar("T")


def in_frames(
    images: Sequence[Pixels], multiple: int, at_once: int, clean: Callable[[Tensor, list[int]], list[Pixels]]
) -> list[Pixels]:
    """Returns each image after `clean`, at its own size.

    `clean` gets images `[B, 3, H, W]` in [0, 1], mirrored at the right and below to sides that `multiple` divides, and
    which ones of `images` they are; it returns them in 8 bit. Only images of one size come together, of no more than
    `at_once` pixels in all, or one alone.
    """
    framed = [_framed(pixels, multiple) for pixels in images]
    rows_by_shape: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for row, pixels in enumerate(framed):
        rows_by_shape[pixels.shape].append(row)
    parts: list[list[int]] = []
    for shape, rows in sorted(rows_by_shape.items()):
        count = together(at_once // (shape[0] * shape[1]), len(rows))
        for at in range(0, len(rows), count):
            parts.append(rows[at : at + count])
    cleaned: dict[int, Pixels] = {}
    for part in progress.track(parts, len(parts), "groups of images"):
        images_out = clean(to_tensor(at_rows(framed, part)), part)
        cleaned |= dict(zip(part, images_out, strict=True))
    return [cleaned[row][: pixels.shape[0], : pixels.shape[1]] for row, pixels in enumerate(images)]


def at_rows(values: Sequence[T], rows: Sequence[int]) -> list[T]:
    """Returns the values at some positions, in the order of `rows`."""
    return [values[row] for row in rows]


def _framed(pixels: Pixels, multiple: int) -> Pixels:
    height, width = pixels.shape[:2]
    return np.pad(pixels, [(0, -height % multiple), (0, -width % multiple), (0, 0)], mode="reflect")
