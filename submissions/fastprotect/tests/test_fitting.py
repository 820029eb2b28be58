from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from cloakbench import Surrogate
from cloakbench.errors import UserError
from cloakbench.images import Pixels
from cloakbench.models import loader
from cloakbench_fastprotect import fitting, perturbations, train
from cloakbench_fastprotect.clusters import cluster
from cloakbench_fastprotect.features import encode, entropy
from cloakbench_fastprotect.fitting import FittingRecipe, Goal, fit
from cloakbench_fastprotect.perturbations import Perturbations
from cloakbench_fastprotect.targets import target


@pytest.fixture(scope="module")
def surrogate() -> Surrogate:
    return loader.load("mini-a").surrogate()


@pytest.fixture(scope="module")
def images() -> Tensor:
    coarse = torch.rand((12, 3, 4, 4), generator=torch.Generator().manual_seed(1))
    return torch.nn.functional.interpolate(coarse, size=(32, 32), mode="bilinear")


def test_fitting_lowers_the_loss_and_repeats(surrogate: Surrogate, images: Tensor, tmp_path: Path) -> None:
    recipe = FittingRecipe(steps=8, batch=4, rate=0.2, members=2)
    losses_by_target: dict[str, list[float]] = {}

    def run() -> Perturbations:
        generator = torch.Generator().manual_seed(0)
        return fit(
            images, surrogate, generator, recipe, lambda name, _step, v: losses_by_target.setdefault(name, []).append(v)
        )

    first, again = run(), run()
    assert torch.equal(first.mixture, again.mixture)
    goal = Goal.of(surrogate, target("mid", 32, 32), recipe.layers)
    groups = first.groups(encode(surrogate, images)[0])
    moved = images + recipe.epsilon * first.chosen(torch.ones(12).long(), groups, (32, 32))
    with torch.no_grad():
        assert float(goal.loss(moved.clamp(0, 1)).mean()) < 0.95 * float(goal.loss(images).mean())
    assert float(first.common.abs().max()) <= 0.5
    assert float(first.mixture.abs().max()) <= 0.5
    assert [len(values) for values in losses_by_target.values()] == [16, 16, 16]
    first.save(tmp_path / "weights" / "x.safetensors")
    assert (tmp_path / "weights" / "x.safetensors").is_file()


class Stopped(Exception):  # noqa: N818 - it is no error
    """What interrupts a training in a test."""


def test_an_interrupted_training_goes_on_and_ends_as_one_without_a_break(
    surrogate: Surrogate, images: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "EVERY", 2)
    recipe = FittingRecipe(steps=5, batch=4, rate=0.2, members=2)
    state = tmp_path / "run.part"

    def run(stop_at: tuple[str, int] | None, file: Path | None, chosen: FittingRecipe = recipe) -> Perturbations:
        def report(name: str, step: int, _value: float) -> None:
            if (name, step) == stop_at:
                raise Stopped

        return fit(images, surrogate, torch.Generator().manual_seed(0), chosen, report, file)

    whole = run(None, None)
    for layer in (("low", 3), ("mid", 0), ("high", 4)):
        with pytest.raises(Stopped):
            run(layer, state)
    with pytest.raises(UserError, match="expected a training with"):
        run(None, state, replace(recipe, rate=0.1))
    resumed = run(None, state)
    assert torch.equal(resumed.common, whole.common)
    assert torch.equal(resumed.mixture, whole.mixture)
    assert not state.exists()
    parts = run(None, None, replace(recipe, chunk=3))
    assert torch.allclose(parts.common, whole.common, atol=1e-3)


def test_recipes_follow_the_family_and_stable_diffusion_needs_pictures(capsys) -> None:
    recipe = train.RECIPES["stable-diffusion"]
    assert (3 * recipe.steps, recipe.batch, recipe.epsilon) == (39_999, 16, 8 / 255)
    assert recipe.rate * recipe.epsilon == pytest.approx(2e-4)
    assert train.main(["--model", "sd15"]) == 2
    assert "--images" in capsys.readouterr().err


def test_loss_is_latents_plus_weighted_mean_of_layers(surrogate: Surrogate, images: Tensor) -> None:
    with torch.no_grad():
        goal = Goal.of(surrogate, target("low", 32, 32), 0.5)
        latent, features = encode(surrogate, images[:2])
        assert len(features) == 4
        parts = [float((a[0] - b[0]).square().sum()) for a, b in zip(features, goal.features, strict=True)]
        expected = float((latent[0] - goal.latent[0]).square().sum()) + 0.5 * sum(parts) / 4
        assert float(goal.loss(images[:2])[0]) == pytest.approx(expected, rel=1e-4)


def test_clusters_find_well_separated_groups() -> None:
    corners = torch.tensor([[0.0, 0], [100, 0], [0, 100], [100, 100]])
    points = (corners[:, None] + torch.rand((4, 5, 2), generator=torch.Generator().manual_seed(0))).flatten(0, 1)
    for seed in range(5):
        centroids, groups = cluster(points, 4, torch.Generator().manual_seed(seed))
        assert len({tuple(row) for row in (centroids / 100).round().tolist()}) == 4
        assert all(len(set(groups[n : n + 5].tolist())) == 1 for n in range(0, 20, 5))


def test_too_few_different_images_are_named() -> None:
    with pytest.raises(UserError, match="at least 4 different images, got 1"):
        cluster(torch.ones(9, 2), 4, torch.Generator().manual_seed(0))


def test_entropy_by_hand() -> None:
    class Unit:
        vae = type("VAE", (), {"config": type("Config", (), {"scaling_factor": 1.0})})

    two = torch.tensor([-1.0, 1.0]).repeat(8).view(1, 4, 2, 2)
    assert entropy(Unit(), torch.cat([torch.zeros_like(two), two])).tolist() == pytest.approx([0, 1])


def test_a_lookup_takes_the_nearest_group_and_target() -> None:
    common = torch.zeros(2, 3, 4, 4)
    mixture = torch.arange(4.0).view(2, 2, 1, 1, 1).expand(2, 2, 3, 4, 4) / 10
    centroids = torch.stack([torch.zeros(4, 2, 2), torch.ones(4, 2, 2)])
    trained = Perturbations(common, mixture, centroids, torch.tensor([1.0, 3.0]), torch.tensor(0.1))
    groups = trained.groups(torch.stack([torch.full((4, 8, 8), 0.4), torch.full((4, 8, 8), 0.9)]))
    targets = trained.nearest_targets(torch.tensor([2.9, 0.0]))
    assert (groups.tolist(), targets.tolist()) == ([0, 1], [1, 0])
    choice = trained.chosen(targets, groups, (8, 6))
    assert torch.allclose(choice[0], torch.full((3, 8, 6), 0.2))
    assert torch.allclose(choice[1], torch.full((3, 8, 6), 0.1))


def test_targets_repeat_as_often_as_they_say() -> None:
    high = target("high", 128, 128)
    assert high.unique().tolist() == [0, 1]
    assert torch.equal(high[..., :16, :16], high[..., 16:32, 112:])
    assert not torch.equal(target("low", 128, 128)[..., :16, :16], target("low", 128, 128)[..., 16:32, 112:])


def test_the_command_trains_on_training_styles_or_a_folder(tmp_path: Path, monkeypatch, capsys) -> None:
    drawn_styles = []
    monkeypatch.setattr(
        train.styles, "paint", lambda style, *_rest: drawn_styles.append(style) or painted(len(drawn_styles))
    )
    monkeypatch.setattr(train, "PER_PAIR", 1)
    out = tmp_path / "mini-a.safetensors"
    assert train.main(["--model", "mini-a", "--out", str(out), "--steps", "1", "--batch", "2"]) == 0
    assert set(drawn_styles) == set(train.styles.names("training"))
    assert "low step 0: loss" in capsys.readouterr().out
    monkeypatch.setattr(perturbations, "FOLDER", tmp_path)
    assert perturbations.load("mini-a").entropies.shape == (3,)
    assert train.main(["--model", "mini-a", "--out", str(out), "--images", str(tmp_path / "none")]) == 2
    assert "expected a folder of images" in capsys.readouterr().err


def painted(seed: int) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)
