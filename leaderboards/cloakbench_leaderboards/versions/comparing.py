"""Two versions of a protection, attack by attack: paired differences of P over artists, and what changed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cloakbench.schemas.suite import Suite
from cloakbench_leaderboards import text
from cloakbench_leaderboards.scores import statistics
from cloakbench_leaderboards.scores.resolution import Resolution, artists_needed, detectable, seeds_needed
from cloakbench_leaderboards.scores.statistics import MIN_ARTISTS, too_few
from cloakbench_leaderboards.versions.changes import Change, changes
from cloakbench_leaderboards.versions.pairing import Paired, Pairs, SharedOperatingPoint, paired, pairs, places
from cloakbench_leaderboards.versions.sides import Side
from cloakbench_leaderboards.versions.verdicts import Judged, Verdict, judge, overall


@dataclass(frozen=True, slots=True)
class Difference:
    """One attack: what P was, what it is, and what that says."""

    attack: str
    at: str
    """Operating points whose P is averaged."""
    before: float
    after: float
    change: float
    low: float
    """Limits of the 90 % interval, which is what equivalence asks for; NaN below six artists."""
    high: float
    p: float
    """Of no difference, corrected for the number of attacks; NaN where there is no test."""
    artists: int
    seeds: int
    """Attack seeds of a cell that both sides have."""
    least: float
    """Least difference that this many artists show with 80 % power."""
    verdict: Verdict
    reason: str
    """Why it is inconclusive; empty otherwise."""
    seeds_needed: int | None
    """How many seeds would decide, if the change is what it seems; None where no number would or it is decided."""
    artists_needed: int | None
    """The same for artists, at the seeds that there are."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What one side is beside another."""

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
    notes: tuple[str, ...]
    """What a reader has to know: other environment classes, other seeds, cells that one side lacks."""


def compare(before: Side, after: Side) -> Comparison:
    """Returns the comparison of two sides; the order of the records does not matter.

    Artists are the unit. A cell counts where both sides have it: same attack, artist, operating point and seed index.
    """
    shared, suite = pairs(before, after), after.facts.suite
    measured = paired(before, after, shared)
    differences = np.asarray([each.after - each.before for each in measured])
    judged = judge(differences, suite.equivalence_margin) if measured else None
    found = [_difference(each, judged, row, suite) for row, each in enumerate(measured) if judged]
    return Comparison(
        before=before.words,
        after=after.words,
        suite=f"{suite.name} {suite.version}",
        margin=suite.equivalence_margin,
        verdict=overall([each.verdict for each in found]),
        attacks=tuple(found),
        changes=tuple(changes(shared.values())),
        quality=tuple(_quality(shared, suite.metrics.quality)),
        notes=tuple(_notes(before, after, shared)),
    )


def _difference(each: Paired, judged: Judged, row: int, suite: Suite) -> Difference:
    change, margin = judged.change.at(row), suite.equivalence_margin
    verdict = Verdict(str(judged.verdicts[row]))
    if verdict is Verdict.INCONCLUSIVE and each.is_same and change.n:
        verdict = Verdict.EQUIVALENT
    spread = float(np.nanstd(each.after - each.before, ddof=1)) if change.n > 1 else math.nan
    seed = each.seed_noise if math.isfinite(each.seed_noise) else 0.0
    noise = Resolution(change.n, statistics.mean([]), seed, spread, each.seeds)
    # If the change is what it seems, it is decided where it shows, or where its distance from the margin does.
    resolution = max(abs(change.value), margin - abs(change.value))
    is_open = verdict is Verdict.INCONCLUSIVE and change.n >= MIN_ARTISTS
    return Difference(
        attack=each.attack,
        at=_at(each.stops, suite),
        before=_mean(each.before),
        after=_mean(each.after),
        change=change.value,
        low=change.low,
        high=change.high,
        p=float(judged.p[row]),
        artists=change.n,
        seeds=each.seeds,
        least=detectable(spread, change.n),
        verdict=verdict,
        reason=_reason(change.n) if verdict is Verdict.INCONCLUSIVE else "",
        seeds_needed=seeds_needed(noise, resolution) if is_open else None,
        artists_needed=artists_needed(noise, resolution, each.seeds) if is_open else None,
    )


def _reason(artists: int) -> str:
    if artists == 0:
        return "no artist has a score on both sides"
    if artists < MIN_ARTISTS:
        return too_few(artists).replace("an interval", "a verdict")
    return "the artists differ too much"


def _mean(values: statistics.Array) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan


def _at(stops: Sequence[SharedOperatingPoint], suite: Suite) -> str:
    """Returns the operating points in words."""
    values = ", ".join(f"{value:g}" for _, value in stops)
    if stops[0][0] == "strength":
        return f"strength {values}"
    return f"{suite.matching.metric if suite.matching else 'target'} {values}"


def _quality(shared: Pairs, metrics: Sequence[str]) -> Iterator[tuple[str, float, float]]:
    """Yields the means over protected images, which all attacks and seeds on one artist and point share."""
    images = {(place.artist, place.stop): pair for place, pair in shared.items()}
    for name in metrics:
        values = [[value for pair in images.values() for value in pair[side].quality.get(name, [])] for side in (0, 1)]
        if all(values):
            yield name, math.fsum(values[0]) / len(values[0]), math.fsum(values[1]) / len(values[1])


def _notes(before: Side, after: Side, shared: Pairs) -> Iterator[str]:
    if not shared:
        yield "no cell is on both sides: same attack, artist, operating point and seed"
    one, other = before.entry[0], after.entry[0]
    if before.env_class != after.env_class:
        yield (
            f"the environment classes differ ({before.env_class}, {after.env_class}): "
            "each side is scored against its own controls, and the difference holds what the environment changes"
        )
    if (one.suite, one.salt_digest) != (other.suite, other.salt_digest):
        yield "the attack seeds differ, because the suite's name or the salt does: paired by artist alone"
    if (one.suite, one.suite_version) != (other.suite, other.suite_version):
        yield f"the suites differ: {one.suite} {one.suite_version} and {other.suite} {other.suite_version}"
    for side, told in ((before, "after"), (after, "before")):
        lacking = Counter(place.attack for place in places(side.entry) if place not in shared)
        if lacking:
            counts = ", ".join(f"{name} {count}" for name, count in sorted(lacking.items()))
            yield f"cells without a partner {told}: {counts}"
    beside = {place.attack for place in shared} - {attack.name for attack in after.facts.ranked}
    if beside:
        yield f"not compared, because no score is made of it: {text.listed(sorted(beside))}"
