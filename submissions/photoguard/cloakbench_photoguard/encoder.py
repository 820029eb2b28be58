"""PhotoGuard's encoder attack (Salman et al., 2023): pull the latent of an image towards a latent without content."""

from __future__ import annotations

import torch
from torch import Tensor

from cloakbench import Protection, Request, Surrogate, pgd, whitebox
from cloakbench.parameters import one_of, optional, positive, whole

TARGETS = ("zero", "gray")
FINAL_SHARE = 0.01
"""The step size decays linearly towards this share of its start (the authors' code: alpha / 100)."""
DEFAULTS = {"mini": {"steps": 100, "chunk": 16}, "stable-diffusion": {"steps": 1000, "chunk": 4}}
"""By family of the surrogate and parameter."""


class PhotoGuard(Protection):
    """Minimises `|| mu_E(x + delta) - z_t ||_2` over `|delta|_inf <= epsilon` by projected sign descent.

    Args:
        steps: Descent steps: on Stable Diffusion the 1000 of the authors' notebooks, on mini 100 (project-defined).
        target: The latent z_t to move to: `zero` (image-to-image notebook) or `gray`, the latent of a uniformly grey
            image (the authors' demonstration).
        alpha: First step size as a share of epsilon. 1/3 is the notebook's 0.02 of 0.06.
        chunk: Images that go through the encoder at once. It bounds the memory and does not change the result.
    """

    title = "PhotoGuard (encoder attack)"
    paper = "https://arxiv.org/abs/2302.06588"
    authors = "Salman and others"
    licence = "Apache-2.0"
    needs = frozenset({"surrogate"})
    defaults = DEFAULTS

    def __init__(
        self, *, steps: int | None = None, target: str = "zero", alpha: float = 1 / 3, chunk: int | None = None
    ) -> None:
        self.parameters = {"steps": optional(whole, "steps", steps), "chunk": optional(whole, "chunk", chunk)}
        self.alpha = positive("alpha", alpha)
        self.target = one_of("target", target, TARGETS)

    def schedule(self, surrogate: Surrogate) -> pgd.DescentSchedule:
        """Returns the steps of the descent on a surrogate."""
        steps = whitebox.settings(surrogate, self.defaults, self.parameters)["steps"]
        return pgd.DescentSchedule(steps, self.alpha, final=FINAL_SHARE)

    def protect(self, images: Tensor, request: Request) -> Tensor:
        """Returns the images plus the best perturbation found, in whole 8-bit levels within the budget."""
        surrogate, schedule = request.surrogate, self.schedule(request.surrogate)
        with torch.no_grad():
            goal = whitebox.latent_means(surrogate, torch.full_like(images[:1], 0.5))
        if self.target == "zero":
            goal = torch.zeros_like(goal)

        def distance(perturbed: Tensor) -> Tensor:
            norm: Tensor = torch.linalg.vector_norm(
                (whitebox.latent_means(surrogate, perturbed) - goal).flatten(1), dim=1
            )
            return norm

        chunk = whitebox.settings(surrogate, self.defaults, self.parameters)["chunk"]
        step, protected = pgd.by_autograd(distance), []
        for part in torch.split(images, chunk):
            protected.append(pgd.descend(part, request.epsilon, step, schedule, request.generator))
        return torch.cat(protected)
