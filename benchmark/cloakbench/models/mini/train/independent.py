"""Training of mini-vae-c: an autoencoder that shares neither architecture, weights nor draws with the base models'."""

from __future__ import annotations

import torch
from diffusers import AutoencoderTiny
from torch import Tensor

from cloakbench.models.mini import architecture
from cloakbench.models.mini.train.data import Pictures
from cloakbench.models.mini.train.loop import Recipe, generator, rows, train
from cloakbench.models.mini.train.run import Run
from cloakbench.models.mini.train.teacher import perceptual

RECIPE = Recipe(steps=1500, batch=16, lr=1e-3, muon_lr=4e-3, seed=71, decay_share=0.5)
SIDE = 64
"""Pixels of the square cut out of every picture; a convolutional network takes any size later."""
LATENT_NOISE = 0.1
"""Of latents that the decoder squashes into (-3, 3): keeps fine detail from hiding in tiny differences."""
PERCEPTUAL_WEIGHT = 0.2


def train_vae(pictures: Pictures, run: Run, recipe: Recipe = RECIPE) -> AutoencoderTiny:
    """Returns the trained autoencoder: L1, squared error and a little LPIPS (AlexNet)."""
    torch.manual_seed(recipe.seed)
    vae = architecture.independent_vae().to(memory_format=torch.channels_last)
    distance = perceptual()

    def loss(step: int) -> Tensor:
        source, chosen = generator(recipe, step), rows(recipe, step, len(pictures.style))
        row, column = torch.randint(0, 129 - SIDE, (2,), generator=source).tolist()
        x = pictures.batch(chosen)[:, :, row : row + SIDE, column : column + SIDE]
        x = x.contiguous(memory_format=torch.channels_last)
        with run.casting():
            latents = vae.encode(x).latents.float()
            noise = LATENT_NOISE * torch.randn(latents.shape, generator=source)
            y = vae.decode(latents + noise).sample
            visible = distance(y, x).mean()
        error = (y.float() - x).abs().mean() + (y.float() - x).square().mean()
        return torch.as_tensor(error + PERCEPTUAL_WEIGHT * visible.float())

    average = train(vae, recipe, loss, run)
    assert isinstance(average, AutoencoderTiny)
    return average.eval()
