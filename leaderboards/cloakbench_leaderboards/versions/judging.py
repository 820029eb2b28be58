"""The verdicts on all attacks of a comparison, and the artists that they turn on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cloakbench.schemas.suite import Suite
from cloakbench_leaderboards.scores.statistics import Array
from cloakbench_leaderboards.versions.pairing import Paired
from cloakbench_leaderboards.versions.verdicts import Judged, Verdict, judge, overall

SAME = 1e-9
"""Differences of P up to this size are rounding."""


class JudgedAttacks(NamedTuple):
    """Every attack of a comparison with its verdict."""

    tests: Judged
    verdicts: list[Verdict]
    disagreeing: list[bool]
    """By attack: whether a difference is not shown at equal visibility by each metric, but is otherwise."""
    turning: list[tuple[str, ...]]
    """By attack: the artists without any one of whom the verdict is another."""
    turns_on: tuple[str, ...]
    """The same for the verdict on the whole."""


def judge_all(measured: Sequence[Paired], artists: Sequence[str], suite: Suite, *, must_agree: bool) -> JudgedAttacks:
    """Returns the verdicts on attacks, all together.

    With six artists no verdict stands without one of them, so that a decided one turns on all six.

    Args:
        measured: The attacks.
        artists: Those of their contributions.
        suite: The suite, whose equivalence margin counts.
        must_agree: Whether a difference counts only where it is shown at equal visibility by each metric too.
    """
    margin = suite.equivalence_margin
    alone = _verdicts(_unchecked(measured), margin)
    checked = _verdicts(measured, margin)
    tests, verdicts = checked if must_agree else alone
    claims = (Verdict.REGRESSED, Verdict.IMPROVED)
    disagreeing = []
    for verdict, other in zip(alone[1], checked[1], strict=True):
        disagreeing.append(verdict in claims and other not in claims)
    counted = measured if must_agree else _unchecked(measured)
    turning: list[list[str]] = [[] for _ in measured]
    turns_on = []
    for column, artist in enumerate(artists):
        others = _verdicts([_without(attack, column) for attack in counted], margin)[1]
        if overall(others) is not overall(verdicts):
            turns_on.append(artist)
        for names, verdict, other in zip(turning, verdicts, others, strict=True):
            if verdict is not other:
                names.append(artist)
    return JudgedAttacks(tests, verdicts, disagreeing, [tuple(names) for names in turning], tuple(turns_on))


def _unchecked(measured: Sequence[Paired]) -> list[Paired]:
    return [attack._replace(checks=attack.checks[:0]) for attack in measured]


def _verdicts(measured: Sequence[Paired], margin: float) -> tuple[Judged, list[Verdict]]:
    differences: Array = np.empty((0, 1))
    checks: Array = np.empty((0, 0, 0))
    if measured:
        differences = np.asarray([attack.after - attack.before for attack in measured])
        checks = np.asarray([attack.checks for attack in measured]).swapaxes(0, 1)
    tests = judge(differences, margin, checks)
    verdicts = []
    for attack, tested in zip(measured, tests.verdicts, strict=True):
        verdicts.append(_verdict(attack, Verdict(str(tested))))
    return tests, verdicts


def _verdict(attack: Paired, tested: Verdict) -> Verdict:
    """Returns the verdict on one attack, from its test and from what both sides say about equal recipes.

    Equal cells are equivalent without a test only where no value differs, those of the controls included.
    """
    if attack.other_results:
        return tested if tested in (Verdict.REGRESSED, Verdict.IMPROVED) else Verdict.OTHER_RESULT
    change = attack.after - attack.before
    is_zero = bool((np.abs(change[np.isfinite(change)]) <= SAME).all())
    if tested is Verdict.INCONCLUSIVE and attack.has_same_cells and is_zero:
        return Verdict.EQUIVALENT
    return tested


def _without(attack: Paired, column: int) -> Paired:
    """Returns an attack without the artist in one column."""
    return attack._replace(
        before=np.delete(attack.before, column),
        after=np.delete(attack.after, column),
        checks=np.delete(attack.checks, column, axis=1),
    )
