from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from cloakbench import whitebox
from cloakbench.streams import streams
from cloakbench_mist.protection import target_latent
from cloakbench_sds import ScoreDistillation
from cloakbench_sds.protection import score


def draws(count=3):
    return streams(torch.Generator().manual_seed(5), count)


def by_hand(surrogate, images):
    """Each image's scaled latent, and w(t) (predicted - noise), at the draws of the first step."""
    latents, scores = [], []
    for image, generator in zip(images, draws(), strict=True):
        mean = surrogate.vae.blocks(2 * image[None] - 1)
        latent = (mean + 0.1 * torch.randn(mean[0].shape, generator=generator)) * 0.5
        alpha_bar = surrogate.scheduler.alphas_cumprod[torch.randint(0, 1000, (1,), generator=generator)]
        noise = torch.randn(mean[0].shape, generator=generator)
        with torch.no_grad():
            noisy = alpha_bar.sqrt() * latent + (1 - alpha_bar).sqrt() * noise
            scores.append((1 - alpha_bar) * (surrogate.unet.mix(noisy) + len("a painting") / 100 - noise))
        latents.append(latent)
    return torch.cat(latents), torch.cat(scores)


@pytest.mark.parametrize(("direction", "sign"), [("minus", -1), ("plus", 1)])
def test_one_step_follows_the_score_through_the_encoder_alone(direction, sign, toy, three_images, ask):
    surrogate = toy()
    moved = ScoreDistillation(direction=direction, steps=1, alpha=1).protect(three_images, ask(surrogate))
    images = three_images.clone().requires_grad_()
    latents, scores = by_hand(surrogate, images)
    (gradient,) = torch.autograd.grad(latents, images, grad_outputs=scores)
    assert torch.allclose(moved - three_images, sign * gradient.sign() * 8 / 255, atol=1e-6)


def test_the_denoiser_is_never_differentiated(toy, three_images, ask):
    surrogate = toy()
    ScoreDistillation(steps=2).protect(three_images, ask(surrogate))
    assert surrogate.unet.calls
    assert not any(followed for _, followed in surrogate.unet.calls)


def test_a_model_of_v_gives_the_score_of_the_model_of_epsilon_that_it_is(toy, three_images):
    noises = toy()
    velocities = toy("v_prediction")

    def as_velocity(noisy, times, encoder_hidden_states):
        alpha_bar = velocities.scheduler.alphas_cumprod[times].view(-1, 1, 1, 1)
        noise = noises.unet(noisy, times, encoder_hidden_states=encoder_hidden_states).sample
        image = (noisy - (1 - alpha_bar).sqrt() * noise) / alpha_bar.sqrt()
        return SimpleNamespace(sample=alpha_bar.sqrt() * noise - (1 - alpha_bar).sqrt() * image)

    velocities = SimpleNamespace(
        unet=as_velocity, scheduler=velocities.scheduler, device=noises.device, dtype=noises.dtype
    )
    context = whitebox.contexts(noises, ["a painting"])
    latents = noises.vae.blocks(three_images)
    of_velocity, expected = (score(parts, latents, context, draws()) for parts in (velocities, noises))
    assert torch.allclose(of_velocity, expected, atol=1e-5)


def test_targeted_adds_the_pull_towards_the_pattern(toy, three_images, ask):
    surrogate = toy()
    moved = ScoreDistillation(targeted=True, rate=5.0, steps=1, alpha=1).protect(three_images, ask(surrogate))
    images = three_images.clone().requires_grad_()
    latents, scores = by_hand(surrogate, images)
    pull = 5 * scores + 2 * (latents.detach() - target_latent(surrogate, three_images))
    (gradient,) = torch.autograd.grad(latents, images, grad_outputs=pull)
    assert torch.allclose(moved - three_images, -gradient.sign() * 8 / 255, atol=1e-6)


def test_asks_with_what_the_images_are_and_never_with_their_captions(toy, three_images, ask):
    surrogate = toy()
    ScoreDistillation(steps=1).protect(three_images, ask(surrogate))
    assert surrogate.tokenizer.texts == ["a painting"]
