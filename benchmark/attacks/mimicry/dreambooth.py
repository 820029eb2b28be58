"""DreamBooth (Ruiz et al. 2023, arXiv 2208.12242): the whole denoiser is fine-tuned."""

from __future__ import annotations

import copy

from benchmark.attacks.mimicry.finetune import Personalised, Recipe, TrainingSet, finetune
from benchmark.models.loader import BaseModel


class DreamBooth:
    """Fine-tunes every weight of the denoiser; the text encoder stays frozen, no prior preservation."""

    def __init__(self, steps: int, batch: int, learning_rate: float, average: float = 0.0) -> None:
        self.recipe = Recipe(steps, batch, learning_rate, average)

    def personalise(self, model: BaseModel, data: TrainingSet, seed: int) -> Personalised:
        """Returns a copy of the model's denoiser that has learned `data`."""
        unet = copy.deepcopy(model.unet).train().requires_grad_(True)
        losses = finetune(model, unet, data, self.recipe, seed)
        return Personalised(unet.eval().requires_grad_(False), losses)
