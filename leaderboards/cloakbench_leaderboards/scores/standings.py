"""All entries beside each other: every column of the front page, places, tie groups and the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from cloakbench_leaderboards.scores import aggregates, ranking, statistics
from cloakbench_leaderboards.scores.aggregates import EntryPoints, Setting, Value
from cloakbench_leaderboards.scores.matching import OperatingPoint
from cloakbench_leaderboards.scores.ranking import Standing
from cloakbench_leaderboards.scores.statistics import Estimate

WORST_CASE = "worst-case"
ENTRY_COLUMNS = ["protection", "column", "value", "low", "high", "artists", "state", "gate", "note"]
CONTROLS = ("identity", "placebo", "random-noise", "floor")


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
    unranked: dict[str, str]
    """Why an entry has no place."""
    flips: dict[str, tuple[int, int]]
    """By column: pairs of ranked entries whose order it turns round, and of how many."""
    front: frozenset[str]
    """Entries on the Pareto front of quality and P."""

    def value(self, key: str, name: str) -> tuple[Value, Estimate]:
        """Returns a number of an entry; raises KeyError where there is no such column or entry."""
        row = self.rows[name]
        return self.columns[key].values[row], self.columns[key].estimates[row]

    @cached_property
    def rows(self) -> dict[str, int]:
        """Where each entry stands in `names`."""
        return {name: row for row, name in enumerate(self.names)}

    @property
    def frame(self) -> pd.DataFrame:
        """One row per entry and column: value, limits, number of artists, how it came about, what it lacks."""
        rows = [
            (name, column.key, *estimate[:4], value.state, value.gate, "; ".join(value.lacks) or value.note)
            for column in self.columns.values()
            for name, value, estimate in zip(self.names, column.values, column.estimates, strict=True)
        ]
        return pd.DataFrame(rows, columns=ENTRY_COLUMNS)


def standings(setting: Setting, subjects: Sequence[EntryPoints]) -> Standings:
    """Returns every column and place; only places, groups, flips and the front depend on who else is there."""
    listed = [subject for subject in subjects if subject.role != "floor"]
    columns = _columns(setting, listed)
    rank_column = _rank_column(setting, listed, columns)
    unranked = {
        subject.name: why
        for subject, value, estimate in zip(listed, rank_column.values, rank_column.estimates, strict=True)
        if (why := _unranked(setting, subject, value, estimate))
    }
    ranked = [place for place, subject in enumerate(listed) if subject.name not in unranked]
    blocks = [rank_column.values[place].artists for place in ranked]
    found = ranking.places(np.asarray(blocks)) if blocks else []
    return Standings(
        names=tuple(subject.name for subject in listed),
        columns=columns,
        rank_column=rank_column,
        places={listed[place].name: where for place, where in zip(ranked, found, strict=True)},
        unranked=unranked,
        flips={
            key: ranking.flips(
                [rank_column.estimates[i].value for i in ranked], [column.estimates[i].value for i in ranked]
            )
            for key, column in columns.items()
            if column is not rank_column
        },
        front=frozenset(_front(setting, [each for each in listed if each.role not in CONTROLS])),
    )


def stop_key(stop: OperatingPoint) -> str:
    """Returns the key of the column of P at a stop.

    Example:
        >>> stop_key(OperatingPoint("mini-lpips 0.1", 0.1, {"mini-lpips": 0.1}, float("nan")))
        'p at mini-lpips 0.1'
    """
    return f"p at {'' if stop.target is not None else 'strength '}{stop.label}"


def _columns(setting: Setting, listed: Sequence[EntryPoints]) -> dict[str, RankColumn]:
    attack, middle = setting.attack.name, setting.middle
    found = [
        _column(stop_key(stop), f"P at {stop.label}", [aggregates.protection(setting, s, attack, stop) for s in listed])
        for stop in setting.stops
    ]
    found.append(_column("worst case", "worst case", [aggregates.worst(setting, each, middle) for each in listed]))
    found.append(_column("mean", "mean over attacks", [aggregates.mean(setting, each, middle) for each in listed]))
    found.append(_column("retention", "retention", [aggregates.retention(setting, each, middle) for each in listed]))
    if setting.suite.matching:
        found.append(_column("area", "area", [aggregates.area(setting, each) for each in listed]))
    return {column.key: column for column in found}


def _rank_column(setting: Setting, listed: Sequence[EntryPoints], columns: dict[str, RankColumn]) -> RankColumn:
    if setting.suite.rank_by == WORST_CASE:
        return columns["worst case"]
    strengths = sorted(setting.suite.strengths)
    strength = strengths[len(strengths) // 2]
    stop = OperatingPoint(f"{strength:g}", None, {}, strength)
    if (key := stop_key(stop)) in columns:
        return columns[key]
    values = [aggregates.protection(setting, each, setting.attack.name, stop) for each in listed]
    return _column(key, f"P at strength {stop.label}", values)


def _column(key: str, title: str, values: Sequence[Value]) -> RankColumn:
    stacked = np.asarray([value.artists for value in values]) if values else np.empty((0, 0))
    found = statistics.estimates(stacked)
    return RankColumn(key, title, tuple(values), tuple(found.at(row) for row in range(len(values))))


def _unranked(setting: Setting, subject: EntryPoints, value: Value, estimate: Estimate) -> str:
    if subject.role in CONTROLS:
        return "control"
    if setting.suite.demonstration:
        return "demonstration"
    if value.lacks:
        return "; ".join(value.lacks)
    if value.state == "over target":
        return value.state
    return estimate.reason if math.isfinite(estimate.value) else value.note


def _front(setting: Setting, submissions: Sequence[EntryPoints]) -> set[str]:
    metric = setting.suite.matching.metric if setting.suite.matching else next(iter(setting.suite.metrics.quality), "")
    sign = -1 if setting.higher_is_better.get(metric) else 1
    name = setting.attack.name
    curves = {}
    for subject in submissions:
        drawn = aggregates.curve(setting, subject, name)
        if metric not in drawn.quality or len(drawn.strengths) < 2:
            continue
        rows = [
            setting.grid.rows[aggregates.CLEAN if strength == 0 else subject.name, strength, name]
            for strength in drawn.strengths
        ]
        p, weight = setting.grid.p[rows], setting.grid.denominator[rows]
        means = statistics.estimates(statistics.contributions(p * weight, weight)).value
        points = zip((sign * x for x in drawn.quality[metric]), means, strict=True)
        known = [(x, float(y)) for x, y in points if math.isfinite(y)]
        if len(known) > 1:
            curves[subject.name] = known
    return ranking.front(curves)
