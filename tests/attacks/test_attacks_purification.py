"""What holds for each countermeasure that runs a model: impress, diffpure, vae-trans, noisy-upscale."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch
from purifying import (
    BY_MODEL,
    BY_UPSCALER,
    DIFFPURE,
    IMPRESS,
    IN_PIXELS,
    PICTURES,
    SEEDS,
    SMALL,
    TAESD,
    apart,
    around,
    build,
)

from cloakbench import images
from cloakbench.attacks.context import Context
from cloakbench.attacks.countermeasures.framing import in_frames
from cloakbench.errors import UserError
from cloakbench.models import loader

NAMES = ["impress", "diffpure", "pixel-diffpure", "vae-trans", "noisy-upscale", "upscaler", "small"]
SEEDED = [name for name in NAMES if name != "vae-trans"]


@pytest.fixture
def stage(stand_ins, upscaler, purifier_folder):
    """Builds one of NAMES on stand-ins."""
    known = {
        "impress": lambda: build("impress", **IMPRESS),
        "diffpure": lambda: build("diffpure", **DIFFPURE),
        "pixel-diffpure": lambda: build("diffpure", **{**IN_PIXELS, "purifier": str(purifier_folder)}),
        "small": lambda: build("noisy-upscale", **{**SMALL, "purifier": str(purifier_folder)}),
        "vae-trans": lambda: build("vae-trans", vae="mini-vae-c"),
        "noisy-upscale": lambda: build("noisy-upscale", **BY_MODEL),
        "upscaler": lambda: build("noisy-upscale", **{**BY_UPSCALER, "upscaler": str(upscaler)}),
    }
    return lambda name: known[name]()


@pytest.mark.parametrize("name", NAMES)
def test_an_image_does_not_depend_on_its_company(stage, name):
    small = [picture[:48, :40] for picture in PICTURES]
    together = stage(name).apply(small, around())
    for n, picture in enumerate(small):
        [alone] = stage(name).apply([picture], around(SEEDS[n : n + 1]))
        assert apart(alone, together[n]) <= 1
        assert apart(alone, picture) > 1


@pytest.mark.parametrize("name", SEEDED)
def test_a_seed_gives_the_same_bytes_and_another_seed_others(stage, name):
    state = torch.get_rng_state()
    first, again, other = (stage(name).apply([PICTURES[0][:48, :40]], around((n,)))[0] for n in (5, 5, 6))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", NAMES)
def test_sizes_stay(stage, name):
    pictures = [tiny.picture(0, 61, 83), tiny.picture(1, 32, 40)]
    cleaned = stage(name).apply(pictures, around(SEEDS[:2]))
    assert [pixels.shape for pixels in cleaned] == [picture.shape for picture in pictures]
    for pixels in cleaned:
        assert pixels.dtype == np.uint8


def test_framing_brings_every_image_back_to_its_place():
    sizes = [(8, 8), (5, 13), (8, 8), (1, 1), (3, 16), (8, 8)]
    pictures = [np.full((*size, 3), n, np.uint8) for n, size in enumerate(sizes)]
    seen = []

    def clean(batch, rows):
        seen.append((tuple(batch.shape), rows))
        return [pixels + 100 for pixels in images.quantise(batch)]

    framed = in_frames(pictures, 8, 128, clean)
    for a, b in zip(framed, pictures, strict=True):
        assert np.array_equal(a, b + 100)
    assert seen == [((2, 3, 8, 8), [0, 2]), ((2, 3, 8, 8), [3, 5]), ((1, 3, 8, 16), [1]), ((1, 3, 8, 16), [4])]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "upscaler"])
def test_the_context_says_how_much_is_computed_at_once(stage, name, monkeypatch):
    seen = []

    def framed(pictures, _multiple, at_once, _clean):
        seen.append(at_once)
        return list(pictures)

    module = {"pixel-diffpure": "diffpure", "small": "diffpure"}.get(name, name.replace("-", "_"))
    monkeypatch.setattr(f"cloakbench.attacks.countermeasures.{module}.in_frames", framed)
    stage(name).apply(PICTURES, replace(around(), pixels_at_once=777))
    assert seen == [777]


def test_captions_reach_the_model(stage):
    pictures = [PICTURES[0][:40, :40]]
    one, other = (Context((1,), (text,), loader.load, loader.mini_lpips()) for text in ("a boat", "a style"))
    for name, same in (("noisy-upscale", False), ("upscaler", False), ("diffpure", True)):
        first, second = (stage(name).apply(pictures, context)[0] for context in (one, other))
        assert np.array_equal(first, second) == same


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("impress", {**IMPRESS, "steps": 0}, "steps must be at least 1"),
        ("impress", {**IMPRESS, "learning_rate": 0}, "learning_rate above 0"),
        ("impress", {**IMPRESS, "budget": -0.1}, "budget and noise must not be negative"),
        ("impress", {**IMPRESS, "schedule": "linear"}, "schedule must be constant or cosine"),
        ("impress", {**IMPRESS, "posterior": "mean"}, "posterior mode or sample"),
        ("impress", {"steps": 3}, "missing 1 required"),
        ("impress", {**IMPRESS, "model": ""}, "model must name a model"),
        ("diffpure", {**DIFFPURE, "strength": 1.1}, "strength must lie in"),
        ("diffpure", {**DIFFPURE, "strength": 0.1}, "at least one of the steps"),
        ("diffpure", {**DIFFPURE, "steps": 0}, "strength must lie in"),
        ("diffpure", {**DIFFPURE, "scheduler": "euler"}, "scheduler"),
        ("diffpure", {**DIFFPURE, "model": ""}, "one of model and purifier must name a model"),
        ("diffpure", {**DIFFPURE, "purifier": "x"}, "one of model and purifier must name a model"),
        ("diffpure", {**IN_PIXELS, "purifier": "x", "strength": 0.0}, "strength must lie in"),
        ("noisy-upscale", {**SMALL, "purifier": "x", "scale": 0.0}, "scale must be above 0"),
        ("vae-trans", {"vae": ""}, "vae must name a model"),
        ("noisy-upscale", {**BY_MODEL, "sigma": 0}, "sigma must be above 0"),
        ("noisy-upscale", {**BY_MODEL, "upscaler": "x"}, "one of model, upscaler and purifier"),
        ("noisy-upscale", BY_UPSCALER, "one of model, upscaler and purifier"),
        ("noisy-upscale", {**BY_MODEL, "strength": 0.0}, "strength must lie in"),
        ("noisy-upscale", {**BY_MODEL, "guidance": 0.5}, "guidance"),
        ("noisy-upscale", {**BY_UPSCALER, "upscaler": "x", "noise_level": -1}, "noise_level and added_level must be"),
        ("noisy-upscale", {**BY_UPSCALER, "upscaler": "x", "added_level": -1}, "noise_level and added_level must be"),
    ],
)
def test_parameters_out_of_range_are_the_suites_fault(name, parameters, message):
    with pytest.raises(UserError, match=f"countermeasure '{name}' does not take [^$]*{message}"):
        build(name, **parameters)


LARGE = {
    "jpeg": {"quality": 75},
    "blur": {"kernel": 5, "sigma": 1.0},
    "noise": {"sigma": 0.05},
    "resize": {"scale": 0.5},
    "impress": {"model": TAESD, "steps": 1, "learning_rate": 0.02},
    "vae-trans": {"vae": TAESD},
    "diffpure": {**DIFFPURE, "strength": 0.25},
    "noisy-upscale": {**BY_MODEL, "strength": 0.25},
}


@pytest.mark.parametrize("name", list(LARGE))
def test_a_painting_of_512_pixels_goes_through(painting, name):
    [cleaned] = build(name, **LARGE[name]).apply([painting], around(SEEDS[:1]))
    assert cleaned.shape == painting.shape == (512, 512, 3)
    assert apart(cleaned, painting) > 2
    if name not in {"diffpure", "noisy-upscale"}:  # their model is untrained here
        error = np.mean((cleaned.astype(float) - painting) ** 2)
        assert 10 * np.log10(255**2 / error) > 16  # dB; TAESD itself rebuilds this much texture no better
