"""Loads a base model: the parts of a Stable Diffusion pipeline, frozen and in evaluation mode."""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import transformers
from diffusers import StableDiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from torch import Tensor

from benchmark.contract import Surrogate
from benchmark.models import registry
from benchmark.models.mini import perceptual


@dataclass(frozen=True)
class BaseModel:
    """A loaded base model; `digest` identifies its weights and configuration."""

    name: str
    digest: str
    vae: Any
    unet: Any
    text_encoder: Any
    tokenizer: Any
    scheduler: Any
    device: torch.device
    dtype: torch.dtype

    def tokens(self, texts: list[str]) -> Tensor:
        """Returns token ids `[B, L]` of the texts, padded to the model's length."""
        batch = self.tokenizer(
            texts,
            padding="max_length",
            truncation=True,
            max_length=self.tokenizer.model_max_length,
            return_tensors="pt",
        )
        return torch.as_tensor(batch.input_ids).to(self.device)

    @torch.no_grad()
    def embed(self, texts: list[str]) -> Tensor:
        """Returns the text encoder's last hidden states `[B, L, C]`."""
        return torch.as_tensor(self.text_encoder(self.tokens(texts)).last_hidden_state)

    @torch.no_grad()
    def decode(self, latents: Tensor, chunk: int = 8) -> Tensor:
        """Returns images `[B, 3, H, W]` in [0, 1] for scaled latents."""
        scale = self.vae.config.scaling_factor
        parts = [self.vae.decode(part / scale).sample for part in torch.split(latents, chunk)]
        return (torch.cat(parts) / 2 + 0.5).clamp(0, 1)

    def surrogate(self) -> Surrogate:
        """Returns what a protection may look into."""
        return Surrogate(
            self.name,
            self.vae,
            self.unet,
            self.text_encoder,
            self.tokenizer,
            self.scheduler,
            copy.deepcopy(mini_lpips()).to(self.device),
            self.device,
            self.dtype,
        )


def mini_lpips() -> perceptual.MiniLPIPS:
    """Returns the shipped perceptual distance."""
    return _distance(registry.weights("mini-lpips.safetensors"))


def default_device() -> str:
    """Returns `cuda` where there is a GPU, else `cpu`."""
    return "cuda" if torch.cuda.is_available() else "cpu"


@lru_cache(maxsize=1)
def _distance(path: Path) -> perceptual.MiniLPIPS:
    return perceptual.load(path)


def load(alias: str, device: str = "cpu", dtype: torch.dtype = torch.float32) -> BaseModel:
    """Returns the model behind `alias` (or a local folder), its parameters frozen."""
    return _load(registry.find(alias).name, registry.folder(alias), device, dtype)


@lru_cache(maxsize=2)
def _load(name: str, path: Path, device: str, dtype: torch.dtype) -> BaseModel:
    diffusers_logging.disable_progress_bar()  # the run has its own
    transformers.utils.logging.disable_progress_bar()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # `torch_dtype` is the name that old and new diffusers know
        pipe = StableDiffusionPipeline.from_pretrained(
            path, torch_dtype=dtype, local_files_only=True, safety_checker=None, requires_safety_checker=False
        )
    for part in (pipe.vae, pipe.unet, pipe.text_encoder):
        part.to(device).eval().requires_grad_(False)
    if device == "cpu":
        pipe.vae.to(memory_format=torch.channels_last)
    return BaseModel(
        name,
        registry.digest(path),
        pipe.vae,
        pipe.unet,
        pipe.text_encoder,
        pipe.tokenizer,
        pipe.scheduler,
        torch.device(device),
        dtype,
    )
