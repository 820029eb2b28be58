"""CAT (Peng et al. 2025, arXiv 2502.07225): adapt the autoencoder to the protected images before DreamBooth."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor
from torch.nn import functional as F

from cloakbench.attacks.mimicry import dreambooth
from cloakbench.attacks.mimicry.dreambooth import DreamBooth
from cloakbench.attacks.mimicry.finetune import (
    FinetuneRecipe,
    at_own_size,
    finetune,
    finished,
    posterior,
    training_weights,
)
from cloakbench.attacks.mimicry.personalised import TrainingSet
from cloakbench.images import to_tensor
from cloakbench.models.loader import BaseModel
from cloakbench.schemas.suite import Diffusing
from cloakbench.streams import streams
from cloakbench.whitebox import autocast

LAYERS = ["conv", "conv1", "conv2", "to_q", "to_k", "to_v", "to_out.0"]
"""What gets adapters, as the authors name it: convolutions of the blocks and attention, encoder and decoder."""


class Cat(DreamBooth):
    """Fits adapters on the autoencoder to reconstruct the protected images, then runs DreamBooth with it.

    A protection against the encoder leaves images that the autoencoder reconstructs badly. The adapters minimise
    `MSE(D(z), x)`, z drawn from the posterior of x. The adapted autoencoder encodes for the training, the class images
    too, and decodes what the mimic generates.

    Args:
        adapter_steps: Training steps of the adapters.
        adapter_batch: Images a step.
        adapter_rate: Learning rate of the adapters, constant.
        rank: Of the adapters; their scale is 1.
        dreambooth: Settings of DreamBooth.
    """

    def __init__(
        self,
        adapter_steps: int,
        adapter_batch: int = 4,
        adapter_rate: float = 1e-4,
        rank: int = 128,
        **dreambooth: Any,
    ) -> None:
        super().__init__(**dreambooth)
        if rank < 1:
            raise ValueError("rank must be at least 1")
        self.adapters = LoraConfig(r=rank, lora_alpha=rank, init_lora_weights="gaussian", target_modules=LAYERS)
        self.adapting = FinetuneRecipe(adapter_steps, adapter_batch, adapter_rate)

    def autoencoder(self, model: BaseModel, data: TrainingSet, seed: int) -> Any:
        """Returns a copy of the model's autoencoder whose adapters have learned to reconstruct the images."""
        (generator,) = streams(torch.Generator().manual_seed(seed), 1)
        own_seed = generator.initial_seed()
        images = at_own_size(model, data.images).to(model.device)
        with torch.random.fork_rng():
            torch.manual_seed(own_seed)  # peft draws the adapters from the global generator
            adapted: Any = inject_adapter_in_model(self.adapters, model.in_single("vae"))
        weights = training_weights(adapted)

        def loss(generator: torch.Generator) -> Iterator[Tensor]:
            rows = torch.randint(0, len(images), (self.adapting.batch,), generator=generator).to(images.device)
            with autocast(model.device, model.dtype):
                yield reconstruction_error(adapted, images[rows], generator)

        finetune(weights, loss, self.adapting, own_seed)
        return finished(adapted, model)

    def class_examples(
        self, model: BaseModel, learner: BaseModel, text: str, settings: Diffusing
    ) -> tuple[Tensor, Tensor]:
        """Returns the posterior of the base model's class images by the adapted autoencoder."""
        return posterior(learner, _drawn(model, text, self.class_images, settings))


def reconstruction_error(vae: Any, images: Tensor, generator: torch.Generator) -> Tensor:
    """Returns the mean squared error of images `[B, 3, H, W]` in [0, 1] after the autoencoder, in [-1, 1]."""
    inputs = 2 * images - 1
    distribution = vae.encode(inputs).latent_dist
    noise = torch.randn(distribution.mean.shape, generator=generator).to(images)
    return F.mse_loss(vae.decode(distribution.mean + distribution.std * noise).sample.float(), inputs)


@lru_cache(maxsize=2)
def _drawn(model: BaseModel, text: str, count: int, settings: Diffusing) -> Tensor:
    """Returns the class images `[N, 3, H, W]` of a base model: the same for every artist and arm."""
    return to_tensor(dreambooth.class_pictures(model, text, count, settings))
