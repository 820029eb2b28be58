"""Image-to-image editing (Meng et al. 2022, arXiv 2108.01073): PhotoGuard's task (Salman et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence

from cloakbench.attacks.mimicry import sampling
from cloakbench.images import Pixels, to_tensor
from cloakbench.models.loader import BaseModel


class Edit:
    """Noises each image to `strength` of the schedule and denoises it under the prompt of the edit."""

    def __init__(self, strength: float, steps: int, guidance: float, scheduler: str = "dpm++") -> None:
        self.strength = strength
        self.settings = sampling.redrawing(strength, steps, guidance, scheduler)

    def apply(
        self,
        model: BaseModel,
        images: Sequence[Pixels],
        prompts: Sequence[str],
        seeds: Sequence[int],
        _masks: Sequence[Pixels] = (),
    ) -> list[Pixels]:
        """Returns the edit of each image under its prompt, from its own seed."""
        return sampling.image_to_image(model, to_tensor(images), prompts, seeds, self.settings, self.strength)
