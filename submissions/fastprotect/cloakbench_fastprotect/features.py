"""What FastProtect reads off the surrogate's VAE: latents, features of several layers, and a latent's entropy."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from cloakbench import Surrogate
from cloakbench.whitebox import latent_means, scale

BINS, RANGE = 32, 4.0
"""The histogram of latent values, in the diffusion model's units (a standard deviation is about 1)."""


def encode(surrogate: Surrogate, images: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Returns the posterior means `[B, C, h, w]` and the features of the encoder's down blocks 1 to 3 and middle.

    Images are `[B, 3, H, W]` in [0, 1]; all is float32, unscaled, with gradients where the images ask for them.
    """
    outputs: list[Tensor] = []
    encoder = surrogate.vae.encoder
    hooks = [
        block.register_forward_hook(lambda _module, _inputs, output: outputs.append(output.float()))
        for block in [*encoder.down_blocks[1:], encoder.mid_block]
    ]
    try:
        return latent_means(surrogate, images), outputs
    finally:
        for hook in hooks:
            hook.remove()


def entropy(surrogate: Surrogate, latents: Tensor) -> Tensor:
    """Returns the Shannon entropy in bits, `[B]`, of the histogram of each latent's values `[B, C, h, w]`.

    Between 0 (all values alike) and 5 (32 bins equally full). An image that repeats itself has a low one.
    """
    values = (latents * scale(surrogate)).flatten(1).clamp(-RANGE, RANGE)
    shares = torch.stack([torch.histc(row, BINS, -RANGE, RANGE) for row in values]) / values.shape[1]
    bits: Tensor = torch.special.entr(shares).sum(1) / math.log(2)
    return bits
