"""PID (Li et al., 2024): move the posterior that the autoencoder gives an image, whatever the prompt of a mimic."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from cloakbench import Protection, Request, Surrogate
from cloakbench.parameters import optional, positive, whole
from cloakbench.pgd import DescentSchedule, descend_in_chunks
from cloakbench.streams import Generators
from cloakbench.whitebox import posterior, settings

DEFAULTS = {"mini": {"steps": 100, "chunk": 4}, "stable-diffusion": {"steps": 1000, "chunk": 2}}
"""By family of the surrogate and parameter."""


class Pid(Protection):
    """Maximises `MSE(mu(x'), mu(x)) + weight * MSE(log var(x'), log var(x))` over `|delta|_inf <= epsilon`.

    mu and var are mean and variance of the autoencoder's posterior; denoiser and text encoder play no part.

    Args:
        steps: Ascent steps: the authors' 1,000 on Stable Diffusion, 100 on mini (project-defined).
        alpha: Step size as a share of epsilon (project-defined).
        weight: Weight of the variance's term; 1 is the authors' sum.
        chunk: Images that go through the model at once: 4 on mini, 2 on Stable Diffusion. It bounds the memory and does
            not change the result.
    """

    title = "PID (prompt-independent defense)"
    paper = "https://arxiv.org/abs/2406.15305"
    authors = "Li and others"
    licence = "Apache-2.0"
    needs = frozenset({"surrogate"})
    defaults = DEFAULTS

    def __init__(
        self, *, steps: int | None = None, alpha: float = 1 / 10, weight: float = 1.0, chunk: int | None = None
    ) -> None:
        self.parameters = {"steps": optional(whole, "steps", steps), "chunk": optional(whole, "chunk", chunk)}
        self.alpha = positive("alpha", alpha)
        self.weight = positive("weight", weight)

    def protect(self, images: Tensor, request: Request) -> Tensor:
        """Returns the images plus the best perturbation found, in whole 8-bit levels within the budget."""
        chosen = settings(request.surrogate, self.defaults, self.parameters)
        schedule = DescentSchedule(chosen["steps"], self.alpha)

        def of_chunk(part: Tensor, _generators: Generators) -> Callable[[Tensor], Tensor]:
            return objective(request.surrogate, part, self.weight)

        return descend_in_chunks(images.float(), request, schedule, chosen["chunk"], of_chunk)


def objective(surrogate: Surrogate, originals: Tensor, weight: float) -> Callable[[Tensor], Tensor]:
    """Returns what PID lowers: images `[B, 3, H, W]` -> how far their posteriors are from the originals', negated."""
    with torch.no_grad():
        mean, deviation = posterior(surrogate, originals)

    def value(images: Tensor) -> Tensor:
        moved_mean, moved_deviation = posterior(surrogate, images)
        # The logarithm of the variance is twice that of the deviation.
        moved_variance = 2 * (moved_deviation.log() - deviation.log())
        distances = (moved_mean - mean).square() + weight * moved_variance.square()
        return -distances.flatten(1).mean(1)

    return value
