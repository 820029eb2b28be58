"""The verdict on a paired difference of two versions: regressed, improved, equivalent or inconclusive."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from cloakbench_leaderboards.scores.ranking import NO_CHECKS, agreeing_p
from cloakbench_leaderboards.scores.statistics import LEVEL, MIN_ARTISTS, Array, Estimates, difference_estimates

ALPHA = 1 - LEVEL
"""Chance that anything at all is called regressed or improved where nothing changed, over all attacks together."""


class Verdict(StrEnum):
    """The result of a comparison; `improved` is what `regressed` is with both sides swapped."""

    REGRESSED = "regressed"
    IMPROVED = "improved"
    EQUIVALENT = "equivalent"
    INCONCLUSIVE = "inconclusive"
    OTHER_RESULT = "same recipe, other result"
    """Cells with equal keys have other values, and no test calls the difference regressed or improved."""


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdicts on many differences, attacks along the last axis."""

    change: Estimates
    """Mean difference with its 90 % interval: inside the margin it is equivalent (two one-sided tests of 5 %)."""
    p: Array
    """Of no difference, by the largest p of paired t-tests that have to agree; NaN where there is no test.

    It is corrected for the number of attacks (Holm 1979).
    """
    verdicts: npt.NDArray[np.str_]


def judge(differences: Array, margin: float, checks: Array = NO_CHECKS) -> Judged:
    """Returns the verdicts on differences after - before: artists along the last axis, attacks along the one before.

    Equivalent comes first: a difference that is certainly below the margin counts as none, however certain it is. Below
    six artists all is inconclusive. The other axes are repetitions.

    Args:
        differences: What each artist contributes to the difference.
        margin: Difference of P that counts as none.
        checks: The same at equal visibility by one metric at a time, with the metrics along a further first axis. A
            difference that they do not share is inconclusive.
    """
    change = difference_estimates(differences, level=2 * LEVEL - 1)
    enough = change.n >= MIN_ARTISTS
    flat = differences.reshape(enough.size, differences.shape[-1])
    further = checks.reshape(len(checks), *flat.shape) if len(checks) else checks
    p = holm(np.where(enough, agreeing_p(flat, further).reshape(enough.shape), np.nan))
    verdicts = np.full(enough.shape, str(Verdict.INCONCLUSIVE), dtype="<U12")
    with np.errstate(invalid="ignore"):
        verdicts[(p <= ALPHA) & (change.value < 0)] = Verdict.REGRESSED
        verdicts[(p <= ALPHA) & (change.value > 0)] = Verdict.IMPROVED
        verdicts[(change.low > -margin) & (change.high < margin)] = Verdict.EQUIVALENT
    return Judged(change, p, verdicts)


def holm(p: Array) -> Array:
    """Returns p along the last axis, corrected so that any false alarm has at most the chance of one; NaN stays out.

    Example:
        >>> holm(np.array([0.01, 0.04, np.nan, 0.03]))  # 0.01 x 3, 0.03 x 2, and no less than the one before
        array([0.03, 0.06,  nan, 0.06])
    """
    count = np.isfinite(p).sum(-1, keepdims=True)
    order = np.argsort(p, axis=-1, kind="stable")
    factors = np.maximum(count - np.arange(p.shape[-1]), 1)
    stepped = np.minimum(np.maximum.accumulate(np.take_along_axis(p, order, -1) * factors, axis=-1), 1.0)
    corrected = np.empty_like(p)
    np.put_along_axis(corrected, order, stepped, -1)
    return corrected


def overall(verdicts: list[Verdict]) -> Verdict:
    """Returns the verdict on all attacks: the first of regressed, other result and improved that occurs among them.

    Example:
        >>> overall([Verdict.EQUIVALENT, Verdict.INCONCLUSIVE])
        <Verdict.INCONCLUSIVE: 'inconclusive'>
    """
    for verdict in (Verdict.REGRESSED, Verdict.OTHER_RESULT, Verdict.IMPROVED):
        if verdict in verdicts:
            return verdict
    return Verdict.EQUIVALENT if verdicts and set(verdicts) == {Verdict.EQUIVALENT} else Verdict.INCONCLUSIVE
