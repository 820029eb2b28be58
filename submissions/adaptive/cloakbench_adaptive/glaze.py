"""Glaze's objective with the consistency term."""

from __future__ import annotations

from torch import Tensor

from cloakbench import Request, pgd
from cloakbench.parameters import flag, positive
from cloakbench_adaptive.consistency import joined, unreproduced
from cloakbench_glaze import Glaze
from cloakbench_glaze.glaze import CHOSEN, Loss


class AdaptiveGlaze(Glaze):
    """Minimises Glaze's objective plus `weight * MSE(x', D(E(x')))`.

    Args:
        steps: Adam's steps, as `glaze`'s.
        style: The target style, as `glaze`'s.
        weight: Weight of the consistency term, for images in [-1, 1] (project-defined by a small study).
        orthogonal: Whether the consistency gradient is projected orthogonally to that of Glaze's objective.
    """

    title = "Adaptive Glaze (against IMPRESS)"
    paper = "https://arxiv.org/abs/2310.19248"
    authors = "Cao and others"

    def __init__(
        self, *, steps: int | None = None, style: str = CHOSEN, weight: float = 30.0, orthogonal: bool = False
    ) -> None:
        super().__init__(steps=steps, style=style)
        self.weight = positive("weight", weight)
        self.orthogonal = flag("orthogonal", orthogonal)

    def step(self, loss: Loss, request: Request) -> pgd.Step:
        """Returns value and gradient of both terms for a step of the descent."""
        surrogate = request.surrogate

        def mend(changed: Tensor, latents: Tensor) -> Tensor:
            return unreproduced(changed, latents, surrogate).square().mean((1, 2, 3))

        return joined(loss, mend, surrogate, self.weight, orthogonal=self.orthogonal)
