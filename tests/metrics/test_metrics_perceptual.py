"""The perceptual distance that a suite names."""

from __future__ import annotations

import pytest
import tiny
import torch

from cloakbench.errors import UserError
from cloakbench.images import to_tensor
from cloakbench.metrics import perceptual, quality, weights
from cloakbench.models import loader
from cloakbench.submissions.sandbox import messages, worker
from cloakbench.suites import load as suites

X, Y = tiny.picture(0, 64, 64), tiny.picture(1, 64, 64)


@pytest.fixture(params=["mini-lpips", "lpips-vgg", "lpips-alex"])
def name(request):
    if request.param != "mini-lpips":
        request.getfixturevalue("assets")
        if weights.missing(request.param):
            pytest.skip("weights that cannot be had here")
    return request.param


@pytest.fixture
def mini_folder(request):
    return request.getfixturevalue("weights") / "mini-a"


def test_a_distance_is_the_metric_of_its_name_and_has_gradients(name):
    changed = to_tensor([X]).requires_grad_()
    values = perceptual.distance(name, "cpu")(changed, to_tensor([Y]))
    values.sum().backward()
    assert values.shape == (1,)
    assert values.item() == pytest.approx(quality.measure([name], [X], [Y])[name][0], rel=1e-4)
    assert float(changed.grad.abs().max()) > 0


def test_a_protection_gets_the_suites_distance(name, mini_folder):
    model = messages.SurrogateMessage(alias=str(mini_folder), device="cpu", dtype="float32", perceptual=name)
    surrogate = worker._surrogate(model)
    expected = perceptual.distance(name, "cpu")(to_tensor([X]), to_tensor([Y]))
    assert torch.allclose(surrogate.perceptual(to_tensor([X]), to_tensor([Y])), expected)


def test_distances_have_digests_of_their_own_whether_their_weights_are_here_or_not(no_weights):
    digests = [perceptual.digest(name) for name in ("mini-lpips", "lpips-vgg", "lpips-alex")]
    assert len(set(digests)) == 3
    with pytest.raises(UserError, match="lpips-vgg"):
        perceptual.distance("lpips-vgg", "cpu")


def test_painting_has_the_distance_of_the_papers_and_mini_the_embedded_one():
    assert suites.load("painting").perceptual == "lpips-vgg"
    assert suites.load("mini").perceptual == "mini-lpips"
    assert loader.mini_lpips() is perceptual.distance("mini-lpips", "cpu")
