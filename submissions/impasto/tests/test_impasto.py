"""Impasto on the embedded model; two development images where it has to show what it is for."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor

from cloakbench import Protection, Request, Surrogate
from cloakbench.datasets.artists import MINI
from cloakbench.image_files import read_folder
from cloakbench.images import to_tensor
from cloakbench.metrics import clips
from cloakbench.models import loader
from cloakbench.whitebox import latent_means
from cloakbench_advdm import AdvDM
from cloakbench_anti_dreambooth import AntiDreamBooth
from cloakbench_impasto import Impasto, bases
from cloakbench_impasto.constraints import towards_noise_free
from cloakbench_impasto.difficulty import Difficulty
from cloakbench_mist import Mist

OFF = {"pap": 0, "lpips": 0, "lowpass": 0, "iwr": False, "dap": False}
"""What leaves the base alone."""


@pytest.fixture(scope="module")
def surrogate() -> Surrogate:
    return loader.load("mini-a").surrogate()


@pytest.fixture(scope="module")
def images() -> Tensor:
    coarse = torch.rand((2, 3, 4, 4), generator=torch.Generator().manual_seed(1))
    smooth = torch.nn.functional.interpolate(coarse, size=(64, 64), mode="bilinear")
    return (smooth * 255).round() / 255


@pytest.fixture(scope="module")
def art() -> Tensor:
    return to_tensor(next(iter(read_folder(MINI / name / "images").values())) for name in ("swirl", "stencil"))


def ask(surrogate: Surrogate, strength: float = 1.0, seed: int = 5, budget_255: int = 8) -> Request:
    generator = torch.Generator().manual_seed(seed)
    return Request(strength, budget_255 / 255 * strength, surrogate, generator, "painting", ("a painting",) * 2)


@torch.no_grad()
def size(surrogate: Surrogate, images: Tensor) -> Tensor:
    return latent_means(surrogate, images).flatten(1).norm(dim=1)


def test_protects_less_visibly_than_its_base(surrogate: Surrogate, art: Tensor) -> None:
    plain = Impasto(steps=50, **OFF).protect(art, ask(surrogate))
    refined = Impasto(steps=50).protect(art, ask(surrogate))
    before = size(surrogate, art)
    signs = torch.randint(2, art.shape, generator=torch.Generator().manual_seed(3)) * 2 - 1
    by_noise = (before - size(surrogate, (art + signs * 8 / 255).clamp(0, 1))).abs()
    gained = before - size(surrogate, refined)
    assert bool((gained > 0.12 * before).all())
    assert bool((gained > 3 * by_noise).all())
    assert bool((surrogate.perceptual(art, refined) < 0.75 * surrogate.perceptual(art, plain)).all())


@pytest.mark.parametrize(("base", "alone"), [("advdm", AdvDM), ("mist", Mist)])
def test_with_everything_off_it_is_its_base(
    base: str, alone: type[Protection], surrogate: Surrogate, images: Tensor
) -> None:
    bare = Impasto(base=base, steps=3, **OFF).protect(images, ask(surrogate))
    assert torch.equal(bare, alone(steps=3).protect(images, ask(surrogate)))


@pytest.mark.parametrize("base", ["photoguard", "advdm", "mist", "anti-dreambooth"])
def test_every_base_takes_the_components(base: str, surrogate: Surrogate, images: Tensor, monkeypatch) -> None:
    monkeypatch.setattr(bases, "AntiDreamBooth", partial(AntiDreamBooth, surrogate_steps=2))
    bare = Impasto(base=base, steps=3, **OFF).protect(images, ask(surrogate))
    full = Impasto(base=base, steps=3, pap=1000, dap=False).protect(images, ask(surrogate))
    assert float((full - images).abs().mean()) < 0.9 * float((bare - images).abs().mean())


def test_every_component_changes_the_result(surrogate: Surrogate, images: Tensor) -> None:
    full = Impasto(steps=6).protect(images, ask(surrogate))
    for name, off in {"jnd": "off", "iwr": False, "dap": False, "pap": 0, "lpips": 0, "lowpass": 0}.items():
        without = Impasto(steps=6, **{name: off}).protect(images, ask(surrogate))
        assert not torch.equal(full, without), name


def test_difficulty_tells_where_the_change_is_felt(surrogate: Surrogate, images: Tensor) -> None:
    judge = Difficulty(images, surrogate, "a painting", torch.Generator().manual_seed(0))
    changed = images.clone()
    changed[:, :, :, 32:] = 1 - changed[:, :, :, 32:]
    value = judge.value(changed)
    assert value.shape == (2, 1, 64, 64)
    assert float(value[..., 48:].mean()) > float(value[..., :16].mean())
    assert torch.equal(judge.value(images), torch.ones(2, 1, 64, 64))


def test_budget_in_whole_levels_and_more_strength_more_change(surrogate: Surrogate, images: Tensor) -> None:
    used = []
    for strength in (0.25, 0.5, 1.0):
        moved = (Impasto(steps=8).protect(images, ask(surrogate, strength)) - images) * 255
        assert float((moved - moved.round()).abs().max()) < 1e-3
        assert float(moved.abs().max()) <= 8 * strength + 1e-3
        used.append(float(moved.abs().mean()))
    assert used[0] < used[1] < used[2]


def test_same_seed_same_bytes_whatever_the_chunk(surrogate: Surrogate, images: Tensor) -> None:
    first, again, other = (Impasto(steps=3).protect(images, ask(surrogate, seed=s)) for s in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    alone = Impasto(steps=3, chunk=1).protect(images, ask(surrogate))
    # Signs of gradients near zero may flip with the order of sums: a few values, never more than that.
    assert float(((first - alone).abs() > 0.5 / 255).float().mean()) < 0.01


def test_leaves_surrogate_and_images_as_they_were(surrogate: Surrogate, images: Tensor) -> None:
    before = images.clone()
    weights = [p.clone() for p in surrogate.unet.parameters()]
    Impasto(steps=2).protect(images, ask(surrogate))
    assert torch.equal(images, before)
    for parameter, weight in zip(surrogate.unet.parameters(), weights, strict=True):
        assert parameter.grad is None
        assert torch.equal(parameter, weight)


def test_clip_pulls_the_image_towards_the_text(surrogate: Surrogate, images: Tensor) -> None:
    clip = clips.load("mini-clip", "cpu")
    request = replace(ask(surrogate), clip=clip)
    cost = towards_noise_free(clip)
    plain = Impasto(steps=6, **OFF).protect(images, request)
    pulled = Impasto(steps=6, clip=True, **OFF).protect(images, request)
    assert bool((cost(pulled) < cost(plain)).all())
    text, features = clip.encode_texts(["Noise-free image"]), clip.encode_images(images)
    assert torch.allclose(cost(images), -(features @ text.T)[:, 0])
    assert Impasto(clip=True).needs == {"surrogate", "clip"}
    assert Impasto().needs == {"surrogate"}


@pytest.mark.parametrize(
    ("parameters", "word"),
    [
        ({"base": "glaze"}, "base"),
        ({"steps": 0}, "steps"),
        ({"pap": -1}, "pap"),
        ({"pap": True}, "pap"),
        ({"jnd": "laplace"}, "jnd"),
        ({"iwr": 1}, "iwr"),
        ({"dap": "yes"}, "dap"),
        ({"lpips": float("nan")}, "lpips"),
        ({"lowpass": "low"}, "lowpass"),
        ({"clip": 1}, "clip"),
        ({"chunk": 0}, "chunk"),
    ],
)
def test_refuses_bad_parameters(parameters: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=f"{word}: expected .* got"):
        Impasto(**parameters)
