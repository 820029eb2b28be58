"""FastProtect on the embedded model with the shipped perturbations, on images that they were not trained on."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from cloakbench import Request, Surrogate
from cloakbench.datasets.artists import MINI
from cloakbench.errors import UserError
from cloakbench.image_files import read_folder
from cloakbench.images import to_tensor
from cloakbench.models import loader
from cloakbench_fastprotect import FastProtect, perturbations
from cloakbench_fastprotect.features import encode
from cloakbench_fastprotect.targets import REPEATS, target


@pytest.fixture(scope="module")
def surrogate() -> Surrogate:
    return loader.load("mini-a").surrogate()


@pytest.fixture(scope="module")
def art() -> Tensor:
    return to_tensor(next(iter(read_folder(MINI / name / "images").values())) for name in ("swirl", "stencil"))


def ask(surrogate: Surrogate, strength: float = 1.0, seed: int = 5, budget_255: int = 8) -> Request:
    generator = torch.Generator().manual_seed(seed)
    return Request(strength, budget_255 / 255 * strength, surrogate, generator, "painting", ("a painting",) * 2)


@pytest.mark.parametrize("name", REPEATS)
def test_moves_unseen_images_to_its_target_beyond_random_noise(name: str, surrogate: Surrogate, art: Tensor) -> None:
    with torch.no_grad():
        goal = encode(surrogate, target(name, 128, 128))[0]

        def distance(images: Tensor) -> Tensor:
            return (encode(surrogate, images)[0] - goal).square().flatten(1).sum(1)

        before = distance(art)
        moved = FastProtect(target=name, adaptive=False).protect(art, ask(surrogate))
        signs = torch.randint(2, art.shape, generator=torch.Generator().manual_seed(3)) * 2 - 1
        by_noise = (before - distance((art + signs * 8 / 255).clamp(0, 1))).abs()
        gained = before - distance(moved)
    assert bool((gained > 0.12 * before).all())
    assert bool((gained > 1.5 * by_noise).all())


def test_map_makes_it_less_visible(surrogate: Surrogate, art: Tensor) -> None:
    dosed, whole = (FastProtect(adaptive=on).protect(art, ask(surrogate)) for on in (True, False))
    assert bool((surrogate.perceptual(art, dosed) < surrogate.perceptual(art, whole)).all())


def test_budget_in_whole_levels_and_more_strength_more_change(surrogate: Surrogate, art: Tensor) -> None:
    used = []
    for strength in (0.25, 0.5, 1.0):
        moved = (FastProtect().protect(art, ask(surrogate, strength)) - art) * 255
        assert float((moved - moved.round()).abs().max()) < 1e-3
        assert float(moved.abs().max()) <= 8 * strength + 1e-3
        used.append(moved.abs())
    assert bool((used[0] <= used[1] + 1e-3).all())
    assert bool((used[1] <= used[2] + 1e-3).all())
    assert float(used[0].mean()) < float(used[1].mean()) < float(used[2].mean())


def test_needs_no_chance(surrogate: Surrogate, art: Tensor) -> None:
    first, second = (FastProtect().protect(art, ask(surrogate, seed=seed)) for seed in (5, 6))
    assert torch.equal(first, second)
    alone = FastProtect().protect(art[1:], ask(surrogate))
    # A map summed in another order may move a value over the edge between two levels.
    assert float(((first[1:] - alone).abs() > 0.5 / 255).float().mean()) < 0.001


def test_other_sizes_take_the_resized_perturbations(surrogate: Surrogate, art: Tensor) -> None:
    changed = FastProtect().protect(art[..., :72, :104], ask(surrogate))
    assert changed.shape == (2, 3, 72, 104)
    assert float((changed - art[..., :72, :104]).abs().mean()) > 2 / 255


def test_leaves_surrogate_and_images_as_they_were(surrogate: Surrogate, art: Tensor) -> None:
    before = art.clone()
    FastProtect().protect(art, ask(surrogate))
    assert torch.equal(art, before)
    assert not any(module._forward_hooks for module in surrogate.vae.modules())


def test_shipped_perturbations_are_within_their_shares_and_small(surrogate: Surrogate) -> None:
    shipped = perturbations.load("mini-a")
    assert float(shipped.common.abs().max()) <= 0.5
    assert float(shipped.mixture.abs().max()) <= 0.5
    assert shipped.mixture.shape == (3, 4, 3, 128, 128)
    assert (perturbations.FOLDER / "mini-a.safetensors").stat().st_size <= 2 * 2**20


def test_another_surrogate_is_told_how_to_train(surrogate: Surrogate, art: Tensor) -> None:
    with pytest.raises(UserError, match="surrogate 'sd15', got those of mini-a") as caught:
        FastProtect().protect(art, ask(replace(surrogate, name="sd15")))
    assert "python -m cloakbench_fastprotect.train --model sd15" in str(caught.value)


@pytest.mark.parametrize(("parameters", "word"), [({"target": "cat"}, "target"), ({"adaptive": 1}, "adaptive")])
def test_refuses_bad_parameters(parameters: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=f"{word}: expected .* got"):
        FastProtect(**parameters)
