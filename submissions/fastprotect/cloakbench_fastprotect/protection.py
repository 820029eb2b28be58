"""FastProtect (Ahn et al., 2025): perturbations trained beforehand, chosen and dosed image by image."""

from __future__ import annotations

import torch
from torch import Tensor

from cloakbench import Protection, Request, Surrogate
from cloakbench.parameters import one_of
from cloakbench.pgd import whole_budget, whole_levels
from cloakbench.whitebox import distance_map, latent_means
from cloakbench_fastprotect import perturbations
from cloakbench_fastprotect.features import entropy
from cloakbench_fastprotect.perturbations import Perturbations
from cloakbench_fastprotect.targets import REPEATS

TARGETS = ("nearest", *REPEATS)


class FastProtect(Protection):
    """Adds `S (1 - M) (delta_g + Delta_k)`: a common perturbation and the one of the image's group, dosed by a map.

    Args:
        target: Whose perturbations are taken: those of the target of `nearest` latent entropy (the paper), or always
            those of `low`, `mid` or `high` repetition.
        adaptive: Whether the perturbation is weakened where it would be seen most, by the perceptual map M.
    """

    title = "FastProtect"
    paper = "https://arxiv.org/abs/2412.11423"
    authors = "Ahn and others"
    licence = "Apache-2.0"
    needs = frozenset({"surrogate"})
    surrogates = perturbations.shipped()
    preparation = perturbations.PREPARATION

    def __init__(self, *, target: str = "nearest", adaptive: bool = True) -> None:
        if not isinstance(adaptive, bool):
            raise ValueError(f"adaptive: expected true or false, got {adaptive!r}")
        self.target = one_of("target", target, TARGETS)
        self.adaptive = adaptive

    @torch.no_grad()
    def protect(self, images: Tensor, request: Request) -> Tensor:
        """Returns the images plus their perturbations, in whole 8-bit levels within the budget.

        Raises UserError where the package holds no perturbations for the surrogate.
        """
        trained = perturbations.load(request.surrogate.name)
        images = images.float()
        shares = self._look_up(images, request.surrogate, trained).to(images)
        if self.adaptive:
            # Of the largest budget at every strength, so that more strength never means less perturbation somewhere.
            full = (images + trained.epsilon * shares).clamp(0, 1)
            shares = shares * (1 - distance_map(request.surrogate.perceptual, images, full).clamp(0, 1))
        levels = whole_budget(request.epsilon)
        return whole_levels(images, levels / 255 * shares, levels)

    def _look_up(self, images: Tensor, surrogate: Surrogate, trained: Perturbations) -> Tensor:
        latents = latent_means(surrogate, images)
        if self.target == "nearest":
            targets = trained.nearest_targets(entropy(surrogate, latents))
        else:
            targets = torch.full((len(images),), list(REPEATS).index(self.target))
        return trained.chosen(targets, trained.groups(latents), (images.shape[-2], images.shape[-1]))
