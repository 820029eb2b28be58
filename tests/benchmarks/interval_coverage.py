"""Whether the board's intervals and tie groups keep their word: simulation over truths that are known."""

from __future__ import annotations

import argparse
import math
from typing import NamedTuple

import numpy as np
from scipy import stats

from cloakbench_leaderboards.scores import ranking, statistics
from cloakbench_leaderboards.scores.statistics import LEVEL, Array

ARTISTS = (8, 15)
TRUTHS = 1000
ENTRIES = (2, 5, 10)
RESAMPLES = 999
SPREAD = 0.3
"""Standard deviation of P over artists."""
SHAPES = ("normal", "skewed", "capped")
"""Truths of one entry's P."""
HEAVY = ("normal", "t3", "laplace", "contaminated")
"""Symmetric truths of a difference of two entries."""


class Covered(NamedTuple):
    """How often intervals hold the truth, and how long they are."""

    ours: float
    t: float
    bootstrap: float
    longer: float
    """Median length of ours over t's."""
    endless: float
    """Share of bootstrap intervals without end."""


def draw(shape: str, size: tuple[int, ...], noise: np.random.Generator) -> Array:
    """Returns values of mean 0: `normal`, `skewed` (exponential, skewness 2), `capped`, or heavy-tailed ones.

    `capped` is what P is where a protection works on most artists: half of them share the highest value. Heavy-tailed
    and symmetric are `t3` (Student's t with three degrees of freedom), `laplace` and `contaminated`: normal, one value
    in ten with five times the standard deviation (Tukey 1960). The first three have variance 1.
    """
    if shape == "t3":
        return noise.standard_t(3, size=size)
    if shape == "laplace":
        return noise.laplace(size=size)
    if shape == "contaminated":
        return noise.normal(size=size) * np.where(noise.random(size) < 0.1, 5.0, 1.0)
    if shape == "normal":
        return noise.normal(size=size)
    if shape == "skewed":
        return noise.exponential(size=size) - 1
    return (np.minimum(noise.normal(size=size), 0) + 1 / math.sqrt(2 * math.pi)) / math.sqrt(0.5 - 0.5 / math.pi)


def coverage(shape: str, artists: int, truths: int = TRUTHS) -> Covered:
    """Returns how often the intervals of P hold its truth; artists differ in P and, apart from it, in denominator."""
    noise = np.random.default_rng([artists, truths])
    truth = noise.uniform(0, 0.8, (truths, 1))
    p = truth + SPREAD * draw(shape, (truths, artists), noise)
    weights = noise.uniform(0.4, 0.8, (truths, artists))
    values = statistics.contributions(p * weights, weights)
    intervals = statistics.estimates(values)
    half = stats.t.ppf((1 + LEVEL) / 2, artists - 1) * values.std(1, ddof=1) / np.sqrt(artists)
    low, high = bootstrap(values)

    def holds(low: Array, high: Array) -> float:
        return float(np.mean((low <= truth[:, 0]) & (truth[:, 0] <= high)))

    return Covered(
        ours=holds(intervals.low, intervals.high),
        t=holds(intervals.value - half, intervals.value + half),
        bootstrap=holds(low, high),
        longer=float(np.median((intervals.high - intervals.low)[half > 0] / (2 * half[half > 0]))),
        endless=float(np.mean(np.isinf(low) | np.isinf(high))),
    )


class DifferenceCovered(NamedTuple):
    """How often intervals of a paired difference hold its truth."""

    board: float
    """The board's: t."""
    hall: float
    """With Hall's correction for skewness, as for P of one entry."""
    bootstrap: float


def difference_coverage(shape: str, artists: int, truths: int = TRUTHS) -> DifferenceCovered:
    """Returns how often the intervals of a difference of two entries hold its truth, 0."""
    noise = np.random.default_rng([artists, truths, HEAVY.index(shape)])
    values = draw(shape, (truths, artists), noise)
    board, hall = statistics.difference_estimates(values), statistics.estimates(values)
    low, high = bootstrap(values)
    return DifferenceCovered(
        board=float(np.mean((board.low <= 0) & (board.high >= 0))),
        hall=float(np.mean((hall.low <= 0) & (hall.high >= 0))),
        bootstrap=float(np.mean((low <= 0) & (high >= 0))),
    )


def bootstrap(values: Array) -> tuple[Array, Array]:
    """Returns the limits of the bootstrap-t of each row: endless where resamples hold one value only."""
    artists = values.shape[1]
    counts = np.random.default_rng(0).multinomial(artists, [1 / artists] * artists, size=RESAMPLES)
    mean = values.mean(1)
    residuals = values - mean[:, None]
    shift = residuals @ counts.T / artists
    variance = np.maximum((residuals**2) @ counts.T / artists - shift**2, 0)
    is_flat = variance < 1e-12
    t = shift / np.sqrt(np.where(is_flat, 1.0, variance) / (artists - 1))
    t[is_flat & (shift != 0)] *= np.inf
    below, above = np.quantile(t, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=1, method="nearest")
    error = values.std(1, ddof=1) / np.sqrt(artists)
    return mean - above * error, mean - below * error


def false_alarms(shape: str, artists: int, entries: int, truths: int = TRUTHS) -> float:
    """Returns how often entries of equal truth are not all in one tie group; artists are shared."""
    noise = np.random.default_rng([artists, entries, truths])
    shared = draw(shape, (truths, 1, artists), noise)
    values = shared + draw(shape, (truths, entries, artists), noise)
    return float(np.mean([ranking.told_apart(board).any() for board in values]))


def main() -> None:
    """Prints both tables; false alarms over ten times as many truths, since they are judged by a limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--truths", type=int, default=TRUTHS)
    truths = parser.parse_args().truths
    print("| truth | artists | board's interval | plain t | bootstrap-t | longer than t | bootstrap-t without end |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for shape in SHAPES:
        for artists in ARTISTS:
            covered = coverage(shape, artists, truths)
            shares = f"{covered.ours:.1%} | {covered.t:.1%} | {covered.bootstrap:.1%}"
            print(f"| {shape} | {artists} | {shares} | {covered.longer:.2f} | {covered.endless:.1%} |")
    print("\n| truth of a difference | artists | board's interval (t) | Hall's | bootstrap-t |")
    print("|---|---:|---:|---:|---:|")
    for shape in HEAVY:
        for artists in ARTISTS:
            shares = " | ".join(f"{share:.1%}" for share in difference_coverage(shape, artists, 10 * truths))
            print(f"| {shape} | {artists} | {shares} |")
    print(f"\n| truth | artists | {' | '.join(f'{count} entries' for count in ENTRIES)} |")
    print("|---|---:|---:|---:|---:|")
    for shape in ("normal", "skewed", *HEAVY[1:]):
        for artists in ARTISTS:
            rates = [false_alarms(shape, artists, entries, 10 * truths) for entries in ENTRIES]
            print(f"| {shape} | {artists} | {' | '.join(f'{rate:.1%}' for rate in rates)} |")


if __name__ == "__main__":
    main()
