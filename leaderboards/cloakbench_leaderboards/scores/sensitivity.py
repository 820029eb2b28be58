"""Which ranks and differences depend on a single artist: all tests are repeated with each artist left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cloakbench_leaderboards.scores import ranking, statistics
from cloakbench_leaderboards.scores.ranking import NO_CHECKS
from cloakbench_leaderboards.scores.statistics import LEVEL, MIN_ARTISTS, Array


class PairCounts(NamedTuple):
    """How many pairs of entries are told apart, with all artists and with each one left out."""

    pairs: int
    apart: int
    """At a rate of false discoveries of 5 %."""
    least: int
    """Fewest pairs that are told apart where one artist is left out."""
    most: int
    equivalent: int
    """Pairs whose difference lies within `margin` (two one-sided tests at 5 %)."""
    margin: float
    artist: str
    """Without this artist the fewest pairs are told apart."""


def pair_counts(values: Array, artists: Sequence[str], margin: float, checks: Array = NO_CHECKS) -> PairCounts | None:
    """Returns the counts over all pairs of entries; None with fewer than two entries or six artists.

    Args:
        values: What each artist (across) contributes to P of each entry (down); NaN where absent.
        artists: Names of the artists.
        margin: Difference of P that counts as none.
        checks: As of `ranking.told_apart`.
    """
    is_enough = np.isfinite(values).sum(-1) >= MIN_ARTISTS
    enough, further = values[is_enough] if len(values) else values, checks
    if len(enough) < 2:
        return None
    if len(checks):
        further = checks[:, is_enough]
    first, second = np.triu_indices(len(enough), 1)
    counts = {}
    for artist, remaining, others in _left_out(enough, further, artists):
        counts[artist] = int(ranking.told_apart(remaining, others)[first, second].sum())
    least = min(counts, key=lambda artist: counts[artist])
    return PairCounts(
        pairs=len(first),
        apart=int(ranking.told_apart(enough, further)[first, second].sum()),
        least=counts[least],
        most=max(counts.values()),
        equivalent=int(equivalent(enough[first] - enough[second], margin).sum()),
        margin=margin,
        artist=least,
    )


def equivalent(differences: Array, margin: float) -> npt.NDArray[np.bool_]:
    """Returns which rows of paired differences lie within the margin: both one-sided t-tests reject at 5 %.

    The same as a 90 % interval inside of it (Schuirmann 1987).

    Why the margin of the suites is 0.1 and not 0.05: the differences of two protections in suite `mini` 3 had a
    standard deviation over artists of 0.18 (median over 66 pairs). Twelve artists then show a difference of 0.16 with
    80 % power, and the 90 % interval reaches 0.094 to both sides. It fits into a margin of 0.1 where the measured
    difference is under 0.006, and never into one of 0.05: that needs 38 artists, or a pair whose standard deviation is
    under 0.096.
    With 12 artists most pairs are therefore neither apart nor equal, and the board says so.
    """
    interval = statistics.difference_estimates(differences, level=2 * LEVEL - 1)
    with np.errstate(invalid="ignore"):
        return np.asarray((interval.low > -margin) & (interval.high < margin), dtype=bool)


def decisive_artists(values: Array, artists: Sequence[str], checks: Array = NO_CHECKS) -> list[tuple[str, ...]]:
    """Returns for each entry the artists without any one of whom its rank is less certain.

    That is where a limit of its rank interval lies further out than with all artists.

    Args:
        values: What each artist (across) contributes to the number of each ranked entry (down).
        artists: Names of the artists.
        checks: As of `ranking.told_apart`.
    """
    whole = ranking.places(values, checks)
    decisive: list[list[str]] = [[] for _ in whole]
    for artist, remaining, others in _left_out(values, checks, artists):
        for row, (before, after) in enumerate(zip(whole, ranking.places(remaining, others), strict=True)):
            if after.best < before.best or after.worst > before.worst:
                decisive[row].append(artist)
    return [tuple(names) for names in decisive]


def decisive_pairs(
    values: Array, artists: Sequence[str], checks: Array = NO_CHECKS
) -> dict[tuple[int, int], tuple[str, ...]]:
    """Returns the artists without any one of whom a pair of entries is told apart or not, other than with all.

    Arguments as of `decisive_artists`. The keys are the positions of both entries, rising; pairs that turn on no artist
    are left out.
    """
    whole = ranking.told_apart(values, checks)
    decisive: dict[tuple[int, int], list[str]] = {}
    for artist, remaining, others in _left_out(values, checks, artists):
        changed = np.triu(ranking.told_apart(remaining, others) != whole)
        for first, second in zip(*np.nonzero(changed), strict=True):
            decisive.setdefault((int(first), int(second)), []).append(artist)
    return {pair: tuple(names) for pair, names in decisive.items()}


def _left_out(values: Array, checks: Array, artists: Sequence[str]) -> Iterator[tuple[str, Array, Array]]:
    """Yields each artist that has a value, with the values and the checks of the others."""
    for column, artist in enumerate(artists):
        if np.isfinite(values[:, column]).any():
            others = np.delete(checks, column, axis=-1) if len(checks) else checks
            yield artist, np.delete(values, column, axis=1), others
