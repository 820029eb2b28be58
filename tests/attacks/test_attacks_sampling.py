from __future__ import annotations

import formula
import numpy as np
import pytest
import torch

from cloakbench.attacks.mimicry.personalised import Personalised
from cloakbench.attacks.mimicry.sampling import denoise, generate, starting_noise
from cloakbench.schemas.suite import Sampling

TOLERANCE = 1e-4
"""On latents of unit scale: what computing images together instead of alone may change."""
PROMPTS = ["a boat", "a painting of a boat", "", "sks", "a boat in the style of sks"]
SEEDS = [3, 1, 4, 15, 9]


def plan(scheduler="dpm++", steps=3, guidance=3.0):
    return Sampling(prompts=["x"], per_prompt=1, steps=steps, guidance=guidance, scheduler=scheduler)


def contexts(model, *prompts):
    return model.embed([""])[None], model.embed(list(prompts))[None]


def test_noise_is_drawn_from_each_images_own_seed(model):
    noise = starting_noise(model, SEEDS)
    assert noise.shape == (5, 4, 16, 16)
    assert torch.equal(starting_noise(model, [4]), noise[2:3])
    assert torch.equal(noise[1], torch.randn((4, 16, 16), generator=torch.Generator().manual_seed(1)))


@pytest.mark.parametrize("scheduler", ["dpm++", "ddim"])
def test_an_image_does_not_depend_on_its_company(model, scheduler):
    noise, (empty, guided) = starting_noise(model, SEEDS), contexts(model, *PROMPTS)
    together = denoise(model, noise, (empty, guided), plan(scheduler))
    assert together.isfinite().all()
    for n in range(len(SEEDS)):
        alone = denoise(model, noise[n : n + 1], (empty, guided[:, n : n + 1]), plan(scheduler))
        assert float((alone - together[n : n + 1]).abs().max()) < TOLERANCE


def test_the_chunk_is_no_part_of_the_result(model):
    mimic = Personalised(model)
    whole = generate(mimic, PROMPTS, SEEDS, plan(), chunk=16)
    parts = generate(mimic, PROMPTS, SEEDS, plan(), chunk=2)
    assert len(whole) == len(parts) == 5
    for a, b in zip(whole, parts, strict=True):
        assert a.shape == (128, 128, 3)
        assert np.abs(a.astype(int) - b.astype(int)).max() <= 1


def test_a_seed_gives_the_same_image_and_another_seed_another(model):
    mimic, state = Personalised(model), torch.get_rng_state()
    first, again = (generate(mimic, PROMPTS[:2], [7, 8], plan()) for _ in range(2))
    for a, b in zip(first, again, strict=True):
        assert np.array_equal(a, b)
    assert torch.equal(torch.get_rng_state(), state)
    [other] = generate(mimic, PROMPTS[:1], [9], plan())
    assert not np.array_equal(other, first[0])


def test_guidance_moves_away_from_the_empty_prompt(model):
    noise, (empty, guided) = starting_noise(model, [1]), contexts(model, "a painting of a boat")

    def latents(guidance, embedded=guided):
        return denoise(model, noise, (empty, embedded), plan(steps=1, guidance=guidance, scheduler="ddim"))

    plain = latents(1.0)
    without = latents(1.0, empty)
    assert torch.allclose(latents(4.0) - without, 4 * (plain - without), atol=1e-3)
    assert not torch.equal(plain, without)


def by_ddim(model, latents, empty, guided, times, guidance):
    """Song et al. 2020, eq. 12 without noise, from time to time; the last step ends at the first of the schedule."""
    a = formula.alphas()
    for n, time in enumerate(times):
        here, there = a[time], a[times[n + 1]] if n + 1 < len(times) else a[0]
        without, towards = (model.unet(latents, time, encoder_hidden_states=c).sample for c in (empty, guided))
        out = without + guidance * (towards - without)
        if model.name == "mini-b":
            clean, noise = here.sqrt() * latents - (1 - here).sqrt() * out, here.sqrt() * out
            noise = noise + (1 - here).sqrt() * latents
        else:
            clean, noise = (latents - (1 - here).sqrt() * out) / here.sqrt(), out
        latents = there.sqrt() * clean + (1 - there).sqrt() * noise
    return latents


def test_denoising_is_ddim_of_the_paper(base):
    noise, (empty, guided) = starting_noise(base, [1]), contexts(base, "a painting of a boat")
    latents = denoise(base, noise, (empty, guided), plan("ddim", steps=4))
    with torch.no_grad():
        # Stable Diffusion counts its times from the end, one off: 1 + 250 n.
        expected = by_ddim(base, noise, empty[0], guided[0], [751, 501, 251, 1], 3.0)
    assert torch.allclose(latents, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


def test_denoising_may_begin_later(base):
    noise, (empty, guided) = starting_noise(base, [1]), contexts(base, "a painting of a boat")
    latents = denoise(base, noise, (empty, guided), plan("ddim", steps=4), begin=2)
    with torch.no_grad():
        expected = by_ddim(base, noise, empty[0], guided[0], [251, 1], 3.0)
    assert torch.allclose(latents, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))
