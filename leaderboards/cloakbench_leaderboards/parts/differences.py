"""Paired differences between entries over artists, all pairs at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import stats

from cloakbench_leaderboards.scores import ranking, sensitivity, statistics
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
        """Which pairs differ significantly in the number that decides the rank; by position in `names`.

        The difference has to agree at equal visibility by each metric (`scores/agreement.py`).
        """
        return ranking.told_apart(self.values(self.evidence.standings.rank_column), self.checks)

    @cached_property
    def checks(self) -> Array:
        """P at equal visibility by one metric at a time `[metrics, entries, artists]`, in the order of `names`."""
        standings = self.evidence.standings
        order = list(standings.places)
        return standings.checks[:, [order.index(name) for name in self.names]]

    @cached_property
    def decisive(self) -> dict[tuple[int, int], tuple[str, ...]]:
        """The artists that the verdict on a pair turns on, by the positions of both in `names`, rising."""
        values = self.values(self.evidence.standings.rank_column)
        return sensitivity.decisive_pairs(values, self.evidence.artists, self.checks) if self.names else {}

    def metrics_against(self, name: str, other: str) -> tuple[str, ...]:
        """Returns the metrics that keep the difference of two ranked entries from being shown; none where none does."""
        pairs = self.evidence.standings.not_shown
        return pairs.get((name, other)) or pairs.get((other, name), ())

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

    def differences_from(self, name: str, others: list[str]) -> list[list[Estimate]]:
        """Returns the entry minus each of the others, one list per column: means over the artists that both have."""
        position, chosen = self.positions[name], [self.positions[other] for other in others]
        by_column = []
        for column in self.columns:
            values = self.values(column)
            estimates = statistics.difference_estimates(values[position] - values[chosen])
            by_column.append(estimates.rows())
        return by_column

    def rank_differences(self, pairs: list[tuple[str, str]]) -> Estimates:
        """Returns the first minus the second of each pair, in the number that decides the rank."""
        values = self.values(self.evidence.standings.rank_column)
        first, second = [], []
        for name, other in pairs:
            first.append(self.positions[name])
            second.append(self.positions[other])
        return statistics.difference_estimates(values[first] - values[second])
