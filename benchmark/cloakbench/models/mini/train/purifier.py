"""Training of the purifier: a small denoiser of pixels, for countermeasures that must not pass the attacked encoder."""

from __future__ import annotations

import numpy as np
import torch
from diffusers import DDPMScheduler, UNet2DModel
from torch import Tensor, nn

from cloakbench.models.mini.train import cutouts
from cloakbench.models.mini.train.loop import Recipe, generator, train
from cloakbench.models.mini.train.pool import Pool
from cloakbench.models.mini.train.run import Run

RECIPE = Recipe(steps=2_800, batch=12, lr=1e-3, muon_lr=4e-3, seed=61, decay_share=0.4)
SIDE = 64
LAST_TIME = 400
"""Purification starts from a little noise, so later times are not learned."""


def train_purifier(
    model: UNet2DModel, schedule: DDPMScheduler, pool: Pool, run: Run, recipe: Recipe = RECIPE
) -> nn.Module:
    """Returns the trained denoiser: squared error of the noise, on cut-outs of 64 pixels of all styles."""
    model = model.to(memory_format=torch.channels_last)

    def loss(step: int) -> Tensor:
        pool.follow(step)
        source = generator(recipe, step)
        x = cutouts.draw(pool, np.random.default_rng([recipe.seed, step]), recipe.batch, SIDE) * 2 - 1
        noise = torch.randn(x.shape, generator=source)
        times = torch.randint(0, LAST_TIME, (len(x),), generator=source)
        noisy = schedule.add_noise(x, noise, times).to(run.device)
        with run.casting():
            predicted = model(noisy, times.to(run.device)).sample
        return torch.as_tensor((predicted.float() - noise.to(run.device)).square().mean())

    return train(model, recipe, loss, run)
