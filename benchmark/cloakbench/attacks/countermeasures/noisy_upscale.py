"""Noisy upscaling (Hönig et al. 2024, arXiv 2406.12027): add noise, remove it by a diffusion model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cloakbench import progress
from cloakbench.attacks.context import Context
from cloakbench.attacks.countermeasures.diffpure import in_pixels
from cloakbench.attacks.countermeasures.framing import at_rows, in_frames
from cloakbench.attacks.countermeasures.noise import Noise
from cloakbench.attacks.mimicry import sampling
from cloakbench.images import Pixels, quantise, to_tensor
from cloakbench.models import upscalers
from cloakbench.schemas.suite import Diffusing

Removal = Callable[[Sequence[Pixels], Context], list[Pixels]]
"""Takes the noise off images and returns them in the same sizes, each from its own seed."""


class NoisyUpscale:
    """Adds Gaussian noise of `sigma` (of a [0, 1] image), then removes noise from each image under its caption.

    By the diffusion upscaler `upscaler` where one is named, the result shrunk to the image's size: it is told that the
    noise is of `noise_level`, and adds some of `added_level` itself, of the level told where none is named. By the
    denoiser of pixels `purifier` where that is named: it denoises the image shrunk to `scale` of its sides, which is
    then enlarged; no caption plays a part. Else by image-to-image of `model`. The last two noise to `strength` of the
    schedule.
    """

    def __init__(
        self,
        sigma: float,
        steps: int,
        guidance: float = 1.0,
        model: str = "",
        strength: float = 0.0,
        scheduler: str = "dpm++",
        upscaler: str = "",
        noise_level: int = 20,
        added_level: int | None = None,
        purifier: str = "",
        scale: float = 1.0,
    ) -> None:
        if sum(map(bool, (model, upscaler, purifier))) != 1:
            raise ValueError("one of model, upscaler and purifier must name a model")
        if not 0 < scale <= 1:
            raise ValueError("scale must be above 0 and at most 1")
        added = noise_level if added_level is None else added_level
        if min(noise_level, added) < 0:
            raise ValueError("noise_level and added_level must be at least 0")
        self.noise = Noise(sigma)
        # The upscaler starts from nothing but noise, as at full strength.
        settings = sampling.redrawing(1.0 if upscaler else strength, steps, guidance, scheduler)
        if upscaler:
            self.remove: Removal = partial(_by_upscaler, upscaler, noise_level, added, settings)
        elif purifier:
            self.remove = partial(_by_purifier, purifier, scale, strength, settings)
        else:
            self.remove = partial(_by_model, model, strength, settings)

    def apply(self, images: Sequence[Pixels], context: Context) -> list[Pixels]:
        """Returns the images after both, same sizes, each from its own seed."""
        return self.remove(self.noise.apply(images, context), context)


def _by_upscaler(
    name: str, noise_level: int, added_level: int, settings: Diffusing, noisy: Sequence[Pixels], context: Context
) -> list[Pixels]:
    pipe = upscalers.adding(upscalers.load(name, context.device, context.dtype), added_level)

    def upscale(pixels: Pixels, caption: str, seed: int) -> Pixels:
        result: Any = pipe(
            prompt=[caption],
            image=to_tensor([pixels]),
            num_inference_steps=settings.steps,
            guidance_scale=settings.guidance,
            noise_level=noise_level,
            generator=torch.Generator().manual_seed(seed),
            output_type="pt",
        )
        [large] = quantise(result.images)
        height, width = pixels.shape[:2]
        return _resized(large, width, height)

    rows = zip(noisy, context.captions, context.seeds, strict=True)
    return [upscale(*row) for row in progress.track(rows, len(noisy), "images")]


def _by_purifier(
    name: str, scale: float, strength: float, settings: Diffusing, noisy: Sequence[Pixels], context: Context
) -> list[Pixels]:
    small = []
    for pixels in noisy:
        height, width = pixels.shape[:2]
        small.append(_resized(pixels, max(1, round(width * scale)), max(1, round(height * scale))))
    denoised = in_pixels(name, small, context, strength, settings.steps)
    sizes = [(pixels.shape[1], pixels.shape[0]) for pixels in noisy]
    return [_resized(pixels, *size) for pixels, size in zip(denoised, sizes, strict=True)]


def _by_model(
    name: str, strength: float, settings: Diffusing, noisy: Sequence[Pixels], context: Context
) -> list[Pixels]:
    model = context.load(name)

    def redraw(batch: Tensor, rows: list[int]) -> list[Pixels]:
        captions, seeds = at_rows(context.captions, rows), at_rows(context.seeds, rows)
        return sampling.image_to_image(model, batch, captions, seeds, settings, strength)

    return in_frames(noisy, model.divisor, context.pixels_at_once, redraw)


def _resized(pixels: Pixels, width: int, height: int) -> Pixels:
    return np.array(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS), dtype=np.uint8)
