"""Filters that people use, against their formulas written out or another library."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tiny
from PIL import Image
from purifying import build
from scipy import ndimage

from cloakbench.attacks import catalogue
from cloakbench.attacks.countermeasures.adverse_cleaner import guided_filter
from cloakbench.attacks.stage import Knowledge
from cloakbench.errors import UserError
from cloakbench.schemas.suite import AttackSpec

PICTURE = tiny.picture(0, 40, 61)


def applied(name, pixels=PICTURE, **parameters):
    [result] = build(name, **parameters).apply([pixels], None)
    assert (result.shape, result.dtype) == (pixels.shape, np.uint8)
    return result


def bilateral_by_hand(image, sigma=8.0, radius=2):
    """Means weighted by distance and by the sum of the colours' differences, over a disc; borders mirrored."""
    padded = np.pad(image, [(radius, radius), (radius, radius), (0, 0)], mode="reflect")
    total, weights = np.zeros_like(image), np.zeros(image.shape[:2])
    height, width = image.shape[:2]
    for down in range(-radius, radius + 1):
        for right in range(-radius, radius + 1):
            if down**2 + right**2 > radius**2:
                continue
            other = padded[radius + down : radius + down + height, radius + right : radius + right + width]
            apart = np.abs(other - image).sum(2)
            weight = np.exp(-(down**2 + right**2) / (2 * sigma**2) - apart**2 / (2 * sigma**2))
            total += other * weight[..., None]
            weights += weight
    return total / weights[..., None]


def guided_by_hand(guide, image, radius, epsilon):
    """A ridge regression in every window, pixel by pixel; the mean of the fits of all windows around a pixel."""
    height, width = guide.shape[:2]
    margin = [(2 * radius, 2 * radius), (2 * radius, 2 * radius), (0, 0)]
    i, p = np.pad(guide, margin, mode="symmetric"), np.pad(image, margin, mode="symmetric")
    total, side = np.zeros(image.shape), 2 * radius + 1
    for row in range(-radius, height + radius):
        for column in range(-radius, width + radius):
            at = np.s_[row + radius : row + radius + side, column + radius : column + radius + side]
            x, y = i[at].reshape(-1, 3), p[at].reshape(-1, image.shape[2])
            centred = x - x.mean(0)
            slope = np.linalg.solve(
                centred.T @ centred / len(x) + epsilon * np.eye(3), centred.T @ (y - y.mean(0)) / len(x)
            )
            offset = y.mean(0) - x.mean(0) @ slope
            for r in range(max(row - radius, 0), min(row + radius + 1, height)):
                for c in range(max(column - radius, 0), min(column + radius + 1, width)):
                    total[r, c] += guide[r, c] @ slope + offset
    return total / side**2


def test_the_guided_filter_is_a_regression_in_every_window():
    rng = np.random.default_rng(0)
    guide, image = rng.uniform(0, 255, (2, 12, 15, 3))
    inner = np.s_[4:-4, 4:-4]  # at the border the fits beyond it are mirrored, not made anew
    ours = guided_filter(guide.astype(np.float32), image.astype(np.float32), 2, 16.0)
    expected = guided_by_hand(guide, image, 2, 16.0)
    assert np.abs(ours - expected)[inner].max() < 1e-2


def test_one_bilateral_filter_is_the_formula():
    ours = applied("adverse-cleaner", bilateral=1, guided=0).astype(float)
    assert np.abs(ours - bilateral_by_hand(PICTURE.astype(float))).max() <= 0.75


def test_adverse_cleaner_is_the_filters_one_after_the_other():
    small = tiny.picture(1, 20, 24)
    expected = small.astype(float)
    for _ in range(3):
        expected = bilateral_by_hand(expected)
    for _ in range(2):
        expected = guided_filter(small.astype(np.float32), expected.astype(np.float32), 4, 16.0)
    ours = applied("adverse-cleaner", small, bilateral=3, guided=2)
    assert np.abs(ours.astype(float) - expected).max() <= 1.5


def test_adverse_cleaner_takes_noise_and_leaves_an_edge():
    step = np.full((32, 32, 3), 40, np.uint8)
    step[:, 16:] = 200
    noise = np.random.default_rng(0).integers(-8, 9, step.shape)
    cleaned = applied("adverse-cleaner", (step + noise).astype(np.uint8)).astype(float)
    assert np.abs(cleaned - step).mean() < np.abs(noise).mean() / 3
    assert np.abs(cleaned[:, 15:17] - step[:, 15:17]).max() < 8


@pytest.mark.parametrize("kernel", [3, 5])
def test_median_is_scipys(kernel):
    expected = ndimage.median_filter(PICTURE, (kernel, kernel, 1), mode="nearest")
    assert np.array_equal(applied("median", kernel=kernel), expected)


def test_crop_enlarges_the_middle():
    ramp = np.repeat(np.linspace(0, 255, 64).astype(np.uint8)[None, :, None], 64, 0).repeat(3, 2)
    cropped = applied("crop", ramp, margin=0.25)
    expected = np.linspace(255 / 4, 3 * 255 / 4, 64)
    assert np.abs(cropped[32, :, 0] - expected).max() < 4
    assert not np.array_equal(applied("crop"), PICTURE)


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")


def test_a_screenshot_is_its_steps():
    small = np.asarray(Image.fromarray(PICTURE).resize((49, 32), Image.Resampling.BILINEAR)).astype(int)
    warm = Image.fromarray(np.clip(small + np.array([3, 0, -3]), 0, 255).astype(np.uint8))
    expected = saved(warm, "JPEG", quality=90, subsampling=2).resize((61, 40), Image.Resampling.BILINEAR)
    assert np.array_equal(applied("screenshot", warmth=3), np.asarray(expected))


@pytest.mark.parametrize(
    ("kind", "side", "size"), [("WEBP", 30, (30, 20)), ("JPEG", 30, (30, 20)), ("JPEG", 99, (61, 40))]
)
def test_a_gallery_shrinks_what_is_too_large_and_compresses(kind, side, size):
    small = Image.fromarray(PICTURE).resize(size, Image.Resampling.LANCZOS)
    expected = saved(small, kind, quality=70).resize((61, 40), Image.Resampling.LANCZOS)
    assert np.array_equal(applied("web", side=side, quality=70, format=kind), np.asarray(expected))


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("adverse-cleaner", {"bilateral": 0, "guided": 0}),
        ("adverse-cleaner", {"sigma": 0.0}),
        ("median", {"kernel": 4}),
        ("crop", {"margin": 0.5}),
        ("screenshot", {"scale": 0.0}),
        ("screenshot", {"quality": 0}),
        ("web", {"side": 0}),
        ("web", {"side": 9, "format": "GIF"}),
    ],
)
def test_wrong_settings_are_refused(name, wrong):
    with pytest.raises(UserError, match=name):
        build(name, **wrong)


def test_an_attack_knows_what_its_best_informed_stage_does(monkeypatch):
    from dataclasses import replace

    stages = []
    for stage in catalogue.STAGES:
        stages.append(replace(stage, knowledge="pairs") if stage.name == "median" else stage)
    monkeypatch.setattr(catalogue, "STAGES", stages)
    plain = AttackSpec(name="a", mimicry="lora", model="mini-a", countermeasure="jpeg")
    chained = plain.model_copy(update={"countermeasure": "jpeg+median"})
    levels: tuple[Knowledge, ...] = (catalogue.knowledge(plain), catalogue.knowledge(chained))
    assert levels == ("oblivious", "pairs")
