"""Score distillation (Xue et al., 2024): follow the denoiser's error into the latent, without its own gradient."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from cloakbench import Protection, Request, Surrogate
from cloakbench.parameters import one_of, optional, positive, whole
from cloakbench.pgd import DescentSchedule, descend_in_chunks
from cloakbench.streams import Generators
from cloakbench.whitebox import contexts, normal, predict, sampled, settings, times
from cloakbench_mist.protection import target_latent

DIRECTIONS = ("minus", "plus")
DEFAULTS = {"mini": {"chunk": 4}, "stable-diffusion": {"chunk": 2}}
"""By family of the surrogate and parameter."""


class ScoreDistillation(Protection):
    """Moves each image along `J_E^T w(t) (eps_theta(z_t, t, c) - eps)`, over `|delta|_inf <= epsilon`.

    J_E is the encoder's Jacobian; the denoiser is only run forward. `minus` goes against this gradient, which lowers
    the diffusion loss and is what the paper recommends; `plus` goes along it.

    Args:
        direction: `minus` or `plus`.
        targeted: Also pull the latent towards Mist's periodic pattern (SDST).
        steps: Steps of the sign of the gradient.
        alpha: Step size as a share of epsilon. 1/16 is the authors' 1/255 of 16/255.
        rate: Weight of the score's gradient beside the pattern's, where `targeted`.
        chunk: Images that go through the model at once: 4 on mini, 2 on Stable Diffusion. It bounds the memory and does
            not change the result.
    """

    title = "Score distillation (SDS)"
    paper = "https://arxiv.org/abs/2311.12832"
    authors = "Xue and others"
    licence = "Apache-2.0"
    needs = frozenset({"surrogate"})
    defaults = DEFAULTS

    def __init__(
        self,
        *,
        direction: str = "minus",
        targeted: bool = False,
        steps: int = 100,
        alpha: float = 1 / 16,
        rate: float = 5.0,
        chunk: int | None = None,
    ) -> None:
        if not isinstance(targeted, bool):
            raise ValueError(f"targeted: expected true or false, got {targeted!r}")
        self.schedule = DescentSchedule(steps, alpha, start="zero", keep="last")
        self.sign = 1 if one_of("direction", direction, DIRECTIONS) == "minus" else -1
        self.targeted = targeted
        self.rate = positive("rate", rate)
        self.parameters = {"chunk": optional(whole, "chunk", chunk)}

    def protect(self, images: Tensor, request: Request) -> Tensor:
        """Returns the images plus the perturbation after the last step, in whole 8-bit levels within the budget."""
        surrogate = request.surrogate
        context = contexts(surrogate, [f"a {request.class_word}"])
        goal = target_latent(surrogate, images) if self.targeted else None

        def of_chunk(_part: Tensor, generators: Generators) -> Callable[[Tensor], Tensor]:
            return self._objective(surrogate, context, goal, generators)

        chunk = settings(request.surrogate, self.defaults, self.parameters)["chunk"]
        return descend_in_chunks(images, request, self.schedule, chunk, of_chunk)

    def _objective(
        self, surrogate: Surrogate, context: Tensor, goal: Tensor | None, generators: Generators
    ) -> Callable[[Tensor], Tensor]:
        """Returns a value `[B]` whose gradient is the one to go against; the value itself means nothing."""

        def value(images: Tensor) -> Tensor:
            latents = sampled(surrogate, images, generators)
            pull = self.sign * latents * score(surrogate, latents, context, generators)
            if goal is not None:
                pull = self.rate * pull + (latents - goal).square()
            return pull.flatten(1).sum(1)

        return value


@torch.no_grad()
def score(surrogate: Surrogate, latents: Tensor, context: Tensor, generators: Generators) -> Tensor:
    """Returns `w(t) (eps_theta(z_t, t, c) - eps)` of scaled latents `[B, 4, h, w]` at a fresh draw, without gradients.

    w(t) is 1 - alpha_bar(t), as in DreamFusion (Poole et al. 2023, arXiv 2209.14988). Where the model predicts v, its
    error times sqrt(alpha_bar(t)) is the error of epsilon (Salimans and Ho 2022, arXiv 2202.00512).
    """
    moments, noise = times(surrogate, len(latents), generators), normal(latents, generators)
    predicted, target = predict(surrogate, latents, noise, moments, context.expand(len(latents), -1, -1))
    alpha_bar = surrogate.scheduler.alphas_cumprod.to(latents)[moments].view(-1, 1, 1, 1)
    as_noise = alpha_bar.sqrt() if surrogate.scheduler.config.prediction_type == "v_prediction" else 1.0
    weighted: Tensor = (1 - alpha_bar) * as_noise * (predicted - target)
    return weighted
