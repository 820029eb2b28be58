"""Training of the autoencoder: L1, squared error and LPIPS (AlexNet), so that the latent has to carry texture."""

from __future__ import annotations

import copy
from pathlib import Path

import lpips
import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor, nn

from cloakbench.models.mini import architecture
from cloakbench.models.mini.train.data import Pictures
from cloakbench.models.mini.train.loop import Recipe, train

RECIPE = Recipe(steps=2900, batch=16, lr=1e-3, muon_lr=6e-3, seed=11, decay_share=0.4)
DECODER_RECIPE = Recipe(steps=250, batch=8, lr=2e-4, muon_lr=1e-3, seed=12, warmup=20)
KL_WEIGHT = 1e-5
PERCEPTUAL_FROM = 1660
"""Step from which LPIPS leads: it makes the latent carry texture, which is what a protection can attack."""
CUT_OUT_SHARE = 0.7


def perceptual() -> nn.Module:
    """Returns LPIPS v0.1 on AlexNet; torchvision downloads the backbone or finds it under `TORCH_HOME`."""
    distance: nn.Module = lpips.LPIPS(net="alex", verbose=False)
    return distance.eval().requires_grad_(False)


def _view(pictures: Pictures, rows: NDArray[np.intp], step: int) -> Tensor:
    """Returns whole pictures late in training, before that 64-pixel cut-outs of four times as many (same cost)."""
    if step < CUT_OUT_SHARE * RECIPE.steps:
        x = pictures.batch(rows)
        top, left = np.random.default_rng([RECIPE.seed, step, 1]).integers(0, 65, 2)
        x = x[:, :, top : top + 64, left : left + 64]
    else:
        x = pictures.batch(rows[: len(rows) // 4])
    x = x.flip(-1) if step % 2 else x
    return x.contiguous(memory_format=torch.channels_last)


def train_vae(pictures: Pictures, checkpoint: Path, recipe: Recipe = RECIPE) -> AutoencoderKL:
    """Returns the trained autoencoder with `scaling_factor` set to one over the latents' standard deviation."""
    torch.manual_seed(recipe.seed)
    vae = architecture.vae().to(memory_format=torch.channels_last)
    nn.init.constant_(vae.quant_conv.bias[4:], -5.0)
    distance = perceptual()

    def loss(rows: NDArray[np.intp], step: int, generator: torch.Generator) -> Tensor:
        x = _view(pictures, rows, step)
        with torch.autocast("cpu", torch.bfloat16):
            posterior = vae.encode(x).latent_dist
            y = vae.decode(posterior.sample(generator)).sample
            seen = distance(y, x).mean()
        late = step >= PERCEPTUAL_FROM
        error = (0.5 if late else 1.0) * (y.float() - x).abs().mean()
        error = error + (1.25 if late else 0.8) * seen.float()
        if not late:
            error = error + (y.float() - x).square().mean()
        kl = 0.5 * (posterior.mean.float().square() + posterior.var.float() - 1 - posterior.logvar.float()).mean()
        return torch.as_tensor(error + KL_WEIGHT * kl)

    average = train(vae, recipe, len(pictures.style), loss, checkpoint)
    assert isinstance(average, AutoencoderKL)
    average.register_to_config(scaling_factor=round(1 / latent_deviation(average, pictures), 5))
    return average.eval()


@torch.no_grad()
def latent_deviation(vae: AutoencoderKL, pictures: Pictures) -> float:
    """Returns the standard deviation of posterior means over 256 pictures, all channels together."""
    rows = np.linspace(0, len(pictures.style) - 1, 256).astype(np.intp)
    means = [vae.encode(pictures.batch(part)).latent_dist.mean for part in np.split(rows, 16)]
    return float(torch.cat(means).std())


def finetune_decoder(vae: AutoencoderKL, pictures: Pictures, checkpoint: Path) -> AutoencoderKL:
    """Returns the autoencoder with its decoder trained on, as SD 2.x's was on SD 1.x's latents; same encoder."""
    other = copy.deepcopy(vae).to(memory_format=torch.channels_last)
    other.requires_grad_(False)
    other.decoder.requires_grad_(True)

    def loss(rows: NDArray[np.intp], step: int, generator: torch.Generator) -> Tensor:
        x = pictures.batch(rows).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                latents = other.encode(x).latent_dist.sample(generator)
            y = other.decode(latents).sample
        return torch.as_tensor((y.float() - x).square().mean() + 0.1 * (y.float() - x).abs().mean())

    average = train(other, DECODER_RECIPE, len(pictures.style), loss, checkpoint)
    assert isinstance(average, AutoencoderKL)
    return average.eval()
