"""Which rule of the worst case to take: bias, spread and false alarms of six rules, by simulation.

    python -m tests.benchmarks.worst_case_rules

Means and covariances over artists are those of the committed records of `mini` version 3: PhotoGuard at two strengths
and the unprotected images, under the five attacks of the suite's provisional list. A board of 80 cells per entry is
drawn many times, normally distributed. The truth is the lowest of the means over all artists.
"""

from __future__ import annotations

import argparse
import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cloakbench.store.reading import load
from cloakbench_leaderboards.scores import ranking, statistics, worst_case
from cloakbench_leaderboards.scores.evidence import Evidence, gather
from cloakbench_leaderboards.scores.statistics import Array

RECORDS = Path(__file__).parents[2] / "leaderboards" / "reference" / "mini-3"
ATTACKS = ("dreambooth", "blur", "resize", "impress", "vae-trans")
SEED_SHARE = 0.15
"""Share of a protected entry's variance over artists that is the seed's: the median over pairs of entries."""
BOARDS = 2000
DEVELOPMENT = 8
"""Development artists of the rule that fixes one attack per entry."""
STRONGEST = 3


class Truth(NamedTuple):
    """What boards of one entry are drawn from."""

    means: Array
    """P under each attack, over all artists."""
    between: Array
    """Covariance over artists `[attacks, attacks]`."""
    seeds: Array
    """Covariance over seeds of one artist `[attacks, attacks]`."""


class Rule(NamedTuple):
    """One way to score the worst case, and the artists and seeds that 80 cells pay for."""

    title: str
    artists: int
    seeds: int
    score: Callable[[Array], Array]
    """From draws `[boards, attacks, seeds, artists]` to what each artist contributes `[boards, artists]`."""


class Measured(NamedTuple):
    """How one rule does on one truth."""

    bias: float
    error: float
    """Standard deviation over boards."""
    assumed: float
    """The standard error that the t-test takes from the spread over artists, mean over boards."""
    false_alarms: float
    """How often the t-test at 5 % tells two equal entries apart."""


def truths() -> dict[str, Truth]:
    """Returns what boards are drawn from, by name."""
    evidence = gather(load(RECORDS))
    calibrated = min(_strengths(evidence), key=lambda strength: abs(strength - 0.4))
    moderate, full = _protected(evidence, calibrated), _protected(evidence, 1.0)
    unprotected = _unprotected(evidence)
    equal = np.full(len(ATTACKS), moderate.means.min())
    hardened = moderate.means.copy()
    # As if an entry withstood the three attacks that are strongest against PhotoGuard.
    hardened[2:] += 0.1
    return {
        "photoguard, calibrated": moderate,
        "photoguard, full strength": full,
        "hardened against the strongest attacks": moderate._replace(means=hardened),
        "equal attacks": moderate._replace(means=equal),
        "identity": unprotected,
        "identity, all attacks equal": unprotected._replace(means=np.zeros(len(ATTACKS))),
    }


def draw(truth: Truth, size: tuple[int, int, int], seed: int) -> Array:
    """Returns P on boards `[boards, attacks, seeds, artists]`; `size` is boards, artists, seeds."""
    boards, artists, seeds = size
    noise = np.random.default_rng(seed)
    between = noise.normal(size=(boards, artists, len(ATTACKS))) @ _root(truth.between).T
    within = noise.normal(size=(boards, seeds, artists, len(ATTACKS))) @ _root(truth.seeds).T
    values = truth.means + between[:, None] + within
    return np.asarray(values.transpose(0, 3, 1, 2))


def other_artists(draws: Array) -> Array:
    """Scores each artist under the attack that is lowest on all other artists."""
    means = draws.mean(2)
    return _take(means, (means.sum(-1, keepdims=True) - means).argmin(1))


def other_seeds(draws: Array) -> Array:
    """Scores each artist and seed under the attack that is lowest on the artist's other seeds."""
    return _take(draws, (draws.sum(2, keepdims=True) - draws).argmin(1)).mean(1)


def other_seeds_and_artists(draws: Array) -> Array:
    """Scores each artist and seed under the attack that is lowest on the other seeds of the other artists."""
    elsewhere = draws.sum(2, keepdims=True) - draws
    return _take(draws, (elsewhere.sum(-1, keepdims=True) - elsewhere).argmin(1)).mean(1)


def fixed_per_entry(draws: Array) -> Array:
    """Scores under the attack that is lowest on development artists, which are not scored."""
    means = draws.mean(2)
    choice = means[..., :DEVELOPMENT].mean(-1).argmin(1)
    return np.asarray(np.take_along_axis(means[..., DEVELOPMENT:], choice[:, None, None], 1)[:, 0])


def fixed_for_all(draws: Array) -> Array:
    """Scores under the attack that is strongest against PhotoGuard."""
    return np.asarray(draws[:, -1].mean(1))


def strongest_three(draws: Array) -> Array:
    """Scores each artist by the mean over the three attacks that are lowest on the other artists."""
    means = draws.mean(2)
    order = (means.sum(-1, keepdims=True) - means).argsort(1)[:, :STRONGEST]
    return np.asarray(np.take_along_axis(means, order, 1).mean(1))


def halves(draws: Array) -> Array:
    """Scores by the board's rule."""
    weights = np.ones(draws.shape[-1])
    return np.asarray([worst_case.least(board.mean(1), weights) for board in draws])


RULES = (
    Rule("(a) on the other artists", 16, 1, other_artists),
    Rule("(b) on the artist's other seed", 8, 2, other_seeds),
    Rule("(b) on the other seed and the other artists", 8, 2, other_seeds_and_artists),
    Rule("(c) one attack per entry, chosen on 8 further artists", DEVELOPMENT + 20, 1, fixed_per_entry),
    Rule("(d) one attack for all entries", 40, 1, fixed_for_all),
    Rule("(e) mean of the strongest three on the other artists", 16, 1, strongest_three),
    Rule("(f) on halves of the other artists, jackknife", 16, 1, halves),
)


def measure(rule: Rule, truth: Truth, boards: int = BOARDS) -> Measured:
    """Returns how a rule does on boards of 80 cells per entry."""
    size = boards, rule.artists, rule.seeds
    first, second = rule.score(draw(truth, size, 1)), rule.score(draw(truth, size, 2))
    artists = first.shape[-1]
    return Measured(
        bias=float(first.mean() - truth.means.min()),
        error=float(first.mean(1).std(ddof=1)),
        assumed=float(first.std(1, ddof=1).mean() / math.sqrt(artists)),
        false_alarms=float(np.mean(ranking.paired_p(first - second) <= 1 - statistics.LEVEL)),
    )


def main() -> None:
    """Prints one table per truth."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--boards", type=int, default=BOARDS)
    boards = parser.parse_args().boards
    for name, truth in truths().items():
        print(f"\n{name}: means {', '.join(f'{mean:.3f}' for mean in truth.means)}\n")
        print("| rule | bias | standard error | assumed | false alarms |\n|---|---:|---:|---:|---:|")
        for rule in RULES:
            result = measure(rule, truth, boards)
            error = f"{result.error:.3f} | {result.assumed:.3f} | {result.false_alarms:.1%}"
            print(f"| {rule.title} | {result.bias:+.3f} | {error} |")


def _strengths(evidence: Evidence) -> list[float]:
    """Returns the strengths of PhotoGuard that have all attacks."""
    rows = evidence.scores.grid.rows
    strengths = []
    for strength in sorted({strength for name, strength, _ in rows if name == "photoguard"}):
        if all(("photoguard", strength, attack) in rows for attack in ATTACKS):
            strengths.append(strength)
    return strengths


def _protected(evidence: Evidence, strength: float) -> Truth:
    """Returns the truth of PhotoGuard: what each artist contributes, of which the seed has a fixed share."""
    grid = evidence.scores.grid
    rows = [grid.rows["photoguard", strength, attack] for attack in ATTACKS]
    values = _contributions(grid.p[rows], grid.denominator[rows])
    total = np.cov(values)
    return Truth(values.mean(1), (1 - SEED_SHARE) * total, SEED_SHARE * total)


def _unprotected(evidence: Evidence) -> Truth:
    """Returns the truth of the unprotected images, from their seeds; no attack helps the mimic more than none does."""
    grid = evidence.scores.grid
    rows = [grid.rows["identity", 0.0, attack] for attack in ATTACKS]
    by_seed = _contributions(grid.seeds[rows].swapaxes(0, 1), grid.denominator[rows])
    seeds, _, artists = by_seed.shape
    within = functools.reduce(np.add, [np.cov(by_seed[:, :, artist].T) for artist in range(artists)]) / artists
    means = by_seed.mean(0)
    return Truth(np.maximum(means.mean(1), 0.0), np.cov(means) - within / seeds, within)


def _contributions(p: Array, denominators: Array) -> Array:
    values = statistics.contributions(p * denominators, np.broadcast_to(denominators, p.shape))
    return values[..., np.isfinite(values).all(tuple(range(values.ndim - 1)))]


def _root(covariance: Array) -> Array:
    """Returns a root of a covariance, whose negative eigenvalues count as 0."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))


def _take(values: Array, choice: Array) -> Array:
    """Returns the values under the chosen attack, which has the axes of the values without that of attacks."""
    return np.asarray(np.take_along_axis(values, choice[:, None].astype(int), 1)[:, 0])


if __name__ == "__main__":
    main()
