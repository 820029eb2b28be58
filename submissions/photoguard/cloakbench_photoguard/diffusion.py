"""PhotoGuard's diffusion attack (Salman et al., 2023): make what the whole editing pipeline returns a grey image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers import DDIMScheduler
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from cloakbench import Protection, Request, Surrogate, pgd, whitebox
from cloakbench.parameters import one_of, optional, positive, whole
from cloakbench_photoguard import inpainting

ETA = 1.0
"""Stochasticity of the denoising steps (the authors' notebook); 0 would be deterministic DDIM."""
TASKS = ("image-to-image", "inpainting")
DEFAULTS = {"mini": {"steps": 50, "draws": 1}, "stable-diffusion": {"steps": 200, "draws": 10}}
"""By family of the surrogate and parameter."""


class PhotoGuardDiffusion(Protection):
    """Minimises `|| f(x + delta) ||_2` over `|delta|_inf <= epsilon`, with f image-to-image in a few steps.

    f encodes, adds noise, denoises with the empty prompt and decodes; its output counts in [-1, 1], so that 0 is grey.
    Gradients run through all of it; each step's activations are computed again instead of kept.

    With `task=inpainting`, f repaints the masked part by the model `sd15-inpaint`, and delta moves in the authors' L2
    ball beside the suite's limit; the images need masks.

    Args:
        task: `image-to-image` or `inpainting`.
        steps: Descent steps: on Stable Diffusion the authors' 200, on mini 50 (project-defined).
        alpha: Step size as a share of epsilon. 0.06 is the notebook's 0.006 of 0.1.
        draws: Gradients added up for one step, each with noise of its own: on Stable Diffusion the authors' 10, on mini
            1 (project-defined).
        denoising: Denoising steps of f (the authors: 4).
        edit_strength: Where f starts on the way to pure noise: the authors' image-to-image edits take 0.5.
        chunk: Images that go through f at once. It bounds the memory and does not change the result.
    """

    title = "PhotoGuard (diffusion attack)"
    paper = "https://arxiv.org/abs/2302.06588"
    authors = "Salman and others"
    licence = "Apache-2.0"
    needs = frozenset({"surrogate"})
    defaults = DEFAULTS

    def __init__(
        self,
        *,
        task: str = TASKS[0],
        steps: int | None = None,
        alpha: float = 0.06,
        draws: int | None = None,
        denoising: int = 4,
        edit_strength: float = 0.5,
        chunk: int = 1,
    ) -> None:
        if isinstance(edit_strength, bool) or not 0 < edit_strength <= 1:
            raise ValueError(f"edit_strength: expected a number in (0, 1], got {edit_strength!r}")
        self.parameters = {"steps": optional(whole, "steps", steps), "draws": optional(whole, "draws", draws)}
        self.alpha = positive("alpha", alpha)
        self.task = one_of("task", task, TASKS)
        if self.task == "inpainting":
            self.needs = frozenset({"mask", f"model:{inpainting.MODEL}"})
        self.denoising = whole("denoising", denoising)
        self.edit_strength = edit_strength
        self.chunk = whole("chunk", chunk)

    def protect(self, images: Tensor, request: Request) -> Tensor:
        """Returns the images plus the perturbation after the last step, in whole 8-bit levels within the budget."""
        surrogate = request.surrogate
        values = whitebox.settings(surrogate, self.defaults, self.parameters)
        if self.task == "inpainting":
            return inpainting.protect(images, request, values["steps"], values["draws"], self.denoising)
        scheduler = DDIMScheduler.from_config(surrogate.scheduler.config, clip_sample=False)
        scheduler.set_timesteps(max(self.denoising, round(self.denoising / self.edit_strength)))
        times = [int(t) for t in scheduler.timesteps[-self.denoising :]]
        with torch.no_grad():
            context = whitebox.contexts(surrogate, [""])
            shape = whitebox.latent_means(surrogate, images[:1]).expand(len(images), -1, -1, -1)

        def step(perturbed: Tensor, _number: int) -> tuple[Tensor, Tensor]:
            noises = [whitebox.normal(shape, request.generator) for _ in range(len(times) + 2)]
            parts = []
            for part, rows in _chunks(perturbed, self.chunk):
                own = [noise[rows] for noise in noises]
                parts.append(_norm_and_gradient(surrogate, scheduler, times, context, part, own))
            norms, gradients = zip(*parts, strict=True)
            return torch.cat(norms), torch.cat(gradients)

        schedule = pgd.DescentSchedule(values["steps"], self.alpha, draws=values["draws"], start="zero", keep="last")
        return pgd.descend(images, request.epsilon, step, schedule, request.generator)


def edited(
    surrogate: Surrogate,
    scheduler: DDIMScheduler,
    times: Sequence[int],
    context: Tensor,
    images: Tensor,
    noises: Sequence[Tensor],
) -> Tensor:
    """Returns `[B, 3, H, W]` edits in about [-1, 1] of images in [0, 1], with gradients.

    `noises` are `[B, 4, h, w]`: one for the posterior's sample, one to start from, one a denoising step. The prompt is
    the context `[1, L, C]`: with the empty prompt the guided and the unguided prediction are the same.
    """
    mean, deviation = whitebox.posterior(surrogate, images)
    latents = (mean + deviation * noises[0]) * whitebox.scale(surrogate)
    latents = scheduler.add_noise(latents, noises[1], torch.tensor(times[:1], device=latents.device))
    shared = context.expand(len(images), -1, -1)
    for time, noise in zip(times, noises[2:], strict=True):
        predicted = checkpoint(_predicted, surrogate, latents, time, shared, use_reentrant=False)
        latents = scheduler.step(predicted, time, latents, eta=ETA, variance_noise=noise).prev_sample
    decoded: Tensor = checkpoint(_decoded, surrogate, latents / whitebox.scale(surrogate), use_reentrant=False)
    return decoded


def _predicted(surrogate: Surrogate, latents: Tensor, time: int, context: Tensor) -> Tensor:
    with whitebox.autocast(surrogate.device, surrogate.dtype):
        predicted: Tensor = surrogate.unet(latents, time, encoder_hidden_states=context).sample
    return predicted.float()


def _decoded(surrogate: Surrogate, latents: Tensor) -> Tensor:
    decoded: Tensor = surrogate.vae.decode(latents.to(surrogate.dtype)).sample
    return decoded.float()


def _norm_and_gradient(
    surrogate: Surrogate,
    scheduler: DDIMScheduler,
    times: Sequence[int],
    context: Tensor,
    images: Tensor,
    noises: Sequence[Tensor],
) -> tuple[Tensor, Tensor]:
    def norm(perturbed: Tensor) -> Tensor:
        result = edited(surrogate, scheduler, times, context, perturbed, noises)
        norms: Tensor = result.flatten(1).norm(dim=1)
        return norms

    return pgd.by_autograd(norm)(images, 0)


def _chunks(images: Tensor, size: int) -> list[tuple[Tensor, slice]]:
    return [(images[start : start + size], slice(start, start + size)) for start in range(0, len(images), size)]
