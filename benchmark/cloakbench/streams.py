"""Where noise comes from: one CPU generator for all images in turn, or a stream for each image."""

from __future__ import annotations

from collections.abc import Sequence

import torch

Generators = torch.Generator | Sequence[torch.Generator]
"""One CPU generator for all items in turn, or one per item."""


def streams(generator: torch.Generator, count: int) -> list[torch.Generator]:
    """Returns one CPU generator per image, seeded from `generator`, for objectives that draw noise at every step.

    An image's noise then depends neither on how many images follow it nor on how many go through the model at once.
    """
    return seeded([int(torch.randint(2**62, (), generator=generator)) for _ in range(count)])


def seeded(seeds: Sequence[int]) -> list[torch.Generator]:
    """Returns one CPU generator per seed."""
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def per_item(generators: Generators, count: int) -> Sequence[torch.Generator]:
    """Returns a generator for each of `count` items: the same one for all, or their own."""
    return [generators] * count if isinstance(generators, torch.Generator) else generators
