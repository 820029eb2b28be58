"""What a stage of an attack may use beside the images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from cloakbench.images import Pixels
from cloakbench.models.loader import BaseModel

PIXELS_AT_ONCE = 2**19
"""32 images of 128 x 128, 2 of 512 x 512."""


@dataclass(frozen=True, slots=True)
class Context:
    """A countermeasure's circumstances: one seed and one caption an image, models by alias, a perceptual distance.

    `perceptual(x, y)` takes two tensors `[B, 3, H, W]` in [0, 1] and returns a differentiable distance `[B]`. `device`
    and `dtype` are those that models other than `load`'s are to run in. `pixels_at_once` bounds how many images a model
    computes together, at least one: memory follows it, results and keys do not.
    """

    seeds: Sequence[int]
    captions: Sequence[str]
    load: Callable[[str], BaseModel]
    perceptual: Callable[[Tensor, Tensor], Tensor]
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    dtype: torch.dtype = torch.float32
    pixels_at_once: int = PIXELS_AT_ONCE


class Countermeasure(Protocol):
    """What the mimic does to clean the images."""

    def apply(self, images: Sequence[Pixels], context: Context) -> list[Pixels]:
        """Returns the cleaned images, same sizes; an image's result depends on no other image."""
        ...
