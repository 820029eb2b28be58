from __future__ import annotations

import csv
import sys
import types

import numpy as np
import pytest
import tiny
import torch

from cloakbench.errors import UserError
from cloakbench.image_files import decode
from cloakbench.images import to_tensor
from cloakbench.metrics import generations, perceived
from cloakbench.metrics.generations import MeasuredSet
from cloakbench.metrics.perceived import LEAST_SIDES
from cloakbench.metrics.spaces import FeatureImages

NAMES = ("I03", "I04", "I06", "I08", "I19")
TOLERANCES = {"niqe": 3e-3, "brisque": 1e-2}
"""Absolute, to what pyiqa published for TID2013: four digits printed, by an older release of it."""


def distorted(assets):
    return [decode((assets / "golden" / "tid2013" / "dist_dir" / f"{name}.bmp").read_bytes()) for name in NAMES]


@pytest.mark.parametrize("name", TOLERANCES)
def test_values_are_those_that_pyiqa_published(name, assets):
    with (assets / "golden" / "tid2013" / "calibration_summary.csv").open(newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["Method"] == f"{name}(ours)")
    naturalness = perceived.perceived(name, distorted(assets))
    assert naturalness == pytest.approx(
        [float(row[f"{metric_name}.bmp"]) for metric_name in NAMES], abs=TOLERANCES[name]
    )


@pytest.mark.parametrize("name", TOLERANCES)
def test_an_images_value_depends_on_no_other(name, assets):
    images = [distorted(assets)[n][:200, :216] for n in (0, 1)]
    together = perceived.perceived(name, [*images, distorted(assets)[2][:192, :192]])
    assert together[:2] == perceived.perceived(name, images)
    assert together[1::-1] == perceived.perceived(name, images[::-1])


@pytest.mark.parametrize("name", TOLERANCES)
def test_no_structure_is_no_value(name, assets):
    flat = np.full((200, 200, 3), 90, np.uint8)
    subject = MeasuredSet(FeatureImages([flat]), FeatureImages(None))
    measured = generations.measure([name], subject)
    if name == "niqe":
        assert measured.skipped == {"niqe": "expected images with structure for 'niqe', got none in image 0"}
    else:
        assert np.isfinite(measured.values[name]).all()


@pytest.mark.parametrize("name", TOLERANCES)
def test_images_too_small_for_its_windows_are_refused(name, assets):
    side = LEAST_SIDES[name] - 1
    with pytest.raises(UserError, match=rf"at least {side + 1} pixels a side, got {side} \({side} x 256\)") as caught:
        perceived.perceived(name, [tiny.picture(0, side, 256)])
    assert name in caught.value.hint


@pytest.mark.parametrize("name", LEAST_SIDES)
def test_missing_weights_are_told(name, no_weights):
    with pytest.raises(UserError, match=f"expected the weights of '{name}', got weights missing"):
        perceived.perceived(name, [tiny.picture(0, 256, 256)])


@pytest.mark.parametrize(
    ("images", "message"),
    [([], "at least one image, got none"), ([np.zeros((256, 256), np.uint8)], "got image 0 that is uint8")],
)
def test_what_are_no_images_is_refused(images, message, assets):
    with pytest.raises(UserError, match=message):
        perceived.perceived("niqe", images)


@pytest.fixture
def small_clip(tmp_path, monkeypatch):
    """An untrained CLIP with a ResNet, in OpenAI's layout; pyiqa's CLIP imports a module that new setuptools lack."""
    if "pkg_resources" not in sys.modules:
        import packaging.version

        monkeypatch.setitem(sys.modules, "pkg_resources", types.SimpleNamespace(packaging=packaging))
    from pyiqa.archs import clip_model

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = clip_model.CLIP(64, 64, (1, 1, 1, 1), 16, None, 77, 49408, 64, 1, 1)
    from pyiqa.archs import clipiqa_arch

    monkeypatch.setattr(
        clipiqa_arch, "load", lambda backbone, device: {str(tmp_path / "RN50.pt"): model.eval()}[backbone]
    )
    monkeypatch.setattr(perceived, "paths", lambda name: (tmp_path / "RN50.pt",))
    return model


def test_clip_iqa_is_the_share_of_the_good_prompts(small_clip):
    images = [tiny.picture(n, 96, 128) for n in range(2)]
    naturalness = perceived.perceived("clip-iqa", images)
    import clip

    good = ["Good image", "Sharp image", "sharp edges", "High resolution image", "Noise-free image"]
    bad = ["bad image", "blurry image", "blurry edges", "low resolution image", "noisy image"]
    mean, deviation = ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711])
    for image, value in zip(images, naturalness, strict=True):
        x = (to_tensor([image]) - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(deviation).view(3, 1, 1)
        with torch.no_grad():
            scores = []
            for good_value, other in zip(good, bad, strict=True):
                scores.append(
                    small_clip(x, clip.tokenize([good_value, other]), pos_embedding=False)[0].softmax(1)[0, 0]
                )
        assert value == pytest.approx(float(torch.stack(scores).mean()), rel=1e-5)
        assert 0 < value < 1


def test_an_absent_module_is_told(small_clip, monkeypatch):
    def absent(*arguments, **options):
        raise ModuleNotFoundError("no", name="pkg_resources")

    monkeypatch.setattr(perceived, "create_metric", absent)
    perceived._network.cache_clear()
    with pytest.raises(UserError, match="expected the module 'pkg_resources' for 'clip-iqa', got none") as caught:
        perceived.perceived("clip-iqa", [tiny.picture(0)])
    assert "setuptools<82" in caught.value.hint
