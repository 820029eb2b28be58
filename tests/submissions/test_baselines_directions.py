"""Whether the baselines do what their papers say, on the trained embedded model: 50 steps within 8/255."""

from __future__ import annotations

import pytest
import torch

from cloakbench import whitebox
from cloakbench.contract import Request
from cloakbench.datasets.artists import mini_artist
from cloakbench.images import to_tensor
from cloakbench.models import loader, registry
from cloakbench.streams import streams
from cloakbench.submissions.loading import load
from cloakbench.suites import load as suites
from cloakbench_mist.protection import target_latent

BUDGET = 8 / 255
HELD_OUT = 40
"""Draws of time and noise an image, which no protection sees."""


@pytest.fixture(scope="module")
def surrogate():
    if not (registry.WEIGHTS / "mini-a/model_index.json").exists():
        pytest.skip("the trained weights of mini-a are not in the package yet")
    return loader.load(str(registry.WEIGHTS / "mini-a")).surrogate()


@pytest.fixture(scope="module")
def images():
    """The middle of two pictures of development styles: the eight artists are looked at once."""
    suite = suites.load("mini")
    whole = [to_tensor(mini_artist(name, suite).images[:1]) for name in ("stencil", "swirl")]
    return torch.cat(whole)[:, :, 32:96, 32:96]


def protected(spelling, images, surrogate):
    request = Request(1.0, BUDGET, surrogate, torch.Generator().manual_seed(5), "painting", ("a painting",) * 2)
    return load(spelling).instance.protect(images, request)


@torch.no_grad()
def held_out_loss(images, surrogate):
    """Each image's diffusion loss at draws of its own, the same at every call."""
    context, own = whitebox.contexts(surrogate, ["a painting"]), streams(torch.Generator().manual_seed(99), 2)
    losses = []
    for _ in range(HELD_OUT):
        losses.append(whitebox.diffusion_loss(surrogate, whitebox.sampled(surrogate, images, own), context, own))
    return torch.stack(losses).mean(0)


@torch.no_grad()
def distance_to_pattern(images, surrogate):
    latents = whitebox.latent_means(surrogate, images) * whitebox.scale(surrogate)
    return (latents - target_latent(surrogate, images)).square().mean((1, 2, 3))


@pytest.fixture(scope="module")
def clean_loss(images, surrogate):
    return held_out_loss(images, surrogate)


@pytest.mark.parametrize(
    ("spelling", "low", "high"),
    [
        ("random-noise", 0.95, 1.05),
        ("advdm[steps=50]", 1.15, 3.0),
        ("anti-dreambooth[steps=50]", 1.15, 3.0),
        ("anti-dreambooth[method=fsmg,steps=50]", 1.04, 3.0),
        ("mist[mode=semantic,steps=50]", 1.15, 3.0),
        ("sds[steps=50]", 0.0, 0.9),
        ("sds[direction=plus,steps=50]", 1.15, 3.0),
    ],
)
def test_the_loss_at_held_out_draws_moves_as_the_method_says(spelling, low, high, images, surrogate, clean_loss):
    share = held_out_loss(protected(spelling, images, surrogate), surrogate) / clean_loss
    assert low < float(share.mean()) < high, share


@pytest.mark.parametrize(
    ("spelling", "low", "high"),
    [
        ("random-noise", 0.97, 1.03),
        ("mist[mode=textural,steps=50]", 0.0, 0.85),
        ("mist[steps=50]", 0.0, 0.85),
        ("sds[targeted=true,steps=50]", 0.0, 0.85),
    ],
)
def test_the_latent_comes_nearer_to_the_pattern(spelling, low, high, images, surrogate):
    clean = distance_to_pattern(images, surrogate)
    share = distance_to_pattern(protected(spelling, images, surrogate), surrogate) / clean
    assert bool((share > low).all()), share
    assert bool((share < high).all()), share
