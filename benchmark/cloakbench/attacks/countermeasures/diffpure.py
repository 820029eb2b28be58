"""Purification by diffusion (DiffPure, Nie et al. 2022, arXiv 2205.07460), here in the latent of the base model."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from cloakbench.attacks.context import Context
from cloakbench.attacks.countermeasures.framing import at_rows, in_frames
from cloakbench.attacks.mimicry import sampling
from cloakbench.images import Pixels


class DiffPure:
    """Noises the latent to `strength` of the schedule and denoises it under a neutral `prompt`, without guidance."""

    def __init__(self, model: str, strength: float, steps: int, prompt: str, scheduler: str = "dpm++") -> None:
        if not model:
            raise ValueError("model must name a model")
        self.model = model
        self.strength = strength
        self.prompt = prompt
        self.settings = sampling.redrawing(strength, steps, 1.0, scheduler)

    def apply(self, images: Sequence[Pixels], context: Context) -> list[Pixels]:
        """Returns the purified images, same sizes, each from its own seed."""
        model = context.load(self.model)

        def purify(batch: Tensor, rows: list[int]) -> list[Pixels]:
            seeds = at_rows(context.seeds, rows)
            prompts = [self.prompt] * len(rows)
            return sampling.image_to_image(model, batch, prompts, seeds, self.settings, self.strength)

        return in_frames(images, model.divisor, context.pixels_at_once, purify)
