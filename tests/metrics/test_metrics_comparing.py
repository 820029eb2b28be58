from __future__ import annotations

import numpy as np
import pytest
import tiny
import torch

from cloakbench.errors import UserError
from cloakbench.images import to_tensor
from cloakbench.metrics import catalogue, quality
from cloakbench.metrics.comparing import PairMeasure, checked, compare

PICTURE = tiny.picture(0, 64, 80)
FLOATS = PICTURE / np.float32(255)
MISUSE = {
    "nothing": ([], "expected at least one image, got none"),
    "a tensor": (to_tensor([PICTURE]), r"got one array or tensor that is float32 \[1, 3, 64, 80\] from 0"),
    "a batch": (np.stack([PICTURE]), r"got one array or tensor that is uint8 \[1, 64, 80, 3\]"),
    "tensors": ([torch.zeros(3, 64, 80)], r"image 0 that is float32 \[3, 64, 80\] from 0 to 0\n.*quantise"),
    "[0, 1]": ([FLOATS], r"image 0 that is float32 \[64, 80, 3\] from 0.*to 0.*\n.*quantise"),
    "[-1, 1]": ([PICTURE, FLOATS * 2 - 1], r"image 1 that is float32 \[64, 80, 3\] from -0.*\n.*Map \[-1, 1\]"),
    "16 bits": ([PICTURE.astype(np.uint16)], r"image 0 that is uint16"),
    "channels first": ([PICTURE.transpose(2, 0, 1)], r"uint8 \[3, 64, 80\] .*\n.*Move the channels last"),
    "no channel": ([PICTURE[..., 0]], r"uint8 \[64, 80\] .*\n.*Repeat the one channel"),
    "one channel": ([PICTURE[..., :1]], r"uint8 \[64, 80, 1\] .*\n.*Repeat the one channel"),
    "alpha": ([np.concatenate([PICTURE, PICTURE[..., :1]], 2)], r"uint8 \[64, 80, 4\] .*\n.*background"),
    "a path": (["picture.png"], "image 0 that is a str\n.*read_folder"),
    "1 x 1": ([PICTURE, PICTURE[:1, :1]], r"at least 8 pixels a side, got 1 \(1 x 1\)"),
    "no pixel": ([PICTURE[:0]], r"at least 8 pixels a side, got 0 \(0 x 80\)"),
}


@pytest.mark.parametrize("case", MISUSE)
def test_misuse_is_told_with_what_was_expected_and_got(case):
    given, message = MISUSE[case]
    with pytest.raises(UserError, match=message) as caught:
        checked(given)
    assert caught.value.hint
    assert "expected" in caught.value.message


@pytest.mark.parametrize("case", [case for case in MISUSE if case not in {"nothing", "a batch", "a tensor"}])
@pytest.mark.parametrize("changed", [True, False], ids=["changed", "original"])
def test_every_comparison_checks_both_sides(case, changed):
    given, message = MISUSE[case]
    pictures = [PICTURE] * len(given)
    with pytest.raises(UserError, match=message):
        quality.measure(["psnr"], *((given, pictures) if changed else (pictures, given)))


def test_images_pass_as_they_are():
    images = (PICTURE, tiny.picture(1, 8, 8))
    for checked_image, other in zip(checked(images), images, strict=True):
        assert checked_image is other


@pytest.mark.parametrize("name", [metric.name for metric in catalogue.METRICS if metric.least_side > 8])
def test_an_image_too_small_for_a_window_is_told_with_the_metric(name):
    least = catalogue.entry(name).least_side
    small = tiny.picture(0, 200, least - 1)
    message = rf"at least {least} pixels a side, got {least - 1} \(200 x {least - 1}\)\n.*leave out {name}"
    with pytest.raises(UserError, match=message):
        quality.measure(["psnr", name], [small], [small])


def at_the_least_side(name):
    least = catalogue.entry(name).least_side
    return quality.measure([name], [tiny.picture(0, least, least)], [tiny.picture(1, least, least)])[name]


@pytest.mark.usefixtures("stand_ins")
@pytest.mark.parametrize("name", ["ssim", "psnr", "gmsd", "ms-ssim", "vif-wavelet", "fsim", "mini-lpips", "ciede2000"])
def test_the_least_side_is_enough(name):
    assert np.isfinite(at_the_least_side(name)).all()


@pytest.mark.usefixtures("assets")
@pytest.mark.parametrize("name", ["lpips-alex", "lpips-vgg", "dists"])
def test_the_least_side_is_enough_for_networks(name):
    assert np.isfinite(at_the_least_side(name)).all()


def test_values_keep_the_order_of_images_of_mixed_sizes():
    seen = []

    def mean(changed, original):
        seen.append(tuple(original.shape))
        return changed.mean((1, 2, 3)) * 255

    levels = [10, 20, 30, 40, 50]
    images = [np.full((8 + n % 2, 9, 3), level, np.uint8) for n, level in enumerate(levels)]
    comparison = compare({"mean": PairMeasure(mean)}, images, images, chunk=2)
    assert comparison["mean"] == pytest.approx(levels)
    assert seen == [(2, 3, 8, 9), (1, 3, 8, 9), (2, 3, 9, 9)]


def test_a_chunk_of_nothing_is_refused():
    with pytest.raises(UserError, match="chunk of at least 1, got 0"):
        quality.measure(["psnr"], [PICTURE], [PICTURE], chunk=0)
