"""What a perturbation costs the eye: the perceptual map's norm and the constraint bank. All size-free, `[B]`."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

from cloakbench.contract import ClipModel

GOOD_PROMPT = "Noise-free image"
"""The text that the CLIP term pulls images towards (the paper)."""


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


def towards_noise_free(clip: ClipModel) -> Callable[[Tensor], Tensor]:
    """Returns the CLIP term: images `[B, 3, H, W]` in [0, 1] -> minus the cosine to the text, `[B]`.

    The paper writes of maximising a distance to the good prompt, which agrees with its aim only where "distance" is the
    cosine; its variants with a bad prompt as well do about as well.
    """
    text = clip.encode_texts([GOOD_PROMPT])

    def value(images: Tensor) -> Tensor:
        return -(clip.encode_images(images) * text.to(images.device)).sum(1)

    return value


def _root_mean_square(values: Tensor) -> Tensor:
    # 1e-12: the root has no gradient at 0, where a descent from zero starts
    return (values.square().flatten(1).mean(1) + 1e-12).sqrt()
