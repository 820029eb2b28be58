"""What a board can tell apart: noise of the placebo and of the seeds, detectable difference, size of a larger board."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from cloakbench.schemas.kinds import Role
from cloakbench_leaderboards.scores import ranking, sensitivity, statistics
from cloakbench_leaderboards.scores.sensitivity import PairCounts
from cloakbench_leaderboards.scores.setting import Setting
from cloakbench_leaderboards.scores.statistics import LEVEL, MIN_ARTISTS, Array, Estimate

POWER = 0.8
MOST_ARTISTS = 10_000
"""The planner gives up beyond."""


class Resolution(NamedTuple):
    """How finely a board measures the number that decides the rank."""

    artists: int
    """Artists that the headline's attack learned from."""
    placebo: Estimate
    """P of the placebo under the same seeds."""
    seed: float
    """Standard deviation of one artist's contribution to P over attack seeds; NaN with fewer than two seeds."""
    spread: float
    """Median standard deviation over artists of the difference between two entries; NaN with fewer than two."""
    seeds: int
    """Seeds of a protected cell."""
    pairs: int = 0
    """Pairs of entries that `spread` is the median of."""
    null: float = math.nan
    """Standard deviation of P of null entries: the clean arm of one seed scored against that of another."""
    counts: PairCounts | None = None
    """How many pairs are told apart on the headline's attack; None with fewer than two entries or six artists."""

    @property
    def least_difference(self) -> float:
        """Smallest difference between two entries that this many artists show with 80 % power; NaN where unknown."""
        return detectable(self.spread, self.artists)


def measure(
    setting: Setting,
    cells: pd.DataFrame,
    placebo: Estimate,
    entries: Sequence[Array],
    checks: Array = ranking.NO_CHECKS,
) -> Resolution:
    """Returns the noise of a board.

    Args:
        setting: What all entries share.
        cells: What `frames.cells` returns.
        placebo: P of the placebo.
        entries: What each artist contributes to P of each entry against the headline's attack, which all share.
        checks: As of `ranking.told_apart`.
    """
    first, second = np.triu_indices(len(entries), 1)
    differences = np.asarray(entries)[first] - np.asarray(entries)[second] if len(first) else np.empty((0, 0))
    differences = differences[np.isfinite(differences).sum(-1) >= MIN_ARTISTS]
    return Resolution(
        artists=_learned(setting),
        placebo=placebo,
        seed=_seed_noise(setting, cells),
        spread=float(np.median(np.nanstd(differences, axis=1, ddof=1))) if len(differences) else math.nan,
        seeds=setting.suite.seeds.protected,
        pairs=len(differences),
        null=_null_noise(setting, cells),
        counts=_counts(setting, entries, checks),
    )


def _counts(setting: Setting, entries: Sequence[Array], checks: Array) -> PairCounts | None:
    values = np.asarray(entries) if len(entries) else np.empty((0, len(setting.grid.artists)))
    return sensitivity.pair_counts(values, setting.grid.artists, setting.suite.equivalence_margin, checks)


def _learned(setting: Setting) -> int:
    """Returns the number of artists that the headline's attack learned from, or of all without the clean arm."""
    row = setting.grid.rows.get((Role.IDENTITY, 0.0, setting.attack.name))
    return len(setting.grid.artists) if row is None else int(np.isfinite(setting.grid.denominator[row]).sum())


def detectable(spread: float, artists: int, power: float = POWER, level: float = LEVEL) -> float:
    """Returns the smallest mean difference that a paired t-test over `artists` finds with `power`, at 1 - `level`.

    The usual approximation (t of the level + t of the power) x standard error. NaN below six artists.

    Example:
        >>> round(detectable(0.1, 8), 3)  # (2.365 + 0.896) * 0.1 / root 8
        0.115
    """
    if artists < MIN_ARTISTS or not math.isfinite(spread):
        return math.nan
    reach = stats.t.ppf((1 + level) / 2, artists - 1) + stats.t.ppf(power, artists - 1)
    return float(reach * spread / math.sqrt(artists))


def artists_needed(
    noise: Resolution, resolution: float, seeds: int, power: float = POWER, level: float = LEVEL
) -> int | None:
    """Returns how many artists tell entries apart that differ by `resolution`, with `seeds` each; None beyond 10,000.

    The spread of a difference is that of the artists and twice that of a seed over the number of seeds, as if entries
    did not share their seeds: they do, so that fewer artists may be enough.

    Example:
        >>> noise = Resolution(8, Estimate(0.0, 0.0, 0.0, 8, ""), seed=0.0, spread=0.1, seeds=1)
        >>> artists_needed(noise, 0.1154, 1), artists_needed(noise, 0.05, 1)
        (8, 34)
    """
    # Two independent seeds can't vary more than the measured differences, which hold them.
    most = noise.spread * math.sqrt(noise.seeds / 2)
    seed = min(noise.seed, most) if math.isfinite(noise.seed) else 0.0
    between = max(noise.spread**2 - 2 * seed**2 / noise.seeds, 0.0)
    spread = math.sqrt(between + 2 * seed**2 / seeds)
    if not math.isfinite(spread):
        return None
    for artists in range(MIN_ARTISTS, MOST_ARTISTS + 1):
        if detectable(spread, artists, power, level) <= resolution * (1 + 1e-9):
            return artists
    return None


def seeds_needed(noise: Resolution, resolution: float, power: float = POWER, level: float = LEVEL) -> int | None:
    """Returns how many seeds the same artists need to tell entries apart that differ by `resolution`.

    None where no number of seeds is enough, because the artists differ too much, or where a seed's noise is unknown.

    Example:
        >>> noise = Resolution(8, Estimate(0.0, 0.0, 0.0, 8, ""), seed=0.06, spread=0.1, seeds=1)
        >>> seeds_needed(noise, 0.08)  # 0.1^2 - 2 x 0.06^2 = 0.0028 between artists; 0.002 remains
        4
        >>> seeds_needed(noise, 0.05) is None
        True
    """
    unit = detectable(1.0, noise.artists, power, level)
    budget = (resolution / unit) ** 2 - max(noise.spread**2 - 2 * noise.seed**2 / noise.seeds, 0.0)
    if not (math.isfinite(budget) and budget > 0 and noise.seed > 0):
        return None
    return max(math.ceil(2 * noise.seed**2 / budget), noise.seeds + 1)


def _null_noise(setting: Setting, cells: pd.DataFrame) -> float:
    """Returns the spread of P where nothing protects but training took another course; NaN with fewer than two seeds.

    Every ordered pair of seeds is a null entry: its distances are those of the clean arm of one seed, and the clean
    arm of the other seed is what they are compared with.
    """
    attack = setting.attack.name
    row = setting.grid.rows.get((Role.IDENTITY, 0.0, attack))
    arm = (cells["role"] == str(Role.IDENTITY)) & (cells["attack"] == attack) & cells["distance"].notna()
    table = cells[arm].pivot_table(index="seed", columns="artist", values="distance")
    table = table.reindex(columns=list(setting.grid.artists))
    if row is None or len(table) < 2:
        return math.nan
    distances = table.to_numpy(dtype=float)
    weights = setting.grid.denominator[row]
    nulls = []
    for first, second in itertools.permutations(range(len(distances)), 2):
        contributions = statistics.contributions(distances[first] - distances[second], weights)
        if np.isfinite(contributions).any():
            nulls.append(float(np.nanmean(contributions)))
    # The mean of a null entry is 0 by construction: each pair stands with both signs.
    return float(np.sqrt(np.mean(np.square(nulls)))) if nulls else math.nan


def _seed_noise(setting: Setting, cells: pd.DataFrame) -> float:
    """Returns the standard deviation over seeds of the clean arm's distance, in the unit of P; NaN where unknown.

    Seeds are not paired with anything: the variances of the artists are averaged, and divided by the mean denominator.
    """
    attack = setting.attack
    arm = (cells["role"] == Role.IDENTITY) & (cells["attack"] == attack.name) & cells["distance"].notna()
    variance = cells[arm].groupby("artist", observed=True)["distance"].var()
    row = setting.grid.rows.get((Role.IDENTITY, 0.0, attack.name))
    if row is None or variance.notna().sum() == 0:
        return math.nan
    weights = pd.Series(setting.grid.denominator[row], index=setting.grid.artists).dropna()
    shared = variance.reindex(weights.index).dropna()
    # In the unit of contributions: n times the artist's share of the sum of denominators.
    return float(np.sqrt(shared.mean()) / weights.mean())
