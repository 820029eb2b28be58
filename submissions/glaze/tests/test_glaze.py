from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cloakbench import Request, Surrogate, datasets, image_files, images, whitebox
from cloakbench.errors import UserError
from cloakbench.models import loader
from cloakbench.submissions import guard
from cloakbench_glaze import Glaze, styles
from cloakbench_glaze.transfer import restyle

SHIPPED = Path(datasets.__file__).parent / "mini"


@pytest.fixture(scope="module")
def surrogate() -> Surrogate:
    return loader.load("mini-a").surrogate()


@pytest.fixture(scope="module")
def pictures() -> torch.Tensor:
    """One picture of each of two development artists."""
    firsts = (next(iter(image_files.read_folder(SHIPPED / name / "images").values())) for name in ("swirl", "stencil"))
    return images.to_tensor(firsts)


@pytest.fixture(scope="module")
def crops(pictures: torch.Tensor) -> torch.Tensor:
    return pictures[:, :, 32:96, 32:96]


def ask(surrogate: Surrogate, strength: float = 0.5, seed: int = 5) -> Request:
    generator = torch.Generator().manual_seed(seed)
    return Request(strength, 16 / 255 * strength, surrogate, generator, "painting", ("a painting",) * 2)


def reach(changed: torch.Tensor, goals: torch.Tensor, surrogate: Surrogate) -> torch.Tensor:
    with torch.no_grad():
        return (whitebox.latent_means(surrogate, changed) - goals).square().mean((1, 2, 3))


def test_moves_to_the_restyled_latents_far_beyond_noise(surrogate: Surrogate, pictures: torch.Tensor) -> None:
    glaze = Glaze(steps=50, style="engraving")
    goals = glaze.goals(pictures, ask(surrogate))
    before = reach(pictures, goals, surrogate)
    cloaked = glaze.protect(pictures, ask(surrogate))
    order = torch.randperm(pictures[0].numel(), generator=torch.Generator().manual_seed(0))
    scrambled = (cloaked - pictures).flatten(1)[:, order]
    noisy = (pictures + scrambled.view_as(pictures)).clamp(0, 1)
    assert bool((reach(cloaked, goals, surrogate) < 0.5 * before).all())
    assert bool((reach(noisy, goals, surrogate) > 0.9 * before).all())


def test_the_hinge_holds_the_perceptual_distance_and_strength_loosens_it(
    surrogate: Surrogate, crops: torch.Tensor
) -> None:
    glaze = Glaze(steps=30, rate=0.02, style="engraving")
    losses = []
    for strength in (0.1, 0.25, 0.5):
        with torch.no_grad():
            distance = surrogate.perceptual(crops, glaze.protect(crops, ask(surrogate, strength)))
        assert bool((distance < 0.2 * strength + 0.015).all())
        losses.append(float(distance.mean()))
    assert losses == sorted(losses)
    assert losses[2] > 2 * losses[0]


def test_keeps_the_contract_of_a_perceptual_budget(
    monkeypatch: pytest.MonkeyPatch, surrogate: Surrogate, crops: torch.Tensor
) -> None:
    monkeypatch.setattr(styles, "EMBEDDED", {name: styles.EMBEDDED[name] for name in ("oil", "neon")})
    call = guard.Call(
        strength=1.0, budget_255=1, surrogate=surrogate, seed=3, class_word="painting", captions=("a painting",) * 2
    )
    first, again = (guard.run(Glaze(steps=2, rate=0.02), images.quantise(crops), call).pngs for _ in range(2))
    assert first == again
    cloaked = Glaze(steps=2, rate=0.02, style="oil").protect(crops, ask(surrogate))
    assert 0 <= float(cloaked.min()) <= float(cloaked.max()) <= 1
    assert float((cloaked * 255 - (cloaked * 255).round()).abs().max()) < 1e-3
    assert float((cloaked - crops).abs().max()) > 1 / 255  # beyond the budget in levels, as a perceptual one may


def test_another_seed_draws_another_restyling(surrogate: Surrogate, crops: torch.Tensor) -> None:
    glaze = Glaze(style="oil")
    assert not torch.equal(glaze.goals(crops, ask(surrogate)), glaze.goals(crops, ask(surrogate, seed=6)))


def test_restyling_paints_what_the_prompt_says(surrogate: Surrogate, crops: torch.Tensor) -> None:
    noise = whitebox.normal(torch.zeros(2, 4, 8, 8), torch.Generator().manual_seed(0))
    grey, colourful = (
        restyle(crops, styles.prompt(name, surrogate), noise, surrogate) for name in ("duotone", "fauve")
    )
    saturation = [float((x.amax(1) - x.amin(1)).mean()) for x in (grey, colourful)]
    assert saturation[0] < 0.8 * saturation[1]
    assert grey.shape == crops.shape
    assert 0 <= float(grey.min()) <= float(grey.max()) <= 1


def test_the_style_is_drawn_between_the_50th_and_75th_percentile(monkeypatch, surrogate: Surrogate) -> None:
    brightness = {text: n / 20 for n, text in enumerate(styles.EMBEDDED.values())}
    monkeypatch.setattr(styles, "restyle", lambda x, text, noise, model: torch.full_like(x, brightness[text]))
    monkeypatch.setattr(whitebox, "latent_means", lambda parts, x: x[:, :, ::8, ::8])
    black, generator = torch.zeros(3, 3, 16, 16), torch.Generator().manual_seed(0)
    drawn = {styles.choose(black, torch.zeros(3, 4, 2, 2), surrogate, generator) for _ in range(60)}
    assert drawn == set(list(styles.EMBEDDED)[9:13])  # of 18: places 8.5 to 12.75, counted from 0


@pytest.mark.parametrize(("count", "expected"), [(1, "a"), (2, "b"), (3, "b"), (5, "cd")])
def test_the_middle_band_is_never_empty(count: int, expected: str) -> None:
    assert styles.middle_band(list("abcde"[:count])) == list(expected)


def test_every_style_is_one_that_the_denoiser_was_trained_on() -> None:
    from cloakbench.datasets.procedural.styles import names

    assert list(styles.EMBEDDED) == names("training")


@pytest.mark.parametrize(
    ("parameters", "word"),
    [({"steps": 0}, "steps"), ({"rate": 0}, "rate"), ({"alpha": -1}, "alpha"), ({"limit": "a"}, "limit")],
)
def test_refuses_bad_parameters(parameters: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=f"{word}: expected .* got"):
        Glaze(**parameters)


def test_refuses_a_style_that_nobody_or_this_surrogate_does_not_know(surrogate: Surrogate, crops: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"style: expected one of .* got 'swirl'"):
        Glaze(style="swirl")
    with pytest.raises(UserError, match=r"expected a style of mini-a .* got 'cubism'"):
        Glaze(style="cubism").protect(crops, ask(surrogate))
