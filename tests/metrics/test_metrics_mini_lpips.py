"""mini-lpips: its formula, its symmetry and its gradients."""

from __future__ import annotations

import pytest
import torch
from pairs import PAIRS

from cloakbench.images import to_tensor
from cloakbench.models.loader import mini_lpips

pytestmark = pytest.mark.usefixtures("stand_ins")


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
