"""Prior preservation and the trained text encoder, against the formula of the paper."""

from __future__ import annotations

import formula
import numpy as np
import pytest
import tiny
import torch

from cloakbench.attacks import catalogue
from cloakbench.attacks.mimicry import dreambooth
from cloakbench.attacks.mimicry.dreambooth import DreamBooth
from cloakbench.attacks.mimicry.sampling import generate
from cloakbench.errors import UserError
from cloakbench.images import to_tensor
from cloakbench.store import seeds

DATA = formula.data()
ONE_STEP = {"steps": 1, "batch": 2, "learning_rate": 1e-3}
PRIOR = {"prior_weight": 0.7, "class_images": 4}
CLASS = [tiny.picture(50 + n) for n in range(4)]


@pytest.fixture
def asked(monkeypatch):
    """Answers for class images with known pictures; holds what was asked for."""
    calls = []

    def drawn(mimic, prompts, seeds, settings):
        calls.append((mimic, list(prompts), list(seeds), settings))
        return CLASS[: len(prompts)]

    dreambooth._class_posterior.cache_clear()
    monkeypatch.setattr(dreambooth.sampling, "generate", drawn)
    yield calls
    dreambooth._class_posterior.cache_clear()


def plain_losses(base, unet, encoder, generator):
    """The losses of the first step on the artist and on the class, which is drawn second."""
    own = formula.draw(base, DATA.images, 2, generator)
    prior = formula.draw(base, to_tensor(CLASS), 2, generator)
    captions = [DATA.captions[row] for row in own.rows.tolist()]
    instance = formula.loss(base, unet, own, formula.embedded(base, encoder, captions))
    return instance, formula.loss(base, unet, prior, formula.embedded(base, encoder, ["a painting"] * 2))


@pytest.mark.parametrize("with_text", [False, True], ids=["frozen text encoder", "trained text encoder"])
def test_prior_preservation_adds_the_weighted_loss_on_the_class(base, asked, with_text):
    with formula.watching() as seen:
        attack = DreamBooth(**ONE_STEP, **PRIOR, train_text_encoder=with_text)
        learned = attack.personalise(base, DATA, 3)

    unet = formula.copied(base.unet)
    encoder = formula.copied(base.text_encoder).requires_grad_(with_text)
    instance, prior = plain_losses(base, unet, encoder, torch.Generator().manual_seed(3))
    plain = instance + 0.7 * prior
    plain.backward()
    assert learned.losses == pytest.approx([plain.item()], rel=1e-5)
    assert prior.item() > 0.1
    gradients = formula.limited([w.grad for w in (*unet.parameters(), *encoder.parameters())])
    formula.assert_equal_gradients(seen.gradients[0], gradients)


def test_the_trained_text_encoder_gets_the_gradients_of_the_formula(base):
    with formula.watching() as seen:
        learned = DreamBooth(**ONE_STEP, train_text_encoder=True).personalise(base, DATA, 4)

    unet, encoder = formula.copied(base.unet), formula.copied(base.text_encoder)
    drawn = formula.draw(base, DATA.images, 2, torch.Generator().manual_seed(4))
    captions = [DATA.captions[row] for row in drawn.rows.tolist()]
    plain = formula.loss(base, unet, drawn, formula.embedded(base, encoder, captions))
    plain.backward()
    assert learned.losses == pytest.approx([plain.item()], rel=1e-5)
    count = len(list(encoder.parameters()))
    # Apart from the denoiser's, whose scale is another.
    gradients = formula.limited([w.grad for w in (*unet.parameters(), *encoder.parameters())])
    formula.assert_equal_gradients(seen.gradients[0][-count:], gradients[-count:])
    before = formula.weights(base.text_encoder)
    after = formula.weights(learned.model.text_encoder)
    for name in before:
        if "position_ids" not in name:
            assert not torch.equal(after[name], before[name])
    assert not torch.equal(learned.contexts(["sks"])[0], base.embed(["sks"]))


def test_a_text_encoder_that_does_not_train_is_the_base_models_own(base):
    before = formula.weights(base.text_encoder)
    learned = DreamBooth(**ONE_STEP).personalise(base, DATA, 4)
    assert learned.model.text_encoder is base.text_encoder
    assert formula.same(formula.weights(base.text_encoder), before)
    assert torch.equal(learned.contexts(["sks"])[0], base.embed(["sks"]))


def test_the_base_model_draws_the_class_once_for_all_artists(base, asked):
    attack = DreamBooth(**ONE_STEP, **PRIOR)
    others = formula.data(2)
    for data, seed in ((DATA, 1), (others, 2)):
        attack.personalise(base, data, seed)
    [(mimic, prompts, drawn, settings)] = asked
    assert mimic.model is base
    assert mimic.words == ()
    assert prompts == ["a painting"] * 4
    assert len(set(drawn)) == 4
    assert settings.model_dump() == DATA.sampling.model_dump(include={"steps", "guidance", "scheduler"})


def test_class_images_are_drawn_anew_for_another_class_count_or_sampling(model, asked):
    more = formula.SAMPLING.model_copy(update={"steps": 3})
    DreamBooth(**ONE_STEP, **PRIOR).personalise(model, DATA, 1)
    DreamBooth(**ONE_STEP, **{**PRIOR, "class_images": 3}).personalise(model, DATA, 1)
    DreamBooth(**ONE_STEP, **PRIOR).personalise(model, formula.data(sampling=more), 1)
    assert [(len(prompts), settings.steps) for _, prompts, _, settings in asked] == [(4, 2), (3, 2), (4, 3)]


def test_the_class_is_drawn_from_other_seeds_than_the_artists_images(model, asked):
    DreamBooth(**ONE_STEP, **PRIOR).personalise(model, DATA, 1)
    [(_, _, drawn, _)] = asked
    own = {seeds.derive("public", "tiny", "vellmar", 0, "generate", draw) for draw in range(64)}
    assert own.isdisjoint(drawn)
    assert min(own) > max(drawn)


def test_class_images_are_the_base_models_samples(model):
    dreambooth._class_posterior.cache_clear()
    pictures = dreambooth.class_pictures(model, "a painting", 2, formula.SAMPLING)
    expected = generate(dreambooth.Personalised(model), ["a painting"] * 2, [0, 1], formula.SAMPLING)
    for a, b in zip(pictures, expected, strict=True):
        assert np.array_equal(a, b)


def test_class_images_are_encoded_once_per_model(model, asked, monkeypatch):
    counts = []
    encode = model.vae.encode
    monkeypatch.setattr(model.vae, "encode", lambda images: counts.append(len(images)) or encode(images))
    for seed in (1, 2):
        DreamBooth(**ONE_STEP, **PRIOR).personalise(model, DATA, seed)
    assert sum(counts) == len(CLASS) + 2 * len(DATA.images)


@pytest.mark.parametrize("wrong", [{"prior_weight": 1.0}, {"class_images": 4}, {"prior_weight": -1, "class_images": 4}])
def test_prior_weight_and_class_images_go_together(wrong):
    with pytest.raises(UserError, match="prior_weight and class_images go together"):
        catalogue.find("mimicry", "dreambooth").build({**ONE_STEP, **wrong})
