"""Editing by instructions against the stock pipeline, on an untrained denoiser of eight channels."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
import torch
from diffusers import DDIMScheduler, StableDiffusionInstructPix2PixPipeline

from cloakbench.attacks import catalogue
from cloakbench.errors import UserError
from cloakbench.images import to_tensor
from cloakbench.models import loader

PICTURES = [tiny.picture(n, 64, 64) for n in range(3)]
PROMPTS = ["a boat", "", "a painting of a boat"]
SEEDS = [5, 6, 7]
SETTINGS = {"steps": 3, "guidance": 5.0, "image_guidance": 1.5, "scheduler": "ddim"}


def build(**parameters):
    return catalogue.find("editing", "edit-instruct").build({**SETTINGS, **parameters})


def apart(a, b):
    """The largest difference of two images, in levels."""
    return int(np.abs(np.asarray(a).astype(int) - np.asarray(b).astype(int)).max())


@pytest.fixture
def editor(sd_weights):
    return loader.load(str(sd_weights / "instruct-pix2pix"))


def test_edits_are_those_of_the_stock_pipeline(editor):
    pipe = StableDiffusionInstructPix2PixPipeline(
        vae=editor.vae,
        text_encoder=editor.text_encoder,
        tokenizer=editor.tokenizer,
        unet=editor.unet,
        scheduler=DDIMScheduler.from_config(editor.scheduler.config, clip_sample=False, set_alpha_to_one=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    theirs = pipe(
        [f"turn it into {prompt}" for prompt in PROMPTS],
        image=to_tensor(PICTURES),
        num_inference_steps=3,
        guidance_scale=5.0,
        image_guidance_scale=1.5,
        generator=[torch.Generator().manual_seed(seed) for seed in SEEDS],
        output_type="np",
    ).images
    ours = build().apply(editor, PICTURES, PROMPTS, SEEDS)
    assert apart(ours, np.rint(theirs * 255)) <= 1
    assert apart(ours, build().apply(editor, PICTURES, PROMPTS, SEEDS, chunk=2)) <= 1
    for change in ({"guidance": 1.0}, {"image_guidance": 3.0}, {"wording": "{prompt}"}):
        assert apart(ours, build(**change).apply(editor, PICTURES, PROMPTS, SEEDS)) > 1


def test_a_model_without_room_for_the_image_is_refused(model):
    with pytest.raises(UserError, match="8 input channels"):
        build().apply(model, PICTURES, PROMPTS, SEEDS)


@pytest.mark.parametrize(
    "wrong",
    [{"steps": 0}, {"guidance": 0.5}, {"image_guidance": 0.5}, {"scheduler": "euler"}, {"wording": "x"}],
    ids=str,
)
def test_wrong_parameters_are_refused(wrong):
    with pytest.raises(UserError, match="editing 'edit-instruct' does not take"):
        build(**wrong)
