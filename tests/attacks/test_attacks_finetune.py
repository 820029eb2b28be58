from __future__ import annotations

from dataclasses import replace

import formula
import pytest
import torch

from cloakbench.attacks.mimicry.dreambooth import DreamBooth
from cloakbench.attacks.mimicry.finetune import Batch, Examples, FinetuneRecipe, diffusion_loss, finetune, posterior
from cloakbench.attacks.mimicry.inversion import DreamStyler, TextualInversion
from cloakbench.attacks.mimicry.lora import LoRA

DATA = formula.data()
ATTACKS = {
    "dreambooth": DreamBooth(steps=2, batch=2, learning_rate=1e-3),
    "with text encoder": DreamBooth(steps=2, batch=2, learning_rate=1e-3, train_text_encoder=True),
    "lora": LoRA(rank=2, alpha=2.0, steps=2, batch=2, learning_rate=1e-2),
    "textual-inversion": TextualInversion(initial="painting", steps=2, batch=2, learning_rate=1e-2),
    "dreamstyler": DreamStyler(stages=2, initial="painting", steps=2, batch=2, learning_rate=1e-2),
}


def test_loss_and_gradient_are_those_of_the_formula(base):
    generator = torch.Generator().manual_seed(0)
    latents, noise = torch.randn((2, 3, 4, 16, 16), generator=generator)
    times, context = torch.tensor([1, 500, 998]), base.embed(["a boat", "", "a painting"])
    found, expected = formula.copied(base.unet), formula.copied(base.unet)
    ours = diffusion_loss(replace(base, unet=found), Batch(latents, noise, times, context))
    plain = formula.loss(base, expected, formula.Drawn(torch.arange(3), times, latents, noise), context)
    ours.backward()
    plain.backward()
    assert ours.item() == pytest.approx(plain.item(), rel=1e-5)
    formula.assert_equal_gradients([w.grad for w in found.parameters()], [w.grad for w in expected.parameters()])


def test_one_step_is_one_step_of_adamw_on_the_formula(base):
    """From the seed to the new weights, written out."""
    attack = DreamBooth(steps=1, batch=2, learning_rate=1e-3)
    with formula.watching() as seen:
        learned = attack.personalise(base, DATA, 5)

    drawn = formula.draw(base, DATA.images, 2, torch.Generator().manual_seed(5))
    expected = formula.copied(base.unet)
    plain = formula.loss(base, expected, drawn, base.embed(list(DATA.captions))[drawn.rows])
    plain.backward()
    assert learned.losses == pytest.approx([plain.item()], rel=1e-5)
    formula.assert_equal_gradients(seen.gradients[0], formula.limited([w.grad for w in expected.parameters()]))
    moved = 0
    for (name, new), old in zip(learned.model.unet.named_parameters(), expected.parameters(), strict=True):
        # The first step of AdamW: decay, then the learning rate in the gradient's direction.
        clear = old.grad.abs() > 1e-4
        step = old * (1 - 1e-3 * 0.01) - 1e-3 * old.grad.sign()
        assert torch.allclose(new[clear], step[clear], atol=2e-6), name
        moved += int(clear.sum())
    assert moved > 1000


def everything(model):
    weights = {}
    for part in ("unet", "text_encoder", "vae"):
        for name, weight in formula.weights(getattr(model, part)).items():
            weights[part, name] = weight
    return weights


@pytest.mark.parametrize("name", ATTACKS)
def test_mimicry_leaves_the_base_model_alone_and_repeats_itself(model, name):
    before, words = everything(model), len(model.tokenizer)
    state = torch.get_rng_state()
    first, again, other = (ATTACKS[name].personalise(model, DATA, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert formula.same(everything(model), before)
    assert len(model.tokenizer) == words
    assert formula.same(everything(first.model), everything(again.model))
    assert not formula.same(everything(first.model), everything(other.model))
    assert first.losses == again.losses
    assert len(first.losses) == 2
    for part in (model.unet, model.text_encoder, model.vae, first.model.unet, first.model.text_encoder):
        assert not part.training
        for p in part.parameters():
            assert not p.requires_grad
            assert p.grad is None


def test_dreambooth_trains_every_weight_of_the_denoiser(model):
    learned = formula.weights(ATTACKS["dreambooth"].personalise(model, DATA, 1).model.unet)
    before = formula.weights(model.unet)
    for name in before:
        assert not torch.equal(learned[name], before[name])


def test_the_posterior_does_not_depend_on_the_chunk(model):
    mean, deviation = posterior(model, DATA.images, chunk=2)
    alone = posterior(model, DATA.images[2:3])
    assert mean.shape == deviation.shape == (3, 4, 16, 16)
    assert torch.allclose(mean[2:], alone[0], atol=1e-5)
    assert torch.allclose(deviation[2:], alone[1], atol=1e-5)


def test_examples_are_drawn_in_a_fixed_order(base):
    """Rows, times, and then the samples of the posterior together with the noise."""
    contexts = torch.arange(3.0).view(3, 1, 1)
    examples = Examples(*posterior(base, DATA.images), lambda rows, times: contexts[rows] + times.view(-1, 1, 1))
    drawn_examples = examples.draw(base, 5, torch.Generator().manual_seed(3))
    expected = formula.draw(base, DATA.images, 5, torch.Generator().manual_seed(3))
    assert torch.equal(drawn_examples.times, expected.times)
    assert torch.equal(drawn_examples.noise, expected.noise)
    assert torch.allclose(drawn_examples.latents, expected.latents, atol=1e-5)
    assert drawn_examples.context.flatten().tolist() == (expected.rows + expected.times).tolist()


def test_averaging_starts_fast():
    """Step s keeps min(average, s / (s + 9)) of the average: after two steps 2/11 of the first average, 9/11 new."""
    start = torch.tensor([1.0, -2.0, 3.0])
    weight = torch.nn.Parameter(start.clone())
    with formula.watching() as seen:
        finetune([weight], lambda _: [(weight**3).sum()], FinetuneRecipe(2, 1, 0.1, average=0.99), 1)
    [[w1], [w2]] = seen.after
    average = torch.lerp(torch.lerp(start, w1, 9 / 10), w2, 9 / 11)
    assert torch.allclose(weight, average, atol=1e-6)


def test_averaging_is_off_by_default():
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0, 3.0]))
    with formula.watching() as seen:
        finetune([weight], lambda _: [(weight**3).sum()], FinetuneRecipe(2, 1, 0.1), 1)
    assert torch.equal(weight, seen.after[1][0])


@pytest.mark.parametrize(("norm", "expected"), [(5.0, [3.0, 4.0]), (1.0, [0.6, 0.8])])
def test_gradients_longer_than_the_limit_are_scaled_down(norm, expected):
    weight, recipe = torch.nn.Parameter(torch.zeros(2)), FinetuneRecipe(1, 1, 0.1, gradient_norm=norm)
    with formula.watching() as seen:
        finetune([weight], lambda _: [weight @ torch.tensor([3.0, 4.0])], recipe, 0)
    assert seen.gradients[0][0].tolist() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "wrong",
    [{"steps": 0}, {"batch": 0}, {"learning_rate": 0.0}, {"average": 1.0}, {"average": -0.1}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_recipe_that_cannot_train_is_refused(wrong):
    with pytest.raises(ValueError, match="steps and batch must be at least 1"):
        FinetuneRecipe(**{"steps": 1, "batch": 1, "learning_rate": 1e-3, **wrong})
