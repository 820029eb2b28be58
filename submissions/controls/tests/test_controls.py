from __future__ import annotations

import torch

from cloakbench import Request, Surrogate
from cloakbench_controls import Identity, Placebo, RandomNoise

CPU = Surrogate("none", None, None, None, None, None, lambda x, y: x, torch.device("cpu"), torch.float32)


def request(strength: float, seed: int = 7) -> Request:
    generator = torch.Generator().manual_seed(seed)
    return Request(strength, 16 / 255 * strength, CPU, generator, "painting", ("a painting",))


def middling(count: int = 2) -> torch.Tensor:
    levels = torch.randint(40, 215, (count, 3, 24, 16), generator=torch.Generator().manual_seed(0))
    return levels.float() / 255


def levels_moved(before: torch.Tensor, after: torch.Tensor) -> list[int]:
    return sorted(set(((after - before) * 255).round().int().flatten().tolist()))


def test_identity_changes_nothing() -> None:
    images = middling()
    assert torch.equal(Identity().protect(images, request(1)), images)


def test_placebo_is_one_level_at_every_strength() -> None:
    images = middling()
    for strength in (0.25, 1.0):
        assert levels_moved(images, Placebo().protect(images, request(strength))) == [-1, 0, 1]


def test_random_noise_uses_the_whole_budget() -> None:
    images = middling()
    for strength, expected in ((0.25, 4), (0.5, 8), (1.0, 16)):
        assert levels_moved(images, RandomNoise().protect(images, request(strength))) == [-expected, expected]


def test_noise_is_centred_and_stays_in_range() -> None:
    images = middling(8)
    moved = RandomNoise().protect(images, request(1)) - images
    assert abs(float(moved.mean())) < 16 / 255 * 0.05
    extremes = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 3, 8, 8)
    noisy = RandomNoise().protect(extremes, request(1))
    assert 0 <= float(noisy.min()) <= float(noisy.max()) <= 1


def test_an_images_noise_does_not_depend_on_its_followers() -> None:
    images = middling(3)
    for control in (Placebo(), RandomNoise()):
        alone = control.protect(images[:1], request(1))
        assert torch.equal(control.protect(images, request(1))[:1], alone)
        assert not torch.equal(control.protect(images[:1], request(1, seed=8)), alone)
