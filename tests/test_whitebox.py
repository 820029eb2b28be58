from __future__ import annotations

import pytest
import torch

from cloakbench.whitebox import distance_map


def mean_square(x, y):
    return (x - y).square().flatten(1).mean(1)


@pytest.mark.parametrize("size", [(64, 64), (40, 72)])
def test_distance_map_of_an_even_change_is_even(size):
    images = torch.rand((2, 3, *size), generator=torch.Generator().manual_seed(0))
    found = distance_map(mean_square, images, images + 0.5)
    assert found.shape == (2, 1, *size)
    assert torch.allclose(found, torch.tensor(0.25))


def test_distance_map_is_high_where_images_differ():
    images = torch.zeros(1, 3, 128, 128)
    changed = images.clone()
    changed[..., 32:64, 64:96] = 1
    found = distance_map(mean_square, images, changed)[0, 0]
    assert float(found.max()) == pytest.approx(float(found[40:56, 72:88].max()))
    assert float(found[:8].max()) == float(found[88:].max()) == float(found[:, :40].max()) == 0
