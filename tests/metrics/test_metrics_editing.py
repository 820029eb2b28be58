from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
import torch

from cloakbench.errors import UserError
from cloakbench.metrics import catalogue, generations, quality
from cloakbench.metrics.generations import MeasuredSet
from cloakbench.metrics.spaces import FeatureImages


def vif(edited, clean):
    [value] = quality.measure(["edit-vif"], [edited], [clean])["edit-vif"]
    return value


def noisy(pixels, levels, seed=0):
    moved = np.random.default_rng(seed).integers(-levels, levels, pixels.shape, endpoint=True)
    return np.clip(pixels + moved, 0, 255).astype(np.uint8)


def board(low, high, side=64):
    """A chessboard of single pixels."""
    light = np.indices((side, side)).sum(0) % 2
    return np.repeat(np.where(light, high, low).astype(np.uint8)[..., None], 3, axis=2)


def vif_of_channel(x, y):
    """Sheikh and Bovik's model fitted window by window: y = g x + v, least squares under a Gaussian weight."""
    kept = there = 0.0
    for scale, side in enumerate((17, 9, 5, 3)):
        positions = np.arange(side) - side // 2
        weights = np.exp(-(positions[:, None] ** 2 + positions**2) / (2 * (side / 5) ** 2))
        weights /= weights.sum()
        if scale:
            x, y = (np.einsum("ijkl,kl", windows(plane, side), weights)[::2, ::2] for plane in (x, y))
        a, b = windows(x, side), windows(y, side)
        a, b = (channel_pair - np.einsum("ijkl,kl", channel_pair, weights)[..., None, None] for channel_pair in (a, b))
        var, cov = (np.einsum("ijkl,ijkl,kl->ij", a, other, weights) for other in (a, b))
        gain = np.maximum(cov / var, 0)
        left = np.einsum("ijkl,kl->ij", (b - gain[..., None, None] * a) ** 2, weights)
        kept += np.log2(1 + gain**2 * var / (left + 2)).sum()
        there += np.log2(1 + var / 2).sum()
    return kept / there


def windows(x, side):
    return np.lib.stride_tricks.sliding_window_view(x, (side, side))


@pytest.mark.parametrize(
    ("edited", "clean"),
    [
        (noisy(tiny.picture(0, 64, 64), 16), noisy(tiny.picture(0, 64, 64), 3, seed=1)),
        (noisy(tiny.picture(1, 50, 71), 3), noisy(tiny.picture(2, 50, 71), 3, seed=1)),
        (np.roll(noisy(tiny.picture(3, 64, 64), 3), 2, axis=0), noisy(tiny.picture(3, 64, 64), 3)),
    ],
    ids=["noise", "another picture", "moved"],
)
def test_vif_is_the_papers_in_each_channel(edited, clean):
    pairs = [(clean[..., n].astype(float), edited[..., n].astype(float)) for n in range(3)]
    expected = np.mean([vif_of_channel(x, y) for x, y in pairs])
    assert vif(edited, clean) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("halved", [50, 10])
def test_vif_of_less_contrast_by_hand(halved):
    # The first scale sees variances 100^2 and halved^2 without noise; blurred, a chessboard is one grey.
    clean, edited = board(28, 228), board(128 - halved, 128 + halved)
    expected = math.log(1 + halved**2 / 2) / math.log(1 + 100**2 / 2)
    assert vif(edited, clean) == pytest.approx(expected, rel=1e-4)


def test_vif_rises_above_one_where_contrast_is_gained():
    assert vif(board(28, 228), board(78, 178)) > 1.1


def test_a_flat_channel_does_not_spoil_the_others():
    # torchmetrics gives 0 / 0 for a flat channel of the clean image.
    clean = noisy(tiny.picture(0, 64, 64), 9)
    clean[..., 0] = 90
    edited = clean.copy()
    edited[..., 1] = 255 - edited[..., 1]
    alone = vif(np.repeat(edited[..., 1:2], 3, axis=2), np.repeat(clean[..., 1:2], 3, axis=2))
    assert vif(clean, clean) == pytest.approx(1)
    assert vif(edited, clean) == pytest.approx((1 + alone + 1) / 3)


def test_vif_of_a_flat_picture_is_whether_they_are_equal():
    flat = np.full((64, 64, 3), 201, np.uint8)
    assert vif(flat, flat) == 1
    assert vif(flat + 1, flat) == 0
    assert vif(flat, noisy(flat, 20)) == pytest.approx(0, abs=1e-9)
    assert vif(255 - board(28, 228), board(28, 228)) == pytest.approx(0, abs=1e-4)


def test_vif_needs_room_for_its_widest_window():
    fits, small = noisy(tiny.picture(0, 41, 60), 9), noisy(tiny.picture(0, 60, 40), 9)
    assert vif(fits, fits) == pytest.approx(1)
    with pytest.raises(UserError, match="at least 41 pixels a side, got 40"):
        vif(small, small)


def test_ssim_and_psnr_are_those_of_quality():
    edited, clean = [noisy(tiny.picture(n), 16) for n in range(2)], [tiny.picture(n) for n in range(2)]
    measured = quality.measure(["edit-ssim", "edit-psnr"], edited, clean)
    known = quality.measure(["ssim", "psnr"], edited, clean)
    assert measured == {"edit-ssim": known["ssim"], "edit-psnr": known["psnr"]}


@pytest.mark.parametrize(("name", "value"), [("edit-ssim", 1.0), ("edit-psnr", 80.0), ("edit-vif", 1.0)])
def test_equal_edits_get_what_the_facts_say(name, value):
    picture = tiny.picture(0)
    assert quality.measure([name], [picture], [picture]) == {name: [pytest.approx(value, abs=1e-6)]}


def test_adherence_is_the_cosine_to_the_prompt(monkeypatch):
    features = torch.nn.functional.normalize(torch.tensor([[1.0, 0.0], [1.0, 1.0]]), dim=1)
    texts = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    clip = SimpleNamespace(text_features=lambda prompts: texts[: len(prompts)])
    monkeypatch.setattr(generations, "load_clip", lambda *_: clip)
    edits = FeatureImages(None, by_space={"clip-b32": features})
    assert generations.adherence(MeasuredSet(edits, FeatureImages(None), prompts=["a", "b"])) == pytest.approx(
        [1.0, 0.5**0.5]
    )
    scores = generations.measure(["edit-adherence"], MeasuredSet(edits, FeatureImages(None), prompts=["a"]))
    assert "prompt" in scores.skipped["edit-adherence"]
    assert not catalogue.entry("edit-adherence").compares_pairs


@pytest.mark.parametrize("name", [m.name for m in catalogue.METRICS if m.facts.level == "edit" and m.compares_pairs])
def test_an_edit_that_was_disturbed_more_is_better_for_the_artist(name):
    facts, picture = catalogue.find(name), tiny.picture(0)
    [little, much] = quality.measure([name], [noisy(picture, 4), noisy(picture, 40)], [picture] * 2)[name]
    assert much < little
    assert (facts.level, facts.higher_is_better) == ("edit", False)
    assert facts.low is not None
    assert facts.low <= much


def test_edits_that_do_not_match_are_refused():
    with pytest.raises(UserError, match="as many images as originals, got 1 and 2"):
        quality.measure(["edit-psnr"], [tiny.picture(0)], [tiny.picture(0)] * 2)
