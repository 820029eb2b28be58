from __future__ import annotations

import numpy as np
import pytest
import tiny
import torch
from pairs import LARGE, PAIRS, noisy
from scipy import ndimage
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from cloakbench.errors import UserError
from cloakbench.images import to_tensor
from cloakbench.metrics import catalogue, quality, weights

pytestmark = pytest.mark.usefixtures("stand_ins")
ALL = [m for m in catalogue.METRICS if m.facts.level == "quality"]
PLAIN = [m.name for m in ALL if set(m.facts.weights) <= {"mini-lpips.safetensors"}]
"""Metrics that need no weights but the package's."""
NETWORKS = ["dists", "lpips-alex", "lpips-vgg"]
"""Metrics whose weights the assets have; those of PieAPP and TOPIQ cannot be had."""
IDEAL = {"psnr": 80.0, "ssim": 1.0, "ms-ssim": 1.0, "vif-wavelet": 1.0, "fsim": 1.0}
"""The value for equal images; 0 for every other metric."""


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


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_ssim_in_strips_is_that_of_whole_images(rows, monkeypatch):
    """At 12 megapixels one piece would take 12 GiB."""
    original = to_tensor([tiny.picture(0, 40, 32), tiny.picture(1, 40, 32)])
    changed = (original + 0.1 * torch.sin(torch.arange(original.numel()).reshape(original.shape))).clamp(0, 1)
    whole = quality.ssim(changed, original)
    monkeypatch.setattr(quality, "WHOLE_PIXELS", 100)
    monkeypatch.setattr(quality, "STRIP_PIXELS", rows * 32)
    assert torch.allclose(quality.ssim(changed, original), whole, rtol=0, atol=1e-12)
    assert 0 < float(whole.min()) < float(whole.max()) < 1


def test_ms_ssim_in_strips_is_that_of_whole_images(monkeypatch):
    """Sides that are odd at some scale, where pyiqa's means of 2 x 2 pixels count zeros beyond the border."""
    original = to_tensor([tiny.picture(0, 163, 166), tiny.picture(1, 163, 166)])
    changed = (original + 0.1 * torch.sin(torch.arange(original.numel()).reshape(original.shape))).clamp(0, 1)
    whole = quality.ms_ssim(changed, original)
    monkeypatch.setattr(quality, "WHOLE_PIXELS", 100)
    monkeypatch.setattr(quality, "STRIP_PIXELS", 7 * 166)
    assert torch.allclose(quality.ms_ssim(changed, original), whole, rtol=0, atol=1e-12)
    assert 0 < float(whole.min()) < float(whole.max()) < 1


def test_ms_ssim_is_wangs_on_luma():
    """Contrast and structure at five scales, luminance at the coarsest; means of 2 x 2 pixels between them."""
    exponents = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
    original, changed = LARGE[1]
    x, y = luma(original), luma(changed)
    expected = 1.0
    for scale, exponent in enumerate(exponents):
        a, b = soft(x), soft(y)
        structure = (2 * (soft(x * y) - a * b) + 58.5225) / (soft(x * x) - a**2 + soft(y * y) - b**2 + 58.5225)
        values = structure.clip(min=0)
        if scale == 4:
            values = values * (2 * a * b + 6.5025) / (a**2 + b**2 + 6.5025)
        expected *= values.mean() ** exponent
        x, y = (halved(image) for image in (x, y))
    assert measured("ms-ssim", changed, original) == pytest.approx(expected, abs=1e-4)


def soft(values):
    return ndimage.gaussian_filter(values, 1.5, truncate=3.5)[5:-5, 5:-5]


def halved(image):
    """Means of 2 x 2 pixels; an odd side gets a row of zeros on both ends first."""
    image = np.pad(image, [(side % 2, side % 2) for side in image.shape])
    height, width = (side // 2 * 2 for side in image.shape)
    return image[:height, :width].reshape(height // 2, 2, width // 2, 2).mean((1, 3))


def test_fsim_of_one_added_colour_by_hand():
    """Structure is equal, so that the colour form is (S_I S_Q)^0.03 with constants of 200 (Zhang et al. 2011)."""
    grey = noisy(tiny.picture(0), 20)[..., :1].repeat(3, 2)
    added = np.array([10, -6, 5])
    changed = (grey + added).astype(np.uint8)
    i, q = added @ np.array([[0.5959, 0.2115], [-0.2746, -0.5227], [-0.3213, 0.3112]])
    expected = (200 / (i**2 + 200) * 200 / (q**2 + 200)) ** 0.03
    assert measured("fsim", changed, grey) == pytest.approx(expected, abs=1e-4)


def test_wavelet_vif_follows_contrast():
    """The gain is k everywhere and nothing is noise: between k^2 and 1 for less contrast, above 1 for more."""
    original = noisy(tiny.picture(0), 60)
    less = (128 + 0.5 * (original.astype(float) - 128)).round().astype(np.uint8)
    assert 0.25 < measured("vif-wavelet", less, original) < 1
    assert measured("vif-wavelet", original, less) > 1


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("flat", [False, True], ids=["picture", "flat"])
def test_equal_images_get_the_best_value(name, flat):
    picture = np.full_like(LARGE[0][0], 128) if flat else LARGE[0][0]
    assert measured(name, picture, picture) == pytest.approx(IDEAL.get(name, 0.0), abs=1e-6)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("flat", [False, True], ids=["picture", "flat"])
@pytest.mark.usefixtures("assets")
def test_equal_images_are_at_no_distance(name, flat):
    picture = np.full_like(LARGE[0][0], 128) if flat else LARGE[0][0]
    assert measured(name, picture, picture) == pytest.approx(0, abs=1e-6)


def falls(name):
    picture = LARGE[0][0]
    little, much = (measured(name, noisy(picture, levels), picture) for levels in (4, 40))
    return (little > much) == catalogue.find(name).higher_is_better


@pytest.mark.parametrize("name", [name for name in PLAIN if name not in ("low-frequency", "universal-share")])
def test_every_metric_falls_with_quality_as_its_facts_say(name):
    """But for shares of the change's energy, which describe a change of any strength."""
    assert falls(name)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.usefixtures("assets")
def test_every_network_falls_with_quality_as_its_facts_say(name):
    assert falls(name)


def in_range(name):
    facts = catalogue.find(name)
    values = quality.measure([name], [c for _, c in LARGE], [o for o, _ in LARGE])[name]
    low, high = (-np.inf if facts.low is None else facts.low), (np.inf if facts.high is None else facts.high)
    return facts.level == "quality" and all(low <= value <= high for value in values)


@pytest.mark.parametrize("name", PLAIN)
def test_every_metric_has_its_facts(name):
    assert in_range(name)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.usefixtures("assets")
def test_every_network_has_its_facts(name):
    assert in_range(name)


def cropped(pairs, side):
    return [(original[:side, :side], changed[:side, :side]) for original, changed in pairs]


def by_chunk(names, side):
    """Values of pairs of two sizes, mixed; `side` is that of the smaller ones."""
    large, small = cropped(LARGE, side + 24), cropped(LARGE[:2], side)
    mixed = [large[0], small[0], large[1], large[2], small[1], large[3]]
    measured = []
    for chunk in (1, 3, 8):
        measured.append(quality.measure(names, [c for _, c in mixed], [o for o, _ in mixed], chunk=chunk))
    return measured


def assert_chunk_changes_nothing(names, side=168):
    alone, *others = by_chunk(names, side)
    for other in others:
        for name in names:
            assert other[name] == pytest.approx(alone[name], rel=1e-5), name


def test_the_chunk_changes_no_value():
    assert_chunk_changes_nothing(PLAIN)


@pytest.mark.usefixtures("assets")
def test_the_chunk_changes_no_value_of_networks():
    assert_chunk_changes_nothing(NETWORKS, side=64)


@pytest.mark.usefixtures("no_weights")
def test_a_metric_without_its_weights_says_which_and_how_to_get_them():
    with pytest.raises(UserError, match=r"'pieapp', got weights missing: PieAPPv0.1-0937b014.pth.*(?s:.*)TORCH_HOME"):
        measured("pieapp", *reversed(LARGE[0]))


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "theirs", "options", "file"),
    [
        ("pieapp", "pieapp", {"pretrained": False}, "PieAPPv0.1-0937b014.pth"),
        (
            "topiq-fr",
            "topiq_fr",
            {"pretrained": False, "backbone_pretrain": False},
            "cfanet_fr_kadid_res50-2c4cc61d.pth",
        ),
    ],
)
def test_weights_that_cannot_be_had_here_would_be_loaded(name, theirs, options, file, no_weights, monkeypatch):
    """Random stand-ins in the published files' form: what is loaded computes what it computed when it was saved."""
    import pyiqa

    network = pyiqa.create_metric(theirs, device="cpu", **options).net
    (no_weights / "pyiqa").mkdir(parents=True)
    state = network.state_dict()
    torch.save({"params": state} if name == "topiq-fr" else state, no_weights / "pyiqa" / file)
    assert weights.state(weights.find(file)) == "repacked"
    original, changed = LARGE[1]
    with torch.no_grad():
        expected = float(network(to_tensor([changed]), to_tensor([original])))
    assert measured(name, changed, original) == pytest.approx(expected, rel=1e-5)
    assert_chunk_changes_nothing([name])


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
