"""Purification by diffusion (DiffPure, Nie et al. 2022, arXiv 2205.07460): in pixels, or in the base model's latent."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from cloakbench.attacks.context import Context
from cloakbench.attacks.countermeasures.framing import at_rows, in_frames
from cloakbench.attacks.mimicry import sampling
from cloakbench.images import Pixels, quantise
from cloakbench.models import purifiers


class DiffPure:
    """Noises each image to `strength` of the schedule and denoises it, in `strength` of `steps` steps.

    In pixels by the denoiser `purifier` where one is named, as in the paper. Else in the latent of `model`, under a
    neutral `prompt` without guidance.
    """

    def __init__(
        self,
        strength: float,
        steps: int,
        model: str = "",
        prompt: str = "",
        scheduler: str = "dpm++",
        purifier: str = "",
    ) -> None:
        if bool(model) == bool(purifier):
            raise ValueError("one of model and purifier must name a model")
        self.model = model
        self.purifier = purifier
        self.strength = strength
        self.prompt = prompt
        self.settings = sampling.redrawing(strength, steps, 1.0, scheduler)

    def apply(self, images: Sequence[Pixels], context: Context) -> list[Pixels]:
        """Returns the purified images, same sizes, each from its own seed."""
        if self.purifier:
            return in_pixels(self.purifier, images, context, self.strength, self.settings.steps)
        model = context.load(self.model)

        def purify(batch: Tensor, rows: list[int]) -> list[Pixels]:
            seeds = at_rows(context.seeds, rows)
            prompts = [self.prompt] * len(rows)
            return sampling.image_to_image(model, batch, prompts, seeds, self.settings, self.strength)

        return in_frames(images, model.divisor, context.pixels_at_once, purify)


def in_pixels(name: str, images: Sequence[Pixels], context: Context, strength: float, steps: int) -> list[Pixels]:
    """Returns the images noised and denoised by the denoiser of pixels `name`, same sizes, each from its own seed."""
    purifier = purifiers.load(name, context.device, context.dtype)

    def purify(batch: Tensor, rows: list[int]) -> list[Pixels]:
        return quantise(purifier.redraw(batch, at_rows(context.seeds, rows), strength, steps))

    return in_frames(images, purifier.divisor, context.pixels_at_once, purify)
