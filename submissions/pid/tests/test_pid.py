from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from cloakbench_pid import Pid
from cloakbench_pid.protection import objective


class Widening(nn.Module):
    """A linear mean, and a deviation that grows with the image's brightness."""

    config = SimpleNamespace(scaling_factor=0.5)

    def __init__(self, blocks):
        super().__init__()
        self.blocks = blocks

    def encode(self, images):
        mean = self.blocks(images)
        deviation = (0.1 * images.mean((1, 2, 3)).exp()).view(-1, 1, 1, 1).expand_as(mean)
        return SimpleNamespace(latent_dist=SimpleNamespace(mean=mean, std=deviation))


@pytest.fixture
def surrogate(toy):
    plain = toy()
    return replace(plain, vae=Widening(plain.vae.blocks))


def test_is_the_distance_of_means_and_of_log_variances(surrogate, three_images):
    moved = (three_images + 0.02).clamp(0, 1)
    before, after = (2 * x - 1 for x in (three_images, moved))
    means = (surrogate.vae.blocks(after) - surrogate.vae.blocks(before)).square().mean((1, 2, 3))
    # log(0.1 e^m)^2 = 2 m + constant, the same in every place of the latent
    variances = (2 * (after.mean((1, 2, 3)) - before.mean((1, 2, 3)))).square()
    values = objective(surrogate, three_images, 0.7)(moved)
    assert torch.allclose(values, -(means + 0.7 * variances), atol=1e-6)


def test_moves_the_posterior_further_than_random_signs(surrogate, three_images, ask):
    distance = objective(surrogate, three_images, 1.0)
    protected = Pid(steps=8, alpha=0.25).protect(three_images, ask(surrogate))
    signs = torch.randint(2, three_images.shape, generator=torch.Generator().manual_seed(3)) * 2 - 1
    noisy = (three_images + signs * 8 / 255).clamp(0, 1)
    assert bool((distance(protected) < 3 * distance(noisy)).all())
    assert float((protected - three_images).abs().max() * 255) == pytest.approx(8, abs=1e-3)


def test_the_chunk_does_not_change_the_result(surrogate, three_images, ask):
    whole, parts = (Pid(steps=3, chunk=chunk).protect(three_images, ask(surrogate)) for chunk in (3, 2))
    assert torch.allclose(whole, parts, atol=1e-6)
    assert surrogate.unet.calls == []
    assert surrogate.tokenizer.texts == []
