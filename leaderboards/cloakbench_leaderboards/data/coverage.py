"""What is not there: cells that a suite asks of an entry and that are absent, failed or skipped, with the reason."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pandas as pd

from cloakbench.schemas.suite import Suite
from cloakbench_leaderboards import text

ABSENT = "absent"
SUITE_ROLES = ("submission", "random-noise")
"""Roles that run at the suite's strengths and protected seeds."""
PERCEPTUAL = "perceptual"
"""Budget without an L-infinity limit: such an entry runs at calibrated strengths only."""
READY_MADE = "ready-made"
"""Images that exist at some strengths already: never calibrated."""
_PLACE = ["protection", "strength", "attack", "artist", "seed"]


class Gap(NamedTuple):
    """Cells of one protection and attack that lack a measurement for one reason."""

    protection: str
    attack: str
    status: str
    """Status of the record, or `absent`."""
    reason: str
    strengths: tuple[float, ...]
    """NaN for one that a run has yet to seek."""
    artists: tuple[str, ...]
    cells: int


def gaps(cells: pd.DataFrame, suite: Suite, artists: Sequence[str]) -> list[Gap]:
    """Returns the gaps of all entries, sorted: what is recorded as not ok, and what the plan asks for in vain.

    A control counts as planned only on attacks and strengths where it has been seen.
    """
    bad = cells[cells["status"] != "ok"]
    found = [*zip(*(bad[column] for column in [*_PLACE, "status", "reason"]), strict=True)]
    present = set(zip(*(cells[column] for column in _PLACE), strict=True))
    missing = [(*place, ABSENT, "no record yet") for place in _planned(cells, suite, artists) if place not in present]
    grouped: dict[tuple[str, str, str, str], list[tuple[float, str]]] = {}
    for protection, strength, attack, artist, _, status, reason in [*found, *missing]:
        grouped.setdefault((protection, attack, status, reason), []).append((strength, artist))
    gathered = []
    for key, places in sorted(grouped.items()):
        strengths = tuple(sorted({strength for strength, _ in places}, key=_nan_last))
        gathered.append(Gap(*key, strengths, tuple(sorted({artist for _, artist in places})), len(places)))
    return gathered


def where(gap: Gap) -> str:
    """Returns which cells a gap holds, in words."""
    strengths = text.listed(["to be sought" if math.isnan(each) else f"{each:g}" for each in gap.strengths])
    artists = text.listed([text.name(artist) for artist in gap.artists])
    return f"{gap.cells} cell{'s' * (gap.cells != 1)} at strength {strengths}, {artists}"


def _planned(cells: pd.DataFrame, suite: Suite, artists: Sequence[str]) -> Iterator[tuple[str, float, str, str, int]]:
    for (protection, role, budget), group in cells.groupby(["protection", "role", "budget"]):
        if role in SUITE_ROLES:
            strengths = [] if budget == PERCEPTUAL else list(suite.strengths)
            sought = group.dropna(subset="target").groupby("target")["strength"].first()
            targets = [] if budget == READY_MADE else suite.calibrated
            strengths += [float(sought.get(target, math.nan)) for target in targets]
            points = [(strength, attack.name) for strength in strengths for attack in suite.attacks]
            seeds = suite.seeds.protected
        else:
            points = sorted(set(zip(group["strength"], group["attack"], strict=True)))
            seeds = suite.seeds.controls
        for strength, attack in points:
            for artist in artists:
                for seed in range(seeds):
                    yield str(protection), float(strength), str(attack), artist, seed


def _nan_last(strength: float) -> tuple[bool, float]:
    return (math.isnan(strength), strength)
