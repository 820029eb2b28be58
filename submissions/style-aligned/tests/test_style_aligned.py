from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from diffusers.models.attention_processor import Attention

from cloakbench import AttackRequest, whitebox
from cloakbench.models import loader
from cloakbench_style_aligned import StyleAligned
from cloakbench_style_aligned.attention import SharedSelfAttention
from cloakbench_style_aligned.mimicry import inverted, predicted, schedule, with_shared_attention

HEADS, WIDTH, LENGTH = 2, 8, 5
STEPS = 60
"""Of an inversion: its error falls with them."""


@pytest.fixture
def attention():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Attention(WIDTH, heads=HEADS, dim_head=WIDTH // HEADS).eval().requires_grad_(False)


@pytest.fixture(params=["mini-a", "mini-b"])
def model(request):
    return loader.load(request.param).surrogate()


def by_hand(attention, image, reference, shift):
    """One image beside its reference, query by query."""

    def like(x, y):
        return (x - x.mean(0)) / x.std(0) * y.std(0) + y.mean(0)

    q, q_r = attention.to_q(image), attention.to_q(reference)
    k, k_r = attention.to_k(image), attention.to_k(reference)
    keys = torch.cat([k_r, like(k, k_r)])
    values = torch.cat([attention.to_v(reference), attention.to_v(image)])
    size = WIDTH // HEADS
    rows = []
    for query in like(q, q_r):
        parts = []
        for head in range(HEADS):
            at = slice(head * size, (head + 1) * size)
            scores = keys[:, at] @ query[at] / math.sqrt(size)
            scores[:LENGTH] += shift
            parts.append(scores.softmax(0) @ values[:, at])
        rows.append(torch.cat(parts))
    return attention.to_out[0](torch.stack(rows))


def test_shared_attention_is_that_of_the_formula(attention):
    batch = torch.randn((6, LENGTH, WIDTH), generator=torch.Generator().manual_seed(1))
    attended = SharedSelfAttention(2, 0.7)(attention, batch)
    for group in (0, 3):
        for row in (1, 2):
            expected = by_hand(attention, batch[group + row], batch[group], 0.7)
            assert torch.allclose(attended[group + row], expected, atol=1e-4)
    assert torch.allclose(attended[[0, 3]], attention(batch[[0, 3]]), atol=1e-4)


@torch.no_grad()
def test_a_reference_beside_others_is_denoised_as_if_alone(model):
    latents = torch.randn((2, 4, 16, 16), generator=torch.Generator().manual_seed(2))
    contexts = torch.randn((4, 32, model.unet.config.cross_attention_dim), generator=torch.Generator().manual_seed(3))
    plain = model.unet(latents[:1], 500, encoder_hidden_states=contexts[:1]).sample
    shared = with_shared_attention(model.unet, math.log(2))
    beside = shared(latents.repeat(2, 1, 1, 1), 500, encoder_hidden_states=contexts).sample
    assert torch.allclose(beside[:1], plain, atol=1e-3)
    again = model.unet(latents[:1], 500, encoder_hidden_states=contexts[:1]).sample
    assert torch.equal(again, plain)


@torch.no_grad()
def test_the_inversion_leads_back(model):
    latents = 0.5 * torch.randn((1, 4, 16, 16), generator=torch.Generator().manual_seed(4))
    trajectory = inverted(model, latents, "a painting", STEPS)
    scheduler, context, current = schedule(model, STEPS), whitebox.contexts(model, ["a painting"]), trajectory[-1]
    for time in scheduler.timesteps:
        current = scheduler.step(predicted(model, current, time, context), time, current).prev_sample
    assert float((current - latents).norm()) < 0.3 * float(latents.norm())
    assert float((trajectory[-1] - latents).norm()) > float(latents.norm())


def test_draws_one_image_per_prompt_and_repeats_itself(model):
    images = torch.rand((2, 3, 128, 128), generator=torch.Generator().manual_seed(5))

    def drawn(seed):
        generator = torch.Generator().manual_seed(seed)
        captions = ("a painting of a boat", "a painting of a house")
        prompts = ("a boat by sks", "a fish by sks", "a tree by sks")
        request = AttackRequest(model, generator, "painting", captions, "sks", prompts)
        return StyleAligned(steps=2).imitate(images, request)

    first, again, other = drawn(1), drawn(1), drawn(2)
    assert first.shape == (3, 3, 128, 128)
    assert 0 <= float(first.min()) <= float(first.max()) <= 1
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(("width", "expected"), [(96, 3.0), (768, 10.0), (2048, 10.0)])
def test_guidance_is_that_of_the_models_family(width, expected):
    parts = SimpleNamespace(unet=SimpleNamespace(config=SimpleNamespace(cross_attention_dim=width)))
    assert whitebox.settings(parts, StyleAligned.defaults, {"guidance": StyleAligned().guidance}) == {
        "guidance": expected
    }
    chosen = whitebox.settings(parts, StyleAligned.defaults, {"guidance": StyleAligned(guidance=5.0).guidance})
    assert chosen == {"guidance": 5.0}
