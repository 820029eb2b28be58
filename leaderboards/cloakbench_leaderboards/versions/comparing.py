"""Two versions of a protection, attack by attack: paired differences of P over artists, and what changed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cloakbench.schemas.suite import Suite
from cloakbench_leaderboards import text
from cloakbench_leaderboards.data.points import PointAddress, PointKind
from cloakbench_leaderboards.scores import statistics
from cloakbench_leaderboards.scores.agreement import MetricDifference, disagreeing, of_pair
from cloakbench_leaderboards.scores.resolution import Resolution, artists_needed, detectable, seeds_needed
from cloakbench_leaderboards.scores.statistics import MIN_ARTISTS, too_few
from cloakbench_leaderboards.versions.changes import Change, changes
from cloakbench_leaderboards.versions.judging import JudgedAttacks, judge_all
from cloakbench_leaderboards.versions.pairing import Paired, Pairs, artists_of, contradicted, paired, pairs, places
from cloakbench_leaderboards.versions.sides import Side
from cloakbench_leaderboards.versions.verdicts import ALPHA, Verdict, overall


@dataclass(frozen=True, slots=True)
class Difference:
    """One attack: P before, P after, and the verdict on the difference."""

    attack: str
    at: str
    """Operating points whose P is averaged."""
    before: float
    after: float
    change: float
    low: float
    """Limits of the 90 % interval, which equivalence tests use; NaN below six artists."""
    high: float
    p: float
    """Of no difference, corrected for the number of attacks; NaN where there is no test."""
    artists: int
    seeds: int
    """Attack seeds of a cell that both sides have."""
    least: float
    """Least difference that this many artists show with 80 % power, at the level that Holm's correction starts with."""
    verdict: Verdict
    reason: str
    """Why it is inconclusive, or that equal recipes have other results; empty otherwise."""
    other_results: int
    """Cells, and cells of the controls, of equal key and environment class whose values differ."""
    seeds_needed: int | None
    """How many seeds would decide, if the change is what it seems; None where no number would or it is decided."""
    artists_needed: int | None
    """The same for artists, at the seeds that there are."""
    by_metric: tuple[MetricDifference, ...]
    """The change at equal visibility by each metric that has a limit."""
    disagreeing: tuple[str, ...]
    """The metrics at whose equal visibility a difference is not shown; then two protections do not differ."""
    turns_on: tuple[str, ...]
    """The artists without any one of whom the verdict is another."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One side compared with another."""

    before: str
    after: str
    suite: str
    margin: float
    """Differences of P below it count as none."""
    verdict: Verdict
    attacks: tuple[Difference, ...]
    changes: tuple[Change, ...]
    quality: tuple[tuple[str, float, float], ...]
    """Quality metric, and its mean over the protected images that both sides have, before and after."""
    turns_on: tuple[str, ...]
    """The artists without any one of whom the verdict on the whole is another."""
    notes: tuple[str, ...]
    """What a reader has to know: other environment classes, other seeds, cells that one side lacks."""


def compare(before: Side, after: Side) -> Comparison:
    """Returns the comparison of two sides; the order of the records does not matter.

    Artists are the unit. A cell counts where both sides have it: same attack, artist, operating point and seed index.
    """
    shared, suite = pairs(before, after), after.facts.suite
    measured = paired(before, after, shared)
    # A version of one protection may be worse at less visibility too: that is what a user wants to be told.
    must_agree = before.entry[0].protection.name != after.entry[0].protection.name
    judged = judge_all(measured, artists_of(shared), suite, must_agree=must_agree)
    attacks = []
    for row, attack in enumerate(measured):
        attacks.append(_difference(attack, judged, row, suite))
    return Comparison(
        before=before.words,
        after=after.words,
        suite=f"{suite.name} {suite.version}",
        margin=suite.equivalence_margin,
        verdict=overall(judged.verdicts),
        attacks=tuple(attacks),
        changes=tuple(changes(shared.values())),
        quality=tuple(_quality(shared, suite.metrics.quality)),
        turns_on=judged.turns_on,
        notes=tuple(_notes(before, after, shared)),
    )


def _difference(attack: Paired, judged: JudgedAttacks, row: int, suite: Suite) -> Difference:
    change, margin, verdict = judged.tests.change.at(row), suite.equivalence_margin, judged.verdicts[row]
    spread = float(np.nanstd(attack.after - attack.before, ddof=1)) if change.n > 1 else math.nan
    seed = attack.seed_noise if math.isfinite(attack.seed_noise) else 0.0
    noise = Resolution(change.n, statistics.mean([]), seed, spread, attack.seeds)
    # Each of several attacks has to be found by itself: the corrected level of the one with the least p.
    level = 1 - ALPHA / len(judged.verdicts)
    # If the change is what it seems, it is decided where it shows, or where its distance from the margin does.
    resolution = max(abs(change.value), margin - abs(change.value))
    by_metric = tuple(of_pair(attack.metrics, attack.checks))
    is_open = verdict is Verdict.INCONCLUSIVE and change.n >= MIN_ARTISTS and not judged.disagreeing[row]
    return Difference(
        attack=attack.attack,
        at=_at(attack.points, suite),
        before=_mean(attack.before),
        after=_mean(attack.after),
        change=change.value,
        low=change.low,
        high=change.high,
        p=float(judged.tests.p[row]),
        artists=change.n,
        seeds=attack.seeds,
        least=detectable(spread, change.n, level=level),
        verdict=verdict,
        reason=_reason(verdict, change.n, attack.other_results),
        other_results=attack.other_results,
        seeds_needed=seeds_needed(noise, resolution, level=level) if is_open else None,
        artists_needed=artists_needed(noise, resolution, attack.seeds, level=level) if is_open else None,
        by_metric=by_metric,
        disagreeing=disagreeing(change.value, by_metric) if judged.disagreeing[row] else (),
        turns_on=judged.turning[row],
    )


def _reason(verdict: Verdict, artists: int, other_results: int) -> str:
    if verdict is Verdict.OTHER_RESULT:
        cells = f"{other_results} cell{'s' * (other_results != 1)}"
        return f"{cells} of equal key and environment class with other values"
    if verdict is not Verdict.INCONCLUSIVE:
        return ""
    if artists == 0:
        return "no artist has a score on both sides"
    if artists < MIN_ARTISTS:
        return too_few(artists, "a verdict")
    return "the artists differ too much"


def _mean(values: statistics.Array) -> float:
    measured = values[np.isfinite(values)]
    return float(measured.mean()) if len(measured) else math.nan


def _at(points: Sequence[PointAddress], suite: Suite) -> str:
    """Returns the operating points in words; all are of one kind."""
    values = text.numbers(point.value for point in points)
    if points[0].kind is PointKind.STRENGTH:
        return f"strength {values}"
    return f"{suite.matching.metric if suite.matching else 'target'} {values}"


def _quality(shared: Pairs, metrics: Sequence[str]) -> Iterator[tuple[str, float, float]]:
    """Yields the means over protected images, which all attacks and seeds on one artist and point share."""
    images = {}
    for cell, pair in shared.items():
        images[(cell.artist, cell.point)] = pair
    for name in metrics:
        before: list[float] = []
        after: list[float] = []
        for old, new in images.values():
            before += old.quality.get(name, [])
            after += new.quality.get(name, [])
        if before and after:
            yield name, math.fsum(before) / len(before), math.fsum(after) / len(after)


def _notes(before: Side, after: Side, shared: Pairs) -> Iterator[str]:
    old, new = before.entry[0], after.entry[0]
    if before.env_class != after.env_class:
        yield (
            f"the environment classes differ ({before.env_class}, {after.env_class}): "
            "each side is scored against its own references, and the difference holds what the environment changes"
        )
    if (old.suite, old.salt_digest) != (new.suite, new.salt_digest):
        yield "the attack seeds differ, because the suite's name or the salt does: paired by artist alone"
    if (old.suite, old.suite_version) != (new.suite, new.suite_version):
        yield f"the suites differ: {old.suite} {old.suite_version} and {new.suite} {new.suite_version}"
    yield from _cell_notes(before, after, shared)


def _cell_notes(before: Side, after: Side, shared: Pairs) -> Iterator[str]:
    if not shared:
        yield "no cell is on both sides: same attack, artist, operating point and seed"
    other = len(contradicted(before, after))
    if other:
        yield (
            f"{Verdict.OTHER_RESULT}: {other} record{'s' * (other != 1)} of equal key and environment class have other "
            "values; a record was changed, or something that no recipe names differs"
        )
    for side, partner in ((before, "after"), (after, "before")):
        lacking: Counter[str] = Counter()
        for cell in places(side.entry):
            lacking[cell.attack] += cell not in shared
        lacking = +lacking
        if lacking:
            counts = ", ".join(f"{name} {count}" for name, count in sorted(lacking.items()))
            yield f"cells without a partner {partner}: {counts}"
    unscored = {cell.attack for cell in shared}
    unscored.difference_update(attack.name for attack in after.facts.ranked)
    if unscored:
        yield f"not compared, because no score is made of it: {text.listed(sorted(unscored))}"
