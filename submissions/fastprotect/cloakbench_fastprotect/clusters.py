"""K-means with k-means++ seeding (Arthur and Vassilvitskii 2007), which groups the training images."""

from __future__ import annotations

import torch
from torch import Tensor

from cloakbench.errors import UserError

ROUNDS = 100


def cluster(points: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Returns `count` centroids `[K, D]` and the group `[N]` of each of the points `[N, D]`.

    Raises UserError for fewer different points than centroids.
    """
    centroids = _seeds(points, count, generator)
    groups = torch.cdist(points, centroids).argmin(1)
    for _ in range(ROUNDS):
        means = centroids.clone()
        for k in set(groups.tolist()):
            means[k] = points[groups == k].mean(0)
        centroids = means
        before, groups = groups, torch.cdist(points, centroids).argmin(1)
        if torch.equal(before, groups):
            break
    return centroids, groups


def _seeds(points: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Draws each next seed with the probability of its squared distance to the nearest one so far."""
    chosen = [int(torch.randint(len(points), (1,), generator=generator))]
    while len(chosen) < count:
        weights = torch.cdist(points, points[chosen]).amin(1).square()
        if not bool((weights > 0).any()):
            raise UserError(f"expected at least {count} different images, got {len(chosen)}", "Train on more images.")
        chosen.append(int(torch.multinomial(weights.cpu(), 1, generator=generator)))
    return points[chosen]
