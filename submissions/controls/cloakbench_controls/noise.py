"""Noise in whole 8-bit levels: the paired noise floor, and the protections' budget without their intelligence."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from cloakbench import Protection, Request


class Placebo(Protection):
    """Each value moves by -1, 0 or +1 level, with equal chances, whatever the strength.

    Invisible and aimless: how far results move under it is how far they move for no reason.
    """

    title = "Placebo (noise of 1/255)"
    licence = "Apache-2.0"
    control: ClassVar[str] = "placebo"

    def protect(self, images: Tensor, request: Request) -> Tensor:
        """Returns the images with noise of one level, clipped to [0, 1]."""
        return _add(images, _draw(images, (-1, 0, 1), request.generator))


class RandomNoise(Protection):
    """Each value moves by the whole budget, up or down with equal chances."""

    title = "Random noise"
    licence = "Apache-2.0"
    control: ClassVar[str] = "random-noise"

    def protect(self, images: Tensor, request: Request) -> Tensor:
        """Returns the images with sign noise of as many whole levels as the budget holds, clipped to [0, 1]."""
        levels = math.floor(request.epsilon * 255 + 1e-6)  # 1e-6: 16 / 255 * 255 may come out below 16
        return _add(images, _draw(images, (-levels, levels), request.generator))


def _draw(images: Tensor, choices: tuple[int, ...], generator: torch.Generator) -> Tensor:
    # Image by image, so that an image's noise does not depend on how many follow it.
    draws = [torch.randint(len(choices), image.shape, generator=generator) for image in images]
    return torch.tensor(choices)[torch.stack(draws)]


def _add(images: Tensor, levels: Tensor) -> Tensor:
    return (images + levels.to(images) / 255).clamp(0, 1)
