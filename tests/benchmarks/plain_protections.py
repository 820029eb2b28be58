"""Protections as plain loops, one image at a time, to measure ours against: nothing is kept from one step to the next.

Written from the formulas, wasteful where the public scripts are: each step tokenizes and encodes its prompt, encodes
its target image, and leaves the weights of the network that it differentiates open to gradients (PhotoGuard's script,
which asks for the image's gradient alone, excepted). None chooses an iterate or ends in whole levels.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from diffusers import DDIMScheduler
from torch import Tensor

from cloakbench import Protection, Request, Surrogate
from cloakbench.streams import Generators
from cloakbench.whitebox import (
    contexts,
    decode,
    diffusion_loss,
    latent_means,
    normal,
    posterior,
    predict,
    scale,
    times,
)
from cloakbench_glaze import styles
from cloakbench_glaze.transfer import restyle
from cloakbench_mist.target import pattern

PROMPT = "a painting"


@dataclass(frozen=True)
class ProtectionJob:
    """What a loop works with: the protection that it stands beside, the steps, the budget, a style to point to."""

    surrogate: Surrogate
    protection: Protection
    steps: int
    epsilon: float
    style: str


Value = Callable[[Tensor, Generators], Tensor]
Plain = Callable[[Tensor, ProtectionJob], Tensor]
"""Images `[B, 3, H, W]` in [0, 1] -> the protected ones."""


def image_by_image(loop: Plain) -> Plain:
    """Returns the loop that takes one image after the other."""
    return lambda images, job: torch.cat([loop(image[None], job) for image in images])


@contextmanager
def open_to_gradients(*modules: Any) -> Iterator[None]:
    """Leaves the weights as a loader of pipelines leaves them, and freezes and clears them afterwards."""
    for module in modules:
        module.requires_grad_(True)
    try:
        yield
    finally:
        for module in modules:
            module.requires_grad_(False)
            module.zero_grad(set_to_none=True)


def sign_descent(image: Tensor, job: ProtectionJob, alpha: float, value: Value, *, alone: bool = False) -> Tensor:
    """Moves against the sign of the gradient of `value`; `alone` asks for the image's gradient and no other."""
    generator = torch.Generator().manual_seed(0)
    changed = (image + job.epsilon * (2 * torch.rand(image.shape, generator=generator).to(image) - 1)).clamp(0, 1)
    for _ in range(job.steps):
        changed = changed.detach().requires_grad_()
        loss = value(changed, generator).sum()
        loss.item()
        loss.backward(inputs=[changed] if alone else None)  # type: ignore[no-untyped-call]
        assert changed.grad is not None
        moved = changed.detach() - alpha * job.epsilon * changed.grad.sign()
        changed = torch.minimum(torch.maximum(moved, image - job.epsilon), image + job.epsilon).clamp(0, 1)
    return changed.detach()


def photoguard(image: Tensor, job: ProtectionJob) -> Tensor:
    """Lowers the norm of the latent; the image's gradient alone is asked for."""
    return sign_descent(image, job, 1 / 3, lambda x, _: latent_means(job.surrogate, x).norm(), alone=True)


def photoguard_diffusion(image: Tensor, job: ProtectionJob) -> Tensor:
    """Lowers the norm of what a guided pipeline of four steps returns; all activations are kept."""
    surrogate, guidance = job.surrogate, 7.5
    scheduler = DDIMScheduler.from_config(surrogate.scheduler.config, clip_sample=False)
    scheduler.set_timesteps(8)

    def norm(changed: Tensor, generators: Generators) -> Tensor:
        latents, context = _sampled(surrogate, changed, generators), contexts(surrogate, ["", ""])
        latents = scheduler.add_noise(
            latents, normal(latents, generators), scheduler.timesteps[-4:-3].to(latents.device)
        )
        for time in scheduler.timesteps[-4:]:
            with torch.autocast(surrogate.device.type, surrogate.dtype, enabled=surrogate.dtype != torch.float32):
                twice = latents.repeat(2, 1, 1, 1)
                both = surrogate.unet(twice, time, encoder_hidden_states=context).sample.float()
            without, towards = both.chunk(2)
            predicted = without + guidance * (towards - without)
            noise = normal(latents, generators)
            latents = scheduler.step(predicted, time, latents, eta=1.0, variance_noise=noise).prev_sample
        return (2 * decode(surrogate, latents / scale(surrogate)) - 1).norm()

    return sign_descent(image, job, 0.06, norm, alone=True)


def advdm(image: Tensor, job: ProtectionJob) -> Tensor:
    """Raises the diffusion loss; gradients of the denoiser's weights are computed too."""
    with open_to_gradients(job.surrogate.unet):
        return sign_descent(image, job, 1 / 16, lambda x, g: -_loss(job.surrogate, x, g)[1])


def mist(image: Tensor, job: ProtectionJob) -> Tensor:
    """Pulls the latent to a pattern's, which is encoded at each step, and raises the diffusion loss."""
    surrogate, texture = job.surrogate, pattern(*image.shape[-2:]).to(image)

    def value(changed: Tensor, generators: Generators) -> Tensor:
        latents, loss = _loss(surrogate, changed, generators)
        return (latents - _sampled(surrogate, texture, generators)).square().sum() - 1e4 * loss

    with open_to_gradients(surrogate.unet):
        return sign_descent(image, job, 1 / 16, value)


def sds(image: Tensor, job: ProtectionJob) -> Tensor:
    """Follows the denoiser's error into the latent."""
    surrogate = job.surrogate

    def value(changed: Tensor, generators: Generators) -> Tensor:
        latents = _sampled(surrogate, changed, generators)
        with torch.no_grad():
            predicted, target = predict(surrogate, latents, *_draw(surrogate, latents, generators), _prompt(surrogate))
        return (latents * (predicted - target)).sum()

    return sign_descent(image, job, 1 / 16, value)


def aspl(images: Tensor, job: ProtectionJob) -> Tensor:
    """Rounds of learning and ascent on all images at once, as the script does it; each step encodes its images."""
    surrogate, done, changed = job.surrogate, 0, images
    learner, generator = copy.deepcopy(surrogate.unet), torch.Generator().manual_seed(0)
    while done < job.steps:
        attacked = _learned(replace(surrogate, unet=copy.deepcopy(learner)), images, 3, generator)
        rounds = min(6, job.steps - done)
        changed = _ascended(changed, images, replace(job, surrogate=attacked, steps=rounds), generator)
        learner = _learned(replace(surrogate, unet=learner), changed, 3, generator).unet
        done += rounds
    return changed


def fsmg(images: Tensor, job: ProtectionJob) -> Tensor:
    """Learns the images once, for as many steps as it ascends then."""
    generator = torch.Generator().manual_seed(0)
    learned = _learned(replace(job.surrogate, unet=copy.deepcopy(job.surrogate.unet)), images, job.steps, generator)
    return _ascended(images, images, replace(job, surrogate=learned), generator)


def glaze(image: Tensor, job: ProtectionJob) -> Tensor:
    """Restyles the image and pulls its latent there by Adam; the restyled image is encoded at each step."""
    return _cloak(image, job, 0.0)


def adaptive_glaze(image: Tensor, job: ProtectionJob) -> Tensor:
    """Glaze that is reproduced by the autoencoder; gradients of the decoder's weights are computed too."""
    with open_to_gradients(job.surrogate.vae.decoder):
        return _cloak(image, job, 30.0)


def adaptive(image: Tensor, job: ProtectionJob) -> Tensor:
    """PhotoGuard that is reproduced by the autoencoder; gradients of the decoder's weights are computed too."""
    surrogate = job.surrogate

    def value(changed: Tensor, _: Generators) -> Tensor:
        latents = latent_means(surrogate, changed)
        return latents.norm() + 0.5 * 2 * (changed - decode(surrogate, latents)).norm()

    with open_to_gradients(surrogate.vae.decoder):
        return sign_descent(image, job, 1 / 3, value)


def itself(image: Tensor, job: ProtectionJob) -> Tensor:
    """Our own code for one image: the plain loop where no public script says how one would look."""
    generator = torch.Generator().manual_seed(0)
    request = Request(1.0, job.epsilon, job.surrogate, generator, "painting", (PROMPT,) * len(image))
    return job.protection.protect(image, request)


def _prompt(surrogate: Surrogate) -> Tensor:
    return contexts(surrogate, [PROMPT])


def _draw(surrogate: Surrogate, latents: Tensor, generators: Generators) -> tuple[Tensor, Tensor]:
    return normal(latents, generators), times(surrogate, len(latents), generators)


def _sampled(surrogate: Surrogate, images: Tensor, generators: Generators) -> Tensor:
    mean, deviation = posterior(surrogate, images)
    return (mean + deviation * normal(mean, generators)) * scale(surrogate)


def _loss(surrogate: Surrogate, images: Tensor, generators: Generators) -> tuple[Tensor, Tensor]:
    latents = _sampled(surrogate, images, generators)
    return latents, diffusion_loss(surrogate, latents, _prompt(surrogate), generators).mean()


def _learned(surrogate: Surrogate, images: Tensor, steps: int, generator: torch.Generator) -> Surrogate:
    surrogate.unet.float().requires_grad_(True)
    optimizer = torch.optim.AdamW(surrogate.unet.parameters(), lr=3e-4)
    for number in range(steps):
        rows = [(2 * number) % len(images), (2 * number + 1) % len(images)]
        loss = _loss(surrogate, images[rows], generator)[1]
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(surrogate.unet.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        loss.item()
    return surrogate


def _ascended(changed: Tensor, images: Tensor, job: ProtectionJob, generator: torch.Generator) -> Tensor:
    """Ascends with the learner's weights open to gradients, from what the images have become."""
    for _ in range(job.steps):
        changed = changed.detach().requires_grad_()
        loss = _loss(job.surrogate, changed, generator)[1]
        loss.backward()  # type: ignore[no-untyped-call]
        loss.item()
        job.surrogate.unet.zero_grad()
        assert changed.grad is not None
        moved = changed.detach() + 0.1 * job.epsilon * changed.grad.sign()
        changed = torch.minimum(torch.maximum(moved, images - job.epsilon), images + job.epsilon).clamp(0, 1)
    return changed.detach()


def _cloak(image: Tensor, job: ProtectionJob, consistency: float) -> Tensor:
    surrogate = job.surrogate
    noise = normal(latent_means(surrogate, image).detach(), torch.Generator().manual_seed(0))
    restyled = restyle(image, styles.prompt(job.style, surrogate), noise, surrogate)
    changed = (2 * image - 1).requires_grad_()
    adam = torch.optim.Adam([changed], 0.004)
    for _ in range(job.steps):
        shown = changed / 2 + 0.5
        latents, goals = latent_means(surrogate, shown), latent_means(surrogate, restyled)
        excess = (surrogate.perceptual(shown, image) - 0.2).clamp_min(0).sum()
        loss = (latents - goals).square().mean() + 30 * excess
        if consistency:
            loss = loss + consistency * (2 * (shown - decode(surrogate, latents))).square().mean()
        adam.zero_grad()
        loss.backward()
        loss.item()
        adam.step()
        changed.data.clamp_(-1, 1)
    return changed.detach() / 2 + 0.5


LOOPS: dict[str, Plain] = {
    "photoguard": image_by_image(photoguard),
    "photoguard-diffusion": image_by_image(photoguard_diffusion),
    "advdm": image_by_image(advdm),
    "mist": image_by_image(mist),
    "sds": image_by_image(sds),
    "anti-dreambooth": aspl,
    "anti-dreambooth[method=fsmg]": fsmg,
    "glaze": image_by_image(glaze),
    "adaptive": image_by_image(adaptive),
    "adaptive-glaze": image_by_image(adaptive_glaze),
    "impasto": image_by_image(itself),
    "fastprotect": image_by_image(itself),
}
"""Entry -> its plain loop."""
