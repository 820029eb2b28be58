"""The diffusion attack on the embedded models, at 64 pixels and few steps so that it takes seconds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler
from torch import Tensor

from cloakbench import Request, Surrogate, whitebox
from cloakbench.models import loader
from cloakbench_photoguard import PhotoGuardDiffusion, diffusion
from cloakbench_photoguard.diffusion import edited
from cloakbench_photoguard.inpainting import RADIUS, VALUES, InpaintingModel
from tests import sd_shaped

BUDGET = 16 / 255


@pytest.fixture(scope="module")
def surrogate() -> Surrogate:
    return loader.load("mini-a").surrogate()


@pytest.fixture(scope="module")
def images() -> Tensor:
    coarse = torch.rand((2, 3, 4, 4), generator=torch.Generator().manual_seed(1))
    smooth = torch.nn.functional.interpolate(coarse, size=(64, 64), mode="bilinear")
    return (smooth * 255).round() / 255


def ask(surrogate: Surrogate, strength: float = 1.0, seed: int = 5) -> Request:
    generator = torch.Generator().manual_seed(seed)
    return Request(strength, BUDGET * strength, surrogate, generator, "painting", ("a painting",) * 2)


@torch.no_grad()
def greyness(images: Tensor, surrogate: Surrogate) -> float:
    """Mean norm of edits over noise that the attack has never drawn."""
    scheduler = DDIMScheduler.from_config(surrogate.scheduler.config, clip_sample=False)
    scheduler.set_timesteps(8)
    times = [int(t) for t in scheduler.timesteps[-4:]]
    context = whitebox.contexts(surrogate, [""])
    generator = torch.Generator().manual_seed(77)
    gradients = []
    for _ in range(4):
        noises = [torch.randn((len(images), 4, 8, 8), generator=generator) for _ in range(6)]
        gradients.append(edited(surrogate, scheduler, times, context, images, noises).flatten(1).norm(dim=1).mean())
    return float(torch.stack(gradients).mean())


# Random noise alone turns the edits of mini-b as grey as eight steps of the attack do.
@pytest.mark.parametrize(("model", "steps"), [("mini-a", 8), ("mini-b", 16)])
def test_edits_turn_grey_beyond_random_noise(model: str, steps: int, images: Tensor) -> None:
    surrogate = loader.load(model).surrogate()
    protected = PhotoGuardDiffusion(steps=steps, alpha=0.25, chunk=2).protect(images, ask(surrogate))
    signs = torch.randint(2, images.shape, generator=torch.Generator().manual_seed(3)) * 2 - 1
    noisy = (images + signs * BUDGET).clamp(0, 1)
    before = greyness(images, surrogate)
    assert greyness(protected, surrogate) < 0.9 * before
    assert abs(greyness(noisy, surrogate) - before) < 0.8 * (before - greyness(protected, surrogate))


def test_keeps_the_budget_in_whole_levels(surrogate: Surrogate, images: Tensor) -> None:
    means = []
    for strength in (0.25, 0.5, 1.0):
        moved = (
            PhotoGuardDiffusion(steps=2, alpha=0.6, chunk=2).protect(images, ask(surrogate, strength)) - images
        ) * 255
        assert float(moved.abs().max()) == pytest.approx(16 * strength, abs=1e-3)
        assert float((moved - moved.round()).abs().max()) < 1e-3
        means.append(float(moved.abs().mean()))
    assert means == sorted(means)


def test_same_seed_same_bytes_whatever_the_chunk(surrogate: Surrogate, images: Tensor) -> None:
    first, again, other = (PhotoGuardDiffusion(steps=2).protect(images, ask(surrogate, seed=s)) for s in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    together = PhotoGuardDiffusion(steps=2, chunk=2).protect(images, ask(surrogate))
    # Signs of gradients near zero may flip with the order of sums: a few values, never more than that.
    assert float(((first - together).abs() > 0.5 / 255).float().mean()) < 0.01


def kept(surrogate: Surrogate, images: Tensor, steps: int) -> int:
    """Bytes that a pass with gradients keeps for the backward pass."""
    scheduler = DDIMScheduler.from_config(surrogate.scheduler.config, clip_sample=False)
    scheduler.set_timesteps(2 * steps)
    times = [int(t) for t in scheduler.timesteps[-steps:]]
    context = whitebox.contexts(surrogate, [""])
    noises = [torch.zeros(1, 4, 8, 8)] * (steps + 2)
    by_chunk: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        return by_chunk.setdefault(tensor.untyped_storage().data_ptr(), tensor)

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        edited(surrogate, scheduler, times, context, images[:1].clone().requires_grad_(), noises)
    return sum(tensor.untyped_storage().nbytes() for tensor in by_chunk.values())


def test_activations_of_a_denoising_step_are_not_kept(
    monkeypatch: pytest.MonkeyPatch, surrogate: Surrogate, images: Tensor
) -> None:
    again = kept(surrogate, images, 5) - kept(surrogate, images, 2)
    monkeypatch.setattr(diffusion, "checkpoint", lambda work, *given, use_reentrant: work(*given))
    stored = kept(surrogate, images, 5) - kept(surrogate, images, 2)
    assert stored > 2**20
    assert again < 0.01 * stored


def repainted(images: Tensor, masks: Tensor, model: Surrogate) -> float:
    """Mean norm of repaintings over noise that the attack has never drawn."""
    painter, generator = InpaintingModel.of(model, 4), torch.Generator().manual_seed(77)
    norms = []
    with torch.no_grad():
        shape = whitebox.latent_means(model, images)
        for _ in range(3):
            noises = [torch.randn(shape.shape, generator=generator) for _ in range(6)]
            norms.append(painter.paint(images, masks, noises).flatten(1).norm(dim=1).mean())
    return float(torch.stack(norms).mean())


@pytest.fixture
def narrow_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes `sd15` and `sd15-inpaint` mean narrow models with random weights."""
    sd_shaped.write(tmp_path / "models")
    monkeypatch.setenv("CLOAKBENCH_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("CLOAKBENCH_LOCK", str(tmp_path / "lock.json"))


@pytest.mark.usefixtures("narrow_models")
def test_repaintings_turn_grey_and_the_repainted_part_stays(images: Tensor) -> None:
    model = loader.load("sd15-inpaint").surrogate()
    images = torch.nn.functional.interpolate(images, size=(128, 128), mode="bicubic").clamp(0, 1)
    images = (images * 255).round() / 255
    masks = torch.zeros(2, 1, 128, 128)
    masks[..., 32:80, 32:80] = 1
    request = replace(ask(loader.load("sd15").surrogate()), masks=masks, models={"sd15-inpaint": model})
    attack = PhotoGuardDiffusion(task="inpainting", steps=6, draws=1)
    assert attack.needs == {"mask", "model:sd15-inpaint"}
    protected = attack.protect(images, request)
    moved = (protected - images) * 255
    assert bool((moved[masks.expand(-1, 3, -1, -1) == 1] == 0).all())
    assert 0 < float(moved.abs().max()) <= 16 + 1e-3
    assert float((moved - moved.round()).abs().max()) < 1e-3
    radius = RADIUS * (images[0].numel() / VALUES) ** 0.5
    assert float((moved / 255).flatten(1).norm(dim=1).max()) < radius + 0.5 / 255 * images[0].numel() ** 0.5
    assert repainted(protected, masks, model) < repainted(images, masks, model)


@pytest.mark.parametrize(
    ("parameters", "word"),
    [({"steps": 0}, "steps"), ({"alpha": 0}, "alpha"), ({"denoising": 0}, "denoising"), ({"chunk": 1.5}, "chunk"),
     ({"edit_strength": 0}, "edit_strength"), ({"task": "sky"}, "task"), ({"draws": True}, "draws")],
)  # fmt: skip
def test_refuses_bad_parameters(parameters: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=f"{word}: expected .* got"):
        PhotoGuardDiffusion(**parameters)  # type: ignore[arg-type]
