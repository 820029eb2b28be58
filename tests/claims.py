"""Directions that papers report, held against the committed records of `mini`: holds, undecided or contradicted.

    python -m tests.claims

The claims are those of families of methods that several published tables agree on. Each comparison is a paired t-test
over artists; Holm's correction (1979) runs over all of them. A claim at equal quality also has to be shown at equal
visibility by each metric alone (`scores/agreement.py`).
"""

from __future__ import annotations

import math
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import stats

from cloakbench.store.reading import load
from cloakbench_leaderboards import text
from cloakbench_leaderboards.scores import aggregates, agreement, statistics
from cloakbench_leaderboards.scores.evidence import Evidence, gather
from cloakbench_leaderboards.scores.ranking import NO_CHECKS, agreeing_p
from cloakbench_leaderboards.scores.statistics import Array, Estimate
from cloakbench_leaderboards.versions.verdicts import ALPHA, holm

RECORDS = Path(__file__).parents[1] / "leaderboards" / "reference" / "mini"


class ClaimVerdict(StrEnum):
    """What the records say about a direction."""

    HOLDS = "holds"
    UNDECIDED = "undecided"
    CONTRADICTED = "contradicted"
    NOT_MEASURED = "not measured"


class Claim(NamedTuple):
    """The first group of entries protects more than the second, mean against mean."""

    key: str
    words: str
    more: tuple[str, ...]
    less: tuple[str, ...]
    strengths: tuple[float, float] | None
    """Strengths of both groups; None: at equal quality."""


class ClaimResult(NamedTuple):
    """A claim with the paired difference of its groups, p after Holm's correction, and the verdict."""

    claim: Claim
    difference: Estimate
    p: float
    verdict: ClaimVerdict
    turns_on: tuple[str, ...]
    """The artists without any one of whom the verdict is another."""


LATENT, ASCENT = ("mist", "photoguard", "sds"), ("advdm", "anti-dreambooth")
FULL = (1.0, 1.0)
CLAIMS = (
    Claim("C1", "methods with a target in latent space beat those that raise the loss", LATENT, ASCENT, FULL),
    Claim("C3", "SDS above AdvDM at equal strength", ("sds",), ("advdm",), FULL),
    Claim("C3", "SDS above AdvDM at equal quality", ("sds",), ("advdm",), None),
    Claim("C4", "Mist above SDS at equal quality", ("mist",), ("sds",), None),
    Claim("C4", "Mist above PhotoGuard at equal quality", ("mist",), ("photoguard",), None),
    Claim("C5", "Anti-DreamBooth's ASPL above FSMG", ("anti-dreambooth",), ("anti-dreambooth[method=fsmg]",), FULL),
    Claim("C6", "Impasto above its base PhotoGuard at equal quality", ("impasto",), ("photoguard",), None),
    Claim("C7", "PhotoGuard's own perturbations above a universal one", ("photoguard",), ("fastprotect",), FULL),
    Claim("C8", "PhotoGuard at 16 levels above itself at 8", ("photoguard",), ("photoguard",), (1.0, 0.5)),
    Claim("C8", "PhotoGuard at 8 levels above itself at 4", ("photoguard",), ("photoguard",), (0.5, 0.25)),
)
UNMEASURABLE = "the pair of C1 the other way round by the quality of generations"
"""C2 needs a metric of that quality, which `mini` does not have."""


def results(evidence: Evidence) -> list[ClaimResult]:
    """Returns every claim with its verdict, corrected over all that were measured."""
    differences = np.asarray([_difference(evidence, claim) for claim in CLAIMS])
    checks = np.asarray([_checks(evidence, claim, own) for claim, own in zip(CLAIMS, differences, strict=True)])
    checks = checks.swapaxes(0, 1)
    whole = judge(differences, checks)
    turns_on: list[list[str]] = [[] for _ in CLAIMS]
    for column, artist in enumerate(evidence.artists):
        without = judge(np.delete(differences, column, axis=1), np.delete(checks, column, axis=2))
        for row, (before, after) in enumerate(zip(whole, without, strict=True)):
            if before[2] is not after[2]:
                turns_on[row].append(artist)
    judged = []
    for claim, (difference, p, verdict), artists in zip(CLAIMS, whole, turns_on, strict=True):
        judged.append(ClaimResult(claim, difference, p, verdict, tuple(artists)))
    return judged


def judge(differences: Array, checks: Array = NO_CHECKS) -> list[tuple[Estimate, float, ClaimVerdict]]:
    """Returns the estimate of each row of paired differences, p after Holm's correction over all rows, and verdict.

    `checks` are further differences `[metrics, claims, artists]`, which have to agree.
    """
    alone = np.asarray([_p(values) for values in differences])
    p = holm(np.where(np.isfinite(alone), agreeing_p(differences, checks), math.nan))
    judged = []
    for values, corrected in zip(differences, p, strict=True):
        difference = statistics.difference_estimates(values[None]).at(0)
        judged.append((difference, float(corrected), _verdict(difference, float(corrected))))
    return judged


def table(evidence: Evidence) -> list[str]:
    """Returns the claims as rows of Markdown."""
    lines = ["| claim | P, difference over artists (95 %) | p (Holm) | verdict | turns on |", "|---|---:|---:|---|---|"]
    for result in results(evidence):
        shown, p = text.NONE, text.NONE
        if math.isfinite(result.p):
            half = (result.difference.high - result.difference.low) / 2
            interval = text.interval(result.difference.low, result.difference.high)
            shown = f"{text.number(result.difference.value, half)} ({interval})"
            p = f"{result.p:.2f}" if result.p >= 0.01 else "< 0.01"
        artists = text.listed(list(result.turns_on)) if result.turns_on else text.NONE
        lines.append(f"| {result.claim.key}: {result.claim.words} | {shown} | {p} | {result.verdict} | {artists} |")
    lines.append(f"| C2: {UNMEASURABLE} | {text.NONE} | {text.NONE} | {ClaimVerdict.NOT_MEASURED} | {text.NONE} |")
    return lines


def _verdict(difference: Estimate, p: float) -> ClaimVerdict:
    if math.isnan(p):
        return ClaimVerdict.NOT_MEASURED
    if p > ALPHA:
        return ClaimVerdict.UNDECIDED
    return ClaimVerdict.HOLDS if difference.value > 0 else ClaimVerdict.CONTRADICTED


def _p(differences: Array) -> float:
    measured = differences[np.isfinite(differences)]
    return float(stats.ttest_1samp(measured, 0.0).pvalue) if len(measured) >= statistics.MIN_ARTISTS else math.nan


def _difference(evidence: Evidence, claim: Claim) -> Array:
    more, less = claim.strengths or (None, None)
    return _group(evidence, claim.more, more) - _group(evidence, claim.less, less)


def _checks(evidence: Evidence, claim: Claim, differences: Array) -> Array:
    """Returns the difference of a claim at equal visibility by each metric; at given strengths it is itself."""
    names = agreement.metrics(evidence.setting)
    if claim.strengths is not None:
        return np.broadcast_to(differences, (len(names), len(differences)))
    rows = []
    for metric in names:
        rows.append(_at_equal(evidence, claim.more, metric) - _at_equal(evidence, claim.less, metric))
    return np.asarray(rows)


def _at_equal(evidence: Evidence, names: tuple[str, ...], metric: str) -> Array:
    subjects = {entry.name: entry.subject for entry in evidence.entries}
    values = []
    for name in names:
        if name not in subjects:
            return np.full(len(evidence.artists), math.nan)
        values.append(agreement.at_equal(evidence.setting, subjects[name], metric))
    return np.asarray(np.mean(values, axis=0))


def _group(evidence: Evidence, names: tuple[str, ...], strength: float | None) -> Array:
    """Returns what each artist contributes to the mean P of a group; NaN where an entry was not measured."""
    return np.mean([_contributions(evidence, name, strength) for name in names], axis=0)


def _contributions(evidence: Evidence, name: str, strength: float | None) -> Array:
    setting = evidence.setting
    attack = setting.attack.name
    if strength is not None:
        row = setting.grid.rows.get((name, strength, attack))
        if row is None:
            return np.full(len(setting.grid.artists), math.nan)
        weight = setting.grid.denominator[row]
        return statistics.contributions(setting.grid.p[row] * weight, weight)
    for entry in evidence.entries:
        if entry.name == name:
            return aggregates.protection(setting, entry.subject, attack, setting.middle).artists
    return np.full(len(setting.grid.artists), math.nan)


if __name__ == "__main__":
    print("\n".join(table(gather(load(RECORDS)))))
