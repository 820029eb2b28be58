"""Same difference under each metric: P of entries where they are equally visible by one metric at a time.

Several limits hold at the middle target, and an entry is compared where the first of them binds. Another entry may be
stopped by another metric, so that the two are not equally visible by any of them. So a difference of two entries counts
as shown only where it also stands at equal visibility by each metric alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cloakbench_leaderboards.scores import ranking, statistics
from cloakbench_leaderboards.scores.setting import CLEAN, EntryPoints, Setting
from cloakbench_leaderboards.scores.statistics import LEVEL, Array


@dataclass(frozen=True, slots=True)
class MetricDifference:
    """The difference of two entries where both are equally visible by one metric."""

    metric: str
    change: float
    """Mean over artists; NaN where an entry has no curve."""
    p: float
    """Of no difference, by a paired t-test over artists, uncorrected."""


def metrics(setting: Setting) -> tuple[str, ...]:
    """Returns the metrics that limit visibility at the middle target; none without targets."""
    return tuple(setting.middle.limits)


def stacked(setting: Setting, subjects: Sequence[EntryPoints]) -> Array:
    """Returns `at_equal` of each entry by each metric `[metrics, entries, artists]`."""
    names = metrics(setting)
    values = np.full((len(names), len(subjects), len(setting.grid.artists)), math.nan)
    for row, name in enumerate(names):
        for column, subject in enumerate(subjects):
            values[row, column] = at_equal(setting, subject, name)
    return values


def at_equal(setting: Setting, subject: EntryPoints, metric: str) -> Array:
    """Returns each artist's contribution to P where the artist's images reach the middle target's limit of one metric.

    The attack is the headline's, against which every strength of an entry runs. P of an artist is interpolated by
    straight lines over the share of the limit that the images use, from the unprotected images to the most visible
    point. Past that point nothing is extrapolated: an artist whose images never reach the limit counts at that point.

    Args:
        setting: What all entries share.
        subject: The entry.
        metric: One of `metrics`.

    Returns:
        One value per artist; NaN where no strength of the entry was measured.
    """
    attack, grid = setting.attack.name, setting.grid
    clean = grid.rows.get((CLEAN, 0.0, attack))
    artists = len(grid.artists)
    visibility, p = [], []
    for strength in subject.strengths:
        row, share = (
            grid.rows.get((subject.name, strength, attack)),
            setting.shares.get((subject.name, strength, metric)),
        )
        if strength > 0 and row is not None and share is not None:
            visibility.append(share)
            p.append(grid.p[row])
    if clean is None or not p:
        return np.full(artists, math.nan)
    crossed = at_limit(np.asarray([np.zeros(artists), *visibility]), np.asarray([grid.p[clean], *p]))
    weights = grid.denominator[clean]
    return statistics.contributions(crossed * weights, weights)


def at_limit(shares: Array, p: Array) -> Array:
    """Returns P of each artist where the share of a limit is 1.

    Args:
        shares: Share of the limit that is used, by point (first axis, the unprotected images first) and artist.
        p: P at the same points.

    Returns:
        One value per artist; NaN for an artist without a point beside the unprotected images.

    Example:
        >>> at_limit(np.array([[0.0, 0.0], [0.5, 0.5], [1.5, 0.8]]), np.array([[0.0, 0.0], [0.2, 0.2], [0.4, 0.3]]))
        array([0.3, 0.3])
    """
    values = np.full(p.shape[1], math.nan)
    for artist in range(p.shape[1]):
        measured = np.isfinite(p[:, artist]) & np.isfinite(shares[:, artist])
        if measured[1:].any():
            x, y = shares[measured, artist], p[measured, artist]
            order = x.argsort(kind="stable")
            values[artist] = np.interp(1.0, x[order], y[order])
    return values


def by_metric(names: Sequence[str], checks: Array, first: int, second: int) -> list[MetricDifference]:
    """Returns the difference of two entries, by position, at equal visibility by each metric."""
    return of_pair(names, checks[:, first] - checks[:, second]) if len(names) else []


def of_pair(names: Sequence[str], differences: Array) -> list[MetricDifference]:
    """Returns the mean and p of paired differences over artists `[metrics, artists]`."""
    listed = []
    for name, values in zip(names, differences, strict=True):
        change = float(statistics.difference_estimates(values[None]).value[0])
        listed.append(MetricDifference(name, change, float(ranking.paired_p(values[None])[0])))
    return listed


def disagreeing(change: float, differences: Sequence[MetricDifference]) -> tuple[str, ...]:
    """Returns the metrics at whose equal visibility a difference of this sign is not shown at 5 %.

    Where all show it, but not after a correction for other comparisons, it is the one with the largest p. None where
    there are no metrics.
    """
    names = []
    for difference in differences:
        if not difference.change * change > 0 or difference.p > 1 - LEVEL:
            names.append(difference.metric)
    if differences and not names:
        names.append(max(differences, key=_p).metric)
    return tuple(names)


def not_shown(names: Sequence[str], values: Array, checks: Array) -> dict[tuple[int, int], tuple[str, ...]]:
    """Returns the pairs that are told apart by their values alone, with the metrics that keep them from being shown.

    Args:
        names: The metrics.
        values: What each artist (last axis) contributes to the number that decides the rank of each entry (row).
        checks: P of the entries at equal visibility by each metric `[metrics, entries, artists]`.
    """
    alone, shown = ranking.told_apart(values), ranking.told_apart(values, checks)
    pairs = {}
    for first, second in zip(*np.nonzero(np.triu(alone & ~shown)), strict=True):
        change = float(np.nansum(values[first] - values[second]))
        differences = by_metric(names, checks, int(first), int(second))
        pairs[int(first), int(second)] = disagreeing(change, differences)
    return pairs


def _p(difference: MetricDifference) -> float:
    return difference.p
