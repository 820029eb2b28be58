"""What a perturbation costs the eye: the perceptual map's norm and the constraint bank. All size-free, `[B]`."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F


def masked_norm(delta: Tensor, mask: Tensor) -> Tensor:
    """Returns the root mean square of `M delta`, in units of the images."""
    return _root_mean_square(mask * delta)


def masked_distance(
    images: Tensor, delta: Tensor, mask: Tensor, perceptual: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """Returns the perceptual distance between the images and the images plus `M delta`."""
    return perceptual(images, images + mask * delta)


def masked_low_pass(delta: Tensor, mask: Tensor) -> Tensor:
    """Returns the root mean square of `M phi(delta)`; phi keeps the low band of one level of the Haar wavelet.

    With Haar, that is the mean of each 2x2 block, at its four pixels; phi is linear, so that of the difference.
    """
    low = F.avg_pool2d(delta, 2).repeat_interleave(2, -2).repeat_interleave(2, -1)
    return _root_mean_square(mask * low)


def _root_mean_square(values: Tensor) -> Tensor:
    # 1e-12: the root has no gradient at 0, where a descent from zero starts
    return (values.square().flatten(1).mean(1) + 1e-12).sqrt()
