"""Ranks, rank intervals and tie groups of entries, from paired differences over artists."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from cloakbench_leaderboards.scores.statistics import Array

RATE = 0.05
"""Rate of false discoveries among the pairs that are told apart."""
BoolArray = npt.NDArray[np.bool_]
NO_CHECKS: Array = np.empty((0, 0, 0))
"""Stands for checks where a difference has to agree with nothing else."""


class Standing(NamedTuple):
    """The place of one entry."""

    rank: int
    """By value alone, from 1."""
    best: int
    """1 + number of entries above that differ from it significantly."""
    worst: int
    """Number of entries - those below that differ from it significantly."""
    group: str
    """Letter of its tie group, whose entries do not differ significantly from its first."""


def places(values: Array, checks: Array = NO_CHECKS) -> list[Standing]:
    """Returns the place of each entry by its mean; higher is better, equal values keep the order of the rows.

    Args:
        values: What each artist (last axis) contributes to each entry (row); rows hold the same artists.
        checks: As of `told_apart`.
    """
    mean = np.nanmean(values, axis=1)
    apart = told_apart(values, checks)
    above = mean[:, None] < mean[None, :]
    best = 1 + (apart & above).sum(1)
    worst = len(values) - (apart & ~above).sum(1)
    standings: dict[int, Standing] = {}
    leader, number = -1, -1
    for rank, row in enumerate(np.argsort(-mean, kind="stable"), start=1):
        if leader < 0 or apart[leader, row]:
            leader, number = int(row), number + 1
        standings[int(row)] = Standing(rank, int(best[row]), int(worst[row]), _letter(number))
    return [standings[row] for row in range(len(values))]


def told_apart(values: Array, checks: Array = NO_CHECKS) -> BoolArray:
    """Returns for each pair of rows whether their paired difference over artists is not 0.

    A t-test of each pair's differences, all pairs together under Benjamini and Hochberg's (1995) control of the rate
    of false discoveries.

    Args:
        values: What each artist (last axis) contributes to each entry (row).
        checks: Further numbers of the same entries `[numbers, entries, artists]`, whose differences have to agree.
    """
    first, second = np.triu_indices(len(values), 1)
    further = checks[:, first] - checks[:, second] if len(checks) else checks
    rejected = discoveries(agreeing_p(values[first] - values[second], further))
    apart = np.zeros((len(values), len(values)), dtype=bool)
    apart[first[rejected], second[rejected]] = True
    return apart | apart.T


def paired_p(differences: Array) -> Array:
    """Returns the two-sided p of each row's t-test against 0, NaN left out.

    1 where all values are 0 or fewer than two; 0 where all are the same other value.
    """
    if not differences.size:
        return np.ones(len(differences))
    with np.errstate(invalid="ignore", divide="ignore"):
        result = stats.mstats.ttest_1samp(np.ma.masked_invalid(differences), 0.0, axis=1)
    p = np.asarray(np.ma.filled(result.pvalue, math.nan), dtype=float)
    measured = np.isfinite(differences)
    # Without any spread the test has no statistic.
    constant = np.where(np.where(measured, differences, 0.0).any(1), 0.0, 1.0)
    return np.where(measured.sum(1) < 2, 1.0, np.where(np.isfinite(p), p, constant))


def agreeing_p(differences: Array, checks: Array) -> Array:
    """Returns p of the claim that each difference and all its checks have one sign and are not 0.

    An intersection-union test (Berger 1982): the largest p of all, which keeps the level without a correction. 1 where
    a check has the other sign or no value.

    Args:
        differences: One row per pair, artists along the last axis.
        checks: The same pairs by further numbers `[numbers, pairs, artists]`.
    """
    p, sign = paired_p(differences), np.sign(np.nansum(differences, axis=-1))
    for check in checks:
        is_same = np.sign(np.nansum(check, axis=-1)) == sign
        p = np.maximum(p, np.where(is_same, paired_p(check), 1.0))
    return p


def discoveries(p: Array, rate: float = RATE) -> BoolArray:
    """Returns which hypotheses are rejected at a rate of false discoveries (Benjamini and Hochberg 1995).

    Example:
        >>> discoveries(np.array([0.01, 0.04, 0.02, 0.9]))  # limits 0.0125, 0.025, 0.0375, 0.05
        array([ True, False,  True, False])
    """
    if not len(p):
        return np.zeros(0, dtype=bool)
    return np.asarray(stats.false_discovery_control(p) <= rate, dtype=bool)


def flips(ranked: Sequence[float], other: Sequence[float]) -> tuple[int, int]:
    """Returns how many pairs of entries swap their order under another column, and of how many; NaN leaves out.

    Example:
        >>> flips([3, 2, 1], [3, 1, 2])
        (1, 3)
        >>> flips([3, 2, 1], [3, float("nan"), 4])
        (1, 1)
    """
    a, b = np.asarray(ranked, dtype=float), np.asarray(other, dtype=float)
    both = np.isfinite(a) & np.isfinite(b)
    a, b = a[both], b[both]
    first, second = np.triu_indices(len(a), 1)
    swapped = (a[first] - a[second]) * (b[first] - b[second]) < 0
    return int(swapped.sum()), len(first)


def front(curves: Mapping[str, Sequence[tuple[float, float]]]) -> set[str]:
    """Returns the names with a point that no other curve beats: (visibility, P) pairs over rising visibility.

    A point is beaten where another curve has as much P at its visibility, by straight lines and, beyond a curve's end,
    by that end. The start of a curve, with the images as they are, is no point of it.

    Example:
        >>> sorted(front({"a": [(0, 0), (1, 0.5)], "b": [(0, 0), (1, 0.4)], "c": [(0, 0), (2, 0.6)]}))
        ['a', 'c']
    """
    best = set()
    for name, points in curves.items():
        others = []
        for key, other in curves.items():
            if key != name:
                others.append(other)
        for visibility, protection in points[1:]:
            if protection > 0 and all(_at(other, visibility) < protection for other in others):
                best.add(name)
    return best


def _at(curve: Sequence[tuple[float, float]], visibility: float) -> float:
    x, y = zip(*curve, strict=True)
    return float(np.interp(visibility, np.maximum.accumulate(x), y)) if visibility >= x[0] else -math.inf


def _letter(number: int) -> str:
    """Returns A to Z, then AA, AB and so on.

    Example:
        >>> _letter(0), _letter(25), _letter(26)
        ('A', 'Z', 'AA')
    """
    letters = ""
    while number >= 0:
        number, position = divmod(number, 26)
        letters, number = chr(ord("A") + position) + letters, number - 1
    return letters
