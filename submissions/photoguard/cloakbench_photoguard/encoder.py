"""PhotoGuard's encoder attack (Salman et al., 2023): pull the latent of an image towards a latent without content."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from benchmark import Protection, Request, Surrogate

TARGETS = ("zero", "gray")
FINAL_SHARE = 0.01
"""The step size decays linearly towards this share of its start (the authors' code: alpha / 100)."""


class PhotoGuard(Protection):
    """Minimises `|| mu_E(x + delta) - z_t ||_2` over `|delta|_inf <= epsilon` by projected sign descent.

    Args:
        steps: Descent steps. The authors' image-to-image notebook takes 1000; 100 is project-defined.
        target: The latent z_t to move to: `zero` (image-to-image notebook) or `gray`, the latent of a uniformly grey
            image (the authors' demonstration).
        alpha: First step size as a share of epsilon. 1/3 is the notebook's 0.02 of 0.06.
    """

    title = "PhotoGuard (encoder attack)"
    paper = "https://arxiv.org/abs/2302.06588"
    licence = "Apache-2.0"
    needs = frozenset({"surrogate"})

    def __init__(self, *, steps: int = 100, target: str = "zero", alpha: float = 1 / 3) -> None:
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise ValueError(f"steps: expected a whole number of at least 1, got {steps!r}")
        if target not in TARGETS:
            raise ValueError(f"target: expected one of {', '.join(TARGETS)}, got {target!r}")
        if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not alpha > 0:
            raise ValueError(f"alpha: expected a share of epsilon above 0, got {alpha!r}")
        self.steps = steps
        self.target = target
        self.alpha = alpha

    def protect(self, images: Tensor, request: Request) -> Tensor:
        """Returns the images plus the best perturbation found, in whole 8-bit levels within the budget."""
        levels = math.floor(request.epsilon * 255 + 1e-6)  # 1e-6: 16 / 255 * 255 may come out below 16
        images = images.float()
        goal = self._goal(images, request.surrogate)
        delta = self._descend(images, goal, levels / 255, request)
        whole = (delta * 255).round().clamp(-levels, levels) / 255
        return (images + whole).clamp(0, 1)

    def _descend(self, images: Tensor, goal: Tensor, epsilon: float, request: Request) -> Tensor:
        delta = _project(_random_start(images, epsilon, request.generator), images, epsilon)
        best, best_distance = delta, torch.full((len(images),), math.inf, device=images.device)
        for step in range(self.steps + 1):
            delta = delta.detach().requires_grad_()
            distance = _distance(latents(images + delta, request.surrogate), goal)
            improved = distance.detach() < best_distance
            best = torch.where(improved.view(-1, 1, 1, 1), delta.detach(), best)
            best_distance = torch.where(improved, distance.detach(), best_distance)
            if step == self.steps:  # the last pass only judges the last iterate
                break
            (gradient,) = torch.autograd.grad(distance.sum(), delta)
            size = epsilon * self.alpha * (1 - (1 - FINAL_SHARE) * step / self.steps)
            delta = _project(delta.detach() - size * gradient.sign(), images, epsilon)
        return best

    def _goal(self, images: Tensor, surrogate: Surrogate) -> Tensor:
        with torch.no_grad():
            goal = latents(torch.full_like(images[:1], 0.5), surrogate)
        return goal if self.target == "gray" else torch.zeros_like(goal)


def latents(images: Tensor, surrogate: Surrogate) -> Tensor:
    """Returns the posterior means of images in [0, 1], in float32 and without the diffusion model's scale factor."""
    mean: Tensor = surrogate.vae.encode((2 * images - 1).to(surrogate.dtype)).latent_dist.mean
    return mean.float()


def _distance(found: Tensor, goal: Tensor) -> Tensor:
    distance: Tensor = torch.linalg.vector_norm((found - goal).flatten(1), dim=1)
    return distance


def _random_start(images: Tensor, epsilon: float, generator: torch.Generator) -> Tensor:
    # Image by image, so that an image's start does not depend on how many follow it.
    draws = [torch.rand(image.shape, generator=generator) for image in images]
    return ((2 * torch.stack(draws) - 1) * epsilon).to(images.device)


def _project(delta: Tensor, images: Tensor, epsilon: float) -> Tensor:
    return (images + delta.clamp(-epsilon, epsilon)).clamp(0, 1) - images
