"""Missing cells: those that a suite plans for an entry and that are absent, failed or skipped, with the reason."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pandas as pd

from cloakbench.schemas.kinds import BudgetKind, Role
from cloakbench.schemas.ranked_cells import runs_at
from cloakbench.schemas.suite import Suite
from cloakbench_leaderboards import text
from cloakbench_leaderboards.data.frames import CellStatus

PERCEPTUAL = BudgetKind.PERCEPTUAL
"""Budget without an L-infinity limit: such an entry runs at calibrated strengths only."""
READY_MADE = BudgetKind.READY_MADE
"""Images that exist at some strengths already: never calibrated."""
_ADDRESS = ["protection", "strength", "attack", "artist", "seed"]
_Address = tuple[str, float, str, str, int]


class Gap(NamedTuple):
    """Cells of one protection and attack that lack a measurement for one reason."""

    protection: str
    attack: str
    status: CellStatus
    reason: str
    strengths: tuple[float, ...]
    """NaN for one that a run has yet to search for."""
    artists: tuple[str, ...]
    cells: int


def gaps(cells: pd.DataFrame, suite: Suite, artists: Sequence[str]) -> list[Gap]:
    """Returns the gaps of all entries, sorted: failed cells, and planned cells without a record.

    A control counts as planned only on attacks and strengths where it has a record.
    """
    grouped: dict[tuple[str, str, str, str], list[tuple[float, str]]] = {}
    failed = cells[cells["status"] != str(CellStatus.OK)]
    columns = [*_ADDRESS, "status", "reason"]
    for protection, strength, attack, artist, _, status, reason in failed[columns].itertuples(index=False, name=None):
        grouped.setdefault((protection, attack, status, reason), []).append((strength, artist))
    present = set(cells[_ADDRESS].itertuples(index=False, name=None))
    for address in _planned(cells, suite, artists):
        if address not in present:
            key = (address[0], address[2], str(CellStatus.ABSENT), "no record yet")
            grouped.setdefault(key, []).append((address[1], address[3]))
    gaps = []
    for key, missing in sorted(grouped.items()):
        gaps.append(_gap(key, missing))
    return gaps


def where(gap: Gap) -> str:
    """Returns which cells a gap holds, in words."""
    names = []
    for strength in gap.strengths:
        if not math.isnan(strength):
            names.append(f"{strength:g}")
    if len(names) < len(gap.strengths):
        names.append("to be searched for")
    artists = text.listed(list(map(text.name, gap.artists)))
    return f"{gap.cells} cell{'s' * (gap.cells != 1)} at strength {text.listed(names)}, {artists}"


def _gap(key: tuple[str, str, str, str], missing: Sequence[tuple[float, str]]) -> Gap:
    strengths, artists = zip(*missing, strict=True)
    protection, attack, status, reason = key
    return Gap(
        protection,
        attack,
        CellStatus(status),
        reason,
        tuple(sorted(set(strengths), key=_nan_last)),
        tuple(sorted(set(artists))),
        len(missing),
    )


def _planned(cells: pd.DataFrame, suite: Suite, artists: Sequence[str]) -> Iterator[_Address]:
    for (protection, role, budget), group in cells.groupby(["protection", "role", "budget"]):
        points: list[tuple[float, str]] = []
        seeds = suite.seeds.controls
        if Role(str(role)).has_strengths:
            seeds = suite.seeds.protected
            points += _points(group, BudgetKind(str(budget)), suite)
        else:
            points.extend(sorted(set(zip(group["strength"], group["attack"], strict=True))))
        for (strength, name), artist, seed in itertools.product(points, artists, range(seeds)):
            yield str(protection), float(strength), str(name), artist, seed


def _points(group: pd.DataFrame, budget: BudgetKind, suite: Suite) -> list[tuple[float, str]]:
    """Returns strength and attack of each cell that a suite asks of one entry on an artist and seed."""
    points = []
    for strength, target in _strengths(group, budget, suite):
        for attack in suite.attacks:
            if runs_at(suite, attack.name, budget, target):
                points.append((strength, attack.name))
    return points


def _strengths(group: pd.DataFrame, budget: BudgetKind, suite: Suite) -> list[tuple[float, float | None]]:
    """Returns the strengths that a suite asks of one entry, each with its target.

    The target is None for a given strength. The strength is NaN for a target that no search has ended for.
    """
    strengths: list[tuple[float, float | None]] = []
    if budget.runs_at_strengths:
        strengths += [(strength, None) for strength in suite.strengths]
    if budget.runs_at_targets:
        calibrated = group.dropna(subset="target").groupby("target")["strength"].first()
        strengths += [(float(calibrated.get(target, math.nan)), target) for target in suite.calibrated]
    return strengths


def _nan_last(strength: float) -> tuple[bool, float]:
    return (math.isnan(strength), strength)
