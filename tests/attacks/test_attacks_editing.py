"""Image-to-image against the paper's formula and the stock pipeline, and the attack that is made of it."""

from __future__ import annotations

import formula
import numpy as np
import pytest
import tiny
import torch
from diffusers import DDIMScheduler, StableDiffusionImg2ImgPipeline

from cloakbench.attacks import catalogue
from cloakbench.attacks.mimicry import sampling
from cloakbench.attacks.mimicry.sampling import image_to_image
from cloakbench.errors import UserError
from cloakbench.images import quantise, to_tensor
from cloakbench.schemas.suite import Diffusing

PICTURES = [tiny.picture(n) for n in range(3)]
IMAGES = to_tensor(PICTURES)
PROMPTS = ["a boat", "", "a painting of a boat"]
SEEDS = [5, 6, 7]
EDIT = {"strength": 0.5, "steps": 4, "guidance": 3.0}


def plan(scheduler="ddim", steps=4, guidance=3.0):
    return Diffusing(steps=steps, guidance=guidance, scheduler=scheduler)


def apart(a, b):
    """The largest difference of two images, in levels."""
    return int(np.abs(np.asarray(a).astype(int) - np.asarray(b).astype(int)).max())


def latents_of(model, images):
    with torch.no_grad():
        return model.vae.encode(images * 2 - 1).latent_dist.mean * model.vae.config.scaling_factor


def test_no_strength_encodes_and_decodes(base):
    edits = image_to_image(base, IMAGES, PROMPTS, SEEDS, plan(), 0.0)
    with torch.no_grad():
        decoded = base.vae.decode(latents_of(base, IMAGES) / base.vae.config.scaling_factor).sample
    assert apart(edits, quantise(decoded / 2 + 0.5)) <= 1


def test_full_strength_leaves_next_to_nothing_of_the_image(base):
    settings = plan(steps=20, guidance=1.0)
    black, white = torch.zeros(1, 3, 128, 128), torch.ones(1, 3, 128, 128)

    def edits(strength):
        [dark], [light] = (image_to_image(base, x, ["a boat"], [1], settings, strength) for x in (black, white))
        return np.abs(dark.astype(int) - light.astype(int)).mean()

    assert edits(1.0) < 0.25 * edits(0.0)


@pytest.mark.parametrize("scheduler", ["dpm++", "ddim"])
def test_an_edit_does_not_depend_on_its_company(model, scheduler):
    together = image_to_image(model, IMAGES, PROMPTS, SEEDS, plan(scheduler), 0.5)
    paired = image_to_image(model, IMAGES, PROMPTS, SEEDS, plan(scheduler), 0.5, chunk=2)
    assert apart(together, paired) <= 1
    for n in range(3):
        [alone] = image_to_image(model, IMAGES[n : n + 1], [PROMPTS[n]], [SEEDS[n]], plan(scheduler), 0.5)
        assert apart(alone, together[n]) <= 1


@pytest.mark.parametrize("strength", [0.25, 0.5, 1.0])
def test_edits_are_those_of_the_stock_pipeline(base, strength):
    """It starts from the same latents, and its generators draw the same noise."""
    pipe = StableDiffusionImg2ImgPipeline(
        vae=base.vae,
        text_encoder=base.text_encoder,
        tokenizer=base.tokenizer,
        unet=base.unet,
        scheduler=DDIMScheduler.from_config(base.scheduler.config),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    theirs = pipe(
        PROMPTS,
        image=latents_of(base, IMAGES),
        strength=strength,
        num_inference_steps=4,
        guidance_scale=3.0,
        generator=[torch.Generator().manual_seed(seed) for seed in SEEDS],
        output_type="np",
    ).images
    ours = image_to_image(base, IMAGES, PROMPTS, SEEDS, plan(), strength)
    assert apart(ours, np.rint(theirs * 255)) <= 1
    assert apart(ours, image_to_image(base, IMAGES, PROMPTS, [8, 9, 10], plan(), strength)) > 1


def test_one_step_is_that_of_the_formula(base):
    """Noise to time 1, predict, and go to the first of the schedule (Song et al. 2020, eq. 12)."""
    [edits] = image_to_image(base, IMAGES[:1], ["a boat"], [5], plan(steps=4, guidance=1.0), 0.25)
    here, there = formula.alphas()[1], formula.alphas()[0]
    noise = torch.randn((4, 16, 16), generator=torch.Generator().manual_seed(5))[None]
    noisy = here.sqrt() * latents_of(base, IMAGES[:1]) + (1 - here).sqrt() * noise
    with torch.no_grad():
        out = base.unet(noisy, 1, encoder_hidden_states=base.embed(["a boat"])).sample
    if base.name == "mini-b":
        clean, noise = here.sqrt() * noisy - (1 - here).sqrt() * out, here.sqrt() * out + (1 - here).sqrt() * noisy
    else:
        clean, noise = (noisy - (1 - here).sqrt() * out) / here.sqrt(), out
    assert apart([edits], quantise(base.decode(there.sqrt() * clean + (1 - there).sqrt() * noise))) <= 1


@pytest.mark.parametrize("strength", [-0.1, 1.1])
def test_a_strength_outside_its_range_is_refused(model, strength):
    with pytest.raises(ValueError, match=r"expected a strength in \[0, 1\]"):
        image_to_image(model, IMAGES, PROMPTS, SEEDS, plan(), strength)


def build(**parameters):
    return catalogue.find("editing", "edit").build({**EDIT, **parameters})


def test_an_edit_of_the_same_image_is_the_same_and_of_another_is_another(model):
    moved = [np.clip(p.astype(int) + 16, 0, 255).astype(np.uint8) for p in PICTURES]
    clean, again, protected = (build().apply(model, images, PROMPTS, SEEDS) for images in (PICTURES, PICTURES, moved))
    assert apart(clean, again) == 0
    for a, b in zip(clean, protected, strict=True):
        assert apart(a, b) > 0


def test_clean_and_protected_images_get_the_same_noise(model, monkeypatch):
    seen = []
    seeded = sampling.seeded_noise
    monkeypatch.setattr(sampling, "seeded_noise", lambda *given: seen.append(seeded(*given)) or seen[-1])
    for images in (PICTURES, [255 - p for p in PICTURES]):
        build().apply(model, images, PROMPTS, SEEDS)
    assert torch.equal(*seen)


def test_the_edit_has_its_parameters_and_leaves_the_model_alone(model):
    before, state = formula.weights(model.unet), torch.get_rng_state()
    edit = build(scheduler="ddim")
    cleaned = edit.apply(model, PICTURES, PROMPTS, SEEDS)
    assert apart(cleaned, image_to_image(model, IMAGES, PROMPTS, SEEDS, plan(), 0.5)) == 0
    assert torch.equal(torch.get_rng_state(), state)
    assert formula.same(formula.weights(model.unet), before)


@pytest.mark.parametrize(
    "wrong",
    [
        {"strength": 0.0},
        {"strength": 1.5},
        {"steps": 0},
        {"guidance": 0.5},
        {"scheduler": "euler"},
        {"colour": "red"},
    ],
    ids=lambda wrong: "-".join(map(str, *wrong.items())),
)
def test_wrong_parameters_are_refused(wrong):
    with pytest.raises(UserError, match="editing 'edit' does not take"):
        build(**wrong)
