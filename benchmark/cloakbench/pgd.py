"""Projected gradient descent on a perturbation: what the attack-based protections share.

A public helper of the submission contract (Madry et al. 2018, arXiv 1706.06083). A protection says what a step's value
and gradient are; here are the random start, the step schedule, the mask, the projection, the accumulation over several
draws, the best iterate, and the rounding to whole 8-bit levels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cloakbench import progress
from cloakbench.parameters import one_of, positive, whole
from cloakbench.streams import Generators, per_item, streams

if TYPE_CHECKING:
    from cloakbench.contract import Request

Step = Callable[[Tensor, int], tuple[Tensor, Tensor]]
"""Perturbed images `[B, 3, H, W]` and the step's number -> value to lower `[B]` and its gradient `[B, 3, H, W]`."""


@dataclass(frozen=True, slots=True)
class DescentSchedule:
    """How far a perturbation moves.

    Attributes:
        steps: Number of steps.
        alpha: First step size as a share of the budget.
        final: Last step size as a share of the first; the decay between is linear. 1 keeps it constant.
        draws: How many gradients are added up for one step, for objectives that draw noise.
        start: `uniform` in the budget, or `zero`.
        keep: `best` returns each image's iterate of lowest value, for which the last one is evaluated once more;
            `last` is right where values are noisy.
    """

    steps: int
    alpha: float
    final: float = 1.0
    draws: int = 1
    start: str = "uniform"
    keep: str = "best"

    def __post_init__(self) -> None:
        whole("steps", self.steps)
        whole("draws", self.draws)
        positive("alpha", self.alpha)
        positive("final", self.final)
        one_of("start", self.start, ("uniform", "zero"))
        one_of("keep", self.keep, ("best", "last"))

    def share(self, step: int) -> float:
        """Returns the size of a step as a share of the budget."""
        return self.alpha * (1 - (1 - self.final) * step / self.steps)


def by_autograd(loss: Callable[[Tensor], Tensor]) -> Step:
    """Returns the step whose value is `loss` (one value per image, `[B]`) and whose gradient autograd computes."""

    def step(images: Tensor, _number: int) -> tuple[Tensor, Tensor]:
        images = images.detach().requires_grad_()
        with torch.enable_grad():
            value = loss(images)
            (gradient,) = torch.autograd.grad(value.sum(), images)
        return value.detach(), gradient

    return step


def descend(
    images: Tensor,
    epsilon: float,
    step: Step,
    schedule: DescentSchedule,
    generators: Generators,
    mask: Tensor | None = None,
) -> Tensor:
    """Returns images moved against the sign of the gradient, within `epsilon` and [0, 1], in whole 8-bit levels.

    Args:
        images: `[B, 3, H, W]` in [0, 1].
        epsilon: L-infinity budget in the images' units; rounded down to whole levels of 1/255.
        step: What to lower. To raise a loss, return it negated.
        schedule: Steps, their size, the start, what is kept.
        generators: One CPU generator, or one per image; used by a uniform start alone.
        mask: Broadcastable to the images, in [0, 1]: the budget's share that each pixel may use.

    The value that `keep="best"` compares is the one before rounding; one of the iterates is the start itself.
    """
    images = images.float()
    levels = whole_budget(epsilon)
    budget: float | Tensor = levels / 255 if mask is None else (levels / 255) * mask.to(images)
    delta = project(_start(images, levels / 255, schedule, generators), images, budget)
    best, lowest = delta, torch.full((len(images),), math.inf, device=images.device)
    total = schedule.steps + (schedule.keep == "best")
    for number in progress.track(range(total), total, "steps"):
        value, gradient = _accumulated(step, images + delta, number, schedule.draws)
        if schedule.keep == "best":
            improved = value < lowest
            best = torch.where(improved.view(-1, 1, 1, 1), delta, best)
            lowest = torch.where(improved, value, lowest)
            if number == schedule.steps:  # the last pass only judges the last iterate
                break
        size = levels / 255 * schedule.share(number)
        delta = project(delta - size * gradient.sign(), images, budget)
    chosen = best if schedule.keep == "best" else delta
    return whole_levels(images, chosen, levels)


def project(delta: Tensor, images: Tensor, budget: float | Tensor) -> Tensor:
    """Returns the perturbation inside the budget (a number, or one per pixel), with the perturbed images in [0, 1]."""
    bounded = delta.clamp(-budget, budget) if isinstance(budget, float) else delta.clamp(min=-budget, max=budget)
    return (images + bounded).clamp(0, 1) - images


def whole_budget(epsilon: float) -> int:
    """Returns an L-infinity budget in units of [0, 1] images as whole 8-bit levels, rounded down."""
    return math.floor(epsilon * 255 + 1e-6)  # 1e-6: 16 / 255 * 255 may come out below 16


def whole_levels(images: Tensor, delta: Tensor, levels: int) -> Tensor:
    """Returns perturbed images in [0, 1] that differ from images of a PNG by whole levels, `levels` at most.

    What is saved is then what was computed: rounding neither adds to the budget nor wipes out the perturbation.
    """
    whole = (delta * 255).round().clamp(-levels, levels) / 255
    return (images + whole).clamp(0, 1)


def in_chunks(
    images: Tensor,
    chunk: int,
    generator: torch.Generator,
    move: Callable[[Tensor, Sequence[torch.Generator]], Tensor],
) -> Tensor:
    """Returns what `move` makes of the images, `chunk` at a time, each image with a stream of its own."""
    own = streams(generator, len(images))
    return torch.cat([move(images[n : n + chunk], own[n : n + chunk]) for n in range(0, len(images), chunk)])


def descend_in_chunks(
    images: Tensor,
    request: Request,
    schedule: DescentSchedule,
    chunk: int,
    objective: Callable[[Tensor, Generators], Callable[[Tensor], Tensor]],
) -> Tensor:
    """Returns the images after `descend` within the request's budget, `chunk` images at a time.

    Args:
        images: `[B, 3, H, W]` in [0, 1].
        request: Its `epsilon` is the budget, its `generator` seeds a stream for each image.
        schedule: Steps, their size, the start, which iterate is returned.
        chunk: Images that go through the model at once; it bounds the memory and does not change the result.
        objective: Called with a chunk and its streams; returns what to lower, from images to one value per image.
    """

    def move(part: Tensor, generators: Generators) -> Tensor:
        return descend(part, request.epsilon, by_autograd(objective(part, generators)), schedule, generators)

    return in_chunks(images, chunk, request.generator, move)


def _start(images: Tensor, epsilon: float, schedule: DescentSchedule, generators: Generators) -> Tensor:
    if schedule.start == "zero":
        return torch.zeros_like(images)
    # Image by image, so that an image's start does not depend on how many follow it.
    own = zip(images, per_item(generators, len(images)), strict=True)
    draws = [torch.rand(image.shape, generator=generator) for image, generator in own]
    return ((2 * torch.stack(draws) - 1) * epsilon).to(images.device)


def _accumulated(step: Step, images: Tensor, number: int, draws: int) -> tuple[Tensor, Tensor]:
    value, gradient = step(images, number)
    for _ in range(draws - 1):
        more_value, more_gradient = step(images, number)
        value, gradient = value + more_value, gradient + more_gradient
    return value / draws, gradient
