"""Pure statistics of the board: the artist is the unit of replication, and no interval is ever silently absent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

MIN_ARTISTS = 6
"""Below this many artists no interval is given."""
LEVEL = 0.95
SIGNAL_RATIO = 3.0
"""The denominator's lower limit has to reach this many times the placebo noise."""


class Estimate(NamedTuple):
    """A number with its interval; where there is none, `reason` says why."""

    value: float
    half_width: float
    """Half of the 95 % interval; NaN where there is none."""
    n: int
    """Number of artists."""
    reason: str

    @property
    def has_interval(self) -> bool:
        """Whether an interval is known."""
        return math.isfinite(self.half_width)


def mean(values: Sequence[float]) -> Estimate:
    """Returns the mean over artists with its t-interval.

    Example:
        >>> mean([1, 2, 3, 4, 5, 6]).value
        3.5
        >>> round(mean([1, 2, 3, 4, 5, 6]).half_width, 3)  # t(5) = 2.5706, sd = 1.8708, root 6 = 2.4495
        1.963
        >>> mean([1, 2]).reason
        '2 artists, an interval needs 6'
    """
    return ratio(values, [1.0] * len(values))


def ratio(numerators: Sequence[float], denominators: Sequence[float]) -> Estimate:
    """Returns sum(numerators) / sum(denominators) over artists, with a t-interval by linearisation.

    With residuals e = y - r w the variance of r is n / (n - 1) * sum(e^2) / sum(w)^2 (Cochran 1977, eq. 6.13).

    Example:
        >>> ratio([1, 2], [2, 4]).value
        0.5
        >>> ratio([], []).reason
        'no artist'
    """
    y, w = np.asarray(numerators, dtype=float), np.asarray(denominators, dtype=float)
    n = len(y)
    if n == 0:
        return Estimate(math.nan, math.nan, 0, "no artist")
    value = float(y.sum() / w.sum())
    if n < MIN_ARTISTS:
        return Estimate(value, math.nan, n, too_few(n))
    residuals = y - value * w
    error = math.sqrt(n / (n - 1) * float(residuals @ residuals)) / abs(float(w.sum()))
    return Estimate(value, float(stats.t.ppf((1 + LEVEL) / 2, n - 1)) * error, n, "")


def too_few(artists: int) -> str:
    """Returns why there is no interval over so few artists.

    Example:
        >>> too_few(1)
        '1 artist, an interval needs 6'
    """
    return f"{artists} artist{'s' * (artists != 1)}, an interval needs {MIN_ARTISTS}"


def noise(differences: Sequence[float]) -> float:
    """Returns the placebo noise: the standard deviation, or the root mean square of fewer than three differences.

    Example:
        >>> noise([0.1, 0.2, 0.3])
        0.1
        >>> noise([-0.3])
        0.3
        >>> noise([])
        nan
    """
    x = np.asarray(differences, dtype=float)
    if len(x) == 0:
        return math.nan
    spread = x.std(ddof=1) if len(x) >= 3 else np.sqrt(np.mean(x**2))
    return round(float(spread), 12)


def lower_limit(values: Sequence[float]) -> float:
    """Returns the mean minus two standard errors; one value stands for itself.

    Example:
        >>> lower_limit([0.5])
        0.5
        >>> round(lower_limit([0.4, 0.6]), 3)  # sd 0.1414 / root 2 = 0.1; 0.5 - 2 * 0.1
        0.3
    """
    x = np.asarray(values, dtype=float)
    if len(x) == 1:
        return float(x[0])
    return float(x.mean() - 2 * x.std(ddof=1) / math.sqrt(len(x)))
