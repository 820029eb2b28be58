from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from cloakbench import whitebox
from cloakbench.streams import streams
from cloakbench_anti_dreambooth import AntiDreamBooth
from cloakbench_anti_dreambooth.learner import Learner
from cloakbench_anti_dreambooth.protection import ASCENT, TRAINING, ascent


def learner_of(surrogate, rate=1e-2):
    return Learner(surrogate, whitebox.contexts(surrogate, ["a painting"]), rate, 2).copied()


def loss_of(learner, images, seed):
    latents = whitebox.latent_means(learner.parts, images) * whitebox.scale(learner.parts)
    pictures = [
        whitebox.diffusion_loss(learner.parts, latents, learner.context, torch.Generator().manual_seed(seed + n))
        for n in range(50)
    ]
    return float(torch.stack(pictures).mean())


def watched(monkeypatch):
    """Every training as (whose denoiser, images, steps), in order."""
    calls = []
    train = Learner.train

    def watch(learner, images, steps, generator):
        calls.append((learner.parts.unet, images.clone(), steps))
        train(learner, images, steps, generator)

    monkeypatch.setattr(Learner, "train", watch)
    return calls


def test_a_learner_learns_and_leaves_the_surrogate_as_it_was(toy, three_images):
    surrogate = toy()
    weights = [p.clone() for p in surrogate.unet.parameters()]
    learner = learner_of(surrogate)
    before = loss_of(learner, three_images, 7)
    learner.train(three_images, 60, torch.Generator().manual_seed(1))
    assert loss_of(learner, three_images, 7) < 0.8 * before
    for parameter, weight in zip(surrogate.unet.parameters(), weights, strict=True):
        assert torch.equal(parameter, weight)
    for parameter in learner.parts.unet.parameters():
        assert parameter.grad is None
        assert not parameter.requires_grad


def test_copies_are_in_single_precision_and_apart(toy, three_images):
    surrogate = toy()
    surrogate.unet.double()
    first = learner_of(surrogate)
    second = first.copied()
    second.train(three_images, 1, torch.Generator().manual_seed(1))
    assert first.parts.unet.mix.weight.dtype == torch.float32
    assert not torch.equal(first.parts.unet.mix.weight, second.parts.unet.mix.weight)


def test_ascent_raises_the_loss_at_its_own_draws_and_chunks_change_nothing(toy, three_images):
    learner = learner_of(toy())  # chunks of 2
    values, gradients = ascent(learner, streams(torch.Generator().manual_seed(5), 3))(three_images, 0)
    moved = three_images - gradients.sign() * 4 / 255
    after, _ = ascent(learner, streams(torch.Generator().manual_seed(5), 3))(moved, 0)
    assert bool((after < values).all())
    alone, _ = ascent(learner, streams(torch.Generator().manual_seed(5), 1))(three_images[:1], 0)
    assert torch.allclose(alone, values[:1])


def test_fsmg_learns_the_clean_images_once(toy, three_images, ask, monkeypatch):
    calls = watched(monkeypatch)
    AntiDreamBooth(method="fsmg", steps=3, surrogate_steps=5).protect(three_images, ask(toy()))
    [(_, images, steps)] = calls
    assert steps == 5
    assert torch.equal(images, three_images)


def test_aspl_learns_in_turns(toy, three_images, ask, monkeypatch):
    surrogate, calls = toy(), watched(monkeypatch)
    AntiDreamBooth(steps=2 * ASCENT + 1).protect(three_images, ask(surrogate))
    assert [steps for _, _, steps in calls] == [TRAINING] * 5
    clean = [torch.equal(images, three_images) for _, images, _ in calls]
    assert clean == [True, False, True, False, True]  # copy, theta, copy, theta, copy
    copies, theta = [calls[n][0] for n in (0, 2, 4)], calls[1][0]
    assert calls[3][0] is theta
    assert len({id(unet) for unet in [*copies, theta, surrogate.unet]}) == 5


def test_aspl_ascends_against_the_copy_that_has_learned(toy, three_images, ask, monkeypatch):
    surrogate, calls = toy(), watched(monkeypatch)
    AntiDreamBooth(steps=ASCENT, chunk=3).protect(three_images, ask(surrogate))
    [(copy, _, _)] = calls
    followed = [count for count, gradients in copy.calls if gradients and count == 3]
    assert len(followed) == ASCENT
    assert surrogate.unet.calls == []


def test_asks_with_what_the_images_are_and_never_with_their_captions(toy, three_images, ask):
    surrogate = toy()
    AntiDreamBooth(steps=1).protect(three_images, ask(surrogate))
    assert surrogate.tokenizer.texts == ["a painting"]


@pytest.mark.parametrize(
    ("width", "learning_rate", "expected"),
    [(768, None, 5e-7), (1024, None, 5e-7), (128, None, 3e-4), (768, 1e-5, 1e-5)],
)
def test_the_learning_rate_is_that_of_the_surrogates_family(
    toy, three_images, ask, monkeypatch, width, learning_rate, expected
):
    rates = []
    monkeypatch.setattr(Learner, "train", lambda learner, *_: rates.append(learner.learning_rate))
    surrogate = toy()
    surrogate.unet.config = SimpleNamespace(cross_attention_dim=width)
    AntiDreamBooth(learning_rate=learning_rate, steps=1).protect(three_images, ask(surrogate))
    assert rates == [expected]
