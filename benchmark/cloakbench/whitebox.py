"""What protections and mimics both use of a diffusion model: latents, text contexts, noise predictions.

Public helpers of the submission contract. Each works on any holder of the parts of a Stable Diffusion pipeline, so
that the embedded model and Stable Diffusion run the same code, with gradients wherever an input requires them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from cloakbench.families import Family, of_width
from cloakbench.streams import Generators, per_item

PATCH, STRIDE = 32, 16
"""Patches of `distance_map`, in pixels: LPIPS's networks need 31."""


class Parts(Protocol):
    """The parts of a Stable Diffusion pipeline: a `Surrogate`, or a base model of the harness."""

    @property
    def vae(self) -> Any: ...
    @property
    def unet(self) -> Any: ...
    @property
    def text_encoder(self) -> Any: ...
    @property
    def tokenizer(self) -> Any: ...
    @property
    def scheduler(self) -> Any: ...
    @property
    def device(self) -> torch.device: ...
    @property
    def dtype(self) -> torch.dtype: ...


def family(parts: Parts) -> Family:
    """Returns which family a model is of, by the width of its text contexts."""
    config = getattr(parts.unet, "config", None)
    return of_width(getattr(config, "cross_attention_dim", 0))


def settings(parts: Parts, defaults: Mapping[str, Mapping[str, Any]], values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the parameters of a protection that depend on the surrogate.

    Args:
        parts: The surrogate.
        defaults: Values by family of the surrogate, then by parameter: a protection's `defaults`.
        values: What the user gave by parameter; None where the parameter was left out.
    """
    chosen = {name: value for name, value in values.items() if value is not None}
    return {**defaults.get(family(parts), {}), **chosen}


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[Any]:
    """Returns the context in which weights of single precision are computed with in `dtype`; nothing for float32."""
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)


def posterior(parts: Parts, images: Tensor) -> tuple[Tensor, Tensor]:
    """Returns mean and standard deviation `[B, 4, h, w]` of the latents of `[B, 3, H, W]` images in [0, 1].

    Both in float32 and without the diffusion model's scale factor: multiply a latent by `scale(parts)` before it goes
    to the UNet.
    """
    distribution = parts.vae.encode((2 * images - 1).to(parts.dtype)).latent_dist
    return distribution.mean.float(), distribution.std.float()


def latent_means(parts: Parts, images: Tensor) -> Tensor:
    """Returns the posterior means alone, unscaled, in float32."""
    mean: Tensor = parts.vae.encode((2 * images - 1).to(parts.dtype)).latent_dist.mean
    return mean.float()


def decode(parts: Parts, latents: Tensor) -> Tensor:
    """Returns images `[B, 3, H, W]` in about [0, 1], not clamped, in float32, of unscaled latents."""
    images: Tensor = parts.vae.decode(latents.to(parts.dtype)).sample
    return images.float() / 2 + 0.5


def scale(parts: Parts) -> float:
    """Returns the factor between the VAE's latents and the UNet's (0.18215 for Stable Diffusion 1 and 2)."""
    return float(parts.vae.config.scaling_factor)


def tokens(parts: Parts, texts: Sequence[str]) -> Tensor:
    """Returns token ids `[B, L]` of the texts, padded to the model's length."""
    batch = parts.tokenizer(
        list(texts),
        padding="max_length",
        truncation=True,
        max_length=parts.tokenizer.model_max_length,
        return_tensors="pt",
    )
    return torch.as_tensor(batch.input_ids).to(parts.device)


@torch.no_grad()
def contexts(parts: Parts, texts: Sequence[str]) -> Tensor:
    """Returns the text encoder's last hidden states `[B, L, C]`, without gradients."""
    return torch.as_tensor(parts.text_encoder(tokens(parts, texts)).last_hidden_state)


def predict(parts: Parts, latents: Tensor, noise: Tensor, times: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the UNet's prediction for noised latents and its target, both `[B, C, h, w]` in float32.

    `latents` are scaled, `times` `[B]` count up to the scheduler's training steps, `context` is `[B, L, C]`. What is
    predicted is epsilon (Ho et al. 2020) or v (Salimans and Ho 2022), as the model's scheduler says.
    """
    noisy = parts.scheduler.add_noise(latents, noise, times)
    v = parts.scheduler.config.prediction_type == "v_prediction"
    target = parts.scheduler.get_velocity(latents, noise, times) if v else noise
    with autocast(parts.device, parts.dtype):
        predicted = parts.unet(noisy, times, encoder_hidden_states=context).sample
    return predicted.float(), target.float()


def normal(like: Tensor, generators: Generators) -> Tensor:
    """Returns standard normal noise of the shape of `like` `[B, ...]` and on its device, drawn item by item.

    With one generator, an item's noise depends on how many came before it, never on how many follow.
    """
    draws = zip(like, per_item(generators, len(like)), strict=True)
    return torch.stack([torch.randn(item.shape, generator=own) for item, own in draws]).to(like)


def times(parts: Parts, count: int, generators: Generators) -> Tensor:
    """Returns `count` diffusion times, uniform over the scheduler's training steps."""
    steps: int = parts.scheduler.config.num_train_timesteps
    draws = [torch.randint(0, steps, (1,), generator=own) for own in per_item(generators, count)]
    return torch.cat(draws).to(parts.device)


def sampled(parts: Parts, images: Tensor, generators: Generators) -> Tensor:
    """Returns scaled latents `[B, 4, h, w]` drawn from the posteriors of `[B, 3, H, W]` images in [0, 1]."""
    mean, deviation = posterior(parts, images)
    return (mean + deviation * normal(mean, generators)) * scale(parts)


def diffusion_loss(parts: Parts, latents: Tensor, context: Tensor, generators: Generators) -> Tensor:
    """Returns each item's mean squared error `[B]` of the UNet, at one drawn time and noise per item.

    `latents` are scaled, `context` is `[1 or B, L, C]`. This is what training lowers (Ho et al. 2020, eq. 14).
    """
    moments, noise = times(parts, len(latents), generators), normal(latents, generators)
    predicted, target = predict(parts, latents, noise, moments, context.expand(len(latents), -1, -1))
    return (predicted - target).square().flatten(1).mean(1)


def distance_map(distance: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor) -> Tensor:
    """Returns an image distance place by place, `[B, 1, H, W]`, from one that gives a value per pair, `[B]`.

    It is taken of overlapping patches of 32 pixels, 16 apart, and interpolated between their centres, so that any
    perceptual distance has a map. Images are `[B, 3, H, W]` with sides above 24 pixels.
    """
    places = (math.ceil(x.shape[-2] / STRIDE), math.ceil(x.shape[-1] / STRIDE))
    values = distance(_patches(x), _patches(y)).view(len(x), 1, *places)
    return interpolate(values, x.shape[-2:], mode="bilinear", align_corners=False)


def _patches(images: Tensor) -> Tensor:
    margin = (PATCH - STRIDE) // 2
    height, width = images.shape[-2:]
    padded = pad(images, (margin, margin + -width % STRIDE, margin, margin + -height % STRIDE), mode="reflect")
    patches = padded.unfold(2, PATCH, STRIDE).unfold(3, PATCH, STRIDE)
    return patches.permute(0, 2, 3, 1, 4, 5).reshape(-1, images.shape[1], PATCH, PATCH)
