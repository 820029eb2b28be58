"""Training of the perturbations: the multi-layer protection loss on many images at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from cloakbench import Surrogate
from cloakbench_fastprotect.clusters import cluster
from cloakbench_fastprotect.features import encode, entropy
from cloakbench_fastprotect.perturbations import Perturbations
from cloakbench_fastprotect.targets import REPEATS, target

Report = Callable[[str, int, float], None]
"""Called with the target, the step, and the mean loss of the step's images."""
CHUNK = 32
BETAS = (0.5, 0.99)


@dataclass(frozen=True, slots=True)
class FittingRecipe:
    """How the perturbations are trained.

    Attributes:
        steps: Steps of Adam for each target.
        batch: Images a step.
        rate: First learning rate, in units of the whole budget; it falls linearly to 0.
        epsilon: L-infinity budget of common perturbation and member together, in units of [0, 1] images.
        layers: Weight of the features' term beside the latents' (lambda).
        members: Perturbations in the mixture (K).
    """

    steps: int
    batch: int = 8
    rate: float = 0.02
    epsilon: float = 16 / 255
    layers: float = 3.5e-5
    members: int = 4


def fit(
    images: Tensor, surrogate: Surrogate, generator: torch.Generator, recipe: FittingRecipe, report: Report
) -> Perturbations:
    """Returns perturbations trained on images `[N, 3, H, W]` in [0, 1] of one size; `generator` is a CPU generator."""
    with torch.no_grad():
        latents = torch.cat([encode(surrogate, part.to(surrogate.device))[0] for part in torch.split(images, CHUNK)])
    centroids, groups = cluster(latents.flatten(1), recipe.members, generator)
    common, mixture, entropies = [], [], []
    for name in REPEATS:
        goal = Goal.of(surrogate, target(name, *images.shape[-2:]).to(surrogate.device), recipe.layers)
        trained = _descend(images, groups.cpu(), goal, generator, recipe, partial(report, name))
        common.append(trained[0])
        mixture.append(trained[1:])
        entropies.append(entropy(surrogate, goal.latent))
    return Perturbations(
        torch.stack(common),
        torch.stack(mixture),
        centroids.view(-1, *latents.shape[1:]),
        torch.cat(entropies),
        torch.tensor(recipe.epsilon),
    )


@dataclass(frozen=True, slots=True)
class Goal:
    """Latent and features of a target, and the distance to them."""

    surrogate: Surrogate
    latent: Tensor
    features: list[Tensor]
    layers: float

    @classmethod
    @torch.no_grad()
    def of(cls, surrogate: Surrogate, picture: Tensor, layers: float) -> Goal:
        """Returns the goal that a target image `[1, 3, H, W]` stands for."""
        latent, features = encode(surrogate, picture)
        return cls(surrogate, latent, features, layers)

    def loss(self, images: Tensor) -> Tensor:
        """Returns `||z - z_y||^2 + (lambda / L) sum_l ||F_l - F_l,y||^2` of each image, `[B]`."""
        latent, features = encode(self.surrogate, images)
        parts = [_squared(actual, wanted) for actual, wanted in zip(features, self.features, strict=True)]
        return _squared(latent, self.latent) + self.layers * torch.stack(parts).mean(0)


def _squared(actual: Tensor, wanted: Tensor) -> Tensor:
    return (actual - wanted).square().flatten(1).sum(1)


def _descend(
    images: Tensor,
    groups: Tensor,
    goal: Goal,
    generator: torch.Generator,
    recipe: FittingRecipe,
    report: Callable[[int, float], None],
) -> Tensor:
    """Returns the perturbations `[1 + K, 3, H, W]` for one target, the common one first, in shares of the budget."""
    shares = torch.zeros((1 + recipe.members, *images.shape[1:]), device=goal.latent.device, requires_grad=True)
    optimizer = torch.optim.Adam([shares], recipe.rate, BETAS)
    decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 1e-3, recipe.steps)
    for step in range(recipe.steps):
        rows = torch.randint(len(images), (recipe.batch,), generator=generator)
        given = images[rows].to(shares.device)
        moved = (given + recipe.epsilon * (shares[0] + shares[1 + groups[rows]])).clamp(0, 1)
        value = goal.loss(moved).mean()
        optimizer.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        decay.step()
        with torch.no_grad():
            shares.clamp_(-0.5, 0.5)
        report(step, float(value.detach()))
    return shares.detach()
