from __future__ import annotations

import math

import numpy as np
import pytest
import tiny
from pairs import PAIRS, noisy
from skimage.color import deltaE_ciede2000

from cloakbench.images import measure_budget
from cloakbench.metrics import quality

GREY = np.full((64, 64, 3), 100, np.uint8)


def measured(name, changed, original):
    [value] = quality.measure([name], [changed], [original])[name]
    return value


def wave(period, height=12, side=64):
    """Grey with a cosine along the rows."""
    values = 128 + height * np.cos(2 * np.pi * np.arange(side) / period)
    return np.repeat(np.tile(values, (side, 1))[..., None], 3, axis=2).round().astype(np.uint8)


@pytest.mark.parametrize("pair", PAIRS)
def test_changes_are_counted_in_levels(pair):
    original, changed = pair
    delta = np.abs(original.astype(int) - changed)
    assert measured("linf", changed, original) == delta.max()
    assert measured("mean-change", changed, original) == pytest.approx(delta.mean())
    assert measured("l2", changed, original) == pytest.approx(math.sqrt((delta**2).sum()))


def test_they_are_those_of_the_harness_own_budget():
    original, changed = PAIRS[1]
    change = measure_budget(original, changed)
    values = [measured(name, changed, original) for name in ("linf", "mean-change", "l2")]
    assert values == pytest.approx([change.max_255, change.mean_255, change.l2_255])


@pytest.mark.parametrize(("period", "share"), [(32, 1.0), (16, 1.0), (8, 0.0), (4, 0.0)])
def test_waves_longer_than_eight_pixels_are_low(period, share):
    flat = np.full_like(wave(period), 128)
    # Rounding to levels puts a little of a wave's energy into its harmonics.
    assert measured("low-frequency", wave(period), flat) == pytest.approx(share, abs=0.01)


def test_a_change_of_all_pixels_alike_is_low():
    assert measured("low-frequency", GREY + 7, GREY) == 1


def test_independent_noise_has_the_share_of_the_circle():
    flat = np.full((256, 256, 3), 128, np.uint8)
    assert measured("low-frequency", noisy(flat, 8), flat) == pytest.approx(math.pi / 64, rel=0.1)


def test_shares_add_up_over_channels():
    original, changed = tiny.picture(1), noisy(tiny.picture(1), 9)
    energy = np.abs(np.fft.fft2(changed.astype(float) - original, axes=(0, 1))) ** 2
    rows, columns = np.meshgrid(np.fft.fftfreq(128), np.fft.fftfreq(128), indexing="ij")
    expected = energy[np.hypot(rows, columns) < 1 / 8].sum() / energy.sum()
    assert measured("low-frequency", changed, original) == pytest.approx(expected)


def lightness(level):
    """CIE L* of a grey of that level in sRGB."""
    linear = ((level / 255 + 0.055) / 1.055) ** 2.4
    return 116 * linear ** (1 / 3) - 16


@pytest.mark.parametrize("other", [101, 130, 220])
def test_ciede2000_of_two_greys_by_hand(other):
    """Without colour only the lightness term is left: delta L / S_L."""
    one, two = lightness(100), lightness(other)
    middle = ((one + two) / 2 - 50) ** 2
    expected = (two - one) / (1 + 0.015 * middle / math.sqrt(20 + middle))
    assert measured("ciede2000", np.full_like(GREY, other), GREY) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 2.5, 0), (50, 0, -2.5), 4.3065),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
    ],
)
def test_ciede2000_is_that_of_the_published_pairs(one, two, expected):
    """From Sharma, Wu and Dalal 2005, table 1: colours in Lab, which no 8-bit image holds exactly."""
    assert float(deltaE_ciede2000(np.array(one, float), np.array(two, float))) == pytest.approx(expected, abs=1e-4)


def test_ciede2000_is_the_mean_over_pixels():
    half = GREY.copy()
    half[:32] = 130
    whole = measured("ciede2000", np.full_like(GREY, 130), GREY)
    assert measured("ciede2000", half, GREY) == pytest.approx(whole / 2)
