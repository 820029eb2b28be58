"""Purification by a denoiser of pixels: its arithmetic, and what the shipped one does to protected images."""

from __future__ import annotations

import pytest
import torch
from diffusers import UNet2DModel
from purifying import PICTURES, SMALL, around, build

from cloakbench import submissions
from cloakbench.datasets.artists import mini_artist
from cloakbench.errors import UserError
from cloakbench.images import to_tensor
from cloakbench.models import loader, purifiers
from cloakbench.submissions import guard
from cloakbench.suites import load as suites

CPU, FLOAT = torch.device("cpu"), torch.float32


def by_hand(folder, image, seed, times, interval):
    """The reverse process of Ho et al. 2020 (equations 6, 7, 15) on a linear schedule, the clean image clipped."""
    unet = UNet2DModel.from_pretrained(folder / "unet")
    kept = torch.cumprod(1 - torch.linspace(0.0001, 0.02, 1000), 0)
    generator = torch.Generator().manual_seed(seed)
    x = image * 2 - 1
    x = kept[times[0]].sqrt() * x + (1 - kept[times[0]]).sqrt() * torch.randn(x.shape[1:], generator=generator)
    for time in times:
        with torch.no_grad():
            noise = unet(x, time).sample
        now, before = kept[time], kept[time - interval] if time >= interval else torch.tensor(1.0)
        alpha = now / before
        clean = ((x - (1 - now).sqrt() * noise) / now.sqrt()).clamp(-1, 1)
        x = before.sqrt() * (1 - alpha) / (1 - now) * clean + alpha.sqrt() * (1 - before) / (1 - now) * x
        if time > 0:
            deviation = ((1 - before) / (1 - now) * (1 - alpha)).sqrt()
            x = x + deviation * torch.randn(x.shape[1:], generator=generator)
    return (x / 2 + 0.5).clamp(0, 1)


def test_an_image_is_noised_and_denoised_by_the_reverse_process(purifier_folder):
    image = to_tensor([PICTURES[0][:32, :32]])
    ours = purifiers.load(str(purifier_folder), CPU, FLOAT).redraw(image, [7], strength=0.1, steps=40)
    assert torch.allclose(ours, by_hand(purifier_folder, image, 7, [75, 50, 25, 0], 25), atol=1e-4)
    assert (ours - image).abs().mean() > 0.01


def test_a_shrunk_image_is_denoised_and_enlarged_again(purifier_folder, monkeypatch):
    sizes = []
    redraw = purifiers.Purifier.redraw

    def noted(purifier, images, *settings):
        sizes.append(tuple(images.shape))
        return redraw(purifier, images, *settings)

    monkeypatch.setattr(purifiers.Purifier, "redraw", noted)
    picture = PICTURES[0][:64, :32]
    settings = {**SMALL, "purifier": str(purifier_folder), "scale": 0.5}
    [cleaned] = build("noisy-upscale", **settings).apply([picture], around((7,)))
    assert sizes == [(1, 3, 32, 16)]
    assert cleaned.shape == picture.shape


def test_a_folder_without_a_denoiser_of_pixels_is_refused(tmp_path, sd_weights):
    with pytest.raises(UserError, match="expected a DDPMPipeline in"):
        purifiers.load(str(sd_weights / "sd-x4-upscaler"), CPU, FLOAT)


@pytest.fixture(scope="module")
def pairs():
    """Two images of each of two development artists, clean and after PhotoGuard."""
    suite, surrogate = suites.load("mini"), loader.load("mini-a").surrogate()
    clean, captions = [], []
    for name in ("swirl", "stained-glass"):
        artist = mini_artist(name, suite)
        clean += artist.images[:2]
        captions += artist.captions[:2]
    call = guard.Call(
        strength=1.0, budget_255=16, surrogate=surrogate, seed=0, class_word=suite.class_word, captions=captions
    )
    return clean, guard.run(submissions.load("photoguard[steps=20]").instance, clean, call).images


def latents_apart(first, second):
    model = loader.load("mini-a")
    with torch.no_grad():
        a, b = (model.vae.encode(to_tensor(images) * 2 - 1).latent_dist.mean for images in (first, second))
    return (a - b).square().mean((1, 2, 3)).sqrt().mean()


def squared_error(first, second):
    return float((to_tensor(first) - to_tensor(second)).square().mean())


@pytest.mark.parametrize("name", ["diffpure", "noisy-upscale"])
def test_the_shipped_denoiser_undoes_more_than_blur_and_damages_less(name, pairs):
    clean, protected = pairs
    tables, context = suites.load("mini").countermeasures, around((1, 2, 3, 4))
    purify, blur = (build(stage, **tables[stage]) for stage in (name, "blur"))
    left = latents_apart(clean, purify.apply(protected, context))
    assert left < latents_apart(clean, blur.apply(protected, context))
    assert left < 0.8 * latents_apart(clean, protected)
    assert squared_error(clean, purify.apply(clean, context)) < squared_error(clean, blur.apply(clean, context))
