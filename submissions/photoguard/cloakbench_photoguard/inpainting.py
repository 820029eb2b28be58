"""PhotoGuard's diffusion attack on inpainting, in its L2 form: the authors' notebook, and what IMPRESS purifies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from diffusers import DDIMScheduler
from torch import Tensor
from torch.nn.functional import interpolate
from torch.utils.checkpoint import checkpoint

from cloakbench import Request, Surrogate, pgd, whitebox

MODEL = "sd15-inpaint"
ETA = 1.0
"""Stochasticity of the denoising steps (the authors' notebook)."""
RADIUS = 8.0
"""L2 norm of the perturbation at strength 1, of images of 3 x 512 x 512 values in [0, 1]: the authors' 16 in [-1, 1].

At other sizes it grows with the root of the number of values."""
STEP = 1 / 16
"""Length of a step as a share of the radius: the authors' 1 of 16."""
VALUES = 3 * 512 * 512


@dataclass(frozen=True, slots=True)
class InpaintingModel:
    """An inpainting model as the attack runs it.

    Attributes:
        model: Its parts; the denoiser takes latents, mask and the latents of the kept part.
        scheduler: DDIM with its time steps set.
        context: `[1, L, C]` of the empty prompt, with which the guided and the unguided prediction are the same.
    """

    model: Surrogate
    scheduler: DDIMScheduler
    context: Tensor

    @classmethod
    def of(cls, model: Surrogate, denoising: int) -> InpaintingModel:
        """Returns the painter of a model that denoises in so many steps."""
        scheduler = DDIMScheduler.from_config(model.scheduler.config, clip_sample=False, set_alpha_to_one=False)
        scheduler.set_timesteps(denoising)
        return cls(model, scheduler, whitebox.contexts(model, [""]))

    def paint(self, images: Tensor, masks: Tensor, noises: Sequence[Tensor]) -> Tensor:
        """Returns repainted images `[B, 3, H, W]` in about [-1, 1], with gradients.

        Args:
            images: `[B, 3, H, W]` in [0, 1].
            masks: `[B, 1, H, W]`, 1 where it is repainted.
            noises: `[B, 4, h, w]` each: the start, the posterior's sample, and one per denoising step.
        """
        model = self.model
        unmasked = (2 * images - 1) * (1 - masks)
        distribution = model.vae.encode(unmasked.to(model.dtype)).latent_dist
        sample = distribution.mean.float() + distribution.std.float() * noises[1]
        beside = torch.cat([interpolate(masks, sample.shape[-2:]), sample * whitebox.scale(model)], dim=1)
        latents = noises[0] * self.scheduler.init_noise_sigma
        for time, noise in zip(self.scheduler.timesteps, noises[2:], strict=True):
            predicted = checkpoint(self._predict, latents, beside, int(time), use_reentrant=False)
            latents = self.scheduler.step(predicted, int(time), latents, eta=ETA, variance_noise=noise).prev_sample
        decoded: Tensor = checkpoint(self._decode, latents / whitebox.scale(model), use_reentrant=False)
        return decoded

    def _predict(self, latents: Tensor, beside: Tensor, time: int) -> Tensor:
        context = self.context.expand(len(latents), -1, -1)
        with whitebox.autocast(self.model.device, self.model.dtype):
            predicted = self.model.unet(torch.cat([latents, beside], dim=1), time, encoder_hidden_states=context)
        noise: Tensor = predicted.sample.float()
        return noise

    def _decode(self, latents: Tensor) -> Tensor:
        decoded: Tensor = self.model.vae.decode(latents.to(self.model.dtype)).sample
        return decoded.float()


def protect(images: Tensor, request: Request, steps: int, draws: int, denoising: int) -> Tensor:
    """Returns images whose repainting under their masks is grey, one image at a time.

    Minimises `|| f(x + delta; mask) ||_2` by normalised gradient steps over an L2 ball, and within `request.epsilon`;
    delta is 0 where the mask repaints.

    Args:
        images: `[B, 3, H, W]` in [0, 1].
        request: With masks and the model `sd15-inpaint`.
        steps: Descent steps.
        draws: Gradients added up for one step, each with noise of its own.
        denoising: Denoising steps of f.
    """
    assert request.masks is not None
    painter = InpaintingModel.of(request.models[MODEL], denoising)
    protected = []
    for image, mask in zip(images.float(), request.masks.float(), strict=True):
        protected.append(_descend(painter, image[None], mask[None], request, steps, draws))
    return torch.cat(protected)


def _descend(painter: InpaintingModel, image: Tensor, mask: Tensor, request: Request, steps: int, draws: int) -> Tensor:
    levels = pgd.whole_budget(request.epsilon)
    radius = RADIUS * request.strength * (image.numel() / VALUES) ** 0.5
    delta = torch.zeros_like(image)
    with torch.no_grad():
        shape = whitebox.latent_means(painter.model, image)
    for _ in range(steps):
        gradient = torch.zeros_like(image)
        for _ in range(draws):
            noises = [whitebox.normal(shape, request.generator) for _ in range(len(painter.scheduler.timesteps) + 2)]
            gradient += _gradient(painter, image + delta, mask, noises)
        gradient *= 1 - mask
        delta = delta - STEP * radius * gradient / gradient.norm().clamp_min(1e-12)
        delta = delta * (radius / delta.norm().clamp_min(1e-12)).clamp(max=1)
        delta = pgd.project(delta, image, levels / 255)
    return pgd.whole_levels(image, delta, levels)


def _gradient(painter: InpaintingModel, perturbed: Tensor, mask: Tensor, noises: Sequence[Tensor]) -> Tensor:
    """Returns the gradient `[1, 3, H, W]` of the norm of what the painter makes of one image."""

    def norm(images: Tensor) -> Tensor:
        norms: Tensor = painter.paint(images, mask, noises).flatten(1).norm(dim=1)
        return norms

    return pgd.by_autograd(norm)(perturbed, 0)[1]
