from __future__ import annotations

import torch

from cloakbench import whitebox
from cloakbench.streams import streams
from cloakbench_advdm import AdvDM
from cloakbench_advdm.protection import objective


def same_draws(surrogate):
    """The objective at draws that are the same each time it is made."""
    context = whitebox.contexts(surrogate, ["a painting"])
    return objective(surrogate, context, streams(torch.Generator().manual_seed(5), 3))


def test_is_the_negative_loss_of_sampled_scaled_latents(toy, three_images):
    surrogate = toy()
    own = streams(torch.Generator().manual_seed(5), 3)
    expected = []
    for image, generator in zip(three_images, own, strict=True):
        mean = surrogate.vae.blocks(2 * image[None] - 1)
        latent = (mean + 0.1 * torch.randn(mean[0].shape, generator=generator)) * 0.5
        time = torch.randint(0, 1000, (1,), generator=generator)
        noise = torch.randn(mean[0].shape, generator=generator)
        alpha_bar = surrogate.scheduler.alphas_cumprod[time]
        noisy = alpha_bar.sqrt() * latent + (1 - alpha_bar).sqrt() * noise
        predicted = surrogate.unet.mix(noisy) + len("a painting") / 100
        expected.append(-(predicted - noise).square().mean())
    assert torch.allclose(same_draws(surrogate)(three_images), torch.stack(expected), atol=1e-6)


def test_one_step_ascends_the_loss_by_the_sign_of_its_gradient(toy, three_images, ask):
    surrogate = toy()
    moved = AdvDM(steps=1, alpha=1).protect(three_images, ask(surrogate))
    images = three_images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(same_draws(surrogate)(images).sum(), images)
    assert torch.allclose(moved - three_images, -gradient.sign() * 8 / 255, atol=1e-6)
    assert bool((same_draws(surrogate)(moved) < same_draws(surrogate)(three_images)).all())


def test_starts_at_the_image(toy, three_images, ask):
    moved = AdvDM(steps=1, alpha=1 / 8).protect(three_images, ask(toy()))
    assert float((moved - three_images).abs().max() * 255) < 1.01


def test_asks_with_what_the_images_are_and_never_with_their_captions(toy, three_images, ask):
    surrogate = toy()
    AdvDM(steps=1).protect(three_images, ask(surrogate))
    assert surrogate.tokenizer.texts == ["a painting"]


def test_chunks_bound_what_goes_through_the_model_at_once(toy, three_images, ask):
    surrogate = toy()
    AdvDM(steps=2, chunk=2).protect(three_images, ask(surrogate))
    assert {count for count, _ in surrogate.unet.calls} == {1, 2}
