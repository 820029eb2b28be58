"""AdvDM (Liang et al., 2023): raise the loss by which a diffusion model learns from the images."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from cloakbench import Protection, Request, Surrogate
from cloakbench.parameters import optional, whole
from cloakbench.pgd import DescentSchedule, descend_in_chunks
from cloakbench.streams import Generators
from cloakbench.whitebox import contexts, diffusion_loss, sampled, settings

DEFAULTS = {"mini": {"chunk": 4}, "stable-diffusion": {"chunk": 2}}
"""By family of the surrogate and parameter."""


class AdvDM(Protection):
    """Maximises `E || eps_theta(z_t, t, c) - eps ||^2` over `|delta|_inf <= epsilon` by projected sign ascent.

    Every step draws for each image one latent z of its posterior, one time t and one noise eps; c is "a painting", or
    what the images are.

    Args:
        steps: Ascent steps.
        alpha: Step size as a share of epsilon. 1/16 is the 1/255 of 16/255 of Mist's and Diff-Protect's code.
        chunk: Images that go through the model at once: 4 on mini, 2 on Stable Diffusion. It bounds the memory and does
            not change the result.
    """

    title = "AdvDM"
    paper = "https://arxiv.org/abs/2302.04578"
    authors = "Liang and others"
    licence = "Apache-2.0"
    needs = frozenset({"surrogate"})
    defaults = DEFAULTS

    def __init__(self, *, steps: int = 100, alpha: float = 1 / 16, chunk: int | None = None) -> None:
        self.schedule = DescentSchedule(steps, alpha, start="zero", keep="last")
        self.parameters = {"chunk": optional(whole, "chunk", chunk)}

    def protect(self, images: Tensor, request: Request) -> Tensor:
        """Returns the images plus the perturbation after the last step, in whole 8-bit levels within the budget."""
        context = contexts(request.surrogate, [f"a {request.class_word}"])

        def of_chunk(_part: Tensor, generators: Generators) -> Callable[[Tensor], Tensor]:
            return objective(request.surrogate, context, generators)

        chunk = settings(request.surrogate, self.defaults, self.parameters)["chunk"]
        return descend_in_chunks(images, request, self.schedule, chunk, of_chunk)


def objective(surrogate: Surrogate, context: Tensor, generators: Generators) -> Callable[[Tensor], Tensor]:
    """Returns what AdvDM lowers: images `[B, 3, H, W]` -> their negative diffusion loss `[B]` at a fresh draw."""
    return lambda images: -diffusion_loss(surrogate, sampled(surrogate, images, generators), context, generators)
