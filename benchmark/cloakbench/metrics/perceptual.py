"""The perceptual distance that a suite names: protections get it with the surrogate, IMPRESS optimises under it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import torch
from torch import Tensor

from cloakbench.metrics import catalogue, weights
from cloakbench.models import loader, registry

EMBEDDED = "mini-lpips"
"""The distance that the package ships."""


def distance(name: str, device: torch.device | str) -> Callable[[Tensor, Tensor], Tensor]:
    """Returns a differentiable distance `[B]` of two tensors `[B, 3, H, W]` in [0, 1].

    Args:
        name: A distance that a suite may name: `mini-lpips`, `lpips-vgg` or `lpips-alex`.
        device: Where it is computed; published networks follow their inputs.

    Raises:
        UserError: For an unknown name, and where the weights are missing.
    """
    weights.require([name])
    if name == EMBEDDED:
        return loader.mini_lpips(device)
    measure: Callable[[Tensor, Tensor], Tensor] = catalogue.entry(name).function()
    return measure


def digest(name: str) -> str:
    """Returns the SHA-256 that identifies a distance in keys: of its weights, whether they are here or not."""
    if name == EMBEDDED:
        return registry.file_digest(registry.weights("mini-lpips.safetensors"))
    named = [f"{file} {identity}\n" for file, identity in weights.digests([name]).items()]
    return hashlib.sha256("".join([f"{name}\n", *named]).encode()).hexdigest()
