"""Paired differences between entries over artists, all pairs at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import stats

from cloakbench_leaderboards.scores import ranking, statistics
from cloakbench_leaderboards.scores.evidence import Evidence
from cloakbench_leaderboards.scores.standings import RankColumn
from cloakbench_leaderboards.scores.statistics import LEVEL, MIN_ARTISTS, Array, Estimate, Estimates


@dataclass(frozen=True)
class Differences:
    """The ranked entries of a board, the best first, with the significance of their differences."""

    evidence: Evidence

    @cached_property
    def names(self) -> list[str]:
        """The ranked entries in the order of their ranks."""
        standings = self.evidence.standings.places
        return sorted(standings, key=lambda name: standings[name].rank)

    @cached_property
    def columns(self) -> list[RankColumn]:
        """Every number of the board, with the one that decides the rank."""
        standings = self.evidence.standings
        return list({**standings.columns, standings.rank_column.key: standings.rank_column}.values())

    @cached_property
    def told_apart(self) -> npt.NDArray[np.bool_]:
        """Which pairs differ significantly in the number that decides the rank; by position in `names`."""
        return ranking.told_apart(self.values(self.evidence.standings.rank_column))

    @cached_property
    def limit(self) -> float:
        """The least t of a significant difference; infinite where no pair differs significantly.

        The rate of false discoveries is kept over all pairs, so that one limit holds for all of them.
        """
        values = self.values(self.evidence.standings.rank_column)
        first, second = np.triu_indices(len(values), 1)
        if len(first) == 0:
            return math.inf
        p = ranking.paired_p(values[first] - values[second])
        apart = self.told_apart[first, second]
        if not apart.any():
            return math.inf
        last_apart, next_p = p[apart].max(), min([*p[~apart], 1.0])
        # Halfway between the last significant difference and the next one: rounding moves no pair across.
        n = len(self.evidence.artists)
        return float((stats.t.isf(last_apart / 2, n - 1) + stats.t.isf(min(next_p, 1.0) / 2, n - 1)) / 2)

    @cached_property
    def quantiles(self) -> dict[int, float]:
        """The t quantile of an interval over so many artists; none below `MIN_ARTISTS`."""
        quantiles = {}
        for count in range(MIN_ARTISTS, len(self.evidence.artists) + 1):
            quantiles[count] = float(stats.t.ppf((1 + LEVEL) / 2, count - 1))
        return quantiles

    @cached_property
    def positions(self) -> dict[str, int]:
        """The position of each ranked entry in `names`."""
        return {name: position for position, name in enumerate(self.names)}

    @cached_property
    def arrays(self) -> dict[str, Array]:
        """The results of `values` by key of the column."""
        return {column.key: self._stacked(column) for column in self.columns}

    def _stacked(self, column: RankColumn) -> Array:
        if not self.names:
            return np.empty((0, len(self.evidence.artists)))
        rows = self.evidence.standings.rows
        return np.asarray([column.values[rows[name]].artists for name in self.names], dtype=float)

    def values(self, column: RankColumn) -> Array:
        """Returns the contribution of each artist (across) to a number of each ranked entry (down)."""
        return self.arrays[column.key]

    def to(self, name: str, others: list[str]) -> list[list[Estimate]]:
        """Returns the entry minus each of the others, one list per column: means over the artists that both have."""
        position, chosen = self.positions[name], [self.positions[other] for other in others]
        by_column = []
        for column in self.columns:
            values = self.values(column)
            estimates = statistics.difference_estimates(values[position] - values[chosen])
            by_column.append(estimates.rows())
        return by_column

    def carried(self, pairs: list[tuple[str, str]]) -> Estimates:
        """Returns the first minus the second of each pair, in the number that decides the rank."""
        values = self.values(self.evidence.standings.rank_column)
        first, second = [], []
        for name, other in pairs:
            first.append(self.positions[name])
            second.append(self.positions[other])
        return statistics.difference_estimates(values[first] - values[second])
