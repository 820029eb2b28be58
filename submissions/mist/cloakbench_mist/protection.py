"""Mist (Liang and Wu, 2023): raise the diffusion loss, or pull the latent to a texture, or both at once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from cloakbench import Protection, Request, Surrogate
from cloakbench.parameters import one_of, optional, positive, whole
from cloakbench.pgd import DescentSchedule, descend_in_chunks
from cloakbench.streams import Generators
from cloakbench.whitebox import contexts, diffusion_loss, latent_means, sampled, scale, settings
from cloakbench_mist.target import pattern

MODES = ("semantic", "textural", "fused")
RATE = 10_000 / (4 * 64 * 64)
"""Weight of the semantic term where the textural one is a mean: the authors' 10,000 stands beside a sum over the
latent's 4 x 64 x 64 values, and a mean makes the balance the same at every image size."""
DEFAULTS = {"mini": {"chunk": 4}, "stable-diffusion": {"chunk": 2}}
"""By family of the surrogate and parameter."""


class Mist(Protection):
    """Lowers `mean (z - z_y)^2 - rate * || eps_theta(z_t, t, c) - eps ||^2` over `|delta|_inf <= epsilon`.

    z is drawn from the posterior of the perturbed image, z_y is the latent of a periodic pattern. `semantic` is the
    second term alone, `textural` the first, `fused` both.

    Args:
        mode: `semantic`, `textural` or `fused`, the authors' modes 0, 1 and 2.
        steps: Descent steps.
        alpha: Step size as a share of epsilon. 1/16 is the authors' 1/255 of 16/255.
        rate: Weight of the semantic term in `fused`.
        chunk: Images that go through the model at once: 4 on mini, 2 on Stable Diffusion. It bounds the memory and does
            not change the result.
    """

    title = "Mist"
    paper = "https://arxiv.org/abs/2305.12683"
    authors = "Liang and Wu"
    licence = "Apache-2.0"
    needs = frozenset({"surrogate"})
    defaults = DEFAULTS

    def __init__(
        self,
        *,
        mode: str = "fused",
        steps: int = 100,
        alpha: float = 1 / 16,
        rate: float = RATE,
        chunk: int | None = None,
    ) -> None:
        self.schedule = DescentSchedule(steps, alpha, start="uniform", keep="last")
        self.mode = one_of("mode", mode, MODES)
        self.rate = positive("rate", rate)
        self.parameters = {"chunk": optional(whole, "chunk", chunk)}

    def protect(self, images: Tensor, request: Request) -> Tensor:
        """Returns the images plus the perturbation after the last step, in whole 8-bit levels within the budget."""
        surrogate = request.surrogate
        context = contexts(surrogate, [f"a {request.class_word}"])
        goal = target_latent(surrogate, images)

        def of_chunk(_part: Tensor, generators: Generators) -> Callable[[Tensor], Tensor]:
            return objective(surrogate, context, goal, generators, mode=self.mode, rate=self.rate)

        chunk = settings(request.surrogate, self.defaults, self.parameters)["chunk"]
        return descend_in_chunks(images, request, self.schedule, chunk, of_chunk)


def target_latent(surrogate: Surrogate, images: Tensor) -> Tensor:
    """Returns the scaled latent `[1, 4, h, w]` of the pattern at the size of the images: its posterior's mean."""
    with torch.no_grad():
        means = latent_means(surrogate, pattern(*images.shape[-2:]).to(images))
    return means * scale(surrogate)


def objective(
    surrogate: Surrogate,
    context: Tensor,
    goal: Tensor,
    generators: Generators,
    *,
    mode: str = "fused",
    rate: float = RATE,
) -> Callable[[Tensor], Tensor]:
    """Returns what Mist lowers: images `[B, 3, H, W]` -> their value `[B]` at a fresh draw.

    `context` is the prompt's, `[1, L, C]`; `goal` the scaled latent to pull towards, `[1, 4, h, w]`.
    """

    def value(images: Tensor) -> Tensor:
        latents = sampled(surrogate, images, generators)
        textural = (latents - goal).square().flatten(1).mean(1)
        if mode == "textural":
            return textural
        semantic = -diffusion_loss(surrogate, latents, context, generators)
        return semantic if mode == "semantic" else textural + rate * semantic

    return value
