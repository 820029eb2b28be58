"""Training of the perturbations: the multi-layer protection loss on many images at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from cloakbench import Surrogate
from cloakbench_fastprotect.clusters import cluster
from cloakbench_fastprotect.features import encode, entropy
from cloakbench_fastprotect.perturbations import Perturbations
from cloakbench_fastprotect.progress import EVERY, Progress, read
from cloakbench_fastprotect.targets import REPEATS, target

Report = Callable[[str, int, float], None]
"""Called with the target, the step, and the mean loss of the step's images."""
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
        chunk: Images that go through the encoder at once; their gradients are added up over the batch.
    """

    steps: int
    batch: int = 8
    rate: float = 0.02
    epsilon: float = 16 / 255
    layers: float = 3.5e-5
    members: int = 4
    chunk: int = 32


def fit(
    images: Tensor,
    surrogate: Surrogate,
    generator: torch.Generator,
    recipe: FittingRecipe,
    report: Report,
    state: Path | None = None,
) -> Perturbations:
    """Returns perturbations trained on images of one size.

    Args:
        images: `[N, 3, H, W]` in [0, 1].
        surrogate: Whose encoder they are trained against.
        generator: A CPU generator.
        recipe: How they are trained.
        report: Called at every step.
        state: File that keeps how far the training has come. Where it exists, the training goes on from it, and the
            result is that of one without a break; it is removed at the end.

    Raises:
        UserError: The file is of another training, or there are fewer different images than members.
    """
    decisive = {**asdict(recipe), "images": len(images), "side": images.shape[-1], "seed": generator.initial_seed()}
    progress = read(state, decisive)
    with torch.no_grad():
        parts = [encode(surrogate, part.to(surrogate.device))[0] for part in torch.split(images, recipe.chunk)]
    latents = torch.cat(parts)
    centroids, groups = cluster(latents.flatten(1), recipe.members, generator)
    if progress.generator is not None:
        generator.set_state(progress.generator)
    common, mixture, entropies = [], [], []
    for name in REPEATS:
        goal = Goal.of(surrogate, target(name, *images.shape[-2:]).to(surrogate.device), recipe.layers)
        if name not in progress.finished:
            _descend(name, images, groups.cpu(), goal, generator, recipe, partial(report, name), progress)
        trained = progress.finished[name].to(surrogate.device)
        common.append(trained[0])
        mixture.append(trained[1:])
        entropies.append(entropy(surrogate, goal.latent))
    progress.remove()
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
        parts = [_squared(actual, target) for actual, target in zip(features, self.features, strict=True)]
        return _squared(latent, self.latent) + self.layers * torch.stack(parts).mean(0)


def _squared(actual: Tensor, target: Tensor) -> Tensor:
    return (actual - target).square().flatten(1).sum(1)


def _descend(
    name: str,
    images: Tensor,
    groups: Tensor,
    goal: Goal,
    generator: torch.Generator,
    recipe: FittingRecipe,
    report: Callable[[int, float], None],
    progress: Progress,
) -> None:
    """Trains the perturbations `[1 + K, 3, H, W]` for one target, the common one first, in shares of the budget.

    They go into `progress.finished`; a target that was begun goes on.
    """
    device = goal.latent.device
    shares = torch.zeros((1 + recipe.members, *images.shape[1:]), device=device, requires_grad=True)
    optimizer = torch.optim.Adam([shares], recipe.rate, BETAS)
    decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 1e-3, recipe.steps)
    first = 0
    if progress.target == name and progress.shares is not None:
        first = progress.step
        shares.data.copy_(progress.shares)
        optimizer.load_state_dict(progress.optimizer[0])
        decay.load_state_dict(progress.optimizer[1])
    for step in range(first, recipe.steps):
        rows = torch.randint(len(images), (recipe.batch,), generator=generator)
        value = _backward(images, groups, rows, shares, goal, recipe)
        optimizer.step()
        decay.step()
        with torch.no_grad():
            shares.clamp_(-0.5, 0.5)
        report(step, value)
        if (step + 1) % EVERY == 0 and step + 1 < recipe.steps:
            progress.target, progress.step = name, step + 1
            progress.shares, progress.generator = shares.detach().cpu(), generator.get_state()
            progress.optimizer = [optimizer.state_dict(), decay.state_dict()]
            progress.write()
    progress.finished[name] = shares.detach().cpu()
    progress.target, progress.step, progress.shares, progress.generator = "", 0, None, generator.get_state()
    progress.write()


def _backward(images: Tensor, groups: Tensor, rows: Tensor, shares: Tensor, goal: Goal, recipe: FittingRecipe) -> float:
    """Puts the gradient of a batch's mean loss into `shares.grad`, `recipe.chunk` images at once; returns that mean."""
    shares.grad = None
    total = 0.0
    for part in torch.split(rows, recipe.chunk):
        clean = images[part].to(shares.device)
        moved = (clean + recipe.epsilon * (shares[0] + shares[1 + groups[part]])).clamp(0, 1)
        value = goal.loss(moved).sum() / len(rows)
        value.backward()  # type: ignore[no-untyped-call]
        total += float(value.detach())
    return total
