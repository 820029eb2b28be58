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
from cloakbench_leaderboards.scores.statistics import LEVEL, Array, Estimate, Estimates


@dataclass(frozen=True)
class Differences:
    """The ranked entries of a board, the best first, and what tells them apart."""

    evidence: Evidence

    @cached_property
    def names(self) -> list[str]:
        """The ranked entries in the order of their ranks."""
        places = self.evidence.standings.places
        return sorted(places, key=lambda name: places[name].rank)

    @cached_property
    def columns(self) -> list[RankColumn]:
        """Every number of the front page, with the one that carries the rank."""
        found = self.evidence.standings
        return list({**found.columns, found.rank_column.key: found.rank_column}.values())

    @cached_property
    def told_apart(self) -> npt.NDArray[np.bool_]:
        """Which pairs the board tells apart in the number that carries the rank; by place in `names`."""
        return ranking.told_apart(self.values(self.evidence.standings.rank_column))

    @cached_property
    def limit(self) -> float:
        """How large the t of a pair's difference has to be; infinite where no pair is told apart.

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
        last, next_one = p[apart].max(), min([*p[~apart], 1.0])
        # Between the last that is told apart and the first that is not: rounding never moves a pair across.
        n = len(self.evidence.artists)
        return float((stats.t.isf(last / 2, n - 1) + stats.t.isf(min(next_one, 1.0) / 2, n - 1)) / 2)

    @cached_property
    def quantile(self) -> float:
        """The t that the ends of an interval over all artists lie at."""
        return float(stats.t.ppf((1 + LEVEL) / 2, max(len(self.evidence.artists) - 1, 1)))

    @cached_property
    def places(self) -> dict[str, int]:
        """Where each ranked entry stands in `names`."""
        return {name: place for place, name in enumerate(self.names)}

    @cached_property
    def arrays(self) -> dict[str, Array]:
        """What `values` returns, by key of the column."""
        if not self.names:
            return {column.key: np.empty((0, len(self.evidence.artists))) for column in self.columns}
        rows = self.evidence.standings.rows
        return {
            column.key: np.asarray([column.values[rows[name]].artists for name in self.names], dtype=float)
            for column in self.columns
        }

    def values(self, column: RankColumn) -> Array:
        """Returns what each artist contributes to a number of each ranked entry."""
        return self.arrays[column.key]

    def to(self, name: str, others: list[str]) -> list[list[Estimate]]:
        """Returns the entry minus each of the others, one list a column: means over the artists that both have."""
        place, chosen = self.places[name], [self.places[other] for other in others]
        found = []
        for column in self.columns:
            values = self.values(column)
            estimates = statistics.estimates(values[place] - values[chosen])
            found.append([estimates.at(row) for row in range(len(chosen))])
        return found

    def carried(self, pairs: list[tuple[str, str]]) -> Estimates:
        """Returns the first minus the second of each pair, in the number that carries the rank."""
        values = self.values(self.evidence.standings.rank_column)
        first, second = ([self.places[pair[end]] for pair in pairs] for end in (0, 1))
        return statistics.estimates(values[first] - values[second])
