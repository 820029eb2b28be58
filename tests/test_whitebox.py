from __future__ import annotations

import pytest
import torch

from cloakbench.models import loader
from cloakbench.whitebox import distance_map, family, latent_means


def mean_square(x, y):
    return (x - y).square().flatten(1).mean(1)


@pytest.mark.parametrize("size", [(64, 64), (40, 72)])
def test_distance_map_of_an_even_change_is_even(size):
    images = torch.rand((2, 3, *size), generator=torch.Generator().manual_seed(0))
    pixel_distances = distance_map(mean_square, images, images + 0.5)
    assert pixel_distances.shape == (2, 1, *size)
    assert torch.allclose(pixel_distances, torch.tensor(0.25))


def test_distance_map_is_high_where_images_differ():
    images = torch.zeros(1, 3, 128, 128)
    changed = images.clone()
    changed[..., 32:64, 64:96] = 1
    pixel_distances = distance_map(mean_square, images, changed)[0, 0]
    assert float(pixel_distances.max()) == pytest.approx(float(pixel_distances[40:56, 72:88].max()))
    assert (
        float(pixel_distances[:8].max())
        == float(pixel_distances[88:].max())
        == float(pixel_distances[:, :40].max())
        == 0
    )


def test_signs_of_half_precision_gradients_are_those_of_single_precision_and_hardly_ever_zero(sd_stand_ins):
    """Steps of sign gradients would be lost where rounding leaves zeros or ties."""
    images = torch.rand((1, 3, 64, 64), generator=torch.Generator().manual_seed(0))
    gradients = []
    for dtype in (torch.float32, torch.bfloat16):
        model = loader.load("sd15", dtype=dtype)
        own = images.clone().requires_grad_(True)
        latent_means(model, own).square().sum().backward()
        gradients.append(own.grad)
    exact, half = gradients
    assert float((half == 0).float().mean()) < 0.01
    assert float((exact.sign() == half.sign()).float().mean()) > 0.95


def test_an_xl_model_has_the_family_of_stable_diffusion(sd_stand_ins):
    assert family(loader.load("sdxl")) == "stable-diffusion"
