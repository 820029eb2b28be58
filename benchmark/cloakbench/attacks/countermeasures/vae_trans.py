"""Latent projection by an autoencoder of another family (VAE-Trans, arXiv 2603.13028)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cloakbench.attacks.context import Context
from cloakbench.attacks.countermeasures.framing import in_frames
from cloakbench.images import Pixels, quantise
from cloakbench.models import autoencoders


@dataclass(frozen=True, slots=True)
class VaeTrans:
    """Encodes and decodes once by `vae`, an alias or the folder of an autoencoder."""

    vae: str

    def __post_init__(self) -> None:
        if not self.vae:
            raise ValueError("vae must name a model")

    def apply(self, images: Sequence[Pixels], context: Context) -> list[Pixels]:
        """Returns the images as the autoencoder reconstructs them from the posterior's mode, same sizes."""
        vae = autoencoders.load(self.vae, context.device, context.dtype)

        @torch.no_grad()
        def project(batch: Tensor, _rows: list[int]) -> list[Pixels]:
            return quantise(vae.decode(vae.encode(batch.to(vae.device) * 2 - 1)) / 2 + 0.5)

        return in_frames(images, vae.divisor, context.pixels_at_once, project)
