"""Why an entry has no rank."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import NamedTuple

from cloakbench.schemas.kinds import PointState, Role
from cloakbench_leaderboards.scores import statistics
from cloakbench_leaderboards.scores.setting import EntryPoints, Setting, Value
from cloakbench_leaderboards.scores.statistics import MIN_ARTISTS, Estimate

LEAST_RANKED = 2
"""A rank compares: with fewer complete entries there is none."""


class Barrier(StrEnum):
    """What keeps an entry from a rank."""

    CONTROL = "control"
    DEMONSTRATION = "demonstration"
    """The suite ranks nothing."""
    FEW_ARTISTS = "few artists"
    """The suite has too few artists for an interval, whatever is run."""
    RUNS_MISSING = "runs missing"
    """Runs that decide the rank have no measurement."""
    OVER_TARGET = "over target"
    """The entry is more visible than the limit allows."""
    FEW_SCORES = "few scores"
    """Too few of the suite's artists have a score, though nothing is missing."""
    NO_NUMBER = "no number"
    """The number that decides the rank does not exist: the entry never reaches the limit, or no attack learned."""
    ALONE = "alone"
    """The entry is complete, and no second one is."""


class Unranked(NamedTuple):
    """Why one entry has no rank."""

    barrier: Barrier
    words: str


ALONE = Unranked(
    Barrier.ALONE, f"a rank needs {LEAST_RANKED} complete protections, and no second protection is complete"
)


def barrier(setting: Setting, subject: EntryPoints, value: Value, estimate: Estimate) -> Unranked | None:
    """Returns why an entry has no rank by its own records, or None where it is complete.

    Args:
        setting: What all entries share.
        subject: The entry.
        value: The number that decides the rank.
        estimate: Its mean with the interval.
    """
    artists = len(setting.grid.artists)
    if subject.role != Role.SUBMISSION:
        return Unranked(Barrier.CONTROL, "control")
    if setting.suite.demonstration:
        return Unranked(Barrier.DEMONSTRATION, "the suite is a demonstration, which ranks nothing")
    if artists < MIN_ARTISTS:
        return Unranked(Barrier.FEW_ARTISTS, statistics.too_few(artists, "a rank"))
    if value.lacks:
        return Unranked(Barrier.RUNS_MISSING, "; ".join(value.lacks))
    if value.state is PointState.OVER_TARGET:
        return Unranked(Barrier.OVER_TARGET, "more visible than the limit allows")
    if not math.isfinite(estimate.value):
        return Unranked(Barrier.NO_NUMBER, value.note or str(value.state))
    if estimate.reason:
        return Unranked(Barrier.FEW_SCORES, estimate.reason)
    return None
