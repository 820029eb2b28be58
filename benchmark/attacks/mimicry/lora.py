"""LoRA (Hu et al. 2021, arXiv 2106.09685) on the denoiser's attention, by peft."""

from __future__ import annotations

import copy

import torch
from peft import LoraConfig

from benchmark.attacks.mimicry.finetune import Personalised, Recipe, TrainingSet, finetune
from benchmark.models.loader import BaseModel

ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]


class LoRA:
    """Trains adapters of `rank`, scaled by `alpha / rank`, on every attention projection of the denoiser."""

    def __init__(
        self, rank: int, alpha: float, steps: int, batch: int, learning_rate: float, average: float = 0.0
    ) -> None:
        if rank < 1 or alpha <= 0:
            raise ValueError("rank must be at least 1 and alpha above 0")
        self.adapters = LoraConfig(r=rank, lora_alpha=alpha, init_lora_weights="gaussian", target_modules=ATTENTION)
        self.recipe = Recipe(steps, batch, learning_rate, average)

    def personalise(self, model: BaseModel, data: TrainingSet, seed: int) -> Personalised:
        """Returns a copy of the model's denoiser with adapters that have learned `data`."""
        unet = copy.deepcopy(model.unet)
        with torch.random.fork_rng():
            torch.manual_seed(seed)  # peft draws the adapters from the global generator
            unet.add_adapter(self.adapters)
        losses = finetune(model, unet.train(), data, self.recipe, seed)
        return Personalised(unet.eval().requires_grad_(False), losses)
