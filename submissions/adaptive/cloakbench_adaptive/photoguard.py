"""PhotoGuard's encoder objective with the consistency term."""

from __future__ import annotations

import torch
from torch import Tensor

from cloakbench import Protection, Request, pgd
from cloakbench.parameters import flag, positive
from cloakbench_adaptive.consistency import joined, unreproduced

FINAL_SHARE = 0.01
"""The step size decays linearly towards this share of its start, as PhotoGuard's."""

CHUNK = 4
"""Images that go through the autoencoder at once; it bounds the memory and does not change the result."""


class AdaptivePhotoGuard(Protection):
    """Minimises `||E(x')||_2 + weight * ||x' - D(E(x'))||_2` with x' = x + delta, over `|delta|_inf <= epsilon`.

    Args:
        steps: Descent steps (project-defined, as `photoguard`'s).
        alpha: First step size as a share of epsilon (PhotoGuard's notebook).
        weight: Weight of the consistency term, a norm over images in [-1, 1] (project-defined by a small study).
        orthogonal: Whether the consistency gradient is projected orthogonally to the attack's.
    """

    title = "Adaptive PhotoGuard (against IMPRESS)"
    paper = "https://arxiv.org/abs/2310.19248"
    licence = "Apache-2.0"
    needs = frozenset({"surrogate"})

    def __init__(
        self, *, steps: int = 100, alpha: float = 1 / 3, weight: float = 0.5, orthogonal: bool = False
    ) -> None:
        self.schedule = pgd.DescentSchedule(steps, alpha, final=FINAL_SHARE)
        self.weight = positive("weight", weight)
        self.orthogonal = flag("orthogonal", orthogonal)

    def protect(self, images: Tensor, request: Request) -> Tensor:
        """Returns the images plus the best perturbation found, in whole 8-bit levels within the budget."""
        surrogate = request.surrogate

        def mend(changed: Tensor, latents: Tensor) -> Tensor:
            return _norm(unreproduced(changed, latents, surrogate))

        step = joined(lambda _, latents: _norm(latents), mend, surrogate, self.weight, orthogonal=self.orthogonal)
        parts = torch.split(images, CHUNK)
        return torch.cat([pgd.descend(p, request.epsilon, step, self.schedule, request.generator) for p in parts])


def _norm(values: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(values.flatten(1), dim=1)
    return norm
