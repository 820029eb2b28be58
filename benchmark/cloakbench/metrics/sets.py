"""Distances between two sets of features, each set a matrix with one row per image; pure functions, no networks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cloakbench.errors import UserError

Doubles = NDArray[np.float64]
CMMD_SIGMA, CMMD_SCALE = 10.0, 1000.0
"""Bandwidth and scale of Jayasumana et al. 2024."""
NEIGHBOURS = 3
"""Kynkaanniemi et al. 2019."""


def frechet(x: Doubles, y: Doubles) -> float:
    """Returns the Frechet distance of two sets `[n, d]`, `[m, d]` seen as Gaussians (Heusel et al. 2017), from 0 up.

    The trace of the root of the covariances' product is the nuclear norm of A B^T, with A and B the centred features
    over the root of n - 1, so that no matrix root is taken. The more dimensions than images there are, the more it is
    biased upwards. Raises UserError for sets of fewer than two images or of two widths.
    """
    _check(x, y, 2)
    a, b = (x - x.mean(0)) / np.sqrt(len(x) - 1), (y - y.mean(0)) / np.sqrt(len(y) - 1)
    spread = (a**2).sum() + (b**2).sum() - 2 * np.linalg.norm(a @ b.T, "nuc")
    return float(max(((x.mean(0) - y.mean(0)) ** 2).sum() + spread, 0.0))


def kid(x: Doubles, y: Doubles) -> float:
    """Returns the unbiased squared MMD of two sets with the kernel (x.y / d + 1)^3 (Binkowski et al. 2018).

    Over all pairs, so that nothing is drawn at random; it may be slightly negative, also for equal sets. Raises
    UserError for sets of fewer than two images or of two widths.
    """
    _check(x, y, 2)
    d = x.shape[1]

    def kernel(a: Doubles, b: Doubles) -> Doubles:
        return np.asarray((a @ b.T / d + 1) ** 3)

    def inside(k: Doubles) -> float:
        n = len(k)
        return float((k.sum() - np.trace(k)) / (n * (n - 1)))

    return inside(kernel(x, x)) + inside(kernel(y, y)) - 2 * float(kernel(x, y).mean())


def cmmd(x: Doubles, y: Doubles) -> float:
    """Returns 1000 times the squared MMD with the Gaussian kernel of sigma 10 (Jayasumana et al. 2024), from 0 up.

    `x` and `y` are CLIP embeddings of unit length. As in the authors' code it is the biased estimator, which counts
    each image's kernel with itself: 0 for equal sets. Raises UserError for sets of fewer than two images or of two
    widths.
    """
    _check(x, y, 2)

    def kernel(a: Doubles, b: Doubles) -> float:
        return float(np.exp(-_squared_distances(a, b) / (2 * CMMD_SIGMA**2)).mean())

    return CMMD_SCALE * max(kernel(x, x) + kernel(y, y) - 2 * kernel(x, y), 0.0)


def precision(x: Doubles, y: Doubles, neighbours: int = NEIGHBOURS) -> float:
    """Returns the share in [0, 1] of the images `x` that lie on the manifold of `y` (Kynkaanniemi et al. 2019).

    The manifold is the union of balls around the images `y` that reach to the `neighbours`-th nearest other one. Raises
    UserError for fewer than `neighbours` + 1 images `y`, or two widths.
    """
    _check(x, y, 1, neighbours + 1)
    # The nearest to each image is that image itself.
    reach = np.partition(_squared_distances(y, y), neighbours, axis=1)[:, neighbours]
    return float((_squared_distances(x, y) <= reach).any(1).mean())


def recall(x: Doubles, y: Doubles, neighbours: int = NEIGHBOURS) -> float:
    """Returns the share in [0, 1] of the images `y` that lie on the manifold of `x`; the converse of `precision`."""
    _check(x, y, neighbours + 1, 1)
    return precision(y, x, neighbours)


def _squared_distances(a: Doubles, b: Doubles) -> Doubles:
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    return np.asarray(np.maximum(squares, 0.0))


def _check(x: Doubles, y: Doubles, least_x: int, least_y: int | None = None) -> None:
    least_y = least_x if least_y is None else least_y
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or not x.shape[1]:
        raise UserError(
            f"expected two sets of features [n, d] and [m, d], got {list(x.shape)} and {list(y.shape)}",
            "Take both from one network, one row per image.",
        )
    if len(x) < least_x or len(y) < least_y:
        least = f"{least_x} images in each set" if least_x == least_y else f"{least_x} and {least_y} images"
        raise UserError(f"expected at least {least}, got {len(x)} and {len(y)}", "Give more images.")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise UserError("expected finite features, got some that are not", "Compute them again.")
