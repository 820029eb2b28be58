"""FID and KID on the real network, against published values and clean-fid's own functions."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
import torch

from cloakbench.errors import UserError
from cloakbench.image_files import decode
from cloakbench.metrics import catalogue, inception, sets, weights
from cloakbench.metrics.generations import MeasuredSet
from cloakbench.metrics.spaces import SPACES, FeatureImages

NAMES = ("I03", "I04", "I06", "I08", "I19")


@pytest.fixture
def hub(assets, tmp_path, monkeypatch):
    """A torch hub directory with the real Inception in our place."""
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "cleanfid").symlink_to(assets / "cleanfid")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    return assets


def images(assets, kind):
    return [decode((assets / "golden" / "tid2013" / kind / f"{name}.bmp").read_bytes()) for name in NAMES]


@pytest.fixture(scope="module")
def seen():
    return {}


@pytest.fixture
def features(hub, seen):
    """Features of the distorted and the reference images, computed once."""
    if not seen:
        path = weights.find("inception-2015-12-05.pt").path
        seen.update({kind: inception.features(images(hub, kind), path) for kind in ("dist_dir", "ref_dir")})
    return seen["dist_dir"], seen["ref_dir"]


def measured(name, x, y):
    return catalogue.entry(name).function()(
        MeasuredSet(FeatureImages(None, by_space={"inception": x}), FeatureImages(None, by_space={"inception": y}))
    )


def test_fid_is_the_published_value(features):
    assert measured("fid", *features) == [pytest.approx(220.5819, abs=1e-3)]


def test_fid_on_the_old_resizing_is_the_published_value_too(hub):
    """Another resizing is another number: PyTorch's bilinear filter does not antialias."""
    path = weights.find("inception-2015-12-05.pt").path
    network = inception._network(path, "cpu")
    with torch.no_grad():
        x, y = (
            torch.cat(
                [
                    network.layers.forward(inception.resized(image, "legacy_pytorch")[None] / 127.5 - 1).flatten(1)
                    for image in images(hub, kind)
                ]
            )
            for kind in ("dist_dir", "ref_dir")
        )
    assert measured("fid", x, y) == [pytest.approx(225.3678, abs=2e-3)]


def test_kid_is_clean_fids(features):
    """With equally many images, and no more than its subsets hold, clean-fid's subsets are the sets themselves."""
    from cleanfid.fid import kernel_distance

    x, y = (part.numpy() for part in features)
    assert measured("kid-inception", *features) == [pytest.approx(kernel_distance(x, y, num_subsets=3), rel=1e-5)]


def test_features_are_those_of_clean_fids_own_network(hub, features):
    from cleanfid.inception_torchscript import InceptionV3W

    network = InceptionV3W(str(hub / "cleanfid"), download=False)
    resized_image = inception.resized(images(hub, "dist_dir")[1])[None]
    with torch.no_grad():
        assert torch.allclose(network(resized_image), features[0][1:2], rtol=1e-4, atol=1e-5)


def test_chunk_changes_no_feature(hub, features):
    path = weights.find("inception-2015-12-05.pt").path
    again = inception.features(images(hub, "dist_dir")[:2], path, chunk=1)
    assert (again - features[0][:2]).abs().max() < 1e-5 * features[0].abs().max()


def test_half_precision_changes_fid_and_kid_little(features):
    """Kept features are halves: what `rescore` computes differs from the first measurement by no more than this."""
    halves = [part.half().float() for part in features]
    assert measured("fid", *halves) == [pytest.approx(measured("fid", *features)[0], rel=1e-4)]
    assert measured("kid-inception", *halves) == [pytest.approx(measured("kid-inception", *features)[0], rel=1e-3)]


def test_the_space_is_the_network(hub, features):
    computed_features = FeatureImages(images(hub, "ref_dir")[:1]).features("inception")
    assert torch.allclose(computed_features, features[1][:1], rtol=1e-4, atol=1e-5)
    assert len(SPACES["inception"].digest) == 64


def test_what_are_no_images_is_refused(hub):
    for given, message in (([], "at least one image"), ([np.zeros((4, 4), np.uint8)], "8-bit RGB")):
        with pytest.raises(UserError, match=message):
            FeatureImages(given).features("inception")


@pytest.mark.parametrize("space", ["inception", "clip-b32", "clip-l14-336"])
def test_missing_weights_are_told(space, no_weights):
    with pytest.raises(UserError, match=f"expected the weights {SPACES[space].weights}, found none") as caught:
        FeatureImages([tiny.picture(0)]).features(space)
    assert "TORCH_HOME" in caught.value.hint


def test_resizing_is_clean_fids_on_each_channel():
    from PIL import Image

    pixels = tiny.picture(3, 120, 90)
    expected = np.stack(
        [
            np.asarray(Image.fromarray(pixels[..., c].astype(np.float32)).resize((299, 299), Image.Resampling.BICUBIC))
            for c in range(3)
        ]
    )
    assert np.allclose(inception.resized(pixels).numpy(), expected.clip(0, 255))


def test_frechet_at_full_width_is_that_of_the_covariances():
    """Fewer images than dimensions: the exact trace against eigenvalues of the small matrix, not a matrix root."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 2048)), rng.normal(0.1, 1.1, (9, 2048))
    a, b = (x - x.mean(0)) / 5**0.5, (y - y.mean(0)) / 8**0.5
    roots = np.sqrt(np.linalg.eigvals(a @ b.T @ b @ a.T).astype(complex)).real.sum()
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + (a**2).sum() + (b**2).sum() - 2 * roots
    assert sets.frechet(x, y) == pytest.approx(expected, rel=1e-6)
