from __future__ import annotations

import numpy as np
import pytest
import tiny
import torch
from scipy import ndimage
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from benchmark.errors import UserError
from benchmark.images import to_tensor
from benchmark.metrics import catalogue, quality
from benchmark.models.loader import mini_lpips

pytestmark = pytest.mark.usefixtures("stand_ins")


def noisy(pixels, levels, seed=0):
    moved = np.random.default_rng(seed).integers(-levels, levels, pixels.shape, endpoint=True)
    return np.clip(pixels + moved, 0, 255).astype(np.uint8)


PAIRS = [
    (tiny.picture(0), noisy(tiny.picture(0), 4)),
    (tiny.picture(1), noisy(tiny.picture(1), 40)),
    (tiny.picture(2, 96, 130), noisy(tiny.picture(2, 96, 130), 16)),
    (tiny.picture(3), np.roll(tiny.picture(3), 2, axis=0)),
]


def measured(name, changed, original):
    [value] = quality.measure([name], [changed], [original])[name]
    return value


def luma(pixels):
    """The Y channel of YIQ in whole levels; single and double precision round some ties apart."""
    return np.rint(pixels @ np.array([0.299, 0.587, 0.114]))


def gradients(y):
    """Prewitt magnitudes of the means of 2 x 2 pixels, zeros outside."""
    small = y.reshape(y.shape[0] // 2, 2, y.shape[1] // 2, 2).mean((1, 3))
    prewitt = np.array([[1, 0, -1]] * 3) / 3
    across = ndimage.correlate(small, prewitt, mode="constant")
    down = ndimage.correlate(small, prewitt.T, mode="constant")
    return np.sqrt(across**2 + down**2)


def gmsd_by_hand(a, b):
    """Xue et al. 2014, c = 170: the deviation of the gradients' similarity."""
    first, second = gradients(luma(a)), gradients(luma(b))
    similarity = (2 * first * second + 170) / (first**2 + second**2 + 170)
    return float(similarity.std(ddof=1))


@pytest.mark.parametrize("pair", PAIRS)
def test_psnr_is_skimages(pair):
    original, changed = pair
    expected = peak_signal_noise_ratio(original, changed, data_range=255)
    assert measured("psnr", changed, original) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("pair", PAIRS)
def test_ssim_is_wangs_on_luma_without_negative_structure(pair):
    """A Gaussian of 1.5 on 11 x 11 pixels, no padding; pyiqa puts 0 where the covariance term is negative."""
    x, y = (luma(pixels) for pixels in pair)

    def soft(values):
        return ndimage.gaussian_filter(values, 1.5, truncate=3.5)[5:-5, 5:-5]

    a, b = soft(x), soft(y)
    structure = (2 * (soft(x * y) - a * b) + 58.5225) / (soft(x * x) - a**2 + soft(y * y) - b**2 + 58.5225)
    expected = ((2 * a * b + 6.5025) / (a**2 + b**2 + 6.5025) * structure.clip(min=0)).mean()
    assert measured("ssim", pair[1], pair[0]) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("pair", [PAIRS[0], PAIRS[3]], ids=["faint noise", "moved"])
def test_ssim_is_skimages_where_structure_is_never_negative(pair):
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    expected = structural_similarity(luma(pair[0]), luma(pair[1]), **options)
    assert measured("ssim", pair[1], pair[0]) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("pair", PAIRS)
def test_gmsd_is_the_papers(pair):
    original, changed = pair
    assert measured("gmsd", changed, original) == pytest.approx(gmsd_by_hand(original, changed), rel=5e-3)


@pytest.mark.parametrize("pair", PAIRS)
def test_linf_is_the_largest_change(pair):
    original, changed = pair
    expected = int(np.abs(original.astype(int) - changed).max())
    assert measured("linf", changed, original) == expected


@pytest.mark.parametrize(
    ("name", "value"), [("psnr", 80.0), ("ssim", 1.0), ("gmsd", 0.0), ("mini-lpips", 0.0), ("linf", 0.0)]
)
def test_equal_images_get_the_best_value(name, value):
    picture = tiny.picture(0)
    assert measured(name, picture, picture) == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize("name", sorted(quality.METRICS))
def test_every_metric_falls_with_quality_as_its_facts_say(name):
    picture = tiny.picture(0)
    little, much = (measured(name, noisy(picture, levels), picture) for levels in (4, 40))
    assert (little > much) == catalogue.find(name).higher_is_better


@pytest.mark.parametrize("name", sorted(quality.METRICS))
def test_every_metric_has_its_facts(name):
    facts = catalogue.find(name)
    assert facts.level == "quality"
    for original, changed in PAIRS:
        value = measured(name, changed, original)
        assert value >= (float("-inf") if facts.low is None else facts.low)
        assert value <= (float("inf") if facts.high is None else facts.high)


def test_all_quality_metrics_of_the_catalogue_are_there():
    assert {m.name for m in catalogue.METRICS if m.level == "quality"} == set(quality.METRICS)


def test_mini_lpips_is_symmetric_and_the_same_in_a_batch():
    x, y = to_tensor([p for p, _ in PAIRS[:2]]), to_tensor([p for _, p in PAIRS[:2]])
    distance = mini_lpips()
    together = distance(x, y)
    assert together.shape == (2,)
    assert torch.allclose(distance(y, x), together, rtol=1e-5)
    assert torch.allclose(torch.cat([distance(x[n : n + 1], y[n : n + 1]) for n in range(2)]), together, rtol=1e-4)
    assert float(together[0]) < float(together[1])


def test_mini_lpips_is_its_formula():
    """Features of unit length over channels; squared differences, weighted by the heads, averaged, summed."""
    x, y = (to_tensor([pixels]) for pixels in PAIRS[1])
    model = mini_lpips()
    total = 0.0
    a, b = x * 2 - 1, y * 2 - 1
    for stage, head in zip(model.stages, model.heads, strict=True):
        a, b = stage(a).clamp(min=0), stage(b).clamp(min=0)
        one, other = (m / (m.square().sum(1, keepdim=True) + 1e-8).sqrt() for m in (a, b))
        total += float(((one - other) ** 2 * head.abs().view(1, -1, 1, 1)).sum(1).mean())
    assert float(model(x, y)) == pytest.approx(total, rel=1e-5)


def test_mini_lpips_lets_gradients_through():
    x = to_tensor([PAIRS[1][1]]).requires_grad_(True)
    mini_lpips()(x, to_tensor([PAIRS[1][0]])).sum().backward()
    assert float(x.grad.abs().max()) > 0


@pytest.mark.parametrize(
    ("protected", "originals", "message"),
    [
        ([tiny.picture(0)], [], "as many images as originals, got 1 and 0"),
        ([], [], "got 0 and 0"),
        ([tiny.picture(0)], [tiny.picture(0, 128, 136)], r"one size, got \(128, 128, 3\) and \(128, 136, 3\)"),
    ],
)
def test_images_that_do_not_match_are_refused(protected, originals, message):
    with pytest.raises(UserError, match=message):
        quality.measure(["psnr"], protected, originals)


def test_every_image_gets_its_own_value():
    originals, changed = [p for p, _ in PAIRS], [p for _, p in PAIRS]
    found = quality.measure(["psnr", "linf"], changed, originals)
    assert found["linf"] == [measured("linf", c, o) for o, c in PAIRS]
    assert len(set(found["psnr"])) == len(PAIRS)
