"""Fine-tuning shared by all mimicry that trains weights: the diffusion loss on cached latents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.models.loader import BaseModel


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the mimic trains: AdamW at a constant rate; `average` is the decay of the weights' moving average, or 0."""

    steps: int
    batch: int
    learning_rate: float
    average: float = 0.0
    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 1 or self.learning_rate <= 0 or not 0 <= self.average < 1:
            raise ValueError("steps and batch must be at least 1, learning_rate above 0, average in [0, 1)")


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """What the mimic has: images `[N, 3, H, W]` in [0, 1] and a caption for each."""

    images: Tensor
    captions: Sequence[str]


@dataclass(frozen=True, slots=True)
class Personalised:
    """A denoiser that has learned an artist; the text encoder is the base model's. `losses` has one value a step."""

    unet: Any
    losses: tuple[float, ...]


@torch.no_grad()
def posterior(model: BaseModel, images: Tensor, chunk: int = 4) -> tuple[Tensor, Tensor]:
    """Returns means and standard deviations of the latents of `[N, 3, H, W]` images in [0, 1], unscaled."""
    parts = [
        model.vae.encode(part.to(model.device, model.dtype) * 2 - 1).latent_dist for part in torch.split(images, chunk)
    ]
    return torch.cat([p.mean for p in parts]), torch.cat([p.std for p in parts])


def diffusion_loss(
    model: BaseModel, unet: Any, latents: Tensor, noise: Tensor, times: Tensor, context: Tensor
) -> Tensor:
    """Returns the mean squared error of the denoiser's prediction (Ho et al. 2020), epsilon or v as the model's."""
    noisy = model.scheduler.add_noise(latents, noise, times)
    v = model.scheduler.config.prediction_type == "v_prediction"
    target = model.scheduler.get_velocity(latents, noise, times) if v else noise
    predicted = unet(noisy, times, encoder_hidden_states=context).sample
    return F.mse_loss(predicted.float(), target.float())


def finetune(model: BaseModel, unet: nn.Module, data: TrainingSet, recipe: Recipe, seed: int) -> tuple[float, ...]:
    """Trains the parameters of `unet` that require gradients, in place, and returns the loss of every step."""
    weights = [p for p in unet.parameters() if p.requires_grad]
    averages = [p.detach().clone() for p in weights]
    optimizer = torch.optim.AdamW(weights, recipe.learning_rate, weight_decay=recipe.weight_decay)
    generator = torch.Generator().manual_seed(seed)
    mean, deviation = posterior(model, data.images)
    context = model.embed(list(data.captions))
    losses = []
    for step in range(recipe.steps):
        rows = torch.randint(0, len(mean), (recipe.batch,), generator=generator)
        times = torch.randint(0, model.scheduler.config.num_train_timesteps, (recipe.batch,), generator=generator)
        drawn, noise = torch.randn((2, recipe.batch, *mean.shape[1:]), generator=generator).to(mean)
        latents = (mean[rows] + deviation[rows] * drawn) * model.vae.config.scaling_factor
        loss = diffusion_loss(model, unet, latents, noise, times.to(model.device), context[rows])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        keep = min(recipe.average, (step + 1) / (step + 10))
        torch._foreach_lerp_(averages, [w.detach() for w in weights], 1 - keep)
        losses.append(loss.item())
    with torch.no_grad():
        for weight, average in zip(weights, averages, strict=True):
            weight.copy_(average)
    return tuple(losses)
