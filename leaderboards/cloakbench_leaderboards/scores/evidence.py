"""All that a board is drawn from, worked out once: frames, scores, entries and raw values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, cast

import pandas as pd

from cloakbench.schemas.record import ProtectionFacts, Record
from cloakbench.schemas.suite import AttackSpec, MetricFacts, Suite, SuiteFacts
from cloakbench.store.reading import DamagedLine, Loaded
from cloakbench_leaderboards import text
from cloakbench_leaderboards.data import coverage, frames
from cloakbench_leaderboards.data.coverage import Gap
from cloakbench_leaderboards.data.selection import select
from cloakbench_leaderboards.data.trust import Trust, labels
from cloakbench_leaderboards.scores import matching, statistics
from cloakbench_leaderboards.scores.aggregates import EntryPoints, Setting, protection
from cloakbench_leaderboards.scores.matching import CalibratedStrength
from cloakbench_leaderboards.scores.resolution import Resolution, measure
from cloakbench_leaderboards.scores.scores import Scores, score
from cloakbench_leaderboards.scores.standings import CONTROLS, Standings, standings
from cloakbench_leaderboards.scores.statistics import Estimate

Address = tuple[str, float, str, str]
"""Protection, strength, attack, metric."""
ADDRESS = ["protection", "strength", "attack", "metric"]


class BoardEntry(NamedTuple):
    """One protection of the board, or a control."""

    name: str
    label: str
    """The name, safe and short enough for a table."""
    facts: ProtectionFacts
    subject: EntryPoints
    """What its aggregates are worked out from."""

    @property
    def strengths(self) -> tuple[float, ...]:
        """Where it was measured, rising."""
        return self.subject.strengths

    @property
    def is_control(self) -> bool:
        """Whether it is one of the arms that every board holds."""
        return self.facts.role in CONTROLS


@dataclass(frozen=True)
class Levels:
    """The board's numbers, one frame per level; nothing changes one after it is made."""

    rows: pd.DataFrame
    """One row per image, or generation, and metric."""
    cells: pd.DataFrame
    """One row per cell: what `rows` average to."""
    points: pd.DataFrame
    """One row per protection, strength, attack and artist: what `cells` average to, as P and effect."""
    entries: pd.DataFrame
    """One row per protection and number of the front page."""


@dataclass(frozen=True)
class Evidence:
    """Immutable input of the pages."""

    facts: SuiteFacts
    records: list[Record]
    left_out: dict[str, int]
    damaged: list[DamagedLine]
    artists: tuple[str, ...]
    entries: list[BoardEntry]
    levels: Levels
    scores: Scores
    setting: Setting
    """What the aggregates of all entries share."""
    standings: Standings
    noise: Resolution
    gaps: list[Gap]
    raw: dict[Address, Estimate]
    """Mean over artists; the floor stands under every attack of its mimicry and model."""
    change: dict[Address, Estimate]
    """Mean over artists of the paired difference to the clean arm on the same attack."""
    quality: dict[tuple[str, float, str], Estimate]
    """By protection, strength, metric."""
    trust: dict[str, Trust]
    """By protection: who vouches for its numbers, or how often they were reproduced."""

    @property
    def suite(self) -> Suite:
        """The frozen protocol."""
        return self.facts.suite

    @property
    def ranked(self) -> list[AttackSpec]:
        """The attacks that imitate the style: scores are made of them."""
        return self.facts.ranked

    @property
    def edits(self) -> list[AttackSpec]:
        """The attacks that edit images, which no score is made of."""
        return [attack for attack in self.suite.attacks if attack not in self.ranked]

    @property
    def rank_attack(self) -> str:
        """The attack that the headline shows: the suite's own choice, or its first where it ranks by the worst case."""
        return self.setting.attack.name

    @property
    def middle(self) -> float:
        """The strength that carries the rank."""
        return sorted(self.suite.strengths)[len(self.suite.strengths) // 2]

    def metric(self, name: str) -> MetricFacts | None:
        """Returns what the suite's facts say about a metric."""
        return next((each for each in self.facts.metrics if each.name == name), None)

    def focus(self, entry: BoardEntry) -> float:
        """Returns the strength at which an entry's raw values stand in the headline: the middle, or its nearest."""
        return min(entry.strengths, key=lambda strength: (abs(strength - self.middle), strength), default=self.middle)


def gather(loaded: Loaded) -> Evidence:
    """Returns the evidence in a set of records; needs at least one."""
    chosen = select(loaded.records)
    suite = loaded.facts.suite
    places, rows = frames.places(chosen.records), frames.rows(chosen.records)
    cells = frames.cells(places, rows, suite.metrics.primary)
    artists = tuple(suite.artists or sorted({each.artist for each in chosen.records}))
    scores = score(cells, loaded.facts.ranked, artists)
    values = _addressed(cells, frames.metrics(chosen.records), suite)
    quality = frames.quality(places, rows[rows["level"] == "quality"], [attack.name for attack in suite.attacks])
    found = over_artists(quality, ["protection", "strength", "metric"], "value")
    setting = Setting(
        suite=suite,
        attacks=loaded.facts.ranked,
        grid=scores.grid,
        quality={cast("tuple[str, float, str]", place): estimate.value for place, estimate in found.items()},
        higher_is_better={each.name: each.higher_is_better for each in loaded.facts.metrics},
    )
    entries = _entries(setting, chosen.records)
    standing = standings(setting, [entry.subject for entry in entries])
    return Evidence(
        facts=loaded.facts,
        records=chosen.records,
        left_out=chosen.left_out,
        damaged=loaded.damaged,
        artists=artists,
        entries=_ordered(entries, standing),
        levels=Levels(rows, cells, scores.points, standing.frame),
        scores=scores,
        setting=setting,
        standings=standing,
        noise=_noise(setting, cells, standing, entries),
        gaps=coverage.gaps(cells, suite, artists),
        raw=cast("dict[Address, Estimate]", over_artists(values, ADDRESS, "value")),
        change=cast("dict[Address, Estimate]", over_artists(_paired(values), ADDRESS, "change")),
        quality=cast("dict[tuple[str, float, str], Estimate]", found),
        trust=labels(loaded.records, loaded.signed, suite.metrics.primary),
    )


def _addressed(cells: pd.DataFrame, metrics: pd.DataFrame, suite: Suite) -> pd.DataFrame:
    attacks = pd.DataFrame(
        [(each.name, each.mimicry, each.model) for each in suite.attacks], columns=["attack", "mimicry", "model"]
    )
    cells = cells.assign(cell=range(len(cells)))
    floor = cells[cells["role"] == "floor"].drop(columns="attack").merge(attacks, on=["mimicry", "model"])
    known = cells[(cells["role"] != "floor") & cells["attack"].isin(attacks["attack"])]
    both = pd.concat([known, floor[known.columns]], ignore_index=True)
    return both[both["status"] == "ok"].merge(metrics, on="cell")


def _paired(values: pd.DataFrame) -> pd.DataFrame:
    place = ["attack", "artist", "seed", "metric"]
    clean = values[values["role"] == "identity"].drop_duplicates(place)[[*place, "value"]]
    paired = values.merge(clean.rename(columns={"value": "clean"}), on=place)
    return paired.assign(change=paired["value"] - paired["clean"])


def over_artists(values: pd.DataFrame, address: list[str], column: str) -> dict[tuple[object, ...], Estimate]:
    """Returns the mean over artists at each address, of each artist the mean over its rows."""
    means = values.groupby([*address, "artist"], observed=True)[column].mean().unstack("artist")
    found = statistics.estimates(means.to_numpy(dtype=float))
    return {cast("tuple[object, ...]", place): found.at(row) for row, place in enumerate(means.index)}


def _entries(setting: Setting, records: list[Record]) -> list[BoardEntry]:
    newest: dict[str, ProtectionFacts] = {}
    strengths: dict[str, set[float]] = {}
    searched: dict[str, dict[float, Record]] = {}
    for each in records:
        name = each.protection.name
        newest[name] = each.protection
        if each.target is not None:
            searched.setdefault(name, {})[each.target] = each
        # Strength 0 beside a target: no strength of the protection meets it, so there is no such point.
        strengths.setdefault(name, set()).update([each.strength] if each.target is None or each.strength else [])
    limits = {stop.target: stop.limits for stop in setting.stops}
    found = []
    for name, facts in sorted(newest.items()):
        ends = searched.get(name, {}).items()
        sought = {target: _sought(setting, limits.get(target, {}), record) for target, record in ends}
        found.append(BoardEntry(name, text.name(name), facts, _subject(facts, strengths[name], sought, setting.suite)))
    return found


def _sought(setting: Setting, limits: Mapping[str, float], record: Record) -> CalibratedStrength:
    binding = matching.binding(record.strength, record.calibration, limits, setting.higher_is_better)
    return CalibratedStrength(limits, record.strength, binding, text.plain(record.reason))


def _subject(
    facts: ProtectionFacts, strengths: set[float], sought: dict[float, CalibratedStrength], suite: Suite
) -> EntryPoints:
    is_swept = facts.role in coverage.SUITE_ROLES and facts.budget != coverage.PERCEPTUAL
    planned = tuple(suite.strengths) if is_swept else ()
    return EntryPoints(facts.name, facts.role, tuple(sorted(strengths)), sought, planned)


def _noise(setting: Setting, cells: pd.DataFrame, standing: Standings, entries: list[BoardEntry]) -> Resolution:
    placebo = next((entry.subject for entry in entries if entry.facts.role == "placebo"), None)
    own = [protection(setting, placebo, setting.attack.name, setting.middle).artists] if placebo else []
    floor = statistics.estimates(own[0][None]).at(0) if own else statistics.mean([])
    submissions = [entry.name for entry in entries if not entry.is_control]
    whole = [
        value.artists
        for name, value in zip(standing.names, standing.rank_column.values, strict=True)
        if name in submissions and value.is_whole
    ]
    # One entry alone is told apart from the placebo.
    return measure(setting, cells, floor, whole if len(whole) > 1 else [*whole, *own])


def _ordered(entries: list[BoardEntry], standing: Standings) -> list[BoardEntry]:
    """Returns the ranked submissions, then the others, by the number that carries the rank, then the controls."""
    values = dict(zip(standing.names, (found.value for found in standing.rank_column.estimates), strict=True))

    def order(entry: BoardEntry) -> tuple[int, float, str]:
        if entry.is_control:
            return (2 + CONTROLS.index(entry.facts.role), 0.0, entry.name)
        value = values[entry.name]
        return (int(entry.name in standing.unranked), math.inf if math.isnan(value) else -value, entry.name)

    return sorted(entries, key=order)
