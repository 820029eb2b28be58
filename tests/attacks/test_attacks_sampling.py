from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmark.attacks.mimicry.sampling import denoise, generate, starting_noise
from benchmark.suites.schema import Sampling

TOLERANCE = 1e-4
"""On latents of unit scale: what computing images together instead of alone may change."""
PROMPTS = ["a boat", "a painting of a boat", "", "sks", "a boat in the style of sks"]
SEEDS = [3, 1, 4, 15, 9]


def plan(scheduler="dpm++", steps=3, guidance=3.0):
    return Sampling(prompts=["x"], per_prompt=1, steps=steps, guidance=guidance, scheduler=scheduler)


def test_noise_is_drawn_from_each_images_own_seed(model):
    noise = starting_noise(model, SEEDS)
    assert noise.shape == (5, 4, 16, 16)
    assert torch.equal(starting_noise(model, [4]), noise[2:3])
    assert torch.equal(noise[1], torch.randn((4, 16, 16), generator=torch.Generator().manual_seed(1)))


@pytest.mark.parametrize("scheduler", ["dpm++", "ddim"])
def test_an_image_does_not_depend_on_its_company(model, scheduler):
    noise, context = starting_noise(model, SEEDS), model.embed(PROMPTS)
    together = denoise(model, model.unet, noise, context, plan(scheduler))
    assert together.isfinite().all()
    for n in range(len(SEEDS)):
        alone = denoise(model, model.unet, noise[n : n + 1], context[n : n + 1], plan(scheduler))
        assert float((alone - together[n : n + 1]).abs().max()) < TOLERANCE


def test_the_chunk_is_no_part_of_the_result(model):
    whole = generate(model, model.unet, PROMPTS, SEEDS, plan(), chunk=16)
    parts = generate(model, model.unet, PROMPTS, SEEDS, plan(), chunk=2)
    assert len(whole) == len(parts) == 5
    for a, b in zip(whole, parts, strict=True):
        assert a.shape == (128, 128, 3)
        assert np.abs(a.astype(int) - b.astype(int)).max() <= 1


def test_a_seed_gives_the_same_image_and_another_seed_another(model):
    state = torch.get_rng_state()
    first, again = (generate(model, model.unet, PROMPTS[:2], [7, 8], plan()) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert torch.equal(torch.get_rng_state(), state)
    [other] = generate(model, model.unet, PROMPTS[:1], [9], plan())
    assert not np.array_equal(other, first[0])


def test_guidance_moves_away_from_the_empty_prompt(model):
    noise, context = starting_noise(model, [1]), model.embed(["a painting of a boat"])

    def latents(guidance, embedded=context):
        return denoise(model, model.unet, noise, embedded, plan(steps=1, guidance=guidance, scheduler="ddim"))

    plain = latents(1.0)
    empty = latents(1.0, model.embed([""]))
    assert torch.allclose(latents(4.0) - empty, 4 * (plain - empty), atol=1e-3)
    assert not torch.equal(plain, empty)
