"""Steps in a series: the piecewise constant that fits best, with a penalty for every further piece."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

LEAST_POINTS = 8
"""The price of a step is never lower than among so many points: few points step by chance too."""
_ROBUST = 0.6745 * math.sqrt(2)
"""Median size of a difference of two values with standard deviation 1."""


class Piece(NamedTuple):
    """A stretch of a series with one level."""

    start: int
    stop: int
    """The first point after it."""
    level: float


def fit(values: Sequence[float], least: float) -> list[Piece]:
    """Returns the pieces of a series in order; `least` is the smallest step that matters.

    Minimised is the sum of squared residuals / noise^2 + 3 ln(n) for each step: more than Schwarz's criterion requires
    for a place and a level, because the place is the best of n, and less would find steps in noise. The noise is the
    median size of the differences between neighbours, as of a normal distribution, which steps hardly move; at the
    least it is what makes a step of `least` between two points just worth its price.

    Example:
        >>> [(piece.start, piece.stop) for piece in fit([0.5, 0.51, 0.49, 0.2, 0.21], least=0.1)]
        [(0, 3), (3, 5)]
    """
    x = np.asarray(values, dtype=float)
    if not len(x):
        return []
    price = 3 * math.log(max(len(x), LEAST_POINTS))
    noise = max(_noise(x), least / math.sqrt(2 * price))
    sums, squares = _running_sum(x), _running_sum(x**2)

    def residual(start: int, stop: int) -> float:
        total = sums[stop] - sums[start]
        return float(squares[stop] - squares[start] - total**2 / (stop - start)) / noise**2

    best, cut = [-price], [0]
    for stop in range(1, len(x) + 1):
        costs = []
        for start in range(stop):
            costs.append(best[start] + price + residual(start, stop))
        cut.append(min(range(stop), key=costs.__getitem__))
        best.append(costs[cut[-1]])
    return _pieces(x, cut)


def _pieces(x: np.ndarray, cut: Sequence[int]) -> list[Piece]:
    """Returns the pieces in order; `cut` holds the start of the last piece of each stretch from the first point."""
    pieces, stop = [], len(x)
    while stop:
        pieces.append(Piece(cut[stop], stop, float(x[cut[stop] : stop].mean())))
        stop = cut[stop]
    return pieces[::-1]


def has_regressed(pieces: Sequence[Piece], least: float) -> bool:
    """Returns whether the last level is at least `least` below the best one that there was.

    Example:
        >>> has_regressed([Piece(0, 3, 0.5), Piece(3, 5, 0.2)], 0.1), has_regressed([Piece(0, 5, 0.5)], 0.1)
        (True, False)
    """
    return bool(pieces) and max(piece.level for piece in pieces) - pieces[-1].level >= least


def _running_sum(x: np.ndarray) -> np.ndarray:
    return np.concatenate([[0.0], np.cumsum(x)])


def _noise(x: np.ndarray) -> float:
    # Of two differences the smaller: one of them may be the step.
    return float(np.quantile(np.abs(np.diff(x)), 0.5, method="lower")) / _ROBUST if len(x) > 2 else 0.0
