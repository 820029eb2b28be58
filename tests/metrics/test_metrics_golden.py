"""Real weights and images: values that the metrics' authors, or pyiqa's, published for the same pairs."""

from __future__ import annotations

import csv

import pytest

from cloakbench.image_files import decode
from cloakbench.metrics import quality

pytestmark = pytest.mark.usefixtures("stand_ins")
NAMES = ("I03", "I04", "I06", "I08", "I19")
FEW = {"dists": 1}
"""How many of the pairs are compared outside the long tests: DISTS runs VGG16 on images of 512 pixels, for seconds."""
BY_AUTHORS = {
    "lpips-alex": ("lpips", 1e-4),
    "dists": ("dists", 1e-4),
    "psnr": ("psnr", 1e-2),
    "ssim": ("ssim", 1e-3),
    "ms-ssim": ("ms_ssim", 5e-3),
    "vif-wavelet": ("vif", 1e-3),
    "fsim": ("fsim", 2e-4),
    "gmsd": ("gmsd", 1e-4),
}
"""Our name -> the table's name and the tolerance: their own code (MATLAB for most), four digits printed."""
BY_PYIQA = {name: (known, 1.5e-4) for name, (known, _) in BY_AUTHORS.items()}


def published(assets, name, count=None):
    with (assets / "golden" / "tid2013" / "calibration_summary.csv").open(newline="") as file:
        rows = {row["Method"]: row for row in csv.DictReader(file)}
    return [float(rows[name][f"{pair}.bmp"]) for pair in NAMES[:count]]


def images(assets, kind, count):
    paths = [assets / "golden" / "tid2013" / kind / f"{name}.bmp" for name in NAMES[:count]]
    return [decode(path.read_bytes()) for path in paths]


@pytest.fixture(scope="module")
def found():
    return {}


def measured(name, assets, found):
    """Each metric once for both comparisons."""
    if name not in found:
        found[name] = measured_pairs(name, assets, FEW.get(name))
    return found[name]


def measured_pairs(name, assets, count=None):
    return quality.measure([name], images(assets, "dist_dir", count), images(assets, "ref_dir", count))[name]


@pytest.mark.parametrize("name", BY_AUTHORS)
def test_values_are_those_of_the_metrics_authors(name, assets, found):
    known, tolerance = BY_AUTHORS[name]
    assert measured(name, assets, found) == pytest.approx(published(assets, known, FEW.get(name)), abs=tolerance)


@pytest.mark.parametrize("name", BY_PYIQA)
def test_values_are_those_that_pyiqa_published(name, assets, found):
    known, tolerance = BY_PYIQA[name]
    expected = published(assets, f"{known}(ours)", FEW.get(name))
    assert measured(name, assets, found) == pytest.approx(expected, abs=tolerance)


@pytest.mark.long
@pytest.mark.parametrize("name", FEW)
def test_values_of_all_pairs_are_the_published_ones(name, assets):
    values = measured_pairs(name, assets)
    for known, tolerance in (BY_AUTHORS[name], (f"{BY_PYIQA[name][0]}(ours)", BY_PYIQA[name][1])):
        assert values == pytest.approx(published(assets, known), abs=tolerance)


def test_lpips_of_its_authors_example_images(assets):
    ref, near, far = (decode((assets / "golden" / "lpips" / f"ex_{n}.png").read_bytes()) for n in ("ref", "p1", "p0"))
    assert quality.measure(["lpips-alex"], [far, near], [ref, ref])["lpips-alex"] == pytest.approx(
        [0.722, 0.138], abs=5e-4
    )


def test_lpips_vgg_is_that_of_the_authors_package(assets):
    """No value is published for VGG: the package `lpips`, by the metric's authors, with the same features."""
    import lpips
    import torch

    from cloakbench.images import to_tensor

    ref, changed = (decode((assets / "golden" / "lpips" / f"ex_{n}.png").read_bytes()) for n in ("ref", "p0"))
    theirs = lpips.LPIPS(net="vgg", verbose=False)
    with torch.no_grad():
        expected = float(theirs(to_tensor([changed]) * 2 - 1, to_tensor([ref]) * 2 - 1))
    assert quality.measure(["lpips-vgg"], [changed], [ref])["lpips-vgg"] == [pytest.approx(expected, rel=1e-4)]
