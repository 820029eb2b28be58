"""PhotoGuard's encoder objective with the consistency term."""

from __future__ import annotations

import torch
from torch import Tensor

from cloakbench import Protection, Request, eot, pgd, whitebox
from cloakbench.eot import named
from cloakbench.parameters import flag, optional, positive, whole
from cloakbench_adaptive.consistency import joined, unreproduced

FINAL_SHARE = 0.01
"""The step size decays linearly towards this share of its start, as PhotoGuard's."""

CHUNK = 4
"""Images that go through the autoencoder at once; it bounds the memory and does not change the result."""
DEFAULTS = {"mini": {"steps": 100}, "stable-diffusion": {"steps": 1000}}
"""By family of the surrogate and parameter."""


class AdaptivePhotoGuard(Protection):
    """Minimises `||E(x')||_2 + weight * ||x' - D(E(x'))||_2` with x' = x + delta, over `|delta|_inf <= epsilon`.

    Args:
        steps: Descent steps, as `photoguard`'s: 1000 on Stable Diffusion, 100 on mini.
        alpha: First step size as a share of epsilon (PhotoGuard's notebook).
        weight: Weight of the consistency term, a norm over images in [-1, 1] (project-defined by a small study).
        orthogonal: Whether the consistency gradient is projected orthogonally to the attack's.
        eot: Countermeasures whose expectation is minimised too, such as `blur+jpeg`, or `all`; by default none.
    """

    title = "Adaptive PhotoGuard (against IMPRESS)"
    paper = "https://arxiv.org/abs/2310.19248"
    authors = "Cao and others"
    licence = "Apache-2.0"
    needs = frozenset({"surrogate"})
    defaults = DEFAULTS

    def __init__(
        self,
        *,
        steps: int | None = None,
        alpha: float = 1 / 3,
        weight: float = 0.5,
        orthogonal: bool = False,
        eot: str = "",
    ) -> None:
        self.parameters = {"steps": optional(whole, "steps", steps)}
        self.alpha = positive("alpha", alpha)
        self.weight = positive("weight", weight)
        self.orthogonal = flag("orthogonal", orthogonal)
        self.transforms = named(eot)

    def protect(self, images: Tensor, request: Request) -> Tensor:
        """Returns the images plus the best perturbation found, in whole 8-bit levels within the budget."""
        surrogate = request.surrogate

        def mend(changed: Tensor, latents: Tensor) -> Tensor:
            return _norm(unreproduced(changed, latents, surrogate))

        step = joined(lambda _, latents: _norm(latents), mend, surrogate, self.weight, orthogonal=self.orthogonal)
        step = eot.over(step, self.transforms, request.generator)
        steps = whitebox.settings(surrogate, self.defaults, self.parameters)["steps"]
        schedule, protected = pgd.DescentSchedule(steps, self.alpha, final=FINAL_SHARE), []
        for part in torch.split(images, CHUNK):
            protected.append(pgd.descend(part, request.epsilon, step, schedule, request.generator))
        return torch.cat(protected)


def _norm(values: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(values.flatten(1), dim=1)
    return norm
