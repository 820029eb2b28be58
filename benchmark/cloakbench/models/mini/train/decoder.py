"""Training of decoders: from latents back to the picture, by L1 and LPIPS."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from cloakbench.models.mini.train import cutouts, teacher
from cloakbench.models.mini.train.distil import Encode
from cloakbench.models.mini.train.loop import Recipe, generator, train
from cloakbench.models.mini.train.pool import Pool
from cloakbench.models.mini.train.run import Run

RECIPE = Recipe(steps=7_000, batch=12, lr=1e-3, muon_lr=6e-3, seed=53, decay_share=0.4)
WHOLE = Recipe(steps=1_500, batch=4, lr=5e-4, muon_lr=2e-3, seed=54, decay_share=0.8)
"""Whole pictures last, half of them by way of the trained encoder, whose latents differ a little from the teacher's."""
CONTINUED = Recipe(steps=500, batch=12, lr=4e-4, muon_lr=2e-3, seed=55)
"""For the decoder of `mini-b`: that of `mini-a`, trained on. Squared error made it blur, and no mimic imitated."""
PIXEL_WEIGHT, PERCEPTUAL_WEIGHT = 0.5, 1.25
"""LPIPS leads. With weights 1 and 0.5 the artists' marks came back paler than from TAESD's decoder."""
LATENT_NOISE = 0.05
"""Of latents with unit deviation: a denoiser's and a student's latents are not exactly the teacher's."""


class LatentDecoder(nn.Module):
    """An autoencoder's decoder, from scaled latents to pictures."""

    def __init__(self, vae: AutoencoderKL) -> None:
        super().__init__()
        self.decoder, self.post_quant_conv = vae.decoder, vae.post_quant_conv
        self.scale = float(vae.config.scaling_factor)

    def forward(self, latents: Tensor) -> Tensor:
        """Returns pictures `[b, 3, 8h, 8w]` in [-1, 1] of scaled latents `[b, 4, h, w]`."""
        return torch.as_tensor(self.decoder(self.post_quant_conv(latents / self.scale)))


def train_decoder(
    vae: AutoencoderKL,
    encoders: Sequence[Encode],
    pool: Pool,
    run: Run,
    recipe: Recipe = RECIPE,
    side: int = 64,
) -> nn.Module:
    """Returns the trained `LatentDecoder`, whose loss is L1 and LPIPS.

    Args:
        vae: Whose decoder is trained.
        encoders: What makes the latents: an equal part of each batch goes through each.
        pool: Pictures that the squares are cut from.
        run: Device, time limit and files.
        recipe: Number of steps, batch and rates.
        side: Pixels of a square's side.
    """
    decoder = LatentDecoder(vae).to(memory_format=torch.channels_last).to(run.device)
    distance = teacher.perceptual().to(run.device)

    def loss(step: int) -> Tensor:
        pool.follow(step)
        rng = np.random.default_rng([recipe.seed, step, side])
        x = cutouts.draw(pool, rng, recipe.batch, side).to(run.device)
        parts = []
        with torch.no_grad():
            for encode, part in zip(encoders, x.chunk(len(encoders)), strict=True):
                parts.append(encode(part))
        latents = torch.cat(parts)
        noise = torch.randn(latents.shape, generator=generator(recipe, step)).to(run.device)
        with run.casting():
            y = decoder(latents + LATENT_NOISE * noise)
            visible = distance(y, x * 2 - 1).float().mean()
        error = (y.float() - (x * 2 - 1)).abs().mean()
        return torch.as_tensor(PIXEL_WEIGHT * error + PERCEPTUAL_WEIGHT * visible)

    return train(decoder, recipe, loss, run)
