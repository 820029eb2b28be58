from __future__ import annotations

import copy

import pytest
import tiny
import torch

from benchmark.attacks.mimicry.dreambooth import DreamBooth
from benchmark.attacks.mimicry.finetune import Recipe, TrainingSet, diffusion_loss, finetune, posterior
from benchmark.attacks.mimicry.lora import LoRA
from benchmark.images import to_tensor
from benchmark.models import loader

pytestmark = pytest.mark.usefixtures("stand_ins")
DATA = TrainingSet(to_tensor([tiny.picture(n) for n in range(3)]), ["a painting of a boat", "a painting", ""])


@pytest.fixture(params=["mini-a", "mini-b"])
def base(request, stand_ins):
    """A base model with epsilon prediction, and one with v prediction."""
    return loader.load(request.param)


def alphas(model):
    """The schedule written out: the root of beta runs linearly over 1000 steps."""
    beta = torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    return torch.cumprod(1 - beta, 0)


def loss_by_hand(model, unet, latents, noise, times, context):
    a = alphas(model)[times].view(-1, 1, 1, 1)
    noisy = a.sqrt() * latents + (1 - a).sqrt() * noise
    velocity = a.sqrt() * noise - (1 - a).sqrt() * latents
    target = velocity if model.name == "mini-b" else noise
    predicted = unet(noisy, times, encoder_hidden_states=context).sample
    return ((predicted - target) ** 2).mean()


def test_loss_and_gradient_are_those_of_the_formula(base):
    generator = torch.Generator().manual_seed(0)
    latents, noise = torch.randn((2, 3, 4, 16, 16), generator=generator)
    times, context = torch.tensor([1, 500, 998]), base.embed(["a boat", "", "a painting"])
    found, expected = (copy.deepcopy(base.unet).requires_grad_(True) for _ in range(2))
    ours = diffusion_loss(base, found, latents, noise, times, context)
    by_hand = loss_by_hand(base, expected, latents, noise, times, context)
    ours.backward()
    by_hand.backward()
    assert ours.item() == pytest.approx(by_hand.item(), rel=1e-5)
    largest = max(float(w.grad.abs().max()) for w in expected.parameters())
    for (name, a), b in zip(found.named_parameters(), expected.parameters(), strict=True):
        assert torch.allclose(a.grad, b.grad, rtol=1e-3, atol=1e-5 * largest), name


def test_one_step_is_one_step_of_adamw_on_the_formula(base):
    """From the seed to the new weights, written out: rows, times, posterior sample and noise come in this order."""
    recipe = Recipe(steps=1, batch=2, learning_rate=1e-3)
    found, expected = (copy.deepcopy(base.unet).requires_grad_(True) for _ in range(2))
    [loss] = finetune(base, found, DATA, recipe, 5)

    generator = torch.Generator().manual_seed(5)
    rows = torch.randint(0, 3, (2,), generator=generator)
    times = torch.randint(0, 1000, (2,), generator=generator)
    drawn, noise = torch.randn((2, 2, 4, 16, 16), generator=generator)
    with torch.no_grad():
        encoded = base.vae.encode(DATA.images * 2 - 1).latent_dist
        context = base.embed(list(DATA.captions))[rows]
    latents = (encoded.mean[rows] + encoded.std[rows] * drawn) * base.vae.config.scaling_factor
    by_hand = loss_by_hand(base, expected, latents, noise, times, context)
    by_hand.backward()
    assert loss == pytest.approx(by_hand.item(), rel=1e-5)
    moved = 0
    for (name, new), old in zip(found.named_parameters(), expected.parameters(), strict=True):
        # The first step of AdamW: decay, then the learning rate in the gradient's direction.
        clear = old.grad.abs() > 1e-4
        step = old * (1 - 1e-3 * 0.01) - 1e-3 * old.grad.sign()
        assert torch.allclose(new[clear], step[clear], atol=2e-6), name
        moved += int(clear.sum())
    assert moved > 1000


def weights(unet):
    return {name: weight.clone() for name, weight in unet.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


DREAMBOOTH = DreamBooth(steps=2, batch=2, learning_rate=1e-3)
LORA = LoRA(rank=2, alpha=2.0, steps=2, batch=2, learning_rate=1e-2)


@pytest.mark.parametrize("attack", [DREAMBOOTH, LORA], ids=["dreambooth", "lora"])
def test_mimicry_leaves_the_base_model_alone_and_repeats_itself(model, attack):
    before = weights(model.unet)
    state = torch.get_rng_state()
    first, again, other = (attack.personalise(model, DATA, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert same(weights(model.unet), before)
    assert not any(p.requires_grad for p in model.unet.parameters())
    assert not model.unet.training
    assert same(weights(first.unet), weights(again.unet))
    assert first.losses == again.losses
    assert len(first.losses) == 2
    assert not same(weights(first.unet), weights(other.unet))
    assert not first.unet.training
    assert not any(p.requires_grad for p in first.unet.parameters())


def test_dreambooth_trains_every_weight(model):
    learned = weights(DREAMBOOTH.personalise(model, DATA, 1).unet)
    before = weights(model.unet)
    assert all(not torch.equal(learned[name], before[name]) for name in before)


def test_lora_trains_its_adapters_only(model, monkeypatch):
    started = []
    monkeypatch.setattr(
        "benchmark.attacks.mimicry.lora.finetune", lambda _m, unet, *_: started.append(weights(unet)) or ()
    )
    LORA.personalise(model, DATA, 1)
    monkeypatch.undo()
    learned, before = weights(LORA.personalise(model, DATA, 1).unet), weights(model.unet)
    adapters = {name for name in learned if "lora_" in name}
    projections = [n for n in before if n.endswith(("to_q.weight", "to_k.weight", "to_v.weight", "to_out.0.weight"))]
    assert len(adapters) == 2 * len(projections)
    for name, weight in before.items():
        inner = name if name in learned else ".base_layer.".join(name.rsplit(".", 1))
        assert torch.equal(learned[inner], weight), name
    assert all(not torch.equal(learned[n], started[0][n]) for n in adapters)


def test_lora_changes_nothing_before_it_is_trained(model, monkeypatch):
    monkeypatch.setattr("benchmark.attacks.mimicry.lora.finetune", lambda *_: ())
    untrained = LORA.personalise(model, DATA, 1).unet
    noise, context = torch.randn((2, 4, 16, 16), generator=torch.Generator().manual_seed(0)), model.embed(["a", "b"])
    with torch.no_grad():
        expected = model.unet(noise, torch.tensor([3, 700]), encoder_hidden_states=context).sample
        found = untrained(noise, torch.tensor([3, 700]), encoder_hidden_states=context).sample
    assert torch.allclose(found, expected, atol=1e-6)


def test_the_posterior_does_not_depend_on_the_chunk(model):
    mean, deviation = posterior(model, DATA.images, chunk=2)
    alone = posterior(model, DATA.images[2:3])
    assert mean.shape == deviation.shape == (3, 4, 16, 16)
    assert torch.allclose(mean[2:], alone[0], atol=1e-5)
    assert torch.allclose(deviation[2:], alone[1], atol=1e-5)


def test_averaging_starts_fast_and_is_off_by_default(model):
    """Step s keeps min(average, s / (s + 9)) of the average: after two steps 2/11 of the first average, 9/11 new."""
    seen = []
    step = torch.optim.AdamW.step

    def spy(self, *arguments):
        result = step(self, *arguments)
        seen.append([p.detach().clone() for p in self.param_groups[0]["params"]])
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", spy)
        unet = copy.deepcopy(model.unet).requires_grad_(True)
        start = [p.detach().clone() for p in unet.parameters()]
        finetune(model, unet, DATA, Recipe(2, 2, 1e-3, average=0.99), 1)
    for w0, w1, w2, found in zip(start, seen[0], seen[1], unet.parameters(), strict=True):
        average = torch.lerp(torch.lerp(w0, w1, 9 / 10), w2, 9 / 11)
        assert torch.allclose(found, average, atol=1e-6)
