"""The inputs of an attack's stages in addition to the images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from cloakbench.images import Pixels
from cloakbench.models.loader import BaseModel

PIXELS_AT_ONCE = 2**19
"""32 images of 128 x 128, 2 of 512 x 512."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Images of others before and after the protection that the mimic faces; equal to itself alone."""

    clean: Sequence[Pixels]
    protected: Sequence[Pixels]


@dataclass(frozen=True, slots=True)
class Context:
    """A countermeasure's further inputs: a seed and a caption per image, models by alias, a perceptual distance.

    `perceptual(x, y)` takes two tensors `[B, 3, H, W]` in [0, 1] and returns a differentiable distance `[B]`. `device`
    and `dtype` are those that models other than `load`'s are to run in. `pixels_at_once` bounds how many images a model
    computes together, at least one: memory follows it, results and keys do not. `originals` are the artist's images
    without protection, in the order of the images: only stages whose knowledge is "clean images" get them. `others` are
    clean images by other artists, for stages that need some: a run has those of its development artists. `pairs` runs
    the protection on these; stages whose knowledge is "pairs" get it.
    """

    seeds: Sequence[int]
    captions: Sequence[str]
    load: Callable[[str], BaseModel]
    perceptual: Callable[[Tensor, Tensor], Tensor]
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    dtype: torch.dtype = torch.float32
    pixels_at_once: int = PIXELS_AT_ONCE
    originals: Sequence[Pixels] = ()
    others: Sequence[Pixels] = ()
    pairs: Callable[[], Pairs] | None = None


class CountermeasureStage(Protocol):
    """What the mimic does to clean the images."""

    def apply(self, images: Sequence[Pixels], context: Context) -> list[Pixels]:
        """Returns the cleaned images, same sizes.

        An image's result depends on no other image, but in stages that work on the artist's whole set.
        """
        ...


@runtime_checkable
class Detector(Protocol):
    """A countermeasure that can tell protected images from clean ones."""

    def detect(self, images: Sequence[Pixels], context: Context) -> list[float]:
        """Returns a score per image, higher where it looks protected."""
        ...
