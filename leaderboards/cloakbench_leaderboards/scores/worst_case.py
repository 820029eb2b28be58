"""The worst case over attacks: chosen on other artists than it is scored on, and the interval includes the choice."""

from __future__ import annotations

import itertools
import math
from functools import lru_cache

import numpy as np

from cloakbench_leaderboards.scores.statistics import Array

MOST_HALVES = 20_000
"""Up to so many halves of the artists are all used (16 artists have 12,870); of more, so many are drawn."""


def least(values: Array, weights: Array) -> Array:
    """Returns what each artist contributes to the weighted mean under the attack that is lowest for the entry.

    A minimum of noisy means is too low. So each artist is scored under the attack with the lowest weighted mean over
    half of the artists, itself not among them, and the scores are averaged over all such halves. Options that are
    equal are then without bias.

    The contributions are jackknife pseudo-values around the mean (Tukey 1958): the number is computed again without
    each artist, the choice included. So the spread over artists holds the chance of the choice, which the spread of
    the scores alone does not.

    Args:
        values: One value per option (first axis) and artist; NaN where absent.
        weights: One weight per artist; NaN where the artist does not count.

    Returns:
        One contribution per artist, whose mean is the number; NaN for an artist without a value under some option.

    Example:
        >>> least(np.array([[0.5, 0.5, 0.5, 0.5], [0.2, 0.2, 0.2, np.nan]]), np.ones(4))
        array([0.2, 0.2, 0.2, nan])
    """
    complete = np.isfinite(values).all(0) & np.isfinite(weights)
    contributions = np.full(len(complete), math.nan)
    if complete.any():
        contributions[complete] = _pseudo_values(values[:, complete], weights[complete])
    return contributions


def _pseudo_values(values: Array, weights: Array) -> Array:
    whole, count = _mean(values, weights), len(weights)
    if count == 1:
        return np.full(1, whole)
    without = np.empty(count)
    for artist in range(count):
        without[artist] = _mean(np.delete(values, artist, axis=1), np.delete(weights, artist))
    return np.asarray(whole + (count - 1) * (without.mean() - without))


def _mean(values: Array, weights: Array) -> float:
    """Returns the weighted mean over artists, each scored under the attacks that are lowest on halves without it."""
    half = _halves(len(weights))
    lowest = (half @ (values * weights).T).argmin(1)
    chosen = np.zeros((len(lowest), len(values)))
    chosen[np.arange(len(lowest)), lowest] = 1.0
    shares = (1.0 - half).T @ chosen
    shares /= shares.sum(1, keepdims=True)
    return float((shares.T * values * weights).sum() / weights.sum())


@lru_cache(maxsize=64)
def _halves(artists: int) -> Array:
    """Returns halves of the artists, one a row: 1 for an artist that is in it, else 0.

    All of them, or as many as `MOST_HALVES` drawn at random with a fixed seed.
    """
    size = artists // 2
    if math.comb(artists, size) <= MOST_HALVES:
        members = np.asarray(list(itertools.combinations(range(artists), size)), dtype=int)
    else:
        drawn = np.random.default_rng(artists).random((MOST_HALVES, artists))
        members = drawn.argsort(1, kind="stable")[:, :size]
    half = np.zeros((len(members), artists))
    np.put_along_axis(half, members, 1.0, axis=1)
    return half
