from __future__ import annotations

import math

import pytest
import torch

from cloakbench_impasto import jnd
from cloakbench_impasto.constraints import masked_low_pass, masked_norm
from cloakbench_impasto.weighting import PerceptualMap


def flat(value: float, side: int = 16) -> torch.Tensor:
    return torch.full((1, side, side), float(value))


@pytest.mark.parametrize(("grey", "threshold"), [(0, 20.0), (31.75, 11.5), (127, 3.0), (255, 6.0)])
def test_luminance_adaptation_of_flat_grey(grey: float, threshold: float) -> None:
    """17 (1 - sqrt(31.75 / 127)) + 3 = 17 / 2 + 3; at 127 both branches give 3."""
    assert jnd.luminance_adaptation(flat(grey)) == pytest.approx(threshold, abs=1e-4)


def test_background_leaves_the_pixel_out_and_counts_its_neighbours_twice() -> None:
    grey = flat(0)
    grey[0, 8, 8] = 255
    adaptation = jnd.luminance_adaptation(grey)[0]
    for offset, weight in ((0, 0), (1, 2), (2, 1), (3, 0)):
        expected = 17 * (1 - math.sqrt(weight * 255 / 32 / 127)) + 3
        assert float(adaptation[8, 8 + offset]) == pytest.approx(expected, rel=1e-5)


def test_contrast_masking_of_a_ramp() -> None:
    """A slope of 13 levels a pixel: 1.84 * 13^2.4 / (13^2 + 26^2)."""
    grey = (13 * torch.arange(16.0)).expand(1, 16, 16)
    assert float(jnd.contrast_masking(grey)[0, 8, 8]) == pytest.approx(1.84 * 13**2.4 / 845, rel=1e-5)


@pytest.mark.parametrize("cycles", [2, 16, 28])
def test_contrast_sensitivity_scales_a_grating(cycles: int) -> None:
    """64 pixels are one degree: `cycles` waves across the image are that many cycles a degree, along theta = 0."""
    wave = torch.cos(math.tau * cycles * torch.arange(64) / 64)
    grey = ((1 + 0.1 * wave) ** (3 / 2.2) / 0.02874).expand(1, 64, 64)
    passed = 0.981 if cycles < 7.8909 else 2.6 * (0.0192 + 0.114 * cycles) * math.exp(-((0.114 * cycles) ** 1.1))
    expected = 0.981 + 0.1 * passed * wave
    assert torch.allclose(jnd.contrast_sensitivity(grey)[0, 5], expected, atol=1e-5)


def test_contrast_sensitivity_is_lower_along_diagonals() -> None:
    """At theta = 45 degrees, cos(4 theta) = -1 and the frequency counts 1 / 0.7 times."""
    steps = torch.arange(64)
    wave = torch.cos(math.tau * 8 * (steps[:, None] + steps[None, :]) / 64)
    grey = ((1 + 0.1 * wave) ** (3 / 2.2) / 0.02874)[None]
    counted = 8 * math.sqrt(2) / 0.7
    passed = 2.6 * (0.0192 + 0.114 * counted) * math.exp(-((0.114 * counted) ** 1.1))
    assert torch.allclose(jnd.contrast_sensitivity(grey)[0], 0.981 + 0.1 * passed * wave, atol=1e-5)


def test_deviation_and_entropy_of_a_block() -> None:
    grey = flat(100)
    grey[0, :8, :8] = 10.0
    grey[0, :4, :8] = 250.0
    assert float(jnd.deviation(grey)[0, 7, 7]) == pytest.approx(120)
    assert float(jnd.entropy(grey)[0, 7, 7]) == pytest.approx(1)
    assert float(jnd.deviation(grey)[0, 8, 8]) == float(jnd.entropy(grey)[0, 8, 8]) == 0
    shades = torch.arange(16.0).repeat_interleave(4).view(1, 8, 8) * 16
    assert float(jnd.entropy(shades)[0, 0, 0]) == pytest.approx(4)


def test_quantised_values_are_the_papers() -> None:
    maps = torch.tensor([[0.0, 1, 2, 3], [4, 5, 6, 7]])
    expected = torch.tensor([[1, 1, 0.85, 0.85], [0.7225, 0.7225, 0.614125, 0.614125]])
    assert torch.allclose(jnd.quantised(maps), expected)
    assert torch.allclose(jnd.quantised(100 - 3 * maps), expected.flip(0, 1))
    assert torch.equal(jnd.quantised(torch.full((2, 4, 4), 3.0)), torch.ones(2, 4, 4))


def test_luma_weighs_the_channels() -> None:
    picture = torch.tensor([1.0, 0.5, 0.0]).view(1, 3, 1, 1)
    assert float(jnd.luma(picture)) == pytest.approx(255 * (0.299 + 0.587 / 2))


def test_refinement_moves_weight_to_maps_that_are_low_where_the_change_is() -> None:
    perceptual_map = PerceptualMap(
        torch.rand((1, 3, 16, 16), generator=torch.Generator().manual_seed(0)), ("la", "std")
    )
    assert torch.equal(perceptual_map.weights, torch.tensor([[0.5, 0.5]]))
    perceptual_map.maps = torch.stack([torch.full((16, 16), 0.6), torch.ones(16, 16)])[None]
    assert torch.allclose(perceptual_map.value(), torch.full((1, 1, 16, 16), 0.8))
    perceptual_map.refine(torch.ones(1, 3, 16, 16))
    first = 1 / (1 + math.exp(0.6 - 1))
    assert torch.allclose(perceptual_map.weights, torch.tensor([[first, 1 - first]]))
    perceptual_map.refine(torch.zeros(1, 3, 16, 16))
    assert torch.allclose(perceptual_map.weights, torch.tensor([[first, 1 - first]]))


def test_masked_norms() -> None:
    mask = torch.full((1, 1, 8, 8), 0.5)
    assert float(masked_norm(torch.full((1, 3, 8, 8), 0.2), mask)) == pytest.approx(0.1)
    assert float(masked_low_pass(torch.full((1, 3, 8, 8), -0.2), mask)) == pytest.approx(0.1)
    board = (torch.arange(8)[:, None] + torch.arange(8)) % 2 * 2.0 - 1
    assert float(masked_low_pass(board.expand(1, 3, 8, 8), mask)) == pytest.approx(0, abs=1e-5)
