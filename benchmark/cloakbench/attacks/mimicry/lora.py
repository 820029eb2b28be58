"""LoRA (Hu et al. 2021, arXiv 2106.09685) on the denoiser's attention, by peft."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

import torch
from diffusers.loaders.lora_base import LORA_ADAPTER_METADATA_KEY
from diffusers.utils import convert_state_dict_to_diffusers
from peft import LoraConfig, get_peft_model_state_dict
from torch import nn

from cloakbench.attacks.mimicry.finetune import (
    GRADIENT_NORM,
    Examples,
    FinetuneRecipe,
    drawn_loss,
    finetune,
    finished,
    fixed_contexts,
    posterior,
    training_weights,
)
from cloakbench.attacks.mimicry.personalised import Personalised, TrainingSet, keep_token
from cloakbench.models.loader import BaseModel

T = TypeVar("T")
ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]


class LoRA:
    """Trains adapters of `rank`, scaled by `alpha / rank`, on every attention projection of the denoiser.

    To fit a smaller card, `optimizer` may be `adamw-8bit`, and `gradient_checkpointing` computes activations twice.
    """

    def __init__(
        self,
        rank: int,
        alpha: float,
        steps: int,
        batch: int,
        learning_rate: float,
        average: float = 0.0,
        optimizer: str = "adamw",
        gradient_checkpointing: bool = False,
    ) -> None:
        if rank < 1 or alpha <= 0:
            raise ValueError("rank must be at least 1 and alpha above 0")
        self.adapters = LoraConfig(r=rank, lora_alpha=alpha, init_lora_weights="gaussian", target_modules=ATTENTION)
        self.recipe = FinetuneRecipe(
            steps, batch, learning_rate, average, gradient_norm=GRADIENT_NORM, optimizer=optimizer
        )
        self.gradient_checkpointing = gradient_checkpointing

    def personalise(self, model: BaseModel, data: TrainingSet, seed: int) -> Personalised:
        """Returns the model with a copy of its denoiser whose adapters have learned `data`, and the adapters alone."""
        learner = replace(model, unet=copy.deepcopy(model.unet))
        self.add_adapters(learner.unet, seed)
        learner.unet.train()
        if self.gradient_checkpointing:
            learner.unet.enable_gradient_checkpointing()
        weights = training_weights(learner.unet)
        for weight in weights:
            weight.data = weight.data.float()
        captions = keep_token(model, data.captions, data.token)
        examples = Examples(*posterior(model, data.images), fixed_contexts(model, captions))
        losses = finetune(weights, drawn_loss(learner, examples, self.recipe.batch), self.recipe, seed)
        return self.mimic(model, learner.unet, losses)

    def add_adapters(self, unet: Any, seed: int, name: str = "default") -> None:
        """Adds untrained adapters to a denoiser, drawn from the seed."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)  # peft draws the adapters from the global generator
            unet.add_adapter(self.adapters, adapter_name=name)

    def mimic(self, model: BaseModel, unet: Any, losses: tuple[float, ...] = ()) -> Personalised:
        """Returns the model with a denoiser whose adapters are trained, and these alone."""
        finished(unet, model)
        return Personalised(replace(model, unet=unet), losses, adapters=self._state(unet), metadata=self._metadata())

    @staticmethod
    def _state(unet: nn.Module) -> dict[str, torch.Tensor]:
        """Returns the adapters by the names that diffusers reads: those of a denoiser begin with "unet."."""
        state = convert_state_dict_to_diffusers(get_peft_model_state_dict(unet))
        return _of_unet(state)

    def _metadata(self) -> dict[str, str]:
        """Returns rank and alpha as diffusers reads them from a file; without it, it would take alpha for the rank."""
        facts = {"r": self.adapters.r, "lora_alpha": self.adapters.lora_alpha, "target_modules": ATTENTION}
        return {"format": "pt", LORA_ADAPTER_METADATA_KEY: json.dumps(_of_unet(facts), sort_keys=True)}


def _of_unet(values: Mapping[str, T]) -> dict[str, T]:
    """Returns the values with "unet." before their names."""
    return {f"unet.{name}": value for name, value in values.items()}
