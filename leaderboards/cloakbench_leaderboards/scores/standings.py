"""All entries compared: every column of the front page, places, tie groups and the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from cloakbench.schemas.kinds import Role
from cloakbench_leaderboards.scores import aggregates, agreement, barriers, ranking, sensitivity, statistics
from cloakbench_leaderboards.scores.barriers import LEAST_RANKED, Unranked
from cloakbench_leaderboards.scores.matching import OperatingPoint
from cloakbench_leaderboards.scores.ranking import Standing
from cloakbench_leaderboards.scores.setting import CLEAN, EntryPoints, Setting, Value, curve
from cloakbench_leaderboards.scores.statistics import Array, Estimate

WORST_CASE = "worst-case"
ENTRY_COLUMNS = ["protection", "column", "value", "low", "high", "artists", "state", "gate", "note"]
CONTROLS = tuple(str(role) for role in Role if role.is_control)
"""Roles of the entries that every board holds, in the order of tables."""


@dataclass(frozen=True)
class RankColumn:
    """One number of every entry."""

    key: str
    """Stable name, as in the frame and in `board.json`."""
    title: str
    values: tuple[Value, ...]
    estimates: tuple[Estimate, ...]


@dataclass(frozen=True)
class Standings:
    """The front page as numbers; entries in the order of `names`."""

    names: tuple[str, ...]
    columns: dict[str, RankColumn]
    rank_column: RankColumn
    """The column that decides the rank."""
    places: dict[str, Standing]
    unranked: dict[str, Unranked]
    """Why an entry has no place, by name."""
    complete: tuple[str, ...]
    """Submissions that could be ranked; with fewer than two of them there are no places."""
    provisional: tuple[str, ...]
    """Submissions by P against the headline's attack alone, which most have whole; not a ranking."""
    flips: dict[str, tuple[int, int]]
    """By column: pairs of ranked entries that it orders the other way round, and the number of pairs."""
    front: frozenset[str]
    """Entries on the Pareto front of quality and P."""
    decisive: dict[str, tuple[str, ...]]
    """By ranked entry: the artists without any one of whom its rank is less certain."""
    checks: Array
    """What each artist contributes to P at equal visibility by one metric `[metrics, ranked entries, artists]`.

    The ranked entries are in the order of `places`. Differences count as shown only where all of these agree.
    """
    metrics: tuple[str, ...]
    """The metrics of `checks`."""
    not_shown: dict[tuple[str, str], tuple[str, ...]]
    """Pairs of ranked entries that differ in the rank's number alone, with the metrics that do not agree."""

    def value(self, key: str, name: str) -> tuple[Value, Estimate]:
        """Returns a number of an entry; raises KeyError where there is no such column or entry."""
        row = self.rows[name]
        return self.columns[key].values[row], self.columns[key].estimates[row]

    @cached_property
    def rows(self) -> dict[str, int]:
        """Index in `names` by name."""
        return dict(zip(self.names, range(len(self.names)), strict=True))

    @property
    def frame(self) -> pd.DataFrame:
        """One row per entry and column: value, limits, number of artists, state, what it lacks."""
        rows: list[tuple[object, ...]] = []
        for column in self.columns.values():
            for name, value, estimate in zip(self.names, column.values, column.estimates, strict=True):
                note = "; ".join(value.lacks) or value.note
                rows.append((name, column.key, *estimate[:4], str(value.state), value.gate, note))
        return pd.DataFrame(rows, columns=ENTRY_COLUMNS)


def standings(setting: Setting, subjects: Sequence[EntryPoints]) -> Standings:
    """Returns every column and place; only places, groups, flips and the front depend on the other entries."""
    entries = [subject for subject in subjects if subject.role != Role.FLOOR]
    names = [subject.name for subject in entries]
    columns = _columns(setting, entries)
    rank_column = _rank_column(setting, entries, columns)
    unranked: dict[str, Unranked] = {}
    ranked: list[int] = []
    for row, subject in enumerate(entries):
        reason = barriers.barrier(setting, subject, rank_column.values[row], rank_column.estimates[row])
        if reason is not None:
            unranked[subject.name] = reason
        else:
            ranked.append(row)
    complete = tuple(map(names.__getitem__, ranked))
    if len(ranked) < LEAST_RANKED:
        unranked |= dict.fromkeys(complete, barriers.ALONE)
        ranked = []
    checks = agreement.stacked(setting, [entries[row] for row in ranked])
    return Standings(
        names=tuple(names),
        columns=columns,
        rank_column=rank_column,
        places=_places(entries, rank_column, ranked, checks),
        unranked=unranked,
        complete=complete,
        provisional=_provisional(setting, entries),
        flips=_flips(columns, rank_column, ranked),
        front=frozenset(_front(setting, entries)),
        decisive=_decisive(setting, entries, rank_column, ranked, checks),
        checks=checks,
        metrics=agreement.metrics(setting),
        not_shown=_not_shown(setting, entries, rank_column, ranked, checks),
    )


def _provisional(setting: Setting, entries: Sequence[EntryPoints]) -> tuple[str, ...]:
    """Returns the submissions with a whole P against the headline's attack at the middle point, the highest first."""
    means = {}
    for entry in entries:
        value = aggregates.protection(setting, entry, setting.attack.name, setting.middle)
        if entry.role == Role.SUBMISSION and value.is_whole:
            means[entry.name] = float(np.nanmean(value.artists))
    return tuple(sorted(means, key=lambda name: (-means[name], name)))


def _places(
    entries: Sequence[EntryPoints], rank_column: RankColumn, ranked: Sequence[int], checks: Array
) -> dict[str, Standing]:
    if not ranked:
        return {}
    names, values = _ranked_values(entries, rank_column, ranked)
    return dict(zip(names, ranking.places(values, checks), strict=True))


def _ranked_values(
    entries: Sequence[EntryPoints], rank_column: RankColumn, ranked: Sequence[int]
) -> tuple[list[str], Array]:
    """Returns the names of the ranked entries and their values of the rank's column `[entries, artists]`."""
    names, values = [], []
    for row in ranked:
        names.append(entries[row].name)
        values.append(rank_column.values[row].artists)
    return names, np.asarray(values)


def _decisive(
    setting: Setting, entries: Sequence[EntryPoints], rank_column: RankColumn, ranked: Sequence[int], checks: Array
) -> dict[str, tuple[str, ...]]:
    if not ranked:
        return {}
    names, values = _ranked_values(entries, rank_column, ranked)
    return dict(zip(names, sensitivity.decisive_artists(values, setting.grid.artists, checks), strict=True))


def _not_shown(
    setting: Setting, entries: Sequence[EntryPoints], rank_column: RankColumn, ranked: Sequence[int], checks: Array
) -> dict[tuple[str, str], tuple[str, ...]]:
    if not ranked:
        return {}
    names, values = _ranked_values(entries, rank_column, ranked)
    pairs = {}
    for (first, second), metrics in agreement.not_shown(agreement.metrics(setting), values, checks).items():
        pairs[names[first], names[second]] = metrics
    return pairs


def _flips(
    columns: dict[str, RankColumn], rank_column: RankColumn, ranked: Sequence[int]
) -> dict[str, tuple[int, int]]:
    flips = {}
    ours = [rank_column.estimates[row].value for row in ranked]
    for key, column in columns.items():
        if column is not rank_column:
            flips[key] = ranking.flips(ours, [column.estimates[row].value for row in ranked])
    return flips


def stop_key(stop: OperatingPoint) -> str:
    """Returns the key of the column of P at a stop.

    Example:
        >>> stop_key(OperatingPoint("mini-lpips 0.1", 0.1, {"mini-lpips": 0.1}, float("nan")))
        'p at mini-lpips 0.1'
    """
    return f"p at {'' if stop.target is not None else 'strength '}{stop.label}"


def _columns(setting: Setting, entries: Sequence[EntryPoints]) -> dict[str, RankColumn]:
    middle = setting.middle
    columns = {}
    for stop in setting.stops:
        columns[stop_key(stop)] = _protection_column(setting, entries, stop)
    worst, means, shares = [], [], []
    for entry in entries:
        worst.append(aggregates.worst(setting, entry, middle))
        means.append(aggregates.mean(setting, entry, middle))
        shares.append(aggregates.retention(setting, entry, middle))
    columns["worst case"] = _column("worst case", "worst case", worst)
    columns["mean"] = _column("mean", "mean over attacks", means)
    columns["retention"] = _column("retention", "retention", shares)
    if setting.suite.matching:
        columns["area"] = _column("area", "area", [aggregates.area(setting, entry) for entry in entries])
    return columns


def _rank_column(setting: Setting, entries: Sequence[EntryPoints], columns: dict[str, RankColumn]) -> RankColumn:
    if setting.suite.rank_by == WORST_CASE:
        return columns["worst case"]
    strengths = sorted(setting.suite.strengths)
    strength = strengths[len(strengths) // 2]
    stop = OperatingPoint(f"{strength:g}", None, {}, strength)
    key = stop_key(stop)
    return columns[key] if key in columns else _protection_column(setting, entries, stop)


def _protection_column(setting: Setting, entries: Sequence[EntryPoints], stop: OperatingPoint) -> RankColumn:
    values = []
    for entry in entries:
        values.append(aggregates.protection(setting, entry, setting.attack.name, stop))
    at = stop.label if setting.suite.matching is None or stop.target is not None else f"strength {stop.label}"
    return _column(stop_key(stop), f"P at {at}", values)


def _column(key: str, title: str, values: Sequence[Value]) -> RankColumn:
    stacked = np.asarray([value.artists for value in values]) if values else np.empty((0, 0))
    by_entry = []
    for value, estimate in zip(values, statistics.estimates(stacked).rows(), strict=True):
        by_entry.append(value.estimate or estimate)
    return RankColumn(key, title, tuple(values), tuple(by_entry))


def _front(setting: Setting, entries: Sequence[EntryPoints]) -> set[str]:
    """Returns the submissions with a point that no other submission beats, visibility being the matched metric's."""
    metric = setting.suite.matching.metric if setting.suite.matching else next(iter(setting.suite.metrics.quality), "")
    curves = {}
    for subject in entries:
        points = _visible_points(setting, subject, metric)
        if subject.role == Role.SUBMISSION and len(points) > 1:
            curves[subject.name] = points
    return ranking.front(curves)


def _visible_points(setting: Setting, subject: EntryPoints, metric: str) -> list[tuple[float, float]]:
    """Returns visibility by one metric and P at each measured strength; none without a curve."""
    attack = setting.attack.name
    measured = curve(setting, subject, attack)
    if metric not in measured.quality or len(measured.strengths) < 2:
        return []
    rows = []
    for strength in measured.strengths:
        name = CLEAN if strength == 0 else subject.name
        rows.append(setting.grid.rows[name, strength, attack])
    p, weight = setting.grid.p[rows], setting.grid.denominator[rows]
    means = statistics.estimates(statistics.contributions(p * weight, weight)).value
    sign = -1 if setting.higher_is_better.get(metric) else 1
    points = []
    for quality, mean in zip(measured.quality[metric], means, strict=True):
        if math.isfinite(mean):
            points.append((sign * quality, float(mean)))
    return points
