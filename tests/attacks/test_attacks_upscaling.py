"""Noisy upscaling by a diffusion upscaler, against the stock pipeline."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler, StableDiffusionUpscalePipeline
from PIL import Image
from purifying import BY_UPSCALER, PICTURES, apart, around, build

from cloakbench.errors import UserError
from cloakbench.images import to_tensor
from cloakbench.models import upscalers


@pytest.mark.parametrize("added", [33, 0])
def test_the_upscaler_gets_noise_caption_and_seed(stand_ins, upscaler, monkeypatch, added):
    """Level 0 is what the authors' fork of diffusers adds, whatever level it tells the denoiser."""
    picture, context = PICTURES[0][:32, :48], around((7,))
    parameters = {**BY_UPSCALER, "upscaler": str(upscaler), "noise_level": 33}
    [cleaned] = build("noisy-upscale", **parameters | {0: {"added_level": 0}}.get(added, {})).apply([picture], context)
    [noisy] = build("noise", sigma=0.1).apply([picture], context)
    pipe = StableDiffusionUpscalePipeline.from_pretrained(upscaler)
    pipe.set_progress_bar_config(disable=True)
    add = DDPMScheduler.add_noise
    monkeypatch.setattr(DDPMScheduler, "add_noise", lambda s, x, noise, _: add(s, x, noise, torch.tensor([added])))
    images = pipe(
        list(context.captions),
        to_tensor([noisy]),
        num_inference_steps=2,
        guidance_scale=2.0,
        noise_level=33,
        generator=torch.Generator().manual_seed(7),
        output_type="np",
    ).images[0]
    assert images.shape == (128, 192, 3)
    small = Image.fromarray(np.rint(images * 255).astype(np.uint8)).resize((48, 32), Image.Resampling.LANCZOS)
    assert apart(cleaned, np.asarray(small)) <= 1


def test_noise_of_another_level_is_another_image(stand_ins, upscaler):
    parameters = {**BY_UPSCALER, "upscaler": str(upscaler), "noise_level": 320}
    upscaled_pictures = []
    for added in ({}, {"added_level": 320}, {"added_level": 0}):
        upscaled_pictures.append(
            build("noisy-upscale", **parameters, **added).apply([PICTURES[0][:32, :32]], around((7,)))[0]
        )
    assert np.array_equal(upscaled_pictures[0], upscaled_pictures[1])
    assert apart(upscaled_pictures[0], upscaled_pictures[2]) > 1


@pytest.mark.filterwarnings("error")
def test_loading_prints_nothing_among_the_lines_of_a_run(stand_ins, upscaler, monkeypatch, capfd):
    monkeypatch.setattr(upscalers, "_load", upscalers._load.__wrapped__)
    parameters = {**BY_UPSCALER, "upscaler": str(upscaler), "noise_level": 33}
    build("noisy-upscale", **parameters).apply([PICTURES[0][:32, :32]], around((7,)))
    assert capfd.readouterr() == ("", "")


def test_a_pipeline_that_is_no_upscaler_is_told(stand_ins):
    with pytest.raises(UserError, match="expected a StableDiffusionUpscalePipeline in"):
        build("noisy-upscale", **{**BY_UPSCALER, "upscaler": "mini-a"}).apply(PICTURES[:1], around((1,)))
