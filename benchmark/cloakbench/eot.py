"""Expectation over countermeasures, for protections that should survive them: blur, resize, noise, JPEG, crop, flip.

A public helper of the submission contract (expectation over transformation, Athalye et al. 2018, arXiv 1707.07397).
Each transform is a differentiable form of a countermeasure, by default with the settings of the suite `mini`.

    step = eot.over(pgd.by_autograd(loss), eot.named("blur+jpeg"), request.generator)
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, pad

from cloakbench.pgd import Step
from cloakbench.streams import Generators
from cloakbench.whitebox import normal


class Transform(Protocol):
    """A differentiable image operation."""

    def __call__(self, images: Tensor, generators: Generators) -> Tensor:
        """Returns images `[B, 3, H, W]` in [0, 1], same sizes, with gradients to `images`."""
        ...


@dataclass(frozen=True, slots=True)
class BlurTransform:
    """A Gaussian of `sigma` pixels on a square window, borders mirrored."""

    kernel: int = 5
    sigma: float = 0.8

    def __call__(self, images: Tensor, generators: Generators) -> Tensor:
        """Returns the blurred images."""
        half, channels = self.kernel // 2, images.shape[1]
        offsets = torch.arange(-half, half + 1, device=images.device)
        window = torch.exp(-(offsets**2) / (2 * self.sigma**2))
        weights = (window / window.sum()).to(images.dtype).expand(channels, 1, 1, -1)
        padded = pad(images, (half, half, half, half), mode="reflect")
        across = conv2d(padded, weights, groups=channels)
        return conv2d(across, weights.transpose(2, 3), groups=channels)


@dataclass(frozen=True, slots=True)
class ResizeTransform:
    """Shrinks the sides to `scale` and enlarges again; bicubic with antialiasing stands for the Lanczos filter."""

    scale: float = 0.5

    def __call__(self, images: Tensor, generators: Generators) -> Tensor:
        """Returns the images after both resizings."""
        height, width = images.shape[-2:]
        small = max(1, round(height * self.scale)), max(1, round(width * self.scale))
        return _resized(_resized(images, small), (height, width))


@dataclass(frozen=True, slots=True)
class NoiseTransform:
    """Adds Gaussian noise of `sigma`, in units of [0, 1] images."""

    sigma: float = 0.05

    def __call__(self, images: Tensor, generators: Generators) -> Tensor:
        """Returns the noisy images."""
        return (images + self.sigma * normal(images, generators)).clamp(0, 1)


@dataclass(frozen=True, slots=True)
class JpegTransform:
    """Saves as JPEG by Pillow; the gradient passes as if nothing had been done (straight-through)."""

    quality: int = 75
    subsampling: int = 2

    def __call__(self, images: Tensor, generators: Generators) -> Tensor:
        """Returns the images as they are read back."""
        levels = (images.detach() * 255).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
        saved = np.stack([self._saved(pixels) for pixels in levels])
        read = torch.from_numpy(saved).permute(0, 3, 1, 2).to(images) / 255
        return images + (read - images).detach()

    def _saved(
        self, pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=self.quality, subsampling=self.subsampling)
        with Image.open(buffer) as image:
            return np.array(image.convert("RGB"), dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class CropTransform:
    """Cuts `margin` of each side off and enlarges the rest, bicubic."""

    margin: float = 0.125

    def __call__(self, images: Tensor, generators: Generators) -> Tensor:
        """Returns the images after both steps."""
        height, width = images.shape[-2:]
        rows, columns = round(height * self.margin), round(width * self.margin)
        return _resized(images[..., rows : height - rows, columns : width - columns], (height, width))


@dataclass(frozen=True, slots=True)
class FlipTransform:
    """Mirrors from left to right."""

    def __call__(self, images: Tensor, generators: Generators) -> Tensor:
        """Returns the mirrored images."""
        return images.flip(-1)


TRANSFORMS: dict[str, Transform] = {
    "blur": BlurTransform(),
    "resize": ResizeTransform(),
    "noise": NoiseTransform(),
    "jpeg": JpegTransform(),
    "crop": CropTransform(),
    "flip": FlipTransform(),
}


def named(names: str) -> tuple[Transform, ...]:
    """Returns the transforms that `+` joins, such as `blur+jpeg`; none for an empty text, all for `all`.

    Raises:
        ValueError: A name is unknown.
    """
    if names == "all":
        return tuple(TRANSFORMS.values())
    chosen = names.split("+") if names else []
    unknown = [name for name in chosen if name not in TRANSFORMS]
    if unknown:
        choices = ", ".join(TRANSFORMS)
        raise ValueError(f"expected transforms of {choices}, joined by +, or all, got {', '.join(unknown)}")
    return tuple(TRANSFORMS[name] for name in chosen)


def over(step: Step, transforms: Sequence[Transform], generators: Generators) -> Step:
    """Returns the step whose value and gradient are means over the images as they are and after each transform.

    Args:
        step: Called once for each of these; gradients are added up, so that memory stays that of one.
        transforms: What the images may meet; with none, `step` itself comes back.
        generators: One CPU generator, or one per image, for transforms that draw noise.
    """
    if not transforms:
        return step

    def averaged(images: Tensor, number: int) -> tuple[Tensor, Tensor]:
        values, gradients = step(images, number)
        for transform in transforms:
            value, gradient = _through(step, transform, images, number, generators)
            values, gradients = values + value, gradients + gradient
        return values / (len(transforms) + 1), gradients / (len(transforms) + 1)

    return averaged


def _through(
    step: Step, transform: Transform, images: Tensor, number: int, generators: Generators
) -> tuple[Tensor, Tensor]:
    """Returns a step's value of the transformed images and its gradient at the images, by the chain rule."""
    inputs = images.detach().requires_grad_()
    with torch.enable_grad():
        transformed = transform(inputs, generators)
    value, towards = step(transformed.detach(), number)
    (gradient,) = torch.autograd.grad(transformed, inputs, towards)
    return value, gradient


def _resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    return interpolate(images, size, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
