"""Pictures and changed copies of them, for tests of metrics that compare images."""

from __future__ import annotations

import numpy as np
import tiny

from cloakbench.images import Pixels


def noisy(pixels: Pixels, levels: int, seed: int = 0) -> Pixels:
    """The picture with independent uniform noise of up to `levels` on every value."""
    moved = np.random.default_rng(seed).integers(-levels, levels, pixels.shape, endpoint=True)
    return np.clip(pixels + moved, 0, 255).astype(np.uint8)


PAIRS = [
    (tiny.picture(0), noisy(tiny.picture(0), 4)),
    (tiny.picture(1), noisy(tiny.picture(1), 40)),
    (tiny.picture(2, 96, 130), noisy(tiny.picture(2, 96, 130), 16)),
    (tiny.picture(3), np.roll(tiny.picture(3), 2, axis=0)),
]
"""Originals and what became of them: faint noise, strong noise, another size, moved."""
LARGE = [(tiny.picture(n, 176, 184), noisy(tiny.picture(n, 176, 184), 3 + 9 * n, n)) for n in range(4)]
"""Pairs of one size that every metric's windows fit into."""
