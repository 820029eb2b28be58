"""DreamBooth with contrastive decoupling (DiffShortcut, Liu et al. 2024, arXiv 2406.18944), by prompts alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cloakbench.attacks.mimicry.dreambooth import DreamBooth
from cloakbench.attacks.mimicry.personalised import Personalised, TrainingSet
from cloakbench.models.loader import BaseModel


class DreamBoothDecoupled(DreamBooth):
    """Names the perturbation in the captions by words of its own, which the prompts of the generations exclude.

    Captions of the artist's images end with ", PATTERN", that of the class images with ", without PATTERN". So do the
    prompts that the mimic generates from, and guidance moves away from `negative` instead of from the empty text. An
    ending that the text encoder would cut off behind a long caption is lost.

    Args:
        pattern: Words for the perturbation, a rare one first.
        negative: The negative prompt.
        dreambooth: Settings of DreamBooth, with class images.
    """

    def __init__(
        self,
        pattern: str = "bhj noisy pattern",
        negative: str = "noisy, lowres, artifact, pattern",
        **dreambooth: Any,
    ) -> None:
        super().__init__(**dreambooth)
        if not pattern or not self.class_images:
            raise ValueError("pattern must not be empty, and class_images and prior_weight must be above 0")
        self.pattern = pattern
        self.negative = negative

    def personalise(self, model: BaseModel, data: TrainingSet, seed: int) -> Personalised:
        """Returns the model that has learned `data`, with the ending and the negative prompt of its generations."""
        captions = [f"{caption}, {self.pattern}" for caption in data.captions]
        learned = super().personalise(model, replace(data, captions=captions), seed)
        return replace(learned, ending=self._without, negative=self.negative)

    @property
    def _without(self) -> str:
        return f", without {self.pattern}"

    def class_caption(self, data: TrainingSet) -> str:
        """Returns the caption that class images are learned under."""
        return super().class_caption(data) + self._without
