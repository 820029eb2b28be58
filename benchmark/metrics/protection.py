"""What the mimic got: generated images against the artist's references, in the judge's features."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from benchmark.images import Pixels
from benchmark.metrics import judge as judges
from benchmark.metrics.judge import Judge

Doubles = NDArray[np.float64]


def style_distance(features: Tensor, references: Tensor) -> Tensor:
    """Returns for each generation `[N]` the mean cosine distance to the references; features of unit length."""
    return 1 - features @ references.mean(0)


def frechet(x: Doubles, y: Doubles) -> float:
    """Returns the Frechet distance of two sets `[n, d]`, `[m, d]` seen as Gaussians (Heusel et al. 2017).

    The trace of the root of the covariances' product is the nuclear norm of A B^T, with A and B the centred features
    over the root of n - 1, so that no matrix root is taken. Raises ValueError for fewer than two rows.
    """
    if min(len(x), len(y)) < 2:
        raise ValueError(f"expected at least 2 images in each set, got {len(x)} and {len(y)}")
    a, b = (x - x.mean(0)) / np.sqrt(len(x) - 1), (y - y.mean(0)) / np.sqrt(len(y) - 1)
    spread = (a**2).sum() + (b**2).sum() - 2 * np.linalg.norm(a @ b.T, "nuc")
    return float(max(((x.mean(0) - y.mean(0)) ** 2).sum() + spread, 0.0))


def kid(x: Doubles, y: Doubles) -> float:
    """Returns the unbiased squared MMD of two sets with the kernel (x.y / d + 1)^3, over all pairs.

    Raises ValueError for fewer than two rows.
    """
    if min(len(x), len(y)) < 2:
        raise ValueError(f"expected at least 2 images in each set, got {len(x)} and {len(y)}")
    d = x.shape[1]

    def kernel(a: Doubles, b: Doubles) -> Doubles:
        return np.asarray((a @ b.T / d + 1) ** 3)

    def inside(k: Doubles) -> float:
        n = len(k)
        return float((k.sum() - np.trace(k)) / (n * (n - 1)))

    return inside(kernel(x, x)) + inside(kernel(y, y)) - 2 * float(kernel(x, y).mean())


def measure_generations(
    names: Sequence[str], judge: Judge, features: Tensor, references: Tensor, artist: str
) -> dict[str, list[float]]:
    """Returns the per-generation metrics that apply; accuracy is left out for an artist the judge does not know."""
    values: dict[str, list[float]] = {}
    if "style-distance" in names:
        values["style-distance"] = style_distance(features, references).tolist()
    if "style-accuracy" in names and artist.replace("-", " ") in judge.styles:
        hits = [named == artist.replace("-", " ") for named in judge.named_style(features)]
        values["style-accuracy"] = [float(hit) for hit in hits]
    return values


def measure_sets(names: Sequence[str], judge: Judge, features: Tensor, references: Tensor) -> dict[str, float]:
    """Returns the metrics of the whole set of generations."""
    x, y = features.double(), references.double()
    low = judge.projection.double()
    known: dict[str, Callable[[], float]] = {
        "frechet": lambda: frechet((x @ low).numpy(), (y @ low).numpy()),
        "kid": lambda: kid(x.numpy() * x.shape[1] ** 0.5, y.numpy() * y.shape[1] ** 0.5),
    }
    return {name: known[name]() for name in names}


def _features(images: Sequence[Pixels]) -> Tensor:
    return judges.load().features(images)


Measure = Callable[[Sequence[Pixels], Sequence[Pixels]], Sequence[float]]
"""Takes images and references (none where the metric needs none); returns one value an image, or one for the set."""
MEASURES: dict[str, Measure] = {
    "style-distance": lambda images, references: style_distance(_features(images), _features(references)).tolist(),
    "frechet": lambda images, references: [_of_sets("frechet", images, references)],
    "kid": lambda images, references: [_of_sets("kid", images, references)],
}
"""What `cloakbench measure` can compute of images alone; metrics that need the artist's name are not among it."""


def _of_sets(name: str, images: Sequence[Pixels], references: Sequence[Pixels]) -> float:
    return measure_sets([name], judges.load(), _features(images), _features(references))[name]
