"""Half precision where it is safe, single precision where small steps would vanish; what is computed once."""

from __future__ import annotations

import sys
from functools import partial

import formula
import pytest
import torch
from transformers import CLIPTextModel

from cloakbench.attacks import catalogue
from cloakbench.attacks.mimicry import finetune
from cloakbench.attacks.mimicry.dreambooth import DreamBooth
from cloakbench.attacks.mimicry.inversion import TextualInversion
from cloakbench.attacks.mimicry.lora import LoRA
from cloakbench.errors import UserError
from cloakbench.models import loader

DATA = formula.data()
SMALL = 5e-7
"""A learning rate of the papers: a sixtieth of the distance to the next number that bfloat16 has beyond 0.005."""
ORDINARY = 0.005
"""Weights of at least this size; bfloat16 does resolve steps of tiny weights."""


@pytest.fixture
def half(stand_ins):
    return loader.load("mini-a", "cpu", torch.bfloat16)


def moved(before, after):
    """The share of ordinary weights that changed."""
    pairs = [(new != old)[old.abs() > ORDINARY] for old, new in zip(before, after, strict=True)]
    return torch.cat(pairs).float().mean().item()


def test_a_small_learning_rate_changes_weights_of_a_bfloat16_model(half):
    attack = DreamBooth(steps=2, batch=1, learning_rate=SMALL, train_text_encoder=True)
    with formula.watching() as seen:
        learned = attack.personalise(half, DATA, 1)
    noted = [*seen.before[0], *seen.after[0], *seen.gradients[0], *seen.states[0]]
    assert {tensor.dtype for tensor in noted} == {torch.float32}
    for before, after in zip(seen.before, seen.after, strict=True):
        assert moved(before, after) > 0.9
    for part in (learned.model.unet, learned.model.text_encoder, half.unet, half.text_encoder):
        assert {p.dtype for p in part.parameters()} == {torch.bfloat16}


def test_a_bfloat16_model_trains_from_the_weights_of_its_file(half):
    """Not from what loading in bfloat16 made of them."""
    exact, attack = loader.load("mini-a"), DreamBooth(steps=1, batch=1, learning_rate=SMALL, train_text_encoder=True)
    with formula.watching() as seen:
        attack.personalise(half, DATA, 1)
    stored = [*exact.unet.parameters(), *exact.text_encoder.parameters()]
    rounded = [*half.unet.parameters(), *half.text_encoder.parameters()]
    for a, b in zip(seen.before[0], stored, strict=True):
        assert torch.equal(a, b)
    assert moved(stored, [weight.float() for weight in rounded]) > 0.9


def test_the_same_learning_rate_changes_nothing_in_bfloat16_alone(half):
    """So the test above can fail."""
    unet = formula.copied(half.unet)
    optimizer = torch.optim.AdamW(unet.parameters(), SMALL)
    before = [p.detach().clone() for p in unet.parameters()]
    generator = torch.Generator().manual_seed(1)
    for _ in range(2):
        latents, noise = torch.randn((2, 1, 4, 16, 16), generator=generator, dtype=torch.bfloat16)
        predicted = unet(latents, torch.tensor([400]), encoder_hidden_states=half.embed(["sks"])).sample
        optimizer.zero_grad()
        ((predicted - noise) ** 2).mean().backward()
        optimizer.step()
    assert moved(before, list(unet.parameters())) == 0


def test_words_of_a_bfloat16_model_train_in_float32(half):
    attack = TextualInversion(initial="boat", steps=2, batch=1, learning_rate=SMALL)
    with formula.watching() as seen:
        learned = attack.personalise(half, DATA, 1)
    [embedding] = learned.adapters.values()
    assert {tensor.dtype for tensor in [embedding, *seen.gradients[0], *seen.states[0]]} == {torch.float32}
    assert moved(seen.before[0], seen.after[-1]) > 0.9
    assert learned.contexts(["sks"]).dtype == torch.bfloat16


@pytest.mark.parametrize("name", ["dreambooth", "with text encoder", "lora", "textual-inversion"])
def test_bfloat16_trains_as_float32_but_for_rounding(stand_ins, name):
    few = {"steps": 2, "batch": 2, "learning_rate": 1e-4}
    attack = {
        "dreambooth": DreamBooth(**few),
        "with text encoder": DreamBooth(**few, train_text_encoder=True),
        "lora": LoRA(rank=2, alpha=4.0, **few),
        "textual-inversion": TextualInversion(initial="boat", **few),
    }[name]
    losses_by_kind = []
    for kind in (torch.bfloat16, torch.float32):
        losses_by_kind.append(attack.personalise(loader.load("mini-b", "cpu", kind), DATA, 1).losses)
    assert losses_by_kind[0] == pytest.approx(losses_by_kind[1], rel=0.02)


def test_images_are_encoded_once_and_a_new_latent_is_drawn_each_step(base, monkeypatch):
    encoded, batches = [], []
    monkeypatch.setattr(base.vae, "encode", formula.counting(base.vae.encode, encoded))
    monkeypatch.setattr(finetune, "predict", formula.counting(finetune.predict, batches))
    training_set = formula.data(1)
    DreamBooth(steps=3, batch=1, learning_rate=1e-4).personalise(base, training_set, 1)
    assert len(encoded) == 1
    latents = [batch.latents for (_, batch), _ in batches]
    generator = torch.Generator().manual_seed(1)
    for latent in latents:
        assert torch.allclose(latent, formula.draw(base, training_set.images, 1, generator).latents, atol=1e-5)
    assert len({tuple(latent.flatten().tolist()) for latent in latents}) == 3


@pytest.mark.parametrize(("trains", "calls"), [(False, 1), (True, 3)])
def test_texts_are_embedded_once_unless_the_text_encoder_trains(model, monkeypatch, trains, calls):
    seen = []
    original = CLIPTextModel.forward
    monkeypatch.setattr(CLIPTextModel, "forward", lambda self, ids: seen.append(ids) or original(self, ids))
    DreamBooth(steps=3, batch=2, learning_rate=1e-4, train_text_encoder=trains).personalise(model, DATA, 1)
    assert len(seen) == calls


@pytest.mark.parametrize("attack", [DreamBooth, LoRA])
def test_checkpointed_activations_change_no_gradient_and_are_off_afterwards(model, attack):
    settings = {"steps": 1, "batch": 2, "learning_rate": 1e-3}
    if attack is LoRA:
        settings |= {"rank": 2, "alpha": 2.0}
    gradients, losses = [], []
    for checkpointing in (False, True):
        with formula.watching() as seen:
            learned = attack(**settings, gradient_checkpointing=checkpointing).personalise(model, DATA, 1)
        gradients.append(seen.gradients[0])
        losses.append(learned.losses)
        assert not learned.model.unet.is_gradient_checkpointing
    assert losses[0] == losses[1]
    formula.assert_equal_gradients(gradients[1], gradients[0])


def test_checkpointing_computes_the_blocks_twice(model, monkeypatch):
    """So the test above can fail."""
    block = type(model.unet.down_blocks[1].resnets[0])
    calls = []
    monkeypatch.setattr(block, "forward", formula.counting(block.forward, calls))
    LoRA(rank=1, alpha=1.0, steps=1, batch=1, learning_rate=1e-3).personalise(model, DATA, 1)
    once, calls[:] = len(calls), []
    LoRA(rank=1, alpha=1.0, steps=1, batch=1, learning_rate=1e-3, gradient_checkpointing=True).personalise(
        model, DATA, 1
    )
    assert len(calls) > once


def linear_loss(weight, gradients, _generator):
    """A loss whose gradient is the next of the given ones."""
    yield (weight * next(gradients)).sum()


def test_moments_of_eight_bits_train_as_those_of_single_precision_but_for_rounding():
    pytest.importorskip("bitsandbytes")
    generator = torch.Generator().manual_seed(0)
    start = torch.randn((128, 128), generator=generator)
    steps = torch.randn((3, 128, 128), generator=generator)
    trained = []
    for name in ("adamw", finetune.EIGHT_BIT):
        weight = torch.nn.Parameter(start.clone())
        recipe = finetune.FinetuneRecipe(3, 1, 1e-3, optimizer=name)
        gradients = iter(steps)
        finetune.finetune([weight], partial(linear_loss, weight, gradients), recipe, 0)
        trained.append(weight.detach())
    assert torch.allclose(*trained, atol=1.5e-3)
    assert not torch.equal(*trained)
    assert float((trained[1] - start).abs().mean()) == pytest.approx(float((trained[0] - start).abs().mean()), rel=0.1)


def test_moments_of_eight_bits_find_the_library_that_a_run_leaves_out_at_its_start(monkeypatch):
    pytest.importorskip("bitsandbytes")
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    finetune.FinetuneRecipe(1, 1, 1e-3)
    assert sys.modules["bitsandbytes"] is None
    finetune.FinetuneRecipe(1, 1, 1e-3, optimizer=finetune.EIGHT_BIT)
    assert "bitsandbytes" not in sys.modules


def test_moments_of_eight_bits_need_their_library_before_a_run_starts(monkeypatch):
    monkeypatch.setattr(finetune.importlib.util, "find_spec", lambda _: None)
    table = {"steps": 1, "batch": 1, "learning_rate": 1e-3, "optimizer": finetune.EIGHT_BIT}
    with pytest.raises(UserError, match="bitsandbytes"):
        catalogue.find("mimicry", "dreambooth").build(table)
    with pytest.raises(UserError, match="adamw"):
        catalogue.find("mimicry", "dreambooth").build({**table, "optimizer": "sgd"})
