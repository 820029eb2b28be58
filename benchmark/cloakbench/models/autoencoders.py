"""Bare autoencoders: a base model's own, or one from a folder; one interface for kinds with and without a posterior."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from torch import Tensor

from cloakbench.errors import UserError
from cloakbench.models import hub, pretrained, registry
from cloakbench.models.aliases import ModelFacts
from cloakbench.models.compiled import is_possible
from cloakbench.models.registry import Located
from cloakbench.whitebox import autocast

_KINDS: dict[str, Any] = {"AutoencoderKL": AutoencoderKL, "AutoencoderTiny": AutoencoderTiny}


@dataclass(frozen=True)
class Autoencoder:
    """A frozen autoencoder; images are `[B, 3, H, W]` in [-1, 1] with sides that `divisor` divides.

    Images and what comes back are float32 whatever the weights are, so that optimising an image loses nothing.
    """

    module: Any
    divisor: int
    device: torch.device
    dtype: torch.dtype

    def posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Returns mean and standard deviation of the unscaled latents, `[B, C, h, w]` each; 0 for kinds without one."""
        with autocast(self.device, self.dtype):
            encoded = self.module.encode(images.to(self.dtype))
        if hasattr(encoded, "latent_dist"):
            return encoded.latent_dist.mean.float(), encoded.latent_dist.std.float()
        return encoded.latents.float(), torch.zeros_like(encoded.latents, dtype=torch.float32)

    def encode(self, images: Tensor) -> Tensor:
        """Returns the unscaled latents `[B, C, h, w]`, the posterior's mode where there is a posterior."""
        return self.posterior(images)[0]

    def decode(self, latents: Tensor) -> Tensor:
        """Returns the images of unscaled latents, not clipped."""
        with autocast(self.device, self.dtype):
            return torch.as_tensor(self.module.decode(latents.to(self.dtype)).sample).float()

    def compiled(self) -> Autoencoder:
        """Returns it with compiled networks where that is possible: for hundreds of passes."""
        if not is_possible(self.device, self.dtype):
            return self
        module = copy.deepcopy(self.module)  # others go on with the given one, and its rounding
        module.encoder.compile()
        module.decoder.compile()
        return replace(self, module=module)


def load(name: str, device: torch.device, dtype: torch.dtype) -> Autoencoder:
    """Returns the autoencoder behind an alias or folder: of a bare autoencoder, or of a Stable Diffusion pipeline.

    Raises UserError where the weights are missing or changed, or are no `AutoencoderKL` or `AutoencoderTiny`.
    """

    def open_own(_: ModelFacts, located: Located) -> Autoencoder:
        own = located.folder / "vae"
        return _load(own if own.is_dir() else located.folder, device, dtype)

    return registry.opened(name, open_own)


@lru_cache(maxsize=3)
def _load(folder: Path, device: torch.device, dtype: torch.dtype) -> Autoencoder:
    try:
        kind = _KINDS[json.loads((folder / "config.json").read_bytes())["_class_name"]]
        module = pretrained.read(kind, folder, dtype, variant=hub.variant(folder))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"expected an {' or '.join(_KINDS)} in {folder}, got one that does not load: "
            f"{type(error).__name__}: {error}",
            "Name a folder that `save_pretrained` of diffusers wrote, weights as .safetensors.",
        ) from error
    module.to(device).eval().requires_grad_(False)
    if device.type == "cpu":
        module.to(memory_format=torch.channels_last)
    levels = module.config.get("block_out_channels") or module.config.encoder_block_out_channels
    return Autoencoder(module, 2 ** (len(levels) - 1), device, dtype)
