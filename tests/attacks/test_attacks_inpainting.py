"""Inpainting against the stock pipeline, on an untrained denoiser of nine channels."""

from __future__ import annotations

from dataclasses import replace

import formula
import inpainting
import numpy as np
import pytest
import tiny
import torch
from diffusers import DDIMScheduler, StableDiffusionInpaintPipeline

from cloakbench.attacks import catalogue
from cloakbench.attacks.editing.inpaint import boxed
from cloakbench.errors import UserError
from cloakbench.images import to_tensor
from cloakbench.models import loader

PICTURES = [tiny.picture(n) for n in range(3)]
MASKS = [inpainting.mask(n) for n in range(3)]
PROMPTS = ["a boat", "", "a painting of a boat"]
SEEDS = [5, 6, 7]
INPAINT = {"steps": 3, "guidance": 3.0, "scheduler": "ddim"}


def build(**parameters):
    return catalogue.find("editing", "inpaint").build({**INPAINT, **parameters})


def apart(a, b):
    """The largest difference of two images, in levels."""
    return int(np.abs(np.asarray(a).astype(int) - np.asarray(b).astype(int)).max())


@pytest.fixture
def painter(stand_ins, tmp_path_factory):
    """A model like mini-a whose denoiser sees masks."""
    return loader.load(str(inpainting.write(tmp_path_factory.getbasetemp() / "inpaint", stand_ins / "mini-a")))


@pytest.mark.parametrize("change", [{}, {"eta": 1.0}, {"guidance": 1.0}], ids=str)
def test_edits_are_those_of_the_stock_pipeline(painter, change):
    """Its generators draw the same noise: for the start, for the latent of what is kept, and for every step."""
    wanted = {**INPAINT, "eta": 0.0, **change}
    pipe = StableDiffusionInpaintPipeline(
        vae=painter.vae,
        text_encoder=painter.text_encoder,
        tokenizer=painter.tokenizer,
        unet=painter.unet,
        scheduler=DDIMScheduler.from_config(painter.scheduler.config),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    theirs = pipe(
        PROMPTS,
        image=to_tensor(PICTURES),
        mask_image=torch.stack([torch.from_numpy(mask)[None] / 255 for mask in MASKS]),
        num_inference_steps=wanted["steps"],
        guidance_scale=wanted["guidance"],
        eta=wanted["eta"],
        generator=[torch.Generator().manual_seed(seed) for seed in SEEDS],
        height=128,
        width=128,
        output_type="np",
    ).images
    ours = build(**change).apply(painter, PICTURES, PROMPTS, SEEDS, MASKS)
    assert apart(ours, np.rint(theirs * 255)) <= 1
    assert apart(ours, build(**change).apply(painter, PICTURES, PROMPTS, [8, 9, 10], MASKS)) > 1


@pytest.mark.parametrize("change", [{"scheduler": "dpm++"}, {"eta": 1.0}], ids=str)
def test_an_edit_does_not_depend_on_its_company(painter, change):
    together = build(**change).apply(painter, PICTURES, PROMPTS, SEEDS, MASKS)
    assert apart(together, build(**change).apply(painter, PICTURES, PROMPTS, SEEDS, MASKS, chunk=2)) <= 1
    [alone] = build(**change).apply(painter, PICTURES[1:2], PROMPTS[1:2], SEEDS[1:2], MASKS[1:2])
    assert apart(alone, together[1]) <= 1


def test_half_precision_changes_the_edit_by_rounding_alone(painter):
    half = loader.load(str(painter.folder), "cpu", torch.bfloat16)
    found, exact = (np.stack(build().apply(m, PICTURES, PROMPTS, SEEDS, MASKS)).astype(float) for m in (half, painter))
    assert 0 < np.abs(found - exact).mean() < 2


def test_what_the_mask_hides_plays_no_part_and_the_rest_does(painter):
    hidden, seen = (
        [np.where((mask == level)[..., None], 255 - p, p) for p, mask in zip(PICTURES, MASKS, strict=True)]
        for level in (255, 0)
    )
    plain, same, other = (build().apply(painter, p, PROMPTS, SEEDS, MASKS) for p in (PICTURES, hidden, seen))
    assert apart(plain, same) == 0
    for a, b in zip(plain, other, strict=True):
        assert apart(a, b) > 1
    assert apart(plain, build().apply(painter, PICTURES, PROMPTS, SEEDS, MASKS[::-1])) > 1


def test_the_model_and_the_global_generator_stay_as_they_are(painter):
    before, state = formula.weights(painter.unet), torch.get_rng_state()
    build().apply(painter, PICTURES, PROMPTS, SEEDS, MASKS)
    assert torch.equal(torch.get_rng_state(), state)
    assert formula.same(formula.weights(painter.unet), before)


def test_a_model_without_room_for_the_mask_is_refused(model):
    named = replace(model, name="plain")
    with pytest.raises(UserError, match="expected an inpainting model of 9 input channels, got 'plain' of 4"):
        build().apply(named, PICTURES, PROMPTS, SEEDS, MASKS)


@pytest.mark.parametrize(
    "wrong",
    [{"steps": 0}, {"guidance": 0.5}, {"scheduler": "euler"}, {"eta": 1.5}, {"eta": 0.5, "scheduler": "dpm++"}],
    ids=lambda wrong: "-".join(map(str, wrong.values())),
)
def test_wrong_parameters_are_refused(wrong):
    with pytest.raises(UserError, match="editing 'inpaint' does not take"):
        build(**wrong)


def test_a_box_holds_the_smaller_part_of_the_mask():
    small = np.zeros((8, 10), np.uint8)
    small[2, 3] = small[4, 6] = 255
    expected = np.zeros((8, 10), np.uint8)
    expected[2:5, 3:7] = 255
    assert np.array_equal(boxed(small), expected)
    assert np.array_equal(boxed(255 - small), 255 - expected)
    for level in (0, 255):
        assert (boxed(np.full((4, 4), level, np.uint8)) == level).all()


def test_an_edit_under_boxes_is_the_edit_under_those_masks(painter):
    masks = [mask.copy() for mask in MASKS]
    for mask in masks:
        mask[:, -20:] = 0
        mask[60:70, 90:100] = 0
    stage = catalogue.find("editing", "inpaint-box").build(INPAINT)
    ours = stage.apply(painter, PICTURES, PROMPTS, SEEDS, masks)
    theirs = build().apply(painter, PICTURES, PROMPTS, SEEDS, [boxed(mask) for mask in masks])
    assert apart(ours, theirs) == 0
