"""What every baseline that attacks the surrogate must keep, on untrained models of both kinds of prediction."""

from __future__ import annotations

import math
import tomllib
from pathlib import Path

import pytest
import torch

from cloakbench.contract import Request
from cloakbench.images import to_tensor
from cloakbench.models import loader
from cloakbench.submissions import guard
from cloakbench.submissions.loading import load
from tests.tiny import picture

BASELINES = (
    "advdm[steps=4,alpha=0.5]",
    "mist[steps=4,alpha=0.5]",
    "mist[mode=semantic,steps=4,alpha=0.5]",
    "mist[mode=textural,steps=4,alpha=0.5]",
    "sds[steps=4,alpha=0.5]",
    "sds[direction=plus,steps=4,alpha=0.5]",
    "sds[steps=4,alpha=0.5,targeted=true]",
    "anti-dreambooth[alpha=0.5,steps=7]",  # ends in the second of ASPL's rounds
    "anti-dreambooth[alpha=0.5,method=fsmg,steps=4,surrogate_steps=2]",
    "pid[steps=4,alpha=0.5]",
)
OTHERS = (
    "adaptive[steps=3]",
    "adaptive[eot=all,steps=2]",
    "adaptive-glaze[steps=8,style=oil]",
    "fastprotect",
    "glaze[rate=0.02,steps=3,style=oil]",
    "impasto[steps=5]",
    "impasto[base=advdm,steps=5]",
    "photoguard[steps=3]",
    "photoguard-diffusion[alpha=0.6,steps=2]",
)
"""Entries that have more tests of their own; with the above, every one but the controls and ready-made images."""
BUDGET_255 = 8


@pytest.fixture(scope="module")
def of_noise(weights):
    """An untrained stand-in that predicts epsilon."""
    return loader.load(str(weights / "mini-a")).surrogate()


@pytest.fixture(scope="module")
def of_velocity(weights):
    """An untrained stand-in that predicts v."""
    return loader.load(str(weights / "mini-b")).surrogate()


@pytest.fixture
def surrogate(stand_ins):
    """An untrained mini-a by its name, for which perturbations are shipped."""
    return loader.load("mini-a").surrogate()


@pytest.fixture(scope="module")
def images():
    return [picture(seed, 32, 40) for seed in range(3)]


def protected(protection, images, surrogate, strength=1.0, seed=3):
    asked = guard.Call(
        strength=strength,
        budget_255=BUDGET_255,
        surrogate=surrogate,
        seed=seed,
        class_word="painting",
        captions=["a painting"] * len(images),
    )
    return guard.run(protection, images, asked)


@pytest.mark.parametrize("spelling", BASELINES)
def test_the_measured_budget_is_used_and_kept_and_grows_with_the_strength(spelling, of_velocity, images):
    protection = load(spelling).instance
    runs = []
    for strength in (0.25, 0.5, 1.0):
        runs.append(protected(protection, images[:2], of_velocity, strength).budgets)
    assert [max(budget.max_255 for budget in budgets) for budgets in runs] == [2, 4, 8]
    for budgets in zip(*runs, strict=True):
        weak, middle, strong = (budget.mean_255 for budget in budgets)
        assert weak < middle < strong


@pytest.mark.parametrize("spelling", BASELINES)
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(spelling, of_noise, images):
    protection = load(spelling).instance
    first, again, other = (protected(protection, images[:2], of_noise, seed=seed).pngs for seed in (3, 3, 4))
    assert first == again
    for a, b in zip(first, other, strict=True):
        assert a != b


def test_every_baseline_is_checked_here():
    checked = {spelling.partition("[")[0] for spelling in (*BASELINES, *OTHERS)}
    left_out = {"identity", "placebo", "random-noise", "images"}
    shipped = set()
    for project in Path(__file__).parents[2].glob("submissions/*/pyproject.toml"):
        for name in tomllib.loads(project.read_text())["project"]["entry-points"].get("cloakbench.protections", {}):
            shipped.add(name)
    assert checked == shipped - left_out


@pytest.mark.parametrize("spelling", OTHERS)
def test_more_strength_moves_every_image_further_within_the_budget(spelling, surrogate, images):
    protection = load(spelling).instance
    runs = []
    for strength in (0.25, 0.5, 1.0):
        runs.append(protected(protection, images[:2], surrogate, strength).budgets)
    for budgets in zip(*runs, strict=True):
        weak, middle, strong = (budget.mean_255 for budget in budgets)
        assert 0 < weak < middle < strong
        if protection.budget == "linf":
            for budget, limit in zip(budgets, (2, 4, 8), strict=True):
                assert budget.max_255 <= limit


@pytest.mark.parametrize("spelling", OTHERS)
def test_the_same_seed_gives_the_same_bytes(spelling, surrogate, images):
    protection = load(spelling).instance
    first, again = (protected(protection, images[:2], surrogate).pngs for _ in range(2))
    assert first == again


# Not where a surrogate is trained: AdamW's first step is a sign too and spreads the noise of rounding.
@pytest.mark.parametrize("spelling", [s for s in BASELINES if "dreambooth" not in s])
def test_an_image_does_not_depend_on_those_beside_it_or_after_it(spelling, of_noise, images):
    loaded = load(spelling)
    alone = type(loaded.instance)(**{**loaded.parameters, "chunk": 1})
    two = protected(alone, images[:2], of_noise).images
    three = protected(loaded.instance, images, of_noise).images
    for a, b in zip(two, three, strict=False):
        # Signs of gradients near zero may flip with the order of sums: a few values, never more than that.
        assert float((a != b).mean()) < 0.02


@pytest.mark.parametrize("spelling", BASELINES)
def test_the_surrogate_and_the_images_stay_as_they_were(spelling, of_velocity, images):
    parts = (of_velocity.vae, of_velocity.unet, of_velocity.text_encoder)
    weights = []
    for part in parts:
        weights.append([p.clone() for p in part.parameters()])
    given = to_tensor(images[:1])
    before = given.clone()
    request = Request(1.0, 8 / 255, of_velocity, torch.Generator().manual_seed(1), "painting", ("a painting",))
    load(spelling).instance.protect(given, request)
    assert torch.equal(given, before)
    for part, kept in zip(parts, weights, strict=True):
        for parameter, weight in zip(part.parameters(), kept, strict=True):
            assert parameter.grad is None
            assert not parameter.requires_grad
            assert torch.equal(parameter, weight)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("advdm", {"steps": 0}),
        ("advdm", {"steps": True}),
        ("advdm", {"alpha": -1}),
        ("advdm", {"alpha": math.nan}),
        ("advdm", {"chunk": 1.5}),
        ("mist", {"mode": "both"}),
        ("mist", {"rate": 0}),
        ("mist", {"chunk": 0}),
        ("sds", {"direction": "+"}),
        ("sds", {"targeted": "yes"}),
        ("sds", {"rate": "5"}),
        ("anti-dreambooth", {"method": "simac"}),
        ("anti-dreambooth", {"learning_rate": 0}),
        ("anti-dreambooth", {"surrogate_steps": 0}),
    ],
)
def test_parameters_that_make_no_sense_are_refused_by_name(name, parameters):
    kind = type(load(name).instance)
    with pytest.raises(ValueError, match=f"{next(iter(parameters))}: expected .* got"):
        kind(**parameters)
