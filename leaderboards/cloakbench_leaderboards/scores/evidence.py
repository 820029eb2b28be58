"""All that a board shows, computed once: frames, scores, entries and raw values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, cast

import pandas as pd

from cloakbench.schemas.kinds import Role
from cloakbench.schemas.record import ProtectionFacts, Record
from cloakbench.schemas.suite import AttackExplained, AttackSpec, MetricFacts, Suite, SuiteFacts
from cloakbench.store.reading import DamagedLine, Loaded
from cloakbench_leaderboards import text
from cloakbench_leaderboards.data import coverage, frames
from cloakbench_leaderboards.data.selection import select
from cloakbench_leaderboards.data.trust import Trust, labels
from cloakbench_leaderboards.scores import agreement, best_known, matching, statistics, visibility
from cloakbench_leaderboards.scores.aggregates import protection
from cloakbench_leaderboards.scores.matching import CalibratedStrength
from cloakbench_leaderboards.scores.resolution import Resolution, measure
from cloakbench_leaderboards.scores.scores import Scores, score
from cloakbench_leaderboards.scores.setting import EntryPoints, Setting
from cloakbench_leaderboards.scores.standings import CONTROLS, Standings, standings
from cloakbench_leaderboards.scores.statistics import Estimate
from cloakbench_leaderboards.scores.visibility import QualityAddress

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
    """The operating points that its aggregates are computed from."""

    @property
    def strengths(self) -> tuple[float, ...]:
        """Strengths that were measured, rising."""
        return self.subject.strengths

    @property
    def is_control(self) -> bool:
        """Whether it is one of the arms that every board holds."""
        return self.facts.role.is_control


@dataclass(frozen=True)
class Levels:
    """The board's numbers, one frame per level; none is changed afterwards."""

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
    gaps: list[coverage.Gap]
    raw: dict[Address, Estimate]
    """Mean over artists; the floor stands under every attack of its mimicry and model."""
    change: dict[Address, Estimate]
    """Mean over artists of the paired difference to the clean arm on the same attack."""
    quality: dict[QualityAddress, Estimate]
    """By protection, strength, metric."""
    trust: dict[str, Trust]
    """By protection: signers of its records, or how often they were reproduced."""

    @property
    def suite(self) -> Suite:
        """The frozen protocol."""
        return self.facts.suite

    @property
    def updated(self) -> str:
        """The time of the newest record."""
        return max(record.created for record in self.records)

    @property
    def ranked(self) -> list[AttackSpec]:
        """The attacks that imitate the style: scores are made of them."""
        return self.facts.ranked

    @property
    def explained(self) -> dict[str, AttackExplained]:
        """What the suite's facts say about each attack, by its name."""
        return {facts.name: facts for facts in self.facts.attacks}

    @property
    def submissions(self) -> list[BoardEntry]:
        """The entries that are no controls."""
        return self.entries_with(Role.SUBMISSION)

    @property
    def controls(self) -> list[BoardEntry]:
        """The entries that every board holds."""
        return [entry for entry in self.entries if entry.is_control]

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
        """The strength that decides the rank where entries are compared at strengths."""
        return sorted(self.suite.strengths)[len(self.suite.strengths) // 2]

    def entries_with(self, role: Role) -> list[BoardEntry]:
        """Returns the entries of one role."""
        return [entry for entry in self.entries if entry.facts.role is role]

    def metric(self, name: str) -> MetricFacts | None:
        """Returns what the suite's facts say about a metric."""
        return {metric.name: metric for metric in self.facts.metrics}.get(name)

    def focus(self, entry: BoardEntry) -> float:
        """Returns the strength of an entry's values and cost: that sought for the middle target, or the middle one."""
        search = entry.subject.calibrations.get(self.setting.middle.target or -1.0)
        if search and search.strength:
            return search.strength
        return min(entry.strengths, key=lambda strength: (abs(strength - self.middle), strength), default=self.middle)


def gather(loaded: Loaded) -> Evidence:
    """Returns the evidence in a set of records; needs at least one."""
    records = best_known.split_by_origin(loaded.records)
    chosen = select(records.of_suite)
    suite = loaded.facts.suite
    levels = _levels(chosen.records, suite)
    artists = tuple(suite.artists or sorted({record.artist for record in chosen.records}))
    scores = score(levels.cells, loaded.facts.ranked, artists, suite.seeds.protected)
    values = _addressed(levels.cells, frames.metrics(chosen.records), suite)
    means = visibility.quality_means(levels.cells, levels.rows, suite)
    quality = cast("dict[QualityAddress, Estimate]", over_artists(means, ["protection", "strength", "metric"], "value"))
    setting = _setting(loaded.facts, scores, quality, means)
    entries = _entries(setting, chosen.records)
    subjects = [entry.subject for entry in entries]
    standing = best_known.added(standings(setting, subjects), loaded.facts, records, artists, setting, subjects)
    return Evidence(
        facts=loaded.facts,
        records=chosen.records,
        left_out=chosen.left_out,
        damaged=loaded.damaged,
        artists=artists,
        entries=_ordered(entries, standing),
        levels=replace(levels, points=scores.points, entries=standing.frame),
        scores=scores,
        setting=setting,
        standings=standing,
        noise=_noise(setting, levels.cells, entries),
        gaps=coverage.gaps(levels.cells, suite, artists),
        raw=cast("dict[Address, Estimate]", over_artists(values, ADDRESS, "value")),
        change=cast("dict[Address, Estimate]", over_artists(_paired(values), ADDRESS, "change")),
        quality=quality,
        trust=labels(records.of_suite, loaded.signed, suite.metrics.primary),
    )


def _setting(
    facts: SuiteFacts, scores: Scores, quality: Mapping[QualityAddress, Estimate], means: pd.DataFrame
) -> Setting:
    artist_quality = visibility.by_artist(facts, means, scores.grid.artists)
    directions = {metric.name: metric.higher_is_better for metric in facts.metrics}
    return Setting(
        suite=facts.suite,
        attacks=facts.ranked,
        grid=scores.grid,
        clean=scores.clean,
        quality={address: estimate.value for address, estimate in quality.items()},
        higher_is_better=directions,
        shares=visibility.shares(facts, artist_quality),
        artist_quality=artist_quality,
    )


def over_artists(values: pd.DataFrame, address: list[str], column: str) -> dict[tuple[object, ...], Estimate]:
    """Returns the mean over artists at each address, of each artist the mean over its rows."""
    means = values.groupby([*address, "artist"], observed=True)[column].mean().unstack("artist")
    addresses = cast("list[tuple[object, ...]]", list(means.index))
    return dict(zip(addresses, statistics.estimates(means.to_numpy(dtype=float)).rows(), strict=True))


def _levels(records: list[Record], suite: Suite) -> Levels:
    """Returns the frames of rows and cells; points and entries are filled in once they are scored."""
    rows = frames.rows(records)
    cells = frames.cells(frames.places(records), rows, suite.metrics.primary)
    return Levels(rows, cells, pd.DataFrame(), pd.DataFrame())


def _addressed(cells: pd.DataFrame, metrics: pd.DataFrame, suite: Suite) -> pd.DataFrame:
    """Returns one row per cell and metric; the floor stands under every attack of its mimicry and model."""
    rows = [(attack.name, attack.mimicry, attack.model) for attack in suite.attacks]
    attacks = pd.DataFrame(rows, columns=["attack", "mimicry", "model"])
    cells = cells.assign(cell=range(len(cells)))
    is_floor = cells["role"] == str(Role.FLOOR)
    floor = cells[is_floor].drop(columns="attack").merge(attacks, on=["mimicry", "model"])
    others = cells[~is_floor & cells["attack"].isin(attacks["attack"])]
    both = pd.concat([others, floor[others.columns]], ignore_index=True)
    return both[both["status"] == str(frames.CellStatus.OK)].merge(metrics, on="cell")


def _paired(values: pd.DataFrame) -> pd.DataFrame:
    pair = ["attack", "artist", "seed", "metric"]
    clean = values[values["role"] == str(Role.IDENTITY)].drop_duplicates(pair)[[*pair, "value"]]
    paired = values.merge(clean.rename(columns={"value": "clean"}), on=pair)
    return paired.assign(change=paired["value"] - paired["clean"])


def _entries(setting: Setting, records: list[Record]) -> list[BoardEntry]:
    newest: dict[str, ProtectionFacts] = {}
    strengths: dict[str, set[float]] = {}
    searches: dict[str, dict[float, Record]] = {}
    for record in records:
        name = record.protection.name
        newest[name] = record.protection
        measured = strengths.setdefault(name, set())
        if record.target is not None:
            searches.setdefault(name, {})[record.target] = record
        # Strength 0 beside a target: no strength of the protection meets it, so there is no such point.
        if record.target is None or record.strength:
            measured.add(record.strength)
    limits = {stop.target: stop.limits for stop in setting.stops}
    entries = []
    for name, facts in sorted(newest.items()):
        calibrations = {}
        for target, record in searches.get(name, {}).items():
            allowed = limits.get(target, {})
            binding = matching.binding(record.strength, record.calibration, allowed, setting.higher_is_better)
            calibrations[target] = CalibratedStrength(allowed, record.strength, binding, text.plain(record.reason))
        subject = _subject(facts, strengths[name], calibrations, setting.suite)
        entries.append(BoardEntry(name, text.name(name), facts, subject))
    return entries


def _subject(
    facts: ProtectionFacts, strengths: set[float], calibrations: dict[float, CalibratedStrength], suite: Suite
) -> EntryPoints:
    is_swept = facts.role.has_strengths and facts.budget.runs_at_strengths
    planned = tuple(suite.strengths) if is_swept else ()
    return EntryPoints(facts.name, facts.role, tuple(sorted(strengths)), calibrations, planned)


def _noise(setting: Setting, cells: pd.DataFrame, entries: list[BoardEntry]) -> Resolution:
    floor, values, subjects = statistics.mean([]), [], []
    for entry in entries:
        p = protection(setting, entry.subject, setting.attack.name, setting.middle).artists
        if entry.facts.role is Role.PLACEBO:
            floor = statistics.estimates(p[None]).at(0)
        if not entry.is_control:
            values.append(p)
            subjects.append(entry.subject)
    return measure(setting, cells, floor, values, agreement.stacked(setting, subjects))


def _ordered(entries: list[BoardEntry], standing: Standings) -> list[BoardEntry]:
    """Returns the ranked submissions by rank, the others in the provisional order, then the controls."""
    provisional = {name: position for position, name in enumerate(standing.provisional)}

    def order(entry: BoardEntry) -> tuple[int, float, float, str]:
        if entry.is_control:
            return (2 + CONTROLS.index(entry.facts.role), 0.0, 0.0, entry.name)
        value = standing.rank_column.estimates[standing.rows[entry.name]].value
        # A minimum over fewer attacks is higher by construction, so it orders no unranked entry.
        position = provisional.get(entry.name, math.inf) if entry.name in standing.unranked else 0
        return (int(entry.name in standing.unranked), position, math.inf if math.isnan(value) else -value, entry.name)

    return sorted(entries, key=order)
