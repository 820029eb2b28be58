from __future__ import annotations

import pytest
import torch

from cloakbench import whitebox
from cloakbench.streams import streams
from cloakbench_mist import Mist
from cloakbench_mist.protection import RATE, objective, target_latent
from cloakbench_mist.target import PERIOD, pattern


def value(surrogate, images, mode, rate=RATE):
    context = whitebox.contexts(surrogate, ["a painting"])
    goal = target_latent(surrogate, images)
    own = streams(torch.Generator().manual_seed(5), len(images))
    return objective(surrogate, context, goal, own, mode=mode, rate=rate)(images)


def test_the_target_is_black_and_white_and_periodic():
    target = pattern(3 * PERIOD, 2 * PERIOD + 8)
    assert target.shape == (1, 3, 3 * PERIOD, 2 * PERIOD + 8)
    assert set(target.unique().tolist()) == {0.0, 1.0}
    assert float(target[..., : 2 * PERIOD].mean()) == 0.5
    assert torch.equal(target[..., PERIOD:, :], target[..., :-PERIOD, :])
    assert torch.equal(target[..., PERIOD:], target[..., :-PERIOD])
    assert not torch.equal(target[..., PERIOD // 2 :], target[..., : -PERIOD // 2])


def test_the_textural_term_is_the_distance_of_a_sampled_latent_and_needs_no_denoiser(toy, three_images):
    surrogate = toy()
    values = value(surrogate, three_images, "textural")
    assert surrogate.unet.calls == []
    goal = surrogate.vae.blocks(2 * pattern(32, 32) - 1) * 0.5
    own = streams(torch.Generator().manual_seed(5), 3)
    noise = torch.stack([torch.randn((4, 4, 4), generator=generator) for generator in own])
    latents = (surrogate.vae.blocks(2 * three_images - 1) + 0.1 * noise) * 0.5
    assert torch.allclose(values, (latents - goal).square().mean((1, 2, 3)), atol=1e-6)


def test_modes_have_their_names_and_fused_is_their_sum(toy, three_images):
    surrogate = toy()
    textural, semantic = (value(surrogate, three_images, mode) for mode in ("textural", "semantic"))
    assert bool((textural > 0).all())
    assert bool((semantic < 0).all())
    assert torch.allclose(value(surrogate, three_images, "fused", rate=3.0), textural + 3 * semantic)


def test_the_rate_is_the_authors_at_512_pixels():
    values = 4 * 64 * 64
    textural, semantic = 0.7, -0.2
    assert values * (textural + RATE * semantic) == pytest.approx(values * textural + 1e4 * semantic)


@pytest.mark.parametrize("mode", ["textural", "semantic", "fused"])
def test_every_mode_lowers_its_own_value(mode, toy, three_images, ask):
    surrogate = toy()
    moved = Mist(mode=mode, steps=20, alpha=1 / 4).protect(three_images, ask(surrogate))
    assert bool((value(surrogate, moved, mode) < value(surrogate, three_images, mode)).all())


def test_starts_at_random_in_the_ball(toy, three_images, ask):
    moved = Mist(mode="textural", steps=1, alpha=1e-6).protect(three_images, ask(toy()))
    levels = ((moved - three_images) * 255).round()
    assert len(levels.unique()) == 17
    assert float(levels.abs().mean()) == pytest.approx(4, abs=0.3)


def test_asks_with_what_the_images_are_and_never_with_their_captions(toy, three_images, ask):
    surrogate = toy()
    Mist(steps=1).protect(three_images, ask(surrogate))
    assert surrogate.tokenizer.texts == ["a painting"]
