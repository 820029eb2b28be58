"""The consistency term (IMPRESS, Cao et al. 2023, arXiv 2310.19248, section 5.4), and two ways to join it to an attack.

IMPRESS purifies an image by making the autoencoder reproduce it. A protection that keeps `x' - D(E(x'))` small as well
leaves it less to repair.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from cloakbench import Surrogate, pgd, whitebox

Loss = Callable[[Tensor, Tensor], Tensor]
"""Images `[B, 3, H, W]` in [0, 1] and their latents `[B, C, h, w]` -> value to lower `[B]`."""


def unreproduced(images: Tensor, latents: Tensor, surrogate: Surrogate) -> Tensor:
    """Returns `x' - D(E(x'))` `[B, 3, H, W]` for images x' in [-1, 1]; given are those in [0, 1] and E(x')."""
    return 2 * (images - whitebox.decode(surrogate, latents))


def joined(attack: Loss, mend: Loss, surrogate: Surrogate, weight: float, *, orthogonal: bool) -> pgd.Step:
    """Returns the step of `attack + weight * mend`.

    With `orthogonal` its gradient is the attack's plus `weight` times the part of the other that is orthogonal to it,
    image by image: to first order, mending then takes nothing from the attack. (After the orthogonal projection of
    Bryniarski et al. 2021, arXiv 2106.15023.)
    """

    def step(images: Tensor, _number: int) -> tuple[Tensor, Tensor]:
        images = images.detach().requires_grad_()
        with torch.enable_grad():
            latents = whitebox.latent_means(surrogate, images)
            attacked, mended = attack(images, latents), mend(images, latents)
            value = attacked + weight * mended
            if not orthogonal:
                (gradient,) = torch.autograd.grad(value.sum(), images)
                return value.detach(), gradient
            (towards,) = torch.autograd.grad(attacked.sum(), images, retain_graph=True)
            (mending,) = torch.autograd.grad(mended.sum(), images)
        return value.detach(), towards + weight * across(mending, towards)

    return step


def across(vectors: Tensor, axes: Tensor) -> Tensor:
    """Returns the part of each vector `[B, ...]` that is orthogonal to its axis; all of it where the axis is 0."""
    flat, axis = vectors.flatten(1), torch.nn.functional.normalize(axes.flatten(1), dim=1)
    return (flat - (flat * axis).sum(1, keepdim=True) * axis).view_as(vectors)
