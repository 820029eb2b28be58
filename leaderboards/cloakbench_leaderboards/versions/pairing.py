"""The cells that two sides share, as what each artist contributes to P on either."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from cloakbench.schemas.record import Record
from cloakbench_leaderboards.data import frames
from cloakbench_leaderboards.scores import statistics
from cloakbench_leaderboards.scores.scores import ScoreMatrices, score
from cloakbench_leaderboards.scores.statistics import Array
from cloakbench_leaderboards.versions.sides import Side

SharedOperatingPoint = tuple[str, float]
"""`target` or `strength`, and its value."""


class CellIdentity(NamedTuple):
    """What makes two cells a pair, whoever protected."""

    attack: str
    artist: str
    stop: SharedOperatingPoint
    seed: int


Pair = tuple[Record, Record]
Pairs = Mapping[CellIdentity, Pair]


class Paired(NamedTuple):
    """One attack on both sides."""

    attack: str
    stops: tuple[SharedOperatingPoint, ...]
    """Operating points whose P is averaged."""
    before: Array
    """What each artist contributes to P; NaN where one of the sides has no score."""
    after: Array
    seeds: int
    """Attack seeds of a cell that both have."""
    seed_noise: float
    """Standard deviation of a contribution over attack seeds, from the clean arm; NaN where that has but one."""
    is_same: bool
    """Whether both sides hold the very same cells."""


class _Scored(NamedTuple):
    name: str
    grid: ScoreMatrices
    noise: Mapping[str, float]
    """Variance of the clean arm's distance over seeds, by attack."""


def places(records: Sequence[Record]) -> dict[CellIdentity, Record]:
    """Returns the cells of one entry by what pairs them."""
    return {
        CellIdentity(
            each.attack.name,
            each.artist,
            ("strength", each.strength) if each.target is None else ("target", each.target),
            each.seed,
        ): each
        for each in records
    }


def pairs(before: Side, after: Side) -> dict[CellIdentity, Pair]:
    """Returns the cells that both sides have, sorted."""
    old, new = places(before.entry), places(after.entry)
    return {place: (old[place], new[place]) for place in sorted(old.keys() & new.keys())}


def paired(before: Side, after: Side, shared: Pairs) -> list[Paired]:
    """Returns every ranked attack with shared cells, in the order of the suite.

    P is averaged over the points where both sides have a score of most artists: over the calibrated ones where there
    are such, because there the entries are equally visible, else over the strengths.
    """
    stops = sorted({place.stop for place in shared})
    scored = [_scored(side, shared, stops, number) for number, side in enumerate((before, after))]
    there = {place.attack for place in shared}
    return [_paired(attack.name, shared, stops, scored) for attack in after.facts.ranked if attack.name in there]


def _scored(side: Side, shared: Pairs, stops: Sequence[SharedOperatingPoint], number: int) -> _Scored:
    """Returns the scores of one side's shared cells; a point's number stands in the place of its strength."""
    entry = [
        pair[number].model_copy(update={"strength": float(1 + stops.index(place.stop))})
        for place, pair in shared.items()
        if place.stop[0] == "strength" or pair[number].strength  # strength 0: none meets the target
    ]
    records = [*side.controls, *entry]
    cells = frames.cells(frames.places(records), frames.rows(records), side.facts.suite.metrics.primary)
    grid = score(cells, side.facts.ranked, sorted({place.artist for place in shared})).grid
    clean = cells[(cells["role"] == "identity") & cells["distance"].notna()]
    noise = clean.groupby(["attack", "artist"], observed=True)["distance"].var().groupby("attack", observed=True).mean()
    name = side.entry[0].protection.name
    return _Scored(name, grid, {str(attack): float(value) for attack, value in noise.items()})


def _paired(attack: str, shared: Pairs, stops: Sequence[SharedOperatingPoint], scored: Sequence[_Scored]) -> Paired:
    found = {stop: _contributions(attack, number, scored) for number, stop in enumerate(stops, start=1)}
    counts = {stop: int(np.isfinite(values[0]).sum()) for stop, values in found.items()}
    most = max(counts.values(), default=0)
    # A point that was run on fewer artists would leave the others out of the mean.
    used = [stop for stop in stops if counts[stop] == most > 0] or list(stops[:1])
    used = [stop for stop in used if stop[0] == "target"] or used
    before, after = np.mean([found[stop] for stop in used], axis=0)
    own = [(place, *pair) for place, pair in shared.items() if place.attack == attack]
    return Paired(
        attack=attack,
        stops=tuple(used),
        before=before,
        after=after,
        seeds=len({place.seed for place, _, _ in own}),
        seed_noise=_seed_noise(attack, scored[0], 1 + stops.index(used[0])),
        is_same=all(_cell(old) == _cell(new) for _, old, new in own),
    )


def _cell(record: Record) -> tuple[str, str]:
    return record.key, record.environment.env_class


def _contributions(attack: str, number: int, scored: Sequence[_Scored]) -> Array:
    """Returns what each artist contributes on both sides (first axis); only artists with a score on both count."""
    rows = [side.grid.rows.get((side.name, float(number), attack)) for side in scored]
    if None in rows:
        return np.full((len(scored), len(scored[0].grid.artists)), math.nan)
    p, weight = (
        np.asarray([getattr(side.grid, name)[row] for side, row in zip(scored, rows, strict=True)])
        for name in ("p", "denominator")
    )
    both = (np.isfinite(p) & np.isfinite(weight)).all(0)
    return statistics.contributions(np.where(both, p * weight, math.nan), weight)


def _seed_noise(attack: str, side: _Scored, number: int) -> float:
    row = side.grid.rows.get((side.name, float(number), attack))
    variance = side.noise.get(attack, math.nan)
    weights = side.grid.denominator[row] if row is not None else np.empty(0)
    known = weights[np.isfinite(weights)]
    return math.sqrt(variance) / float(known.mean()) if len(known) and variance >= 0 else math.nan
