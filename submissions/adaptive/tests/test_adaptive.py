from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cloakbench import Request, Surrogate, datasets, image_files, images, whitebox
from cloakbench.models import loader
from cloakbench_adaptive import AdaptiveGlaze, AdaptivePhotoGuard, photoguard
from cloakbench_adaptive.consistency import across, joined, unreproduced
from cloakbench_glaze import Glaze
from cloakbench_photoguard import PhotoGuard

SHIPPED = Path(datasets.__file__).parent / "mini"


@pytest.fixture(scope="module")
def surrogate() -> Surrogate:
    return loader.load("mini-a").surrogate()


@pytest.fixture(scope="module")
def crops() -> torch.Tensor:
    """A piece of one picture of each of two development artists."""
    firsts = (next(iter(image_files.read_folder(SHIPPED / name / "images").values())) for name in ("swirl", "stencil"))
    return images.to_tensor(firsts)[:, :, 32:96, 32:96]


def ask(surrogate: Surrogate, strength: float = 0.5, seed: int = 5) -> Request:
    generator = torch.Generator().manual_seed(seed)
    return Request(strength, 16 / 255 * strength, surrogate, generator, "painting", ("a painting",) * 2)


def attack(_images: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
    return latents.flatten(1).norm(dim=1)


def seen(changed: torch.Tensor, surrogate: Surrogate) -> tuple[torch.Tensor, torch.Tensor]:
    """The latents' norm and the reconstruction error of each image."""
    with torch.no_grad():
        latents = whitebox.latent_means(surrogate, changed)
        error = unreproduced(changed, latents, surrogate).square().mean((1, 2, 3))
        return attack(changed, latents), error


def test_across_is_orthogonal_to_the_axis_and_keeps_the_rest() -> None:
    vectors, axes = (
        torch.tensor([[3.0, 4.0], [3.0, 4.0], [1.0, 2.0]]),
        torch.tensor([[2.0, 0.0], [1.0, 1.0], [0.0, 0.0]]),
    )
    expected = torch.tensor([[0.0, 4.0], [-0.5, 0.5], [1.0, 2.0]])  # (3, 4) less its share 3.5 of (1, 1)
    assert torch.allclose(across(vectors, axes), expected)


def gradients(surrogate: Surrogate, crops: torch.Tensor, weight: float, *, orthogonal: bool) -> torch.Tensor:
    def mend(images: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        return unreproduced(images, latents, surrogate).square().mean((1, 2, 3))

    value, gradient = joined(attack, mend, surrogate, weight, orthogonal=orthogonal)(crops, 0)
    norm, error = seen(crops, surrogate)
    assert torch.allclose(value, norm + weight * error, rtol=1e-5)
    return gradient.flatten(1)


def test_the_joined_gradient_is_the_sum_of_both(surrogate: Surrogate, crops: torch.Tensor) -> None:
    first, both, more = (gradients(surrogate, crops, w, orthogonal=False) for w in (0.0, 100.0, 700.0))
    assert torch.allclose(more - first, 7 * (both - first), atol=1e-4 * float(more.abs().max()))
    assert float((both - first).abs().max()) > 0.01 * float(first.abs().max())


def test_orthogonally_joined_mending_takes_nothing_from_the_attack(surrogate: Surrogate, crops: torch.Tensor) -> None:
    first = gradients(surrogate, crops, 0.0, orthogonal=False)
    rest = gradients(surrogate, crops, 500.0, orthogonal=True) - first
    assert bool((rest.norm(dim=1) > 0.1 * first.norm(dim=1)).all())
    assert bool(((rest * first).sum(1).abs() < 1e-4 * rest.norm(dim=1) * first.norm(dim=1)).all())


def test_without_weight_it_is_photoguard(surrogate: Surrogate, crops: torch.Tensor) -> None:
    alone = AdaptivePhotoGuard(steps=3, weight=1e-12).protect(crops, ask(surrogate))
    plain = PhotoGuard(steps=3).protect(crops, ask(surrogate))
    assert float(((alone - plain).abs() > 0.5 / 255).float().mean()) < 0.001


@pytest.mark.parametrize("orthogonal", [False, True])
def test_is_reproduced_better_than_photoguard_at_most_of_its_effect(
    orthogonal: bool, surrogate: Surrogate, crops: torch.Tensor
) -> None:
    clean, _ = seen(crops, surrogate)
    plain, plain_error = seen(PhotoGuard(steps=50).protect(crops, ask(surrogate)), surrogate)
    adaptive = AdaptivePhotoGuard(steps=50, orthogonal=orthogonal).protect(crops, ask(surrogate))
    distance, error = seen(adaptive, surrogate)
    assert bool((error < 0.9 * plain_error).all())
    assert bool((clean - distance > 0.75 * (clean - plain)).all())


def test_adaptive_glaze_is_reproduced_better_than_glaze(surrogate: Surrogate, crops: torch.Tensor) -> None:
    plain = Glaze(steps=30, style="engraving")
    adaptive = AdaptiveGlaze(steps=30, style="engraving", weight=100.0)
    goals = plain.goals(crops, ask(surrogate))

    def reach(changed: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return (whitebox.latent_means(surrogate, changed) - goals).square().mean((1, 2, 3))

    by_plain, by_adaptive = (entry.protect(crops, ask(surrogate)) for entry in (plain, adaptive))
    assert bool((seen(by_adaptive, surrogate)[1] < 0.9 * seen(by_plain, surrogate)[1]).all())
    assert bool((reach(crops) - reach(by_adaptive) > 0.6 * (reach(crops) - reach(by_plain))).all())


def test_keeps_the_budget_in_whole_levels_at_every_strength(surrogate: Surrogate, crops: torch.Tensor) -> None:
    means = []
    for strength in (0.25, 0.5, 1.0):
        moved = (AdaptivePhotoGuard(steps=3).protect(crops, ask(surrogate, strength)) - crops) * 255
        assert float(moved.abs().max()) == pytest.approx(16 * strength, abs=1e-3)
        assert float((moved - moved.round()).abs().max()) < 1e-3
        means.append(float(moved.abs().mean()))
    assert means == sorted(means)


def test_chunks_change_nothing_but_the_order_of_sums(
    monkeypatch: pytest.MonkeyPatch, surrogate: Surrogate, crops: torch.Tensor
) -> None:
    together = AdaptivePhotoGuard(steps=2).protect(crops, ask(surrogate))
    monkeypatch.setattr(photoguard, "CHUNK", 1)
    alone = AdaptivePhotoGuard(steps=2).protect(crops, ask(surrogate))
    assert float(((together - alone).abs() > 0.5 / 255).float().mean()) < 0.001


def test_same_seed_same_bytes_and_other_seed_other_start(surrogate: Surrogate, crops: torch.Tensor) -> None:
    entry = AdaptivePhotoGuard(steps=2, orthogonal=True)
    first, again, other = (entry.protect(crops, ask(surrogate, seed=seed)) for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("kind", [AdaptivePhotoGuard, AdaptiveGlaze])
@pytest.mark.parametrize(
    ("parameters", "word"), [({"steps": 0}, "steps"), ({"weight": 0}, "weight"), ({"orthogonal": 1}, "orthogonal")]
)
def test_refuses_bad_parameters(kind: type, parameters: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=f"{word}: expected .* got"):
        kind(**parameters)
