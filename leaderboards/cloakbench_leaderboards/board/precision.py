"""What the head of a board says about its precision: least difference, pairs told apart, noise."""

from __future__ import annotations

import math

from cloakbench_leaderboards import text
from cloakbench_leaderboards.board.tables import half_width
from cloakbench_leaderboards.board.view import Pair
from cloakbench_leaderboards.scores import resolution
from cloakbench_leaderboards.scores.evidence import Evidence
from cloakbench_leaderboards.scores.ranking import RATE
from cloakbench_leaderboards.scores.resolution import Resolution
from cloakbench_leaderboards.scores.sensitivity import PairCounts
from cloakbench_leaderboards.scores.statistics import MIN_ARTISTS

GOALS = (0.1, 0.05)
"""Differences of P for which the page names the number of artists."""


def precision(evidence: Evidence) -> tuple[Pair, ...]:
    """Returns the lines of the head; none below six artists."""
    noise = evidence.noise
    if len(evidence.artists) < MIN_ARTISTS:
        return ()
    pairs = []
    if math.isfinite(noise.least_difference):
        pairs.append(Pair("Least difference", _least_difference(noise)))
    if noise.counts is not None:
        pairs.append(Pair("Pairs told apart", pair_words(noise.counts)))
    if math.isfinite(noise.placebo.value):
        limits = text.interval(noise.placebo.low, noise.placebo.high) or "no interval"
        shown = f"{text.number(noise.placebo.value, half_width(noise.placebo))} ({limits})"
        pairs.append(Pair("Placebo", f"invisible noise has P {shown}; a test that invents no protection gives it 0"))
    if math.isfinite(noise.null):
        words = f"unprotected images have P 0; trained on again with other random numbers, it moves by {noise.null:.2g}"
        pairs.append(Pair("No protection", f"{words} (standard deviation)"))
    if math.isfinite(noise.seed):
        words = f"other random numbers move the P of one artist by about {text.number(noise.seed, noise.seed)}"
        pairs.append(Pair("Another seed", words))
    return tuple(pairs)


def _least_difference(noise: Resolution) -> str:
    least = text.number(noise.least_difference, noise.least_difference)
    shown = f"less than {least} of P cannot be told from chance with {noise.artists} artists"
    plans = []
    for goal in GOALS:
        count = resolution.artists_needed(noise, goal, noise.seeds)
        if count:
            plans.append(f"{goal:g} takes {count}")
    return f"{shown}; {', '.join(plans)}" if plans else shown


def pair_words(counts: PairCounts) -> str:
    """Returns the counts of pairs in words.

    Example:
        >>> pair_words(PairCounts(66, 29, 0, 34, 11, 0.1, "kirin"))
        '29 of 66 differ beyond chance (5 % false discoveries); 0 to 34 if one artist is left out (fewest without kirin); 11 are equal within 0.1 of P'
    """  # noqa: E501 - one line of output
    without = f"{counts.least} to {counts.most} if one artist is left out"
    if counts.least < counts.apart:
        without += f" (fewest without {text.name(counts.artist)})"
    apart = f"{counts.apart} of {counts.pairs} differ beyond chance ({100 * RATE:g} % false discoveries)"
    verb = "is" if counts.equivalent == 1 else "are"
    return f"{apart}; {without}; {counts.equivalent} {verb} equal within {counts.margin:g} of P"
