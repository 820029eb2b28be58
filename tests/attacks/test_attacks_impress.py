"""IMPRESS against its formula, the authors' schedule, and what PhotoGuard does to a latent."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from purifying import IMPRESS, PICTURES, TAESD, around, build

from cloakbench import submissions
from cloakbench.attacks import catalogue
from cloakbench.attacks.countermeasures.impress import EPSILON, Impress
from cloakbench.datasets.artists import mini_artist
from cloakbench.images import to_tensor
from cloakbench.models import autoencoders, loader, registry
from cloakbench.submissions import guard
from cloakbench.suites import load as suites

CPU = torch.device("cpu")


def by_hand(x, protected, alpha, budget):
    """The loss written out with diffusers' own autoencoder, one value per image."""
    vae = loader.load("mini-a").vae
    rebuilt = vae.decode(vae.encode(x).latent_dist.mode()).sample
    seen = loader.mini_lpips()((x + 1) / 2, protected)
    return ((rebuilt - x) ** 2).flatten(1).mean(1) + alpha * torch.relu(seen - budget)


def test_impress_takes_steps_of_adam_on_its_loss(stand_ins):
    protected = to_tensor([picture[:64, :64] for picture in PICTURES[:2]])
    settings = {"alpha": 0.5, "budget": 0.001, "noise": 0.2}
    vae = autoencoders.load("mini-a", CPU, torch.float32)
    found, losses = Impress("mini-a", 3, 0.01, **settings).purify(protected, [1, 2], vae, loader.mini_lpips())
    drawn = [torch.randn((3, 64, 64), generator=torch.Generator().manual_seed(n)) for n in (1, 2)]
    x = (protected * 2 - 1 + 0.2 * torch.stack(drawn)).clamp(-1, 1).requires_grad_(True)
    adam = torch.optim.Adam([x], 0.01, eps=1e-5)
    for step in range(3):
        purified_by_hand = by_hand(x, protected, 0.5, 0.001)
        assert torch.allclose(losses[step], purified_by_hand, rtol=1e-4)
        adam.zero_grad()
        purified_by_hand.sum().backward()
        adam.step()
        x.data.clamp_(-1, 1)
    assert torch.allclose(found, x.detach() / 2 + 0.5, atol=1e-4)
    assert bool((purified_by_hand > 0).all())


def test_impress_lowers_its_loss_and_stays_in_range(stand_ins):
    extremes = (to_tensor([picture[:64, :64] for picture in PICTURES[:2]]) > 0.5).float()
    vae = autoencoders.load("mini-a", CPU, torch.float32)
    found, losses = Impress("mini-a", 12, 0.05).purify(extremes, [1, 2], vae, loader.mini_lpips())
    assert bool((losses[-1] < 0.8 * losses[0]).all())
    assert 0 <= float(found.min()) <= float(found.max()) <= 1


def test_the_cosine_schedule_is_that_of_the_authors_code():
    steps, rate = 7, 0.01
    adam = torch.optim.Adam([torch.zeros(1)], rate)
    annealing = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps, 1e-5)
    expected = []
    for _ in range(steps):
        expected.append(adam.param_groups[0]["lr"])
        adam.step()
        annealing.step()
    cosine, constant = (Impress("mini-a", steps, rate, schedule=name) for name in ("cosine", "constant"))
    assert [cosine._rate(n) for n in range(steps)] == pytest.approx(expected)
    assert [constant._rate(n) for n in range(steps)] == [rate] * steps


def test_the_schedule_and_the_posterior_change_the_result(stand_ins):
    purified_pictures = []
    for change in ({}, {"schedule": "cosine"}, {"posterior": "sample"}):
        purified_pictures.append(
            build("impress", **{**IMPRESS, "learning_rate": 0.05, **change}).apply(
                [PICTURES[0][:64, :64]], around((1,))
            )[0]
        )
    assert not np.array_equal(purified_pictures[0], purified_pictures[1])
    assert not np.array_equal(purified_pictures[0], purified_pictures[2])


def test_impress_in_half_precision_keeps_the_image_in_single(stand_ins):
    """A step of 1e-4 is far below what bfloat16 resolves near 0.5."""
    protected = to_tensor([PICTURES[0][:64, :64]])
    vae = autoencoders.load("mini-a", CPU, torch.bfloat16)
    assert next(vae.module.parameters()).dtype is torch.bfloat16
    found, losses = Impress("mini-a", 1, 1e-4, noise=0).purify(protected, [1], vae, loader.mini_lpips())
    moved = (found - protected).abs()
    assert losses.dtype is found.dtype is torch.float32
    assert 0 < float(moved.max()) <= 0.51e-4
    full = autoencoders.load("mini-a", CPU, torch.float32)
    _, exact = Impress("mini-a", 1, 1e-4, noise=0).purify(protected, [1], full, loader.mini_lpips())
    assert float(losses) == pytest.approx(float(exact), rel=0.02)


def test_impress_moves_the_latent_back_to_that_of_the_clean_image():
    """On the trained model: what PhotoGuard did to the latent is smaller after purification."""
    folder = registry.WEIGHTS / "mini-a"
    if not (folder / "model_index.json").exists():
        pytest.skip("the trained weights of mini-a are not in the package yet")
    model, suite = loader.load(str(folder)), suites.load("mini")
    artist = mini_artist("stencil", suite)  # a development style
    clean = artist.images[:1]
    call = guard.Call(
        strength=1.0,
        budget_255=16,
        surrogate=model.surrogate(),
        seed=0,
        class_word="painting",
        captions=artist.captions[:1],
    )
    protected = guard.run(submissions.load("photoguard[steps=10]").instance, clean, call).images
    vae, distance = autoencoders.load(str(folder), CPU, torch.float32), loader.mini_lpips()
    found, losses = Impress(str(folder), 60, 0.01, noise=0.0).purify(to_tensor(protected), [1], vae, distance)
    with torch.no_grad():
        was, is_now = (
            (vae.encode(x * 2 - 1) - vae.encode(to_tensor(clean) * 2 - 1)).flatten(1).norm(dim=1)
            for x in (to_tensor(protected), found)
        )
    assert bool((losses[-1] < 0.5 * losses[0]).all())
    assert bool((is_now < was).all())


def test_impress_lowers_its_loss_on_a_painting(painting):
    vae = autoencoders.load(TAESD, CPU, torch.float32)
    _, losses = Impress(TAESD, 4, 0.02).purify(to_tensor([painting[:64, :64]]), [1], vae, loader.mini_lpips())
    assert bool((losses.diff(dim=0) < 0).all())


def test_it_is_named_that_the_authors_computed_in_half_precision():
    """In half precision the second moment of most pixels is 0, and the step less than half a unit."""
    gradient = torch.full((1,), 2 * 0.05 / (3 * 512 * 512))
    moved = {}
    for dtype in (torch.float16, torch.float32):
        pixel = torch.full((1,), 0.9, dtype=dtype, requires_grad=True)
        adam = torch.optim.Adam([pixel], 1e-2, eps=EPSILON)
        for _ in range(50):
            pixel.grad = gradient.to(dtype)
            adam.step()
        moved[dtype] = float((0.9 - pixel.detach().float()).abs())
    assert moved[torch.float16] < 1e-3 < moved[torch.float32]
    assert "half precision" in catalogue.find("countermeasure", "impress").limits
