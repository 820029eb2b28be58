"""The expectation over countermeasures: its transforms against the suite's own, its gradient against adjoints."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
import tiny
import torch
from torch import Tensor

from cloakbench import eot, pgd
from cloakbench.attacks import catalogue
from cloakbench.images import quantise, to_tensor
from cloakbench.suites.read import read

ROUGH = np.random.default_rng(1).integers(-20, 21, (40, 64, 3))
PICTURE = (tiny.picture(0, 40, 64) + ROUGH).clip(0, 255).astype(np.uint8)
IMAGES = to_tensor([PICTURE, tiny.picture(1, 40, 64)])
CPU = torch.Generator


def transformed(name: str) -> np.ndarray:
    return quantise(eot.TRANSFORMS[name](IMAGES[:1], CPU().manual_seed(1)))[0]


def cleaned(name: str) -> np.ndarray:
    transform = eot.TRANSFORMS[name]
    return catalogue.find("countermeasure", name).build(asdict(transform)).apply([PICTURE], None)[0]


@pytest.mark.parametrize(("name", "share"), [("blur", 0.1), ("jpeg", 0.0), ("resize", 0.3), ("crop", 0.3)])
def test_a_transform_is_its_countermeasure(name: str, share: float) -> None:
    """Bicubic stands for Lanczos: on a rough picture they differ by a share of what either does to it."""
    apart = np.abs(transformed(name).astype(int) - cleaned(name).astype(int)).mean()
    change = np.abs(cleaned(name).astype(int) - PICTURE.astype(int)).mean()
    assert apart <= share * change
    assert change > 1


def test_noise_has_its_deviation_and_flip_mirrors() -> None:
    grey = torch.full((1, 3, 64, 64), 0.5)
    noisy = eot.NoiseTransform(0.05)(grey, CPU().manual_seed(1)) - grey
    assert float(noisy.std()) == pytest.approx(0.05, rel=0.03)
    assert np.array_equal(transformed("flip"), PICTURE[:, ::-1])


@pytest.mark.parametrize("suite", ["mini", "folder"])
def test_settings_are_those_of_the_suites(suite: str) -> None:
    tables = read(suite).countermeasures
    for name in ("blur", "resize", "noise", "jpeg"):
        own = asdict(eot.TRANSFORMS[name])
        assert own == {key: tables[name][key] for key in own}


def linear(weights: Tensor) -> pgd.Step:
    return pgd.by_autograd(lambda images: (images * weights).sum((1, 2, 3)))


@pytest.mark.parametrize("name", ["blur", "resize", "crop", "flip"])
def test_the_gradient_is_the_adjoint_of_a_linear_transform(name: str) -> None:
    """<T' w, v> = <w, T v> for a random direction v, small enough that nothing is clipped."""
    generator = CPU().manual_seed(2)
    weights, direction = torch.randn((2, *IMAGES.shape), generator=generator, dtype=torch.float64)
    step = eot.over(linear(weights), eot.named(name), generator)
    images = IMAGES.double()
    transform = eot.TRANSFORMS[name]
    value, gradient = step(images, 0)
    expected = ((images + transform(images, generator)) * weights).sum((1, 2, 3)) / 2
    assert torch.allclose(value, expected, atol=1e-9)
    change = (transform(images + 1e-3 * direction, generator) - transform(images, generator)) / 1e-3
    along = ((direction + change) * weights).sum((1, 2, 3)) / 2
    assert torch.allclose((gradient * direction).sum((1, 2, 3)), along, rtol=1e-6)


def test_jpeg_hands_the_gradient_on_and_nothing_changes_nothing() -> None:
    weights = torch.randn(IMAGES.shape, generator=CPU().manual_seed(3))
    _, gradient = eot.over(linear(weights), eot.named("jpeg"), CPU())(IMAGES, 0)
    assert torch.allclose(gradient, weights, atol=1e-6)
    step = linear(weights)
    assert eot.over(step, eot.named(""), CPU()) is step
    assert len(eot.named("all")) == len(eot.TRANSFORMS)
    with pytest.raises(ValueError, match="sharpen"):
        eot.named("blur+sharpen")


def test_a_descent_over_blur_survives_it_better() -> None:
    """The value of a checkerboard falls most without blur, but nothing of that is left behind one."""
    board = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).tile(20, 32)
    coarse = torch.nn.functional.interpolate(torch.randn((1, 3, 5, 8), generator=CPU().manual_seed(4)), (40, 64))
    step = linear(3 * board + coarse)
    schedule = pgd.DescentSchedule(20, 0.25, start="zero")
    values = []
    for names in ("", "blur"):
        over = eot.over(step, eot.named(names), CPU())
        moved = pgd.descend(IMAGES, 8 / 255, over, schedule, CPU().manual_seed(5))
        values.append(step(eot.BlurTransform(sigma=2.0)(moved, CPU()), 0)[0])
    assert bool((values[1] <= values[0]).all())
