"""The cells that two sides share, and each artist's contribution to P on both sides."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from cloakbench.schemas.kinds import Role
from cloakbench.schemas.limits import share_of_limit
from cloakbench.schemas.record import Record
from cloakbench.schemas.suite import SuiteFacts
from cloakbench_leaderboards.data import frames
from cloakbench_leaderboards.data.points import PointAddress, PointKind
from cloakbench_leaderboards.data.selection import has_same_result
from cloakbench_leaderboards.scores import agreement, matching, statistics
from cloakbench_leaderboards.scores.scores import ScoreMatrices, score
from cloakbench_leaderboards.scores.statistics import Array
from cloakbench_leaderboards.versions.sides import Side


class CellIdentity(NamedTuple):
    """What makes two cells a pair, for any protection."""

    attack: str
    artist: str
    point: PointAddress
    seed: int


Pair = tuple[Record, Record]
Pairs = Mapping[CellIdentity, Pair]


class Paired(NamedTuple):
    """One attack on both sides."""

    attack: str
    points: tuple[PointAddress, ...]
    """Operating points whose P is averaged."""
    before: Array
    """What each artist contributes to P; NaN where one of the sides has no score."""
    after: Array
    seeds: int
    """Attack seeds of a cell that both have."""
    seed_noise: float
    """Standard deviation of a contribution over attack seeds, from the clean arm; NaN where that has but one."""
    has_same_cells: bool
    """Whether the keys and environment classes of both sides are equal; says nothing about their values."""
    other_results: int
    """Cells, and cells of the controls, with equal key and environment class on both sides but other values."""
    metrics: tuple[str, ...]
    """Those that have a limit on both sides."""
    checks: Array
    """After minus before at equal visibility by each of these metrics `[metrics, artists]`."""


class _Scored(NamedTuple):
    name: str
    grid: ScoreMatrices
    noise: Mapping[str, float]
    """Variance of the clean arm's distance over seeds, by attack."""
    shares: Mapping[str, Array]
    """Share of its limit that each metric uses at the shared points `[points, artists]`, by metric."""


def artists_of(shared: Pairs) -> list[str]:
    """Returns the artists of shared cells, in the order of what `paired` returns."""
    return sorted({cell.artist for cell in shared})


def places(records: Sequence[Record]) -> dict[CellIdentity, Record]:
    """Returns the cells of one entry by what pairs them."""
    cells = {}
    for record in records:
        point = PointAddress(PointKind.STRENGTH, record.strength)
        if record.target is not None:
            point = PointAddress(PointKind.TARGET, record.target)
        cells[CellIdentity(record.attack.name, record.artist, point, record.seed)] = record
    return cells


def pairs(before: Side, after: Side) -> dict[CellIdentity, Pair]:
    """Returns the cells that both sides have, sorted."""
    old, new = places(before.entry), places(after.entry)
    pairs = {}
    for cell in sorted(old.keys() & new.keys()):
        pairs[cell] = (old[cell], new[cell])
    return pairs


def paired(before: Side, after: Side, shared: Pairs) -> list[Paired]:
    """Returns every ranked attack with shared cells, in the order of the suite; none where no cell is shared.

    P is averaged over the points where both sides have a score of most artists: over the calibrated ones where there
    are such, because there the entries are equally visible, else over the strengths.
    """
    if not shared:
        return []
    points = sorted({cell.point for cell in shared})
    scored = []
    for number, side in enumerate((before, after)):
        scored.append(_scored(side, shared, points, number))
    contradictions = contradicted(before, after)
    attack_pairs = []
    for attack in after.facts.ranked:
        own = _of_attack(shared, attack.name)
        if own:
            other = sum(is_about(record, attack.name, attack.mimicry, attack.model) for record in contradictions)
            attack_pairs.append(_paired(attack.name, own, points, scored)._replace(other_results=other))
    return attack_pairs


def contradicted(before: Side, after: Side) -> list[Record]:
    """Returns the records of `after` whose key and environment class stand in `before` with other values."""
    old = {_cell(record): record for record in [*before.entry, *before.controls]}
    records = []
    for record in [*after.entry, *after.controls]:
        other = old.get(_cell(record))
        if other is not None and not has_same_result(other, record):
            records.append(record)
    return records


def is_about(record: Record, attack: str, mimicry: str, model: str) -> bool:
    """Returns whether P under an attack depends on a record: its own cells, and the arms without countermeasure."""
    own = record.attack
    if own.name == attack:
        return True
    is_arm = record.protection.role in (Role.IDENTITY, Role.FLOOR)
    return is_arm and own.countermeasure is None and (own.mimicry, own.model) == (mimicry, model)


def _scored(side: Side, shared: Pairs, points: Sequence[PointAddress], number: int) -> _Scored:
    """Returns the scores of one side's shared cells; the number of a point stands in for its strength."""
    entry = []
    for cell, pair in shared.items():
        record = pair[number]
        # Strength 0: no strength meets the target.
        if cell.point.kind is PointKind.STRENGTH or record.strength:
            entry.append(record.model_copy(update={"strength": float(1 + points.index(cell.point))}))
    records = [*side.controls, *entry]
    cells = frames.cells(frames.places(records), frames.rows(records), side.facts.suite.metrics.primary)
    grid = score(cells, side.facts.ranked, artists_of(shared)).grid
    clean = cells[(cells["role"] == str(Role.IDENTITY)) & cells["distance"].notna()]
    noise = clean.groupby(["attack", "artist"], observed=True)["distance"].var().groupby("attack", observed=True).mean()
    variances = {str(name): float(value) for name, value in noise.items()}
    return _Scored(
        side.entry[0].protection.name, grid, variances, _shares(side.facts, entry, len(points), grid.artists)
    )


def _shares(facts: SuiteFacts, records: Sequence[Record], points: int, artists: Sequence[str]) -> dict[str, Array]:
    """Returns the share of the middle target's limit that each metric uses, by point and artist; none without targets.

    The strength of a record is the number of its point, from 1.
    """
    if facts.suite.matching is None:
        return {}
    explained = {metric.name: metric for metric in facts.metrics}
    shares = {}
    for name, limit in matching.stops(facts.suite.matching)[1].limits.items():
        shares[name] = np.full((points, len(artists)), math.nan)
        for record in records:
            values = record.quality.get(name)
            if values:
                row, column = int(record.strength) - 1, artists.index(record.artist)
                mean = math.fsum(values) / len(values)
                shares[name][row, column] = share_of_limit(explained[name], mean, limit)
    return shares


def _of_attack(shared: Pairs, attack: str) -> Pairs:
    return {cell: pair for cell, pair in shared.items() if cell.attack == attack}


def _paired(attack: str, own: Pairs, points: Sequence[PointAddress], scored: Sequence[_Scored]) -> Paired:
    contributions: dict[PointAddress, Array] = {}
    counts: dict[PointAddress, int] = {}
    for number, point in enumerate(points, start=1):
        contributions[point] = _contributions(attack, number, scored)
        counts[point] = int(np.isfinite(contributions[point][0]).sum())
    used = _used(points, counts)
    before, after = np.mean([contributions[point] for point in used], axis=0)
    return Paired(
        attack=attack,
        points=tuple(used),
        before=before,
        after=after,
        seeds=len({cell.seed for cell in own}),
        seed_noise=_seed_noise(attack, scored[0], 1 + points.index(used[0])),
        has_same_cells=_have_same_cells(own.values()),
        other_results=0,
        metrics=_shared_metrics(scored),
        checks=_checks(attack, scored),
    )


def _checks(attack: str, scored: Sequence[_Scored]) -> Array:
    """Returns after minus before at equal visibility by each metric, as `agreement.at_equal` has it."""
    names = _shared_metrics(scored)
    differences = np.full((len(names), len(scored[0].grid.artists)), math.nan)
    for row, name in enumerate(names):
        p, weight = zip(*(_at_equal(attack, side, name) for side in scored), strict=True)
        before, after = _paired_contributions(np.asarray(p), np.asarray(weight))
        differences[row] = after - before
    return differences


def _shared_metrics(scored: Sequence[_Scored]) -> tuple[str, ...]:
    return tuple(name for name in scored[0].shares if name in scored[1].shares)


def _at_equal(attack: str, side: _Scored, metric: str) -> tuple[Array, Array]:
    """Returns P of each artist where one limit is used whole, and the denominators; NaN without a point."""
    rows, p, shares = side.grid.rows, [], []
    clean = rows.get((Role.IDENTITY, 0.0, attack))
    weight = np.full(len(side.grid.artists), math.nan)
    p.append(np.zeros_like(weight) if clean is None else side.grid.p[clean])
    shares.append(np.zeros_like(weight))
    for point, share in enumerate(side.shares[metric], start=1):
        row = rows.get((side.name, float(point), attack))
        if row is not None:
            p.append(side.grid.p[row])
            shares.append(share)
            weight = side.grid.denominator[row]
    return agreement.at_limit(np.asarray(shares), np.asarray(p)), weight


def _used(points: Sequence[PointAddress], counts: Mapping[PointAddress, int]) -> list[PointAddress]:
    """Returns the points with a score of most artists: a point that was run on fewer would leave others out."""
    most = max(counts.values(), default=0)
    full = []
    for point in points:
        if counts[point] == most > 0:
            full.append(point)
    full = full or list(points[:1])
    targets = []
    for point in full:
        if point.kind is PointKind.TARGET:
            targets.append(point)
    return targets or full


def _have_same_cells(pairs: Iterable[Pair]) -> bool:
    return all(_cell(old) == _cell(new) for old, new in pairs)


def _cell(record: Record) -> tuple[str, str]:
    return record.key, record.environment.env_class


def _contributions(attack: str, number: int, scored: Sequence[_Scored]) -> Array:
    """Returns what each artist contributes on both sides (first axis); only artists with a score on both count."""
    p, weight = [], []
    for side in scored:
        row = side.grid.rows.get((side.name, float(number), attack))
        if row is None:
            return np.full((len(scored), len(scored[0].grid.artists)), math.nan)
        p.append(side.grid.p[row])
        weight.append(side.grid.denominator[row])
    return _paired_contributions(np.asarray(p), np.asarray(weight))


def _paired_contributions(p: Array, weight: Array) -> Array:
    """Returns the contributions on both sides (first axis) of the artists that have a score on both."""
    numerators = p * weight
    both = np.isfinite(numerators).all(0)
    return statistics.contributions(np.where(both, numerators, math.nan), weight)


def _seed_noise(attack: str, side: _Scored, number: int) -> float:
    row = side.grid.rows.get((side.name, float(number), attack))
    variance = side.noise.get(attack, math.nan)
    weights = side.grid.denominator[row] if row is not None else np.empty(0)
    weights = weights[np.isfinite(weights)]
    return math.sqrt(variance) / float(weights.mean()) if len(weights) and variance >= 0 else math.nan
