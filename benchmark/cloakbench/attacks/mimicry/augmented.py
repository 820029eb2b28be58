"""DreamBooth on images that are blurred and mirrored while it trains (the attack that MetaCloak is built against)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from cloakbench.attacks.mimicry.dreambooth import DreamBooth
from cloakbench.attacks.mimicry.personalised import Personalised, TrainingSet
from cloakbench.models.loader import BaseModel
from cloakbench.streams import streams


class DreamBoothAugmented(DreamBooth):
    """Trains on `copies` of each image, each blurred by a Gaussian and mirrored at random (Liu et al. 2024, MetaCloak).

    Latents are encoded once, so that an image has as many variants as copies, not one per step.

    Args:
        copies: Variants of each image.
        kernel: Side of the Gaussian's window in pixels, odd.
        sigma_low: Least deviation of the Gaussian in pixels.
        sigma_high: Largest one; each copy draws its own uniformly.
        flip: Probability that a copy is mirrored from left to right.
        dreambooth: Settings of DreamBooth.
    """

    def __init__(
        self,
        copies: int,
        kernel: int = 7,
        sigma_low: float = 0.1,
        sigma_high: float = 2.0,
        flip: float = 0.5,
        **dreambooth: Any,
    ) -> None:
        super().__init__(**dreambooth)
        if copies < 1 or kernel % 2 == 0 or kernel < 3:
            raise ValueError("copies must be at least 1, kernel odd and at least 3")
        if not 0 < sigma_low <= sigma_high or not 0 <= flip <= 1:
            raise ValueError("expected 0 < sigma_low <= sigma_high and flip in [0, 1]")
        self.copies = copies
        self.kernel = kernel
        self.sigmas = (sigma_low, sigma_high)
        self.flip = flip

    def personalise(self, model: BaseModel, data: TrainingSet, seed: int) -> Personalised:
        """Returns the model with copies of its trained parts that have learned the variants of `data`."""
        (generator,) = streams(torch.Generator().manual_seed(seed), 1)
        variants = [self.augment(data.images, generator) for _ in range(self.copies)]
        captions = list(data.captions) * self.copies
        return super().personalise(model, replace(data, images=torch.cat(variants), captions=captions), seed)

    def augment(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Returns a variant of each image `[N, 3, H, W]`: blurred with a drawn sigma, and mirrored or not."""
        low, high = self.sigmas
        sigmas = low + (high - low) * torch.rand(len(images), generator=generator)
        mirrored = torch.rand(len(images), generator=generator) < self.flip
        blurred = [gaussian(image, self.kernel, float(sigma)) for image, sigma in zip(images, sigmas, strict=True)]
        variants = torch.stack(blurred)
        return torch.where(mirrored.view(-1, 1, 1, 1).to(images.device), variants.flip(-1), variants)


def gaussian(image: Tensor, kernel: int, sigma: float) -> Tensor:
    """Returns an image `[3, H, W]` after a Gaussian of `sigma` pixels on a square window, borders mirrored."""
    half = kernel // 2
    offsets = torch.arange(-half, half + 1, device=image.device)
    window = torch.exp(-(offsets**2) / (2 * sigma**2))
    weights = (window / window.sum()).to(image.dtype)
    padded = F.pad(image[:, None], (half, half, half, half), mode="reflect")
    across = F.conv2d(padded, weights.view(1, 1, 1, -1))
    return F.conv2d(across, weights.view(1, 1, -1, 1))[:, 0]
