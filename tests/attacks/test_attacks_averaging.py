"""Averaging on planted perturbations, and the share of a change that images have in common."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tiny
from purifying import around, build
from scipy import ndimage

from cloakbench.errors import UserError
from cloakbench.metrics import quality

CLEAN = [tiny.picture(n, 48, 56) for n in range(8)]
OTHERS = [tiny.picture(100 + n, 48, 56) for n in range(6)]
RNG = np.random.default_rng(3)
UNIVERSAL = [RNG.choice([-7, 7], CLEAN[0].shape)] * 8
SPECIFIC = [RNG.choice([-7, 7], CLEAN[0].shape) for _ in CLEAN]


def planted(changes):
    return [(clean + change).astype(np.uint8) for clean, change in zip(CLEAN, changes, strict=True)]


def averaged(images, others=OTHERS, **settings):
    return build("averaging", **settings).apply(images, replace(around(range(len(images))), others=others))


def energy(images, originals):
    pairs = zip(images, originals, strict=True)
    return sum(float(np.square(x.astype(int) - y.astype(int)).sum()) for x, y in pairs)


def test_a_universal_perturbation_is_removed_and_an_image_specific_one_is_not():
    universal, specific = planted(UNIVERSAL), planted(SPECIFIC)
    assert energy(averaged(universal), CLEAN) < 0.2 * energy(universal, CLEAN)
    assert energy(averaged(specific), specific) < 0.02 * energy(specific, CLEAN)
    assert energy(averaged(specific), CLEAN) > 0.9 * energy(specific, CLEAN)
    assert energy(averaged(CLEAN), CLEAN) < 0.02 * energy(universal, CLEAN)


def residual_by_hand(pixels):
    filtered = [ndimage.median_filter(pixels[..., n], 3, mode="nearest") for n in range(3)]
    return pixels.astype(float) - np.stack(filtered, axis=-1)


def test_the_pattern_is_that_of_the_formula():
    images = planted(UNIVERSAL)
    own = np.stack([residual_by_hand(pixels) for pixels in images])
    usual = np.stack([residual_by_hand(pixels) for pixels in OTHERS]).mean(0)
    n, of_mean = len(own), (own.mean(0) ** 2).sum()
    share = (n * of_mean - (own**2).sum() / n) / ((n - 1) * of_mean)
    assert 0.5 < share < 1
    pattern = np.clip(share * (own.mean(0) - usual), -5, 5)
    expected = [np.rint(np.clip(pixels - pattern, 0, 255)) for pixels in images]
    assert np.array_equal(averaged(images, kernel=3, bound=5.0), expected)


def test_images_of_another_size_and_single_ones_are_apart():
    alone = tiny.picture(50, 20, 30)
    images = planted(UNIVERSAL)
    together = averaged([*images, alone], others=[*OTHERS, tiny.picture(51, 20, 30)])
    assert np.array_equal(together[-1], alone)
    assert np.array_equal(together[:-1], averaged(images))


@pytest.mark.parametrize("wrong", [{"kernel": 4}, {"kernel": 1}, {"bound": 0}])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(UserError):
        build("averaging", **wrong)


def share_of(changes, chunk=3):
    return np.mean(quality.measure(["universal-share"], planted(changes), CLEAN, chunk=chunk)["universal-share"])


def test_the_universal_share_is_that_of_the_formula():
    deltas = np.stack(SPECIFIC).astype(float)
    expected = np.square(deltas.mean(0)).sum() / np.square(deltas).sum((1, 2, 3)).mean()
    assert share_of(SPECIFIC) == pytest.approx(expected)
    assert share_of(SPECIFIC) == pytest.approx(1 / 8, rel=0.1)
    assert share_of(UNIVERSAL) == pytest.approx(1)
    assert share_of([np.zeros_like(UNIVERSAL[0])] * 8) == 0
