from __future__ import annotations

import pytest
import torch
from diffusers import AutoencoderKL

from cloakbench import Request, Surrogate
from cloakbench.whitebox import latent_means
from cloakbench_photoguard import PhotoGuard


@pytest.fixture(scope="module")
def surrogate() -> Surrogate:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae = AutoencoderKL(
            block_out_channels=(8, 16, 16, 16),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            latent_channels=4,
            layers_per_block=1,
            norm_num_groups=4,
        )
    vae.eval().requires_grad_(requires_grad=False)
    return Surrogate("tiny", vae, None, None, None, None, lambda x, y: x, torch.device("cpu"), torch.float32)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand((3, 3, 4, 4), generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(32, 32), mode="bilinear")
    return (smooth * 255).round() / 255


def ask(surrogate: Surrogate, strength: float = 1.0, seed: int = 5, budget_255: int = 8) -> Request:
    generator = torch.Generator().manual_seed(seed)
    return Request(strength, budget_255 / 255 * strength, surrogate, generator, "painting", ("a painting",) * 3)


def reach(images: torch.Tensor, goal: torch.Tensor, surrogate: Surrogate) -> torch.Tensor:
    with torch.no_grad():
        return (latent_means(surrogate, images) - goal).flatten(1).norm(dim=1)


@pytest.mark.parametrize("target", ["zero", "gray"])
def test_moves_to_the_target_far_beyond_random_noise(target: str, surrogate: Surrogate, images: torch.Tensor) -> None:
    with torch.no_grad():
        grey = latent_means(surrogate, torch.full_like(images[:1], 0.5))
    goal = grey if target == "gray" else torch.zeros_like(grey)
    before = reach(images, goal, surrogate)
    protected = PhotoGuard(steps=50, target=target).protect(images, ask(surrogate))
    gained = before - reach(protected, goal, surrogate)
    signs = torch.randint(2, images.shape, generator=torch.Generator().manual_seed(3)) * 2 - 1
    noisy = (images + signs * 8 / 255).clamp(0, 1)
    by_noise = (before - reach(noisy, goal, surrogate)).abs()
    assert bool((gained > 0.05 * before).all())
    assert bool((gained > 4 * by_noise).all())


@pytest.mark.parametrize("strength", [0.25, 0.5, 1.0])
@pytest.mark.parametrize("budget_255", [8, 16])
def test_keeps_the_budget_in_whole_levels(
    strength: float, budget_255: int, surrogate: Surrogate, images: torch.Tensor
) -> None:
    request = ask(surrogate, strength, budget_255=budget_255)
    moved = (PhotoGuard(steps=4).protect(images, request) - images) * 255
    assert float(moved.abs().max()) == pytest.approx(budget_255 * strength, abs=1e-3)
    assert float((moved - moved.round()).abs().max()) < 1e-3


def test_stays_in_range_on_black_and_white(surrogate: Surrogate, images: torch.Tensor) -> None:
    extremes = (images > 0.5).float()
    protected = PhotoGuard(steps=3).protect(extremes, ask(surrogate))
    assert 0 <= float(protected.min()) <= float(protected.max()) <= 1


def test_more_steps_do_not_end_further_away(surrogate: Surrogate, images: torch.Tensor) -> None:
    few, many = (PhotoGuard(steps=n).protect(images, ask(surrogate)) for n in (5, 50))
    zero = torch.zeros(1)
    assert float(reach(many, zero, surrogate).mean()) < float(reach(few, zero, surrogate).mean())


def test_same_seed_same_bytes_and_other_seed_other_start(surrogate: Surrogate, images: torch.Tensor) -> None:
    protection = PhotoGuard(steps=3)
    first, again, other = (protection.protect(images, ask(surrogate, seed=s)) for s in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_batch_equals_its_images_one_by_one(surrogate: Surrogate, images: torch.Tensor) -> None:
    protection = PhotoGuard(steps=3)
    together = protection.protect(images, ask(surrogate))
    request = ask(surrogate)
    alone = torch.cat([protection.protect(image[None], request) for image in images])
    # Signs of gradients near zero may flip with the order of sums: a few values, never more than that.
    differs = ((together - alone).abs() > 0.5 / 255).float().mean()
    assert float(differs) < 0.01


def test_leaves_the_surrogate_and_the_images_as_they_were(surrogate: Surrogate, images: torch.Tensor) -> None:
    before, weights = images.clone(), [p.clone() for p in surrogate.vae.parameters()]
    PhotoGuard(steps=2).protect(images, ask(surrogate))
    assert torch.equal(images, before)
    for parameter, weight in zip(surrogate.vae.parameters(), weights, strict=True):
        assert parameter.grad is None
        assert torch.equal(parameter, weight)


@pytest.mark.parametrize(
    ("parameters", "word"),
    [({"steps": 0}, "steps"), ({"steps": 1.5}, "steps"), ({"target": "cat"}, "target"), ({"alpha": 0}, "alpha")],
)
def test_refuses_bad_parameters(parameters: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=f"{word}: expected .* got"):
        PhotoGuard(**parameters)


def test_no_more_images_than_the_chunk_are_encoded_at_once_and_the_result_is_the_same(
    surrogate: Surrogate, images: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []
    encode = surrogate.vae.encode

    def counted(x: torch.Tensor) -> object:
        counts.append(len(x))
        return encode(x)

    monkeypatch.setattr(surrogate.vae, "encode", counted)
    together = PhotoGuard(steps=4, chunk=3).protect(images, ask(surrogate))
    assert max(counts) == 3
    counts.clear()
    in_parts = PhotoGuard(steps=4, chunk=2).protect(images, ask(surrogate))
    assert max(counts) == 2
    assert float((together - in_parts).abs().max()) < 1e-6
