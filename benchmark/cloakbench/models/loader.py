"""Loads a base model: the parts of a Stable Diffusion pipeline, frozen and in evaluation mode."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import DDPMScheduler, StableDiffusionXLPipeline
from torch import Tensor

from cloakbench import whitebox
from cloakbench.contract import Surrogate
from cloakbench.errors import UserError
from cloakbench.models import forms, hub, pretrained, registry
from cloakbench.models.aliases import ModelFacts
from cloakbench.models.mini import perceptual
from cloakbench.models.registry import Located
from cloakbench.models.xl import PIXELS_PER_LATENT, XlTextEncoder
from cloakbench.system.memory import at_once


@dataclass(frozen=True)
class BaseModel:
    """A loaded base model; `digest` identifies its weights and configuration.

    `scheduler` is the noise schedule that the model was trained with, whatever sampler its folder names.
    """

    name: str
    digest: str
    vae: Any
    unet: Any
    text_encoder: Any
    tokenizer: Any
    scheduler: Any
    device: torch.device
    dtype: torch.dtype
    facts: ModelFacts
    folder: Path | None = None
    """Where its files are; None for parts that were never saved."""
    is_zero_without_prompt: bool = False
    """Whether guidance moves away from zeros, not from the empty text, where there is no negative prompt."""

    def tokens(self, texts: list[str]) -> Tensor:
        """Returns token ids `[B, L]` of the texts, padded to the model's length."""
        return whitebox.tokens(self, texts)

    def embed(self, texts: list[str]) -> Tensor:
        """Returns the text encoder's last hidden states `[B, L, C]`, without gradients."""
        return whitebox.contexts(self, texts)

    def embed_negative(self, text: str = "") -> Tensor:
        """Returns the context `[1, L, C]` that guidance moves away from: of the negative prompt, empty for none."""
        context = self.embed([text])
        return torch.zeros_like(context) if self.is_zero_without_prompt and not text else context

    @torch.no_grad()
    def decode(self, latents: Tensor, chunk: int = 8) -> Tensor:
        """Returns images `[B, 3, H, W]` in [0, 1] for scaled latents."""
        scale = self.vae.config.scaling_factor
        parts = [self.vae.decode(part / scale).sample for part in torch.split(latents, at_once(chunk, len(latents)))]
        return (torch.cat(parts) / 2 + 0.5).clamp(0, 1)

    def in_single(self, name: Literal["unet", "text_encoder", "vae"]) -> Any:
        """Returns a float32 copy of a part as it was loaded, with the file's weights where the model's are rounded.

        Raises UserError for the text encoder of a model that has two: no mimicry trains them.
        """
        own = getattr(self, name)
        if isinstance(own, XlTextEncoder):
            raise UserError(
                f"expected a model with one text encoder to train, got {self.name!r} with two",
                "Leave out train_text_encoder, or name a model of Stable Diffusion 1 or 2.",
            )
        if self.dtype == torch.float32 or self.folder is None:
            return copy.deepcopy(own).float()
        folder = self.folder / name
        return pretrained.read(type(own), folder, torch.float32, variant=hub.variant(folder)).to(self.device)

    @property
    def divisor(self) -> int:
        """What the sides of an image must be multiples of."""
        levels: int = len(self.vae.config.block_out_channels)
        return 1 << (levels - 1)

    def surrogate(self, perceptual_distance: Callable[[Tensor, Tensor], Tensor] | None = None) -> Surrogate:
        """Returns the view that a protection gets, with the suite's perceptual distance or the embedded one."""
        return Surrogate(
            self.name,
            self.vae,
            self.unet,
            self.text_encoder,
            self.tokenizer,
            self.scheduler,
            copy.deepcopy(perceptual_distance or mini_lpips(self.device)),
            self.device,
            self.dtype,
        )


def mini_lpips(device: torch.device | str = "cpu") -> perceptual.MiniLPIPS:
    """Returns the shipped perceptual distance, one for all callers on a device."""
    return _distance(registry.weights("mini-lpips.safetensors"), torch.device(device))


def default_device() -> str:
    """Returns `cuda` where there is a GPU, else `cpu`."""
    return "cuda" if torch.cuda.is_available() else "cpu"


@lru_cache(maxsize=2)
def _distance(path: Path, device: torch.device) -> perceptual.MiniLPIPS:
    return perceptual.load(path).to(device)


def load(
    alias: str, device: str = "cpu", dtype: torch.dtype = torch.float32, fetch: hub.Fetch = hub.download
) -> BaseModel:
    """Returns the model behind `alias` (or a local folder), its parameters frozen.

    A hub model is checked against the lock file and written into it by its first load. Raises UserError where the
    weights are missing or changed, are no Stable Diffusion pipeline, or predict something else than the alias says.
    """
    return registry.opened(alias, lambda facts, located: _load(facts, located, device, dtype), fetch)


@lru_cache(maxsize=2)
def _load(facts: ModelFacts, located: Located, device: str, dtype: torch.dtype) -> BaseModel:
    pipe = _pipeline(facts.name, located.folder, dtype)
    _check_identity(facts, located.folder, pipe)
    text_encoder = _text_encoder(facts.name, located.folder, pipe)
    for part in (pipe.vae, pipe.unet, text_encoder):
        part.to(device).eval().requires_grad_(False)
    if device == "cpu":
        pipe.vae.to(memory_format=torch.channels_last)
    return BaseModel(
        facts.name,
        registry.digest(located.folder),
        pipe.vae,
        pipe.unet,
        text_encoder,
        pipe.tokenizer,
        training_schedule(pipe.scheduler),
        torch.device(device),
        dtype,
        facts,
        located.folder,
        bool(pipe.config.get("force_zeros_for_empty_prompt")),
    )


def _pipeline(name: str, folder: Path, dtype: torch.dtype) -> Any:
    form = forms.find(name, folder)
    try:
        parts = {**forms.without_extras(form), **forms.own_parts(form, folder, dtype)}
        return pretrained.read(form.pipeline, folder, dtype, feature_extractor=None, image_encoder=None, **parts)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(
            f"expected a {' or '.join(forms.FORMS)} in {folder}, got one that does not load: {reason}",
            f"{name!r} must be what `save_pretrained` of diffusers writes, weights as .safetensors.",
        ) from error


def _text_encoder(name: str, folder: Path, pipe: Any) -> Any:
    """Returns the text encoder of a pipeline, or both as one; raises UserError where both do not fit together."""
    if not isinstance(pipe, StableDiffusionXLPipeline):
        return pipe.text_encoder
    if pipe.text_encoder_2 is None or pipe.tokenizer_2 is None:
        raise UserError(
            f"expected text_encoder_2 and tokenizer_2 in {folder}, got a StableDiffusionXLPipeline that lacks them",
            f"{name!r} must be what `save_pretrained` of diffusers writes.",
        )
    first, second = pipe.tokenizer, pipe.tokenizer_2
    factor = 1 << (len(pipe.vae.config.block_out_channels) - 1)
    if first.get_vocab() != second.get_vocab() or factor != PIXELS_PER_LATENT:
        raise UserError(
            f"expected two tokenizers of one vocabulary, and latents of a side {PIXELS_PER_LATENT} times smaller, got "
            f"{len(first)} and {len(second)} words and a factor of {factor} in {folder}",
            "Name a model of Stable Diffusion XL's form.",
        )
    return XlTextEncoder(pipe.text_encoder, pipe.text_encoder_2, first.eos_token_id, second.pad_token_id)


def training_schedule(sampler: Any) -> DDPMScheduler:
    """Returns the noise schedule of a model's training, as diffusers' training scripts build it (Ho et al. 2020).

    Folders name the sampler that their author liked. Euler's `add_noise` leaves latents unscaled, that of DPM++ and
    UniPC counts the sampler's own steps, and some have no `get_velocity`. The betas are the same in all of them.
    """
    schedule: DDPMScheduler = DDPMScheduler.from_config(sampler.config)
    return schedule


def _check_identity(facts: ModelFacts, folder: Path, pipe: Any) -> None:
    """Raises UserError where a model's configuration is not that of its alias."""
    unet = pipe.unet.config
    _check(facts, folder, "to predict", facts.prediction, pipe.scheduler.config.prediction_type)
    _check(facts, folder, "to have a cross-attention dimension of", facts.context_width, unet.cross_attention_dim)
    _check(facts, folder, "to have a number of input channels of", facts.channels, unet.in_channels)
    if facts.mirrors and not facts.takes_any_size:
        size = unet.sample_size << (len(pipe.vae.config.block_out_channels) - 1)
        _check(facts, folder, "to draw images with a side of", facts.image_size, size)


def _check(facts: ModelFacts, folder: Path, what: str, expected: object, actual: object) -> None:
    if expected is not None and actual != expected:
        raise UserError(
            f"expected {facts.name!r} {what} {expected}, got {actual} by {folder}",
            "The folder holds another model: replace it by the right one.",
        )
