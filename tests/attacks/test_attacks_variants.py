"""Attackers at no further cost: some unprotected images, augmented training, decoupled prompts."""

from __future__ import annotations

from dataclasses import replace

import formula
import numpy as np
import pytest
import tiny
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from purifying import around, build
from scipy import ndimage

from cloakbench.attacks import catalogue
from cloakbench.attacks.mimicry import dreambooth
from cloakbench.attacks.mimicry.augmented import DreamBoothAugmented
from cloakbench.attacks.mimicry.decoupled import DreamBoothDecoupled
from cloakbench.attacks.mimicry.personalised import Personalised
from cloakbench.attacks.mimicry.sampling import generate, starting_noise
from cloakbench.errors import UserError
from cloakbench.images import to_tensor
from cloakbench.schemas.suite import AttackSpec, Diffusing

DATA = formula.data()
ONE_STEP = {"steps": 1, "batch": 2, "learning_rate": 1e-3}
PLAN = Diffusing(steps=2, guidance=3.0, scheduler="ddim")
CLEAN = [tiny.picture(n, 16, 16) for n in range(8)]
CLASS = [tiny.picture(50 + n) for n in range(2)]


def unprotected(images, first_seed=0, name="some-clean", share=0.25):
    """Which of the images the mimic has without protection."""
    context = replace(around(range(first_seed, first_seed + len(CLEAN))), originals=CLEAN)
    mixed = build(name, share=share).apply(images, context)
    kinds = []
    for result, clean, image in zip(mixed, CLEAN, images, strict=True):
        kinds.append((np.array_equal(result, clean), np.array_equal(result, image)))
    assert {sum(kind) for kind in kinds} == {1}
    return {number for number, (is_clean, _) in enumerate(kinds) if is_clean}


@pytest.mark.parametrize(("name", "share", "count"), [("some-clean", 0.25, 2), ("half-clean", 0.5, 4)])
def test_a_share_of_the_images_is_unprotected_the_same_for_every_protection(name, share, count):
    brighter, darker = [pixels + 9 for pixels in CLEAN], [pixels - 9 for pixels in CLEAN]
    chosen = unprotected(brighter, name=name, share=share)
    assert len(chosen) == count
    assert unprotected(darker, name=name, share=share) == chosen
    assert any(unprotected(brighter, seed, name, share) != chosen for seed in range(1, 5))


def test_unprotected_images_need_originals_and_are_labelled_as_known():
    with pytest.raises(UserError, match="8 images, got 0"):
        build("some-clean", share=0.25).apply(CLEAN, around(range(8)))
    for share in (0.0, 1.0):
        with pytest.raises(UserError, match="share"):
            build("some-clean", share=share)
    spec = AttackSpec(name="x", countermeasure="jpeg+some-clean", mimicry="dreambooth", model="mini-a")
    assert catalogue.knowledge(spec) == "clean images"


def blurred_by_hand(pixels, sigma, kernel=7):
    offsets = np.arange(kernel) - kernel // 2
    window = np.exp(-(offsets**2) / (2 * sigma**2))
    soft = pixels / 255
    for axis in (0, 1):
        soft = ndimage.correlate1d(soft, window / window.sum(), axis=axis, mode="mirror")
    return torch.from_numpy(soft).permute(2, 0, 1).float()


def test_augmented_images_are_blurred_and_mirrored():
    pictures = [tiny.picture(n, 24, 31) for n in range(20)]
    attack = DreamBoothAugmented(copies=1, sigma_low=1.5, sigma_high=1.5, **ONE_STEP)
    variants = attack.augment(to_tensor(pictures), torch.Generator().manual_seed(1))
    expected = [blurred_by_hand(pixels, 1.5) for pixels in pictures]
    mirrored = []
    for variant, plain in zip(variants, expected, strict=True):
        mirrored.append(torch.allclose(variant, plain.flip(-1), atol=1e-5))
    straight = []
    for variant, plain in zip(variants, expected, strict=True):
        straight.append(torch.allclose(variant, plain, atol=1e-5))
    assert [a != b for a, b in zip(mirrored, straight, strict=True)] == [True] * 20
    assert 3 < sum(mirrored) < 17


def test_augmented_training_has_the_loss_of_its_variants(base):
    settings = {"copies": 2, "sigma_low": 1.5, "sigma_high": 1.5, "flip": 1.0}
    learned = DreamBoothAugmented(**settings, **ONE_STEP).personalise(base, DATA, 3)
    pictures = [blurred_by_hand(tiny.picture(n), 1.5).flip(-1) for n in range(3)] * 2
    drawn = formula.draw(base, torch.stack(pictures), 2, torch.Generator().manual_seed(3))
    captions = [(list(DATA.captions) * 2)[row] for row in drawn.rows.tolist()]
    plain = formula.loss(base, base.unet, drawn, base.embed(captions))
    assert learned.losses == pytest.approx([plain.item()], rel=1e-4)


@pytest.mark.parametrize("wrong", [{"kernel": 4}, {"copies": 0}, {"flip": 1.5}, {"sigma_low": 3.0}, {"lr": 1}])
def test_augmentation_refuses_wrong_settings(wrong):
    with pytest.raises(UserError):
        catalogue.find("mimicry", "dreambooth-augmented").build({"copies": 2} | ONE_STEP | wrong)


@pytest.fixture
def classes(monkeypatch):
    """Class images without sampling; the prompts that they are drawn from."""
    prompts = []

    def drawn(_model, text, count, _settings):
        prompts.append(text)
        return CLASS[:count]

    dreambooth._class_posterior.cache_clear()
    monkeypatch.setattr(dreambooth, "class_pictures", drawn)
    yield prompts
    dreambooth._class_posterior.cache_clear()


def test_decoupled_training_has_the_loss_of_both_captions(base, classes):
    attack = DreamBoothDecoupled("xyz haze", "haze", prior_weight=0.7, class_images=2, **ONE_STEP)
    learned = attack.personalise(base, DATA, 3)
    generator = torch.Generator().manual_seed(3)
    own = formula.draw(base, DATA.images, 2, generator)
    prior = formula.draw(base, to_tensor(CLASS), 2, generator)
    captions = [f"{DATA.captions[row]}, xyz haze" for row in own.rows.tolist()]
    of_artist = formula.loss(base, base.unet, own, base.embed(captions))
    of_class = formula.loss(base, base.unet, prior, base.embed(["a painting, without xyz haze"] * 2))
    assert learned.losses == pytest.approx([(of_artist + 0.7 * of_class).item()], rel=1e-5)
    assert classes == ["a painting"]


def test_decoupled_generations_are_those_of_a_stock_pipeline_with_a_negative_prompt(base, classes, stand_ins):
    attack = DreamBoothDecoupled("xyz haze", "haze", prior_weight=0.7, class_images=2, **{**ONE_STEP, "steps": 2})
    learned = attack.personalise(base, DATA, 3)
    pipe = StableDiffusionPipeline.from_pretrained(stand_ins / base.name, safety_checker=None, local_files_only=True)
    pipe.unet = learned.model.unet
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    theirs = pipe(
        "a boat by sks, without xyz haze",
        negative_prompt="haze",
        latents=starting_noise(base, [5]),
        num_inference_steps=PLAN.steps,
        guidance_scale=PLAN.guidance,
        output_type="np",
    ).images[0]
    [image] = generate(learned, ["a boat by sks"], [5], PLAN)
    assert np.abs(np.rint(theirs * 255) - image.astype(int)).max() <= 1
    [plain] = generate(Personalised(learned.model), ["a boat by sks"], [5], PLAN)
    assert not np.array_equal(plain, image)


def test_decoupling_needs_class_images():
    with pytest.raises(UserError, match="class_images"):
        catalogue.find("mimicry", "dreambooth-decoupled").build(ONE_STEP)
